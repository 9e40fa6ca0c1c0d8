"""A service on a real ledger, with a recaller that always has two lessons."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from langchain_reflect import Ledger
from langchain_reflect.agents.service import AgentService
from langchain_reflect.agents.wrap import reflected
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recall.rendering import render
from langchain_reflect.recording.recorder import Recorder
from langchain_reflect.testing.conformance import SUBJECTS, Subject, model_for, normal
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


@dataclass
class Pair:
    """The same graph bare and wrapped, each with a model of its own."""

    subject: Subject
    service: AgentService
    compiled: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bare_model, self.model = model_for(self.subject), model_for(self.subject)
        self.bare = self.subject.build(self.bare_model, **self._compile_options())
        self.original = self.subject.build(self.model, **self._compile_options())
        self.wrapped = reflected(self.original, self.service, **(self.subject.options or {}))

    def _compile_options(self) -> dict[str, Any]:
        return {key: make() for key, make in self.compiled.items()}

    def same(self, run: Callable[[Any], Any]) -> Any:
        """Run it on both, compare, and return what the wrapped graph gave."""
        expected, got = run(self.bare), run(self.wrapped)
        assert normal(got) == normal(expected)
        return got

    async def asame(self, run: Callable[[Any], Awaitable[Any]]) -> Any:
        expected, got = await run(self.bare), await run(self.wrapped)
        assert normal(got) == normal(expected)
        return got


@pytest.fixture
def pair(service: AgentService) -> Callable[..., Pair]:
    """`pair(subject, checkpointer=InMemorySaver)`; compile options are made anew for each graph."""
    named = {subject.name: subject for subject in SUBJECTS}
    return lambda subject, **compiled: Pair(named[subject] if isinstance(subject, str) else subject, service, compiled)


@pytest.fixture(params=[subject.name for subject in SUBJECTS])
def each(request: pytest.FixtureRequest, pair: Callable[..., Pair]) -> Pair:
    """Every subject in turn."""
    return pair(request.param)


@pytest.fixture(autouse=True)
def nothing_failed_quietly(service: AgentService) -> Iterator[None]:
    """Failing open must not make a check pass: nothing may have failed."""
    yield
    assert service.health.counts == {}
