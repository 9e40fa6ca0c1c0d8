from datetime import timedelta

from langchain_reflect import Ledger
from langchain_reflect.types import now
from tests.unit_tests.cli.conftest import park

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


def test_parked_groups_are_shown_with_their_reason(run, home, ledger: Ledger):
    ledger.record_outcome(EPISODE, reward=0.0, feedback="It is three.")
    job = park(ledger)
    found = run("--path", home, "status", "--json").json
    assert (found["jobs"], found["awaiting_reflection"]) == ({"parked": 1}, 0)
    assert found["parked"] == [f"{job.id} 'text:x': no usable answer"]


def test_sweep_abandons_runs_that_never_ended(run, home, ledger: Ledger):
    running = ledger.episode(EPISODE).model_copy(update={"status": "running", "started_at": now() - timedelta(hours=3)})
    ledger.save_episode(running)
    assert run("--path", home, "sweep", "--older-than", "4", "--json").json == {"abandoned": 0, "trimmed": 0}
    assert run("--path", home, "sweep").out == "Abandoned 1 episodes, dropped 0 trajectories.\n"
    assert ledger.episode(EPISODE).status == "abandoned"
