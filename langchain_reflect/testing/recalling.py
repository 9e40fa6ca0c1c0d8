"""Recall for tests: always the same lessons, whatever is asked."""

from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recall.rendering import render
from langchain_reflect.types import Exposure, Lesson, Match, Namespace, Recalled

TWO_LESSONS: Final = (
    Lesson(id="L-000000000001", when="asked for the weather", do="name the city in the answer"),
    Lesson(id="L-000000000002", when="a tool fails", do="say so"),
)


class FixedRecall:
    """Shows the same lessons to every run, and remembers what it was asked.

    Args:
        lessons: What to show.
    """

    def __init__(self, lessons: Sequence[Lesson] = TWO_LESSONS) -> None:
        self.lessons = lessons
        self.asked: list[dict[str, Any]] = []
        self.behave: Callable[[], None] = lambda: None
        """Called first, to be slow or to fail."""

    def recall(
        self,
        task: str,
        *,
        namespace: Namespace,
        policy: RecallPolicy,
        unit: str | None,
        episode_id: UUID | None,
        drawn: Callable[[], Sequence[Exposure]] | None = None,  # noqa: ARG002 - chance has no part here
    ) -> Recalled:
        """The lessons, as if they all fitted the task."""
        self.asked.append({"task": task, "namespace": namespace, "unit": unit, "episode_id": episode_id})
        self.behave()
        shown = {"shown": True, "probability": 0.75, "revision": 1}
        return Recalled(
            task=task,
            block=render(self.lessons, ids=[lesson.id for lesson in self.lessons], max_tokens=policy.max_tokens, template=policy.block),
            matches=tuple(Match(lesson=lesson, similarity=0.5, score=1.0, tokens=20, kept=True, reason="shown") for lesson in self.lessons),
            exposures=()
            if episode_id is None
            else tuple(Exposure(episode_id=episode_id, lesson_id=lesson.id, **shown) for lesson in self.lessons),
        )
