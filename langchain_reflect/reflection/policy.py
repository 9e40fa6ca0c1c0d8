"""The numbers that steer a reflection, in one frozen place."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from langchain_reflect.errors import InvalidInput
from langchain_reflect.types import LessonDraft, RolloutGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class ReflectionPolicy:
    """When a group is ready, how much of it the model sees, and what becomes of the drafts.

    Raises:
        InvalidInput: A value is out of range.
    """

    min_rollouts: int = 3
    """Judged rollouts that make a group ready if they differ, or if all failed."""
    group_size: int = 5
    """Most rollouts of a group that one prompt shows: the best two, the worst two, and from the middle."""
    spread: float = 0.1
    """Rewards that are at least so far apart differ."""
    success: float = 0.5
    """Rewards from here up are no failure."""
    max_age: timedelta = timedelta(days=1)
    """After this time two judged rollouts that differ are enough."""
    similar: float = 0.8
    """Cosine from which tasks without a key count as the same."""
    window: int = 2000
    """Most rollouts that are grouped: the newest judged, and as many of the newest that failed or have feedback."""
    max_groups: int = 10
    """Most groups of one run of the graph, which are committed together; `learner.reflect()` runs it until nothing is due."""
    lease: timedelta = timedelta(seconds=60)
    """How long a group that was taken stays taken if nobody prolongs it, because its process died."""
    max_failures: int = 5
    """After so many outages of the model a group is parked."""
    daily_calls: int | None = None
    """Most model calls per namespace and day (UTC). Looked at before a group is taken; a group that runs may end above it."""
    daily_tokens: int | None = None
    """Likewise, tokens in and out."""
    digest_tokens: int = 3000
    """Budget of all rollouts in one prompt, in estimated tokens."""
    drafts: int = 4
    """Answers asked of the model per group where a gate tries the drafts; without one, one answer is asked."""
    max_drafts: int = 2
    """Most drafts taken from one answer."""
    same: float = 0.9
    """Cosine of when+do from which two lessons say the same."""
    near: float = 0.75
    """Cosine from which the curator is asked how a draft and a lesson go together."""
    nearest: int = 3
    """Most lessons that are shown to the curator."""

    def __post_init__(self) -> None:
        whole = {
            "min_rollouts": 2,
            "group_size": 2,
            "window": 1,
            "max_groups": 1,
            "digest_tokens": 200,
            "drafts": 1,
            "max_drafts": 1,
            "nearest": 1,
            "max_failures": 1,
        }
        for name, least in whole.items():
            if getattr(self, name) < least:
                raise InvalidInput(f"{name}={getattr(self, name)!r}; expected {least} or more")
        for name in ("spread", "success", "similar", "same", "near"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InvalidInput(f"{name}={getattr(self, name)!r}; expected 0 to 1")
        if self.near > self.same:
            raise InvalidInput(f"near={self.near!r} is above same={self.same!r}; expected near <= same")
        for name in ("max_age", "lease"):
            if getattr(self, name) <= timedelta(0):
                raise InvalidInput(f"{name}={getattr(self, name)!r}; expected a positive time")
        for name in ("daily_calls", "daily_tokens"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise InvalidInput(f"{name}={getattr(self, name)!r}; expected 1 or more, or None for no limit")


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """Which draft a gate keeps."""

    best: int | None
    """Index of the draft to keep; None: keep nothing, because none beat the baseline."""
    scores: Sequence[float] = ()
    """Mean reward with each draft, in their order."""
    baseline: float = 0.0
    """Mean reward without any of them."""


class Gate(Protocol):
    """Tries drafts before they are believed, usually by running the agent again with each of them."""

    def __call__(self, group: RolloutGroup, drafts: Sequence[LessonDraft]) -> GateVerdict:
        """Choose a draft, or none. Called from worker threads, for several groups at once."""
        ...
