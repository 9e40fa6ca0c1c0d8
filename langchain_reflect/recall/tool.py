"""The lesson book as a tool, for models that decide themselves when to look something up.

Which lessons a model asks for is no matter of chance, so nothing found here counts for or against a lesson: its exposures have no unit.
And it must not spoil what chance decides: a run that is held out finds nothing, and what was withheld from a run stays withheld.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.v1 import ValidationError as ValidationErrorV1

from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recall.recaller import Recaller
from langchain_reflect.recall.rendering import render
from langchain_reflect.types import Match, Namespace, Recalled

logger = logging.getLogger("langchain_reflect")

NOTHING: Final = "No lesson fits. Go on as you think best."
Answer = tuple[str, list[dict[str, Any]]]
"""What the model reads, and for the program one entry per lesson in it."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What one call may find."""

    namespace: Namespace
    is_held_out: bool = False
    """Whether the run is one that goes without lessons."""
    withheld: frozenset[str] = frozenset()
    """Ids of lessons that the run goes without."""
    found: Callable[[Sequence[Match]], None] = field(default=lambda _: None, repr=False)
    """Told of the lessons that the model reads."""


class SearchLessons(BaseModel):
    """What the model says."""

    query: str = Field(description="The task or question at hand, in your own words.")
    k: int = Field(default=3, ge=1, le=10, description="Most lessons to return.")


class LessonSearch(BaseTool):
    """Lessons that fit a query, as the block that a prompt would have. Whatever fails, the model gets a message and the agent goes on."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: str = "search_lessons"
    description: str = (
        "Search lessons learned from earlier runs of similar tasks: when something applies, and what to do. "
        "Use it before a step that may fail, or after one that did."
    )
    args_schema: type[BaseModel] = SearchLessons
    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    handle_validation_error: bool | str | Callable[[ValidationError | ValidationErrorV1], str] | None = (
        "The search needs `query`, a text, and may have `k`, a number from 1 to 10."
    )

    recaller: Recaller = Field(exclude=True)
    reach: Callable[[RunnableConfig], Reach] = Field(exclude=True)
    """What a call with this config may find."""
    policy: RecallPolicy = Field(default_factory=lambda: RecallPolicy(max_tokens=600))
    """Budget of the block, and the floor."""

    def _run(self, query: str, k: int = 3, *, config: RunnableConfig) -> Answer:
        try:
            reach = self.reach(config)
            if reach.is_held_out:
                return NOTHING, []
            return self._answer(self.recaller.recall(query, namespace=reach.namespace, policy=self._policy(k, reach)), k, reach)
        except Exception as error:  # noqa: BLE001 - the agent's run must go on
            return _failed(error)

    async def _arun(self, query: str, k: int = 3, *, config: RunnableConfig) -> Answer:
        try:
            reach = self.reach(config)
            if reach.is_held_out:
                return NOTHING, []
            return self._answer(await self.recaller.arecall(query, namespace=reach.namespace, policy=self._policy(k, reach)), k, reach)
        except Exception as error:  # noqa: BLE001 - the agent's run must go on
            return _failed(error)

    def _policy(self, k: int, reach: Reach) -> RecallPolicy:
        return replace(self.policy, k=k + len(reach.withheld))

    def _answer(self, recalled: Recalled, k: int, reach: Reach) -> Answer:
        kept = [match for match in recalled.matches if match.kept and match.lesson.id not in reach.withheld][:k]
        lessons, most = [match.lesson for match in kept], self.policy.max_tokens
        block = render(lessons, ids=[lesson.id for lesson in lessons], max_tokens=most, template=self.policy.block)
        if not block:
            return NOTHING, []
        reach.found(kept)
        return block, [{"id": m.lesson.id, "revision": m.lesson.revision, "similarity": m.similarity} for m in kept]


def _failed(error: Exception) -> Answer:
    logger.warning("a search for lessons failed, and the model was told so: %s: %s", type(error).__name__, error)
    return "Lessons cannot be searched now. Go on without them.", []
