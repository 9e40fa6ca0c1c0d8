"""Episodes of several runs, and episodes that nobody ends."""

from datetime import timedelta
from itertools import permutations
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, inspect, text

from langchain_reflect import Episode, Ledger
from langchain_reflect.ledger import tables
from langchain_reflect.types import now


def test_an_outcome_may_name_a_run_that_resumed_the_episode(ledger):
    episode, resumed = uuid4(), uuid4()
    ledger.save_episode(Episode(id=episode, task="t", run_ids=(resumed,)))
    outcome = ledger.record_outcome(resumed, reward=1.0)
    assert outcome.episode_id == episode
    assert [o.reward for o in ledger.outcomes(episode)] == [1.0]
    assert ledger.outcomes(resumed) == ledger.outcomes(episode)
    assert ledger.episode(resumed) == ledger.episode(episode)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_outcomes_join_their_episode_in_any_order_of_arrival(ledger, order):
    episode, resumed = uuid4(), uuid4()
    steps = [
        lambda: ledger.save_episode(Episode(id=episode, task="t", status="interrupted")),
        lambda: ledger.save_episode(Episode(id=episode, task="t", run_ids=(resumed,))),
        lambda: ledger.record_outcome(resumed, reward=0.0, key="event"),
    ]
    for at in order:
        steps[at]()
    ledger.save_episode(Episode(id=episode, task="t", run_ids=(resumed,)))
    assert [(o.episode_id, o.reward) for o in ledger.outcomes(episode)] == [(episode, 0.0)]
    assert [r.reward for r in ledger.rollouts()] == [0.0]


def test_the_same_outcome_for_both_ids_counts_once(ledger):
    episode, resumed = uuid4(), uuid4()
    ledger.record_outcome(resumed, reward=1.0, key="event")
    ledger.record_outcome(episode, reward=1.0, key="event")
    ledger.save_episode(Episode(id=episode, task="t", run_ids=(resumed,)))
    assert len(ledger.outcomes(episode)) == 1


def test_an_early_outcome_of_a_resumed_run_makes_the_episode_due_again(ledger):
    episode, resumed = uuid4(), uuid4()
    ledger.save_episode(Episode(id=episode, task="t", status="interrupted"))
    ledger.record_outcome(episode, feedback="hm")
    ledger.mark_reflected("R-1", ledger.rollouts())
    assert ledger.rollouts(unreflected=True) == []
    ledger.record_outcome(resumed, reward=0.0)
    ledger.save_episode(Episode(id=episode, task="t", run_ids=(resumed,)))
    assert [r.episode.id for r in ledger.rollouts(unreflected=True)] == [episode]


def test_a_new_question_in_a_thread_abandons_the_interrupted_episode(ledger):
    first = Episode(id=uuid4(), task="a", status="interrupted", thread_id="1")
    elsewhere = Episode(id=uuid4(), task="a", status="interrupted", thread_id="1", namespace=("other",))
    failed = Episode(id=uuid4(), task="a", status="error", thread_id="1")
    for episode in (first, elsewhere, failed, Episode(id=uuid4(), task="b", thread_id="1")):
        ledger.save_episode(episode)
    assert [ledger.episode(e.id).status for e in (first, elsewhere, failed)] == ["abandoned", "interrupted", "error"]


def test_a_sweep_abandons_what_has_been_running_for_too_long(ledger):
    old = Episode(id=uuid4(), task="a", status="running", started_at=now() - timedelta(hours=2))
    young = Episode(id=uuid4(), task="a", status="running")
    ledger.save_episodes([(old, ()), (young, ())])
    assert ledger.sweep(timedelta(hours=1)) == 1
    assert [ledger.episode(e.id).status for e in (old, young)] == ["abandoned", "running"]
    ledger.save_episode(old.model_copy(update={"status": "ok"}))
    assert ledger.episode(old.id).status == "ok"


def test_a_ledger_of_the_first_schema_learns_of_resumed_runs(tmp_path):
    url, episode = f"sqlite:///{tmp_path / 'ledger.db'}", uuid4()
    with Ledger(url) as opened:
        opened.save_episode(Episode(id=episode, task="kept"))
    engine = create_engine(url)
    with engine.begin() as connection:  # back to what the first release left
        for statement in (
            "DROP INDEX episodes_by_thread",
            "ALTER TABLE episodes DROP COLUMN run_ids",
            "ALTER TABLE episodes DROP COLUMN forked_from",
            "DROP TABLE runs",
            "DELETE FROM schema_migrations WHERE name > '0001_first_schema'",
        ):
            connection.execute(text(statement))
    with Ledger(url) as opened:
        assert opened.episode(episode).task == "kept"
        opened.save_episode(Episode(id=episode, task="kept", run_ids=(uuid4(),), forked_from=uuid4()))
        assert opened.episode(episode).forked_from is not None
    columns = {c["name"] for c in inspect(engine).get_columns("episodes")}
    assert columns == {c.name for c in tables.episodes.columns}
    engine.dispose()
