"""What a lesson said before can be read, compared and brought back, and a reflection be undone as a whole."""

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import groupby
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.errors import InvalidInput, LessonNotFound, ReflectionNotFound
from langchain_reflect.ledger import Ledger
from langchain_reflect.ledger.claims import Closing
from langchain_reflect.lessons.history import diff_words, field_diffs, fold, pages, undo_plan, word_diff
from langchain_reflect.types import Lesson, LessonEdit, LessonText, ReflectionReport, Revision, now

MODEL, LATER = "R-00000000000a", "R-00000000000b"
SPACE = ("default",)
EPISODES = [UUID(int=n) for n in range(1, 6)]
START = datetime(2026, 1, 1, tzinfo=UTC)


def text(do, when="a flight is moved"):
    return LessonText(when=when, do=do)


def commit(book, *edits, actor=MODEL, at=None):
    return book.commit(edits, namespace=SPACE, actor=actor, at=at)


# Word diffs


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ("ask for the fare class", "look up the fare class", "[-ask for-]{+look up+} the fare class"),
        ("ask", "ask first", "ask{+ first+}"),
        ("ask first", "first", "[-ask -]first"),
        ("same", "same", "same"),
        ("", "new", "{+new+}"),
        ("a\nb", "a b", "a[-\n-]{+ +}b"),
    ],
)
def test_changed_words_are_marked(before, after, shown):
    assert word_diff(before, after) == shown


@given(st.text(alphabet="ab \n", max_size=30), st.text(alphabet="ab \n", max_size=30))
def test_a_diff_has_both_texts_in_it(before, after):
    pieces = diff_words(before, after)
    assert "".join(t for change, t in pieces if change != "added") == before
    assert "".join(t for change, t in pieces if change != "removed") == after
    assert all(t for _, t in pieces)


def test_only_changed_fields_are_told():
    one, two = Lesson(id="L-1", when="a", do="b c"), Lesson(id="L-1", when="a", do="b d", status="active")
    assert set(field_diffs(one, two)) == {"do", "status"}
    assert field_diffs(None, one)["do"] == [("added", "b c")]


# As of a time


def test_the_book_can_be_read_as_it_was_at_any_time(book):
    hours = [START + timedelta(hours=n) for n in range(5)]
    (added,) = commit(book, LessonEdit(kind="add", text=text("ask"), evidence=EPISODES[:1]), at=hours[0])
    commit(book, LessonEdit(kind="revise", lesson_id=added.lesson_id, text=text("look")), at=hours[1])
    (other,) = commit(book, LessonEdit(kind="add", text=text("wait"), merged=(added.lesson_id,)), at=hours[2])
    commit(book, LessonEdit(kind="retire", lesson_id=other.lesson_id), at=hours[3])
    seen = [[(x.do, x.status) for x in sorted(book.list(at=at), key=lambda x: x.created_at)] for at in hours]
    assert seen[0] == [("ask", "candidate")]
    assert seen[1] == [("look", "candidate")]
    assert seen[2] == [("look", "superseded"), ("wait", "candidate")]
    assert seen[3] == seen[4] == [("look", "superseded"), ("wait", "retired")]
    assert book.list(at=hours[0] - timedelta(seconds=1)) == []
    assert [x.do for x in book.list(at=hours[2], status="candidate")] == ["wait"]
    assert book.show(added.lesson_id, at=hours[0]).do == "ask"
    assert book.list(at=now()) == book.list()
    with pytest.raises(LessonNotFound, match="did not exist at 2026-01-01T01:00"):
        book.show(other.lesson_id, at=hours[1])
    for call in (lambda: book.list(at=datetime(2026, 1, 1)), lambda: book.show(added.lesson_id, at=datetime(2026, 1, 1))):  # noqa: DTZ001
        with pytest.raises(InvalidInput, match="no time zone"):
            call()


def test_a_past_of_another_namespace_is_not_seen(book):
    book.add(when="a", do="b", namespace=("acme",))
    assert book.list(SPACE, at=now()) == []
    assert len(book.list(("acme",), at=now())) == len(book.list(at=now())) == 1


def test_the_journal_folds_to_the_book_page_by_page(book):
    for n in range(7):
        commit(book, *(LessonEdit(kind="add", text=text(f"{n} {m}")) for m in range(3)))
    first = book.list()[0]
    book.edit(first.id, do="other")
    whole = list(book.journal())
    assert fold(whole) == {x.id: x for x in book.list()}
    assert [r.version for r in whole] == sorted(r.version for r in whole)
    assert [list(pages(book.ledger.journal, None, size=n)) for n in (1, 2, 5, 100)] == [whole] * 4
    assert list(book.journal(("acme",))) == []


# Bringing back


def test_a_revision_is_brought_back_as_a_new_one_with_the_support_of_now(book):
    lesson = book.add(when="a flight is moved", do="ask", status="active", by="dana")
    book.edit(lesson.id, do="look", by="kim")
    commit(book, LessonEdit(kind="merge", lesson_id=lesson.id, evidence=EPISODES[:1]))
    back = book.restore(lesson.id, 1, by="dana", reason="it was better")
    assert (back.do, back.status, back.approved_by, back.revision) == ("ask", "active", "dana", 4)
    assert back.evidence == tuple(EPISODES[:1])
    with pytest.raises(InvalidInput, match="already is as in revision 1"):
        book.restore(lesson.id, 1)
    with pytest.raises(InvalidInput, match="has no revision 9; it has 1 to 4"):
        book.restore(lesson.id, 9)


# Undo


def test_undo_takes_back_everything_one_reflection_did_in_one_transaction(book):
    changed, gone, retired = (book.add(when="a flight is moved", do=x) for x in ("ask", "look", "wait"))
    approved = book.add(when="x", do="y", status="active", by="dana")
    before = {x.id: x for x in book.list()}
    done = commit(
        book,
        LessonEdit(kind="add", name="N1", text=text("new"), evidence=EPISODES[:2]),
        LessonEdit(kind="merge", lesson_id=changed.id, merged=(gone.id,), text=text("both"), evidence=EPISODES[2:3], tasks=("t",)),
        LessonEdit(kind="retire", lesson_id=retired.id),
        LessonEdit(kind="retire", lesson_id=approved.id),
    )
    undone = book.undo(MODEL, by="dana", reason="bad feedback")
    assert (undone.retired, set(undone.restored), undone.left) == ((done[0].lesson_id,), {changed.id, gone.id, retired.id}, ())
    assert undone.reviews == (done[3].review_id,)
    assert book.reviews() == []
    assert "undone" in book.reviews(state="rejected")[0].answer
    for lesson_id, old in before.items():
        back = book.show(lesson_id)
        assert back.model_copy(update={"revision": old.revision, "updated_at": old.updated_at}) == old
    new = book.show(done[0].lesson_id)
    assert (new.status, new.evidence) == ("retired", tuple(EPISODES[:2]))
    last = [book.history(i)[-1] for i in (changed.id, new.id)]
    assert [(r.kind, r.actor, r.reason) for r in last] == [
        ("restore", "dana", f"undoes {MODEL}: bad feedback"),
        ("retire", "dana", f"undoes {MODEL}: bad feedback"),
    ]
    assert len({r.version for r in book.journal() if r.reason.startswith("undoes")}) == 1
    assert "3 restored, 1 retired, 1 reviews closed" in str(undone)


def test_undone_twice_says_so(book):
    commit(book, LessonEdit(kind="add", text=text("new")))
    book.undo(MODEL, by="dana")
    with pytest.raises(InvalidInput, match=f"'{MODEL}' was undone before by 'dana'"):
        book.undo(MODEL, by="kim")


def test_what_somebody_changed_afterwards_is_left_alone_and_named_unless_forced(book):
    one, two = book.add(when="a", do="b"), book.add(when="c", do="d")
    commit(book, *(LessonEdit(kind="revise", lesson_id=x.id, text=text("worse"), evidence=EPISODES[:1]) for x in (one, two)))
    book.edit(one.id, do="by hand", by="kim")
    commit(book, LessonEdit(kind="merge", lesson_id=two.id, evidence=EPISODES[1:2]), actor=LATER)
    undone = book.undo(MODEL, by="dana")
    assert (undone.restored, undone.left) == ((two.id,), (one.id,))
    assert one.id in str(undone)
    assert book.show(one.id).do == "by hand"
    assert (book.show(two.id).do, book.show(two.id).evidence) == ("d", tuple(EPISODES[1:2])), "later support is not its"
    assert book.undo(MODEL, by="dana").left == (one.id,), "what was left can be looked at again"
    assert book.undo(MODEL, by="dana", force=True).restored == (one.id,)
    assert (book.show(one.id).do, book.show(one.id).evidence) == ("b", ())
    with pytest.raises(InvalidInput, match="was undone before"):
        book.undo(MODEL, by="dana", force=True)


def test_only_reflections_of_the_namespace_can_be_undone(book):
    lesson = book.add(when="a", do="b", by="dana")
    book.commit([LessonEdit(kind="add", text=text("x"))], namespace=("acme",), actor=MODEL)
    for name in (MODEL, "R-000000000000", "dana", "", "human"):
        with pytest.raises(ReflectionNotFound, match="reflection"):
            book.undo(name)
    assert book.show(lesson.id) == lesson
    assert len(book.undo(MODEL, namespace=("acme",)).retired) == 1


def test_a_reflection_that_changed_nothing_is_undone_without_a_trace(book, ledger):
    ledger.append_revisions([], closing=Closing(ReflectionReport(id=MODEL), SPACE))
    undone = book.undo(MODEL)
    assert (undone.restored, undone.retired, undone.left, list(book.journal())) == ((), (), (), [])


def test_undoing_a_consolidation_brings_its_sources_back(book):
    sources = [book.add(when="a flight is moved", do=x) for x in ("ask", "look")]
    edit = LessonEdit(kind="add", text=text("ask or look"), merged=tuple(x.id for x in sources), expected=(1, 1))
    (done,) = commit(book, edit, actor="C-00000000000c")
    assert book.show(sources[0].id).status == "superseded"
    undone = book.undo("C-00000000000c")
    assert (set(undone.restored), undone.retired) == ({x.id for x in sources}, (done.lesson_id,))
    assert [book.show(x.id).text for x in sources] == [x.text for x in sources]
    assert {x.id for x in book.list(status={"candidate"})} == {x.id for x in sources}


def test_either_database_gives_the_journal_page_by_page_and_a_past(either):
    lessons = [Lesson(id=f"L-{n}", when="w", do=f"{n}") for n in range(5)]
    either.append_revisions([Revision(lesson=x, kind="add", actor="dana", at=START) for x in lessons[:3]])
    either.append_revisions([Revision(lesson=x, kind="add", actor=MODEL, at=START + timedelta(1)) for x in lessons[3:]])
    changed = lessons[0].model_copy(update={"revision": 2, "do": "x"})
    either.append_revisions([Revision(lesson=changed, kind="revise", actor=MODEL, at=START + timedelta(2))])
    whole = either.journal()
    assert [r.lesson.do for r in whole] == ["0", "1", "2", "3", "4", "x"]
    assert [list(pages(either.journal, SPACE, size=n)) for n in (1, 2, 4)] == [whole] * 3
    assert [r.lesson.do for r in either.journal(actor=MODEL, until=START + timedelta(1))] == ["3", "4"]
    assert fold(either.journal(until=START)).keys() == {"L-0", "L-1", "L-2"}


CHANGES = st.lists(
    st.tuples(
        st.sampled_from([MODEL, LATER, "dana"]),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["candidate", "retired"]),
        st.sets(st.sampled_from(EPISODES), max_size=2),
    ),
    min_size=1,
    max_size=8,
)


@given(CHANGES)
def test_an_undo_takes_back_the_reflections_words_and_support_and_nobody_elses(changes):
    head = Lesson(id="L-1", when="w", do="start")
    past = [Revision(lesson=head, kind="add", actor="dana")]
    others, own = set(), set()
    for actor, do, status, added in changes:
        gained = added - set(head.evidence)
        (own if actor == MODEL else others).update(gained)
        fields = {"do": do, "status": status, "evidence": (*head.evidence, *sorted(gained)), "revision": head.revision + 1}
        head = head.model_copy(update=fields)
        past.append(Revision(lesson=head, kind="revise", actor=actor))
    if own or any(actor == MODEL for actor, *_ in changes):
        plan = undo_plan({"L-1": past}, MODEL, by="kim", reason="", at=START, force=True)
        (made,) = plan.revisions
        first = next(n for n, r in enumerate(past) if r.actor == MODEL)
        assert set(made.lesson.evidence) == others - own
        assert (made.lesson.text, made.lesson.status) == (past[first - 1].lesson.text, past[first - 1].lesson.status)
        assert made.lesson.revision == head.revision + 1
        assert undo_plan({"L-1": [*past, made]}, MODEL, by="kim", reason="", at=START, force=True).before == made


# Several processes

WRITER = """
import sys
from uuid import UUID
from langchain_reflect.index.embeddings import resolve_embedder
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.types import LessonEdit, LessonText
from tests.unit_tests.words import Words
folder, mode, offset, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
book = LessonBook(Ledger(folder, durability="fast"), ExactIndex(), resolve_embedder(Words()))
print("ready", flush=True)
for n in range(count):
    actor = f"R-{offset + n:012x}"
    if mode == "support":
        for lesson in book.list():
            edit = LessonEdit(kind="merge", lesson_id=lesson.id, evidence=(UUID(int=offset + n),))
            assert book.commit([edit], namespace=("default",), actor=actor)[0].applied
    else:
        text = LessonText(when="w", do=f"do {offset + n}")
        edits = [LessonEdit(kind="add", name="N1", text=text), LessonEdit(kind="add", name="N2", text=text)]
        edits.append(LessonEdit(kind="merge", lesson_id="N1", merged=("N2",)))
        edits.append(LessonEdit(kind="contradict", lesson_id="N1", against=(sys.argv[5],)))
        book.commit(edits, namespace=("default",), actor=actor)
        if n % 2:
            book.undo(actor, by="dana")
"""


def writer(folder, *arguments):
    return subprocess.Popen([sys.executable, "-c", WRITER, str(folder), *map(str, arguments)], stdout=subprocess.PIPE, text=True)


def test_two_processes_that_support_one_lesson_at_once_lose_nothing(book, tmp_path):
    lesson = book.add(when="a", do="b")
    running = [writer(tmp_path, "support", offset, 10) for offset in (100, 200)]
    assert [process.communicate(timeout=60) and process.returncode for process in running] == [0, 0]
    assert {e.int for e in book.show(lesson.id).evidence} == {*range(100, 110), *range(200, 210)}
    assert book.ledger.verify() == []


def test_a_kill_leaves_whole_commits_and_whole_undos(book, tmp_path):
    lesson = book.add(when="a", do="b")
    process = writer(tmp_path, "edit", 1, 100_000, lesson.id)
    process.stdout.readline()
    time.sleep(1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with Ledger(tmp_path) as after:
        assert after.verify() == []
        commits = [list(group) for _, group in groupby(after.journal(), key=lambda r: r.version)][1:]
        assert len(commits) > 3
        for revisions in commits:
            kinds = sorted(r.kind for r in revisions)
            assert kinds in (["add", "add", "merge", "merge"], ["retire", "retire"])
        adding = {r.actor for r in after.journal() if r.kind == "add" and r.actor != "human"}
        assert {r.actor for r in after.reviews(state=None)} == adding
