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
