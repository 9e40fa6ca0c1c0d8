"""Rollouts in short form, and a book in which texts are near if they share words."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from langchain_reflect.index.embeddings import resolve_embedder
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.types import Episode, Outcome, Rollout, Step
from tests.unit_tests.words import Words

START = datetime(2025, 1, 1, tzinfo=UTC)


def _rollout(
    number: int,
    reward: float | None,
    feedback: str | None = None,
    *,
    task: str = "Name the tool that deletes invoices",
    key: str | None = "naming",
    answer: str = "delete_invoices",
    source: str = "verifier",
    **episode,
) -> Rollout:
    made = Episode(
        **{
            "id": UUID(int=number),
            "task": task,
            "task_key": key,
            "result": answer,
            "started_at": START + timedelta(minutes=number),
            "steps": (Step(kind="model", output={"content": answer, "tool_calls": []}),),
            **episode,
        }
    )
    outcome = Outcome(episode_id=made.id, reward=reward, feedback=feedback, source=source, observed_at=made.started_at)
    return Rollout(episode=made, outcomes=() if reward is None and feedback is None else (outcome,), reward=reward)


@pytest.fixture
def rollout() -> Callable[..., Rollout]:
    return _rollout


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.db") as opened:
        yield opened


@pytest.fixture
def book(ledger: Ledger) -> LessonBook:
    return LessonBook(ledger, ExactIndex(), resolve_embedder(Words()))


@pytest.fixture
def keep(ledger: Ledger) -> Callable[..., None]:
    """Store rollouts in the ledger."""

    def run(*rollouts: Rollout) -> None:
        for each in rollouts:
            ledger.save_episode(each.episode)
            for o in each.outcomes:
                given = {"reward": o.reward, "feedback": o.feedback, "source": o.source, "observed_at": o.observed_at}
                ledger.record_outcome(o.episode_id, **given, namespace=each.episode.namespace)

    return run
