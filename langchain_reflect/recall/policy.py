"""How recall behaves for one agent: how many lessons, how close, how often deliberately none."""

import math
from dataclasses import dataclass
from typing import Literal

from langchain_reflect.errors import InvalidInput
from langchain_reflect.types import LessonStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallPolicy:
    """Settings of recall, checked when made.

    Raises:
        InvalidInput: A value is outside its range.
    """

    k: int = 2
    """Most lessons shown, 1 or more. Two or three help most: more dilute the prompt (ReasoningBank: k=1 49.7, k=4 44.4)."""
    max_tokens: int = 300
    """Most tokens of the whole block, 0 or more; with too few for one lesson nothing is shown."""
    floor: float | None = None
    """Least cosine similarity, -1 to 1, below which a lesson is not considered; None takes the embedder's calibrated floor."""
    holdout: float = 0.1
    """Share of runs, 0 to 1, that get no lessons, so that uplift can be measured."""
    withhold: float | None = None
    """Probability, 0 to 1, with which an eligible lesson is left out of a run; None: 0.25 for a candidate, 0.05 for an active lesson."""
    deadline: float = 0.3
    """Seconds that an agent run waits for recall, more than 0."""
    unit: Literal["thread", "episode"] = "thread"
    """What holdout and withholding are drawn for: `thread` treats a conversation alike in all its turns (a run without a thread stands for
    itself); `episode` draws for every run."""
    salt: str = ""
    """Changes which runs fall into which arm."""

    def __post_init__(self) -> None:
        _check("k", self.k, 1, math.inf)
        _check("max_tokens", self.max_tokens, 0, math.inf)
        _check("holdout", self.holdout, 0, 1)
        if self.floor is not None:
            _check("floor", self.floor, -1, 1)
        if self.withhold is not None:
            _check("withhold", self.withhold, 0, 1)
        if self.unit not in ("thread", "episode"):
            raise InvalidInput(f"unit={self.unit!r} is unknown: expected 'thread' or 'episode'.")
        if not (_number(self.deadline) and self.deadline > 0):
            raise InvalidInput(f"deadline={self.deadline!r} is out of range: expected seconds greater than 0.")

    def withhold_probability(self, status: LessonStatus) -> float:
        """Probability with which a lesson of this status is left out of a run.

        Args:
            status: A candidate is on trial, so it is left out more often than a proven lesson.
        """
        if self.withhold is not None:
            return self.withhold
        return 0.05 if status == "active" else 0.25


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _check(name: str, value: float, low: float, high: float) -> None:
    if not (_number(value) and low <= value <= high):
        expected = f"{low} or more" if high == math.inf else f"a number from {low} to {high}"
        raise InvalidInput(f"{name}={value!r} is out of range: expected {expected}.")
