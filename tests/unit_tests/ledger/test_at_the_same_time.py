"""Transactions of PostgreSQL that cannot see each other while they run still add up to what one after the other would have given."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection

from langchain_reflect import Ledger
from langchain_reflect.ledger import claims, episodes, outcomes
from langchain_reflect.ledger.claims import Claim, Closing, Ending
from langchain_reflect.ledger.methods.work import LEASE
from langchain_reflect.types import Episode, ReflectionReport, Rollout, RolloutGroup

SPACE = ("default",)


def episode(**given) -> Episode:
    return Episode(id=uuid4(), task="ask", task_key="one", started_at=datetime(2025, 1, 1, tzinfo=UTC), **given)


def save(what: Episode) -> Callable[[Connection], object]:
    return lambda connection: episodes.save(connection, what, ())


def judge(episode_id: UUID) -> Callable[[Connection], object]:
    said = outcomes.validated(episode_id, {"reward": 0.0})
    return lambda connection: outcomes.record(connection, said, namespace=SPACE, timed=False)


def overlapping(url: str, first: Callable[[Connection], object], second: Callable[[Ledger], object]) -> None:
    """The second begins when the first has done its work, and before it commits."""
    worked, may_commit = Event(), Event()

    def slowly(connection: Connection) -> None:
        first(connection)
        worked.set()
        assert may_commit.wait(20)

    with Ledger(url) as one, Ledger(url) as other, ThreadPoolExecutor(2) as pool:
        running = pool.submit(one._database.write, slowly)
        assert worked.wait(20)
        following = pool.submit(second, other)
        with pytest.raises(TimeoutError):
            running.result(0.3)
        may_commit.set()
        running.result(20)
        following.result(20)


def test_an_outcome_meets_the_episode_that_is_being_saved(postgres_url):
    saved = episode()
    overlapping(postgres_url, save(saved), lambda ledger: ledger.record_outcome(saved.id, reward=0.0))
    with Ledger(postgres_url) as ledger:
        assert (ledger.due(), ledger.verify()) == (1, [])


def test_an_episode_meets_the_outcome_that_is_being_recorded(postgres_url):
    saved = episode()
    overlapping(postgres_url, judge(saved.id), lambda ledger: ledger.save_episode(saved))
    with Ledger(postgres_url) as ledger:
        assert (ledger.due(), ledger.verify()) == (1, [])


@pytest.mark.parametrize("outcome_first", [True, False])
def test_an_outcome_that_names_a_resuming_run_meets_its_episode(postgres_url, outcome_first):
    run_id = uuid4()
    saved = episode(run_ids=(run_id,))
    if outcome_first:
        overlapping(postgres_url, judge(run_id), lambda ledger: ledger.save_episode(saved))
    else:
        overlapping(postgres_url, save(saved), lambda ledger: ledger.record_outcome(run_id, reward=0.0))
    with Ledger(postgres_url) as ledger:
        assert [o.episode_id for o in ledger.outcomes(run_id)] == [saved.id]
        assert (ledger.due(), ledger.verify()) == (1, [])


def test_batches_of_orphans_and_of_their_episodes_do_not_block_each_other(postgres_url):
    saved = [episode() for _ in range(50)]
    with Ledger(postgres_url) as one, Ledger(postgres_url) as other, ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            judged = pool.submit(one.record_outcomes, [(e.id, {"reward": 0.0}) for e in saved])
            kept = pool.submit(other.save_episodes, [(e, ()) for e in reversed(saved)])
            judged.result(20)
            kept.result(20)
        assert (one.due(), one.verify()) == (50, [])


def claimed(ledger: Ledger) -> tuple[Episode, Claim, tuple[Rollout, ...]]:
    saved = episode()
    ledger.save_episode(saved)
    ledger.record_outcome(saved.id, reward=0.0)
    rollouts = tuple(ledger.rollouts())
    ledger.plan([RolloutGroup(key="key:one", namespace=SPACE, graph="agent", task="ask", rollouts=rollouts, reason="failures")])
    [job] = ledger.claim("w")
    return saved, Claim(job.id, job.fence), rollouts


@pytest.mark.parametrize("again", ["the episode", "its outcome"])
def test_what_is_told_again_while_a_reflection_ends_does_not_make_it_due_again(postgres_url, again):
    with Ledger(postgres_url) as ledger:
        saved, claim, rollouts = claimed(ledger)
    closing = Closing(ReflectionReport(id="R-1"), SPACE, [Ending(claim, "done", rollouts)])
    overlapping(
        postgres_url,
        save(saved) if again == "the episode" else judge(saved.id),
        lambda ledger: ledger.append_revisions([], closing=closing),
    )
    with Ledger(postgres_url) as ledger:
        assert (ledger.due(), ledger.verify()) == (0, [])


def test_another_outcome_while_a_reflection_ends_makes_the_episode_due_again(postgres_url):
    with Ledger(postgres_url) as ledger:
        saved, claim, rollouts = claimed(ledger)
    said = outcomes.validated(saved.id, {"reward": 1.0, "source": "human"})
    closing = Closing(ReflectionReport(id="R-1"), SPACE, [Ending(claim, "done", rollouts)])
    overlapping(
        postgres_url,
        lambda connection: outcomes.record(connection, said, namespace=SPACE, timed=False),
        lambda ledger: ledger.append_revisions([], closing=closing),
    )
    with Ledger(postgres_url) as ledger:
        assert (ledger.due(), ledger.verify()) == (1, [])


def claiming(connection: Connection) -> object:
    limits = {"daily_calls": None, "daily_tokens": None, "max_failures": 5}
    return claims.claim(connection, "w", limit=1, lease=LEASE, namespace=None, graph=None, episodes=None, **limits)


def group(ledger: Ledger) -> RolloutGroup:
    rollouts = tuple(ledger.rollouts())
    return RolloutGroup(key="key:one", namespace=SPACE, graph="agent", task="ask", rollouts=rollouts, reason="failures")


@pytest.mark.parametrize("told", ["another outcome", "a group that has grown"])
def test_a_job_that_is_being_claimed_stays_whatever_comes_in(postgres_url, told):
    saved, later = episode(), episode()
    with Ledger(postgres_url) as ledger:
        ledger.save_episodes([(saved, ()), (later, ())])
        ledger.record_outcome(saved.id, reward=0.0)
        ledger.plan([group(ledger)])
        ledger.record_outcome(later.id, reward=0.0)

    def tell(ledger: Ledger) -> object:
        if told == "another outcome":
            return ledger.record_outcome(saved.id, reward=1.0, source="human")
        return ledger.plan([group(ledger)])

    overlapping(postgres_url, claiming, tell)
    with Ledger(postgres_url) as ledger:
        [job] = ledger.jobs()
        assert job.state == "leased"
        assert ledger.renew([Claim(job.id, job.fence)]) == [Claim(job.id, job.fence)]
        assert ledger.verify() == []
