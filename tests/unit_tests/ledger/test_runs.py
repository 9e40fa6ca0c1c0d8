"""Episodes of several runs, and episodes that nobody ends."""

from datetime import timedelta
from itertools import permutations
from uuid import uuid4

import pytest

from langchain_reflect import Episode
from langchain_reflect.ledger.claims import Closing
from langchain_reflect.types import ReflectionReport, now


@pytest.fixture
def ledger(either):
    return either


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
    report = ReflectionReport(id="R-1")
    ledger.append_revisions([], closing=Closing(report=report, namespace=("default",), seen=ledger.rollouts()))
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
    assert [ledger.episode(e.id, namespace=e.namespace).status for e in (first, elsewhere, failed)] == ["abandoned", "interrupted", "error"]


def test_a_sweep_abandons_what_has_been_running_for_too_long(ledger):
    old = Episode(id=uuid4(), task="a", status="running", started_at=now() - timedelta(hours=2))
    young = Episode(id=uuid4(), task="a", status="running")
    ledger.save_episodes([(old, ()), (young, ())])
    assert ledger.sweep(timedelta(hours=1)) == 1
    assert [ledger.episode(e.id).status for e in (old, young)] == ["abandoned", "running"]
    ledger.save_episode(old.model_copy(update={"status": "ok"}))
    assert ledger.episode(old.id).status == "ok"


def test_two_namespaces_may_have_runs_of_the_same_id(either):
    run_id = uuid4()
    mine, theirs = (Episode(id=uuid4(), task="t", namespace=(name,), run_ids=(run_id,)) for name in ("mine", "theirs"))
    either.save_episodes([(mine, ()), (theirs, ())])
    either.record_outcome(run_id, reward=0.25, namespace=("theirs",))
    assert either.episode(run_id, namespace=("mine",)).id == mine.id
    assert [o.reward for o in either.outcomes(theirs.id, namespace=("theirs",))] == [0.25]
    assert either.outcomes(mine.id, namespace=("mine",)) == []
