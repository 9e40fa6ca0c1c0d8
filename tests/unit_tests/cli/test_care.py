"""`reflect forget`, `revoke`, `backup`, `verify`, and what `outcome` says of unknown episodes."""

from uuid import UUID, uuid4

from langchain_reflect import Ledger

EPISODE = "00000000-0000-7000-8000-000000000001"


def test_forget_shows_what_would_go_and_then_takes_it(run, home, ledger):
    dry = run("--path", home, "forget", "--episode", EPISODE, "--dry-run")
    assert "In namespace 'default': would erase 1 episodes" in dry.out
    assert ledger.episode(EPISODE)
    done = run("--path", home, "forget", "--episode", EPISODE, "--json").json
    assert (done["episodes"], done["lessons"]) == (1, ["L-1"])
    assert ledger.episodes() == []


def test_forget_asks_for_one_thing(run, home):
    for arguments in ([], ["--source", "a", "--lesson", "L-1"], ["--before", "yesterday"]):
        refused = run("--path", home, "forget", *arguments)
        assert refused.code == 1
        assert "--episode, --source, --before and --lesson" in refused.err or "no date or time" in refused.err


def test_a_revoked_source_is_told_with_what_it_judged(run, home, ledger):
    ledger.record_outcome(EPISODE, reward=1.0, source="zendesk")
    out = run("--path", home, "revoke", "zendesk", "--reason", "hacked").out
    assert "it judged 1 episodes. Quarantined: L-1." in out
    assert ledger.outcomes(EPISODE) == []
    assert "stay so" in run("--path", home, "revoke", "zendesk", "--undo").out
    assert len(ledger.outcomes(EPISODE)) == 1


def test_backup_and_verify(run, home, tmp_path):
    copy = tmp_path / "copy.db"
    assert run("--path", home, "backup", copy).out.startswith("Wrote")
    assert run("--path", home, "backup", copy).code == 1
    assert run("--path", home, "backup", copy, "--force").code == 0
    with Ledger(copy) as restored:
        assert restored.episode(EPISODE).graph == "counter"
        restored._database.write(lambda c: c.exec_driver_sql("UPDATE lessons SET status = 'active' WHERE id = 'L-2'"))
    assert run("--path", home, "verify").out == "All is well.\n"
    damaged = run("--path", copy, "verify", "--json")
    assert damaged.code == 1
    assert "L-2" in str(damaged.json)


def test_an_outcome_of_an_unknown_episode_says_so(run, home):
    assert "no such episode in namespace 'default' yet" in run("--path", home, "outcome", uuid4(), "--reward", "1").out
    assert "no such episode" not in run("--path", home, "outcome", EPISODE, "--reward", "1").out
    both = run("--path", home, "outcome", EPISODE, "--metadata", "ticket=T-1", "--reward", "1")
    assert (both.code, "not both" in both.err) == (1, True)


def test_an_outcome_is_taken_back(run, home, ledger):
    run("--path", home, "outcome", EPISODE, "--reward", "1", "--source", "judge")
    run("--path", home, "outcome", EPISODE, "--source", "judge", "--retract")
    assert ledger.outcomes(UUID(EPISODE)) == []


def test_a_worker_makes_no_ledger(run, tmp_path):
    assert run("--path", tmp_path / "nowhere", "worker", "--model", "a:b").code == 1
    assert not (tmp_path / "nowhere").exists()
