"""A service on a real ledger, with a recaller that always has two lessons."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from langchain_reflect import Ledger
from langchain_reflect.agents.service import AgentService
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recall.rendering import render
from langchain_reflect.recording.recorder import Recorder
from langchain_reflect.types import Exposure, Lesson, Match, Recalled

LESSONS = (
    Lesson(id="L-000000000001", when="asked for the weather", do="name the city in the answer"),
    Lesson(id="L-000000000002", when="a tool fails", do="say so"),
)


class TwoLessons:
    """Recall that always shows the same two lessons, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.behave: Callable[[], None] = lambda: None

    def recall(self, task: str, *, namespace: Any, policy: Any, unit: str | None, episode_id: Any) -> Recalled:
        self.asked.append({"task": task, "namespace": namespace, "unit": unit, "episode_id": episode_id})
        self.behave()
        return Recalled(
            task=task,
            block=render(LESSONS, ids=[lesson.id for lesson in LESSONS], max_tokens=policy.max_tokens),
            matches=tuple(Match(lesson=lesson, similarity=0.5, score=1.0, tokens=20, kept=True, reason="shown") for lesson in LESSONS),
            exposures=tuple(
                Exposure(episode_id=episode_id, lesson_id=lesson.id, revision=1, shown=True, probability=0.75) for lesson in LESSONS
            ),
        )


@pytest.fixture
def recaller() -> TwoLessons:
    return TwoLessons()


@pytest.fixture
def recorder(ledger: Ledger) -> Iterator[Recorder]:
    with Recorder(ledger) as opened:
        yield opened


@pytest.fixture
def service(recaller: TwoLessons, recorder: Recorder, ledger: Ledger) -> AgentService:
    return AgentService(
        recaller=recaller, recorder=recorder, ledger=ledger, policy=RecallPolicy(deadline=20.0)
    )  # other work must not fail a test


@pytest.fixture
def statuses(ledger: Ledger, recorder: Recorder) -> Callable[[], list[str]]:
    """How the episodes so far ended, oldest first."""

    def read() -> list[str]:
        recorder.flush()
        return [e.status for e in reversed(ledger.episodes())]

    return read
