import json

from langchain_reflect import Ledger
from langchain_reflect.index.embeddings import resolve_embedder
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.types import LessonEdit, LessonText
from tests.unit_tests.words import Words


def test_list_leaves_out_retired_lessons(run, home):
    assert [x["id"] for x in run("--path", home, "lessons", "--json").json] == ["L-1"]
    assert [x["id"] for x in run("--path", home, "lessons", "--all", "--json").json] == ["L-1", "L-2"]
    assert [x["id"] for x in run("--path", home, "lessons", "--status", "retired", "--json").json] == ["L-2"]


def test_list_is_readable(run, home):
    assert "write them with commas between" in run("--path", home, "lessons").out


def test_show_has_the_evidence(run, home):
    assert "00000000-0000-7000-8000-000000000001" in run("--path", home, "lessons", "show", "L-1").out
    assert run("--path", home, "lessons", "show", "L-1", "--json").json["do"] == "write them with commas between"


def test_history_has_every_revision(run, home):
    (revision,) = run("--path", home, "lessons", "history", "L-1", "--json").json
    assert revision["kind"] == "add"


def test_an_unknown_lesson_is_named(run, home):
    for command in ("show", "history", "retire"):
        ran = run("--path", home, "lessons", command, "L-9")
        assert ran.code == 1
        assert "L-9" in ran.err


def test_a_lesson_of_another_namespace_is_named_with_the_option_that_finds_it(run, home):
    made = run("--path", home, "lessons", "add", "--when", "x", "--do", "y", "--namespace", "acme/my team", "--json").json["id"]
    for command in ("show", "history", "retire"):
        ran = run("--path", home, "lessons", command, made)
        assert (ran.code, ran.err) == (
            1,
            f"reflect: no lesson {made!r} in namespace 'default'; it is in 'acme/my team': --namespace 'acme/my team'\n",
        )
    assert run("--path", home, "lessons", "show", made, "--namespace", "acme/my team").code == 0
    assert "`reflect lessons --all` lists" in run("--path", home, "lessons", "show", "L-9").err


def test_an_unknown_status_names_the_known_ones(run, home):
    ran = run("--path", home, "lessons", "--status", "good")
    assert ran.code == 1
    assert "proposed, candidate, active" in ran.err


def test_a_lesson_is_written_retired_and_restored(run, home):
    made = run(
        "--path", home, "lessons", "add", "--when", "dates are written", "--do", "write YYYY-MM-DD", "--status", "active", "--json"
    ).json
    assert made["status"] == "active"
    assert run("--path", home, "lessons", "retire", made["id"], "--by", "dana", "--reason", "wrong").code == 0
    assert run("--path", home, "lessons", "restore", made["id"]).code == 0
    history = run("--path", home, "lessons", "history", made["id"], "--json").json
    assert [(r["lesson"]["status"], r["actor"]) for r in history][:2] == [("active", "human"), ("retired", "dana")]


MODEL = "R-00000000000a"
APPROVED = ("lessons", "approve", "L-1", "--by", "dana")


def commit(home, *edits, actor=MODEL):
    """What a model does, with an index that nobody needs here."""
    with Ledger(home) as ledger:
        return LessonBook(ledger, ExactIndex(), resolve_embedder(Words())).commit(edits, namespace=("default",), actor=actor)


def test_what_a_model_asks_is_listed_and_approved_or_rejected(run, home):
    assert "Nothing waits" in run("--path", home, "lessons", "reviews").out
    run("--path", home, *APPROVED)
    better = LessonText(when="letters are to be counted", do="write them with dashes between")
    (asked,) = commit(home, LessonEdit(kind="revise", lesson_id="L-1", text=better, reason="shorter"))
    shown = run("--path", home, "lessons", "reviews").out
    assert asked.review_id in shown
    assert "asked by R-00000000000a: shorter" in shown
    assert "write them with [-commas-]{+dashes+} between" in " ".join(shown.split())
    (review,) = run("--path", home, "lessons", "reviews", "--json").json
    assert (review["id"], review["lessons"]) == (asked.review_id, ["L-1"])
    assert run("--path", home, "lessons", "approve", asked.review_id, "--by", "kim").out.startswith(
        f"{asked.review_id} is approved: L-1 is candidate"
    )
    again = run("--path", home, "lessons", "reject", asked.review_id, "--by", "lee")
    assert (again.code, "approved by 'kim'" in again.err) == (1, True)
    assert "approved by kim" in run("--path", home, "lessons", "reviews", "--all").out
    assert run("--path", home, "lessons", "approve", "V-000000000000").code == 1


def test_history_shows_changed_words_as_they_are(run, home):
    assert (
        run("--path", home, "lessons", "edit", "L-1", "--do", "write them with dashes between", "--by", "dana", "--reason", "shorter").code
        == 0
    )
    out = run("--path", home, "lessons", "history", "L-1").out
    assert "do: write them with [-commas-]{+dashes+} between" in out
    assert "status: [-active-]{+candidate+}" in out
    assert "by dana" in out
    assert "(shorter)" in out
    assert run("--path", home, "lessons", "edit", "L-1", "--do", "x", "--approve").out.startswith("L-1 is active")
    assert run("--path", home, "lessons", "edit", "L-1", "--do", "y", "--by", MODEL).code == 1


def test_a_revision_is_brought_back_and_the_past_can_be_read(run, home):
    run("--path", home, "lessons", "edit", "L-1", "--do", "guess", "--by", "dana")
    assert run("--path", home, "lessons", "restore", "L-1", "--revision", "1").code == 0
    assert run("--path", home, "lessons", "show", "L-1", "--json").json["do"] == "write them with commas between"
    history = run("--path", home, "lessons", "history", "L-1", "--json").json
    then = history[1]["at"]
    assert run("--path", home, "lessons", "show", "L-1", "--at", then, "--json").json["do"] == "guess"
    assert [x["do"] for x in run("--path", home, "lessons", "--at", then, "--json").json] == ["guess"]
    assert run("--path", home, "lessons", "--at", "2001-01-01", "--json").json == []
    early, wrong = (run("--path", home, "lessons", "show", "L-1", "--at", at) for at in ("2001-01-01", "yesterday"))
    assert "did not exist at '2001-01-01'" in early.err
    assert "is no date or time" in wrong.err


def test_a_reflection_is_undone_as_a_whole(run, home):
    commit(home, LessonEdit(kind="retire", lesson_id="L-1"), LessonEdit(kind="add", text=LessonText(when="a", do="b")))
    assert "1 restored, 1 retired" in run("--path", home, "lessons", "undo", MODEL, "--by", "dana", "--reason", "bad").out
    assert run("--path", home, "lessons", "show", "L-1", "--json").json["status"] == "active"
    again, unknown = run("--path", home, "lessons", "undo", MODEL), run("--path", home, "lessons", "undo", "R-000000000000")
    assert (again.code, "was undone before by 'dana'" in again.err) == (1, True)
    assert (unknown.code, "no reflection 'R-000000000000'" in unknown.err) == (1, True)


def test_the_journal_has_every_change_a_line(run, home, tmp_path):
    run("--path", home, "lessons", "retire", "L-1")
    lines = [json.loads(line) for line in run("--path", home, "lessons", "journal").out.splitlines()]
    assert [(x["lesson"]["id"], x["kind"]) for x in lines] == [("L-1", "add"), ("L-2", "add"), ("L-1", "status")]
    assert "3 revisions" in run("--path", home, "lessons", "journal", "--jsonl", tmp_path / "all.jsonl").out
    assert [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()] == lines
    assert "--force" in run("--path", home, "lessons", "journal", "--jsonl", tmp_path / "all.jsonl").err


def test_lessons_go_from_one_ledger_to_another(run, home, tmp_path):
    assert "1 lessons written" in run("--path", home, "lessons", "export", tmp_path / "pack.jsonl").out
    assert run("--path", tmp_path / "other", "lessons", "import", tmp_path / "pack.jsonl", "--json").json["known"] == 0
    assert "0 lessons added" in run("--path", tmp_path / "other", "lessons", "import", tmp_path / "pack.jsonl").out
    (lesson,) = run("--path", tmp_path / "other", "lessons", "--json").json
    assert (lesson["status"], lesson["origin"]) == ("proposed", "import")
    (tmp_path / "bad.jsonl").write_text('{"when": "a"}')
    assert "line 1 is no lesson: do" in run("--path", home, "lessons", "import", tmp_path / "bad.jsonl").err
