from langchain_reflect import learner
from langchain_reflect.testing.models import ScriptedChatModel
from tests.unit_tests.cli.conftest import park


def test_recall_explains_itself(run, home):
    found = run("--path", home, "recall", "Count the letters e in the word cheese", "--json").json
    assert [(m["lesson"]["id"], m["kept"]) for m in found["matches"]] == [("L-1", True)]
    assert "write them with commas between" in found["block"]
    assert "write them with commas between" in run("--path", home, "recall", "Count the letters e in the word cheese").out


def test_reindex_counts_what_it_indexed(run, home):
    assert run("--path", home, "reindex", "--json").json == {"lessons": 1}


def test_reflect_without_a_model_says_what_to_do(run, home, ledger):
    ledger.record_outcome("00000000-0000-7000-8000-000000000001", reward=0.0, feedback="It is three.")
    ran = run("--path", home, "reflect")
    assert ran.code == 1
    assert "model" in ran.err


def test_an_unknown_model_is_named(run, home):
    ran = run("--path", home, "reflect", "--model", "nobody:nothing")
    assert ran.code == 1
    assert "nobody" in ran.err


def test_the_loop_creates_no_ledger_in_a_wrong_place(run, tmp_path):
    for command in (["reflect"], ["recall", "x"], ["reindex"]):
        assert run("--path", tmp_path / "nowhere", *command).code == 1
    assert not (tmp_path / "nowhere").exists()


def test_parked_groups_are_retried_on_request(run, home, ledger, monkeypatch):
    ledger.record_outcome("00000000-0000-7000-8000-000000000001", reward=0.0, feedback="It is three.")
    park(ledger)
    monkeypatch.setattr(learner, "resolve_model", lambda _: ScriptedChatModel(answers=[{"lessons": []}]))
    assert run("--path", home, "reflect", "--model", "scripted:any", "--json").json["groups"] == 0
    assert run("--path", home, "reflect", "--model", "scripted:any", "--retry", "--json").json["groups"] == 1
    assert ledger.jobs(state="parked") == []


def test_a_parked_group_is_freed_by_hand(run, home, ledger):
    ledger.record_outcome("00000000-0000-7000-8000-000000000001", reward=0.0, feedback="It is three.")
    job = park(ledger)
    refused = run("--path", home, "retry", "J-unknown")
    assert (refused.code, "no waiting or parked job 'J-unknown'" in refused.err) == (1, True)
    assert run("--path", home, "retry", job.id).out == "Freed 1 groups.\n"
    assert [j.state for j in ledger.jobs()] == ["ready"]
