from langchain_reflect import Ledger

EPISODE = "00000000-0000-7000-8000-000000000001"


def test_status_counts_what_there_is(run, home):
    found = run("--path", home, "status", "--json").json
    assert found["rows"]["episodes"] == 1
    assert found["lessons"] == {"active": 1, "retired": 1}
    assert found["awaiting_reflection"] == 0


def test_a_judged_episode_awaits_reflection(run, home, ledger: Ledger):
    ledger.record_outcome(EPISODE, reward=0.0, feedback="It is three.")
    assert run("--path", home, "status", "--json").json["awaiting_reflection"] == 1


def test_status_is_readable(run, home):
    out = run("--path", home, "status").out
    assert "1 episodes" in out
    assert "1 active, 1 retired" in out
