"""The numbers that steer a reflection, in one frozen place."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol, runtime_checkable
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from langchain_reflect.errors import InvalidInput, shown
from langchain_reflect.types import Lesson, LessonDraft, LessonEdit, LessonText, Rollout, RolloutGroup


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
    mix: Literal["prefer_same", "never", "always"] = "prefer_same"
    """Whether rollouts of several versions of the agent (model, prompt, tools, graph) are compared. `prefer_same`: only where no version
    has enough rollouts of the task by itself; then the prompt tells which version made which. `never`: each version for itself. `always`:
    one group per task, and versions are told apart."""
    siblings: int = 20
    """Most rollouts that a reflection knows already and that come along when their task has news: the best and the worst."""
    lookback: int = 5000
    """Most episodes without a key, newest first, that are searched for tasks like those that are due; per namespace and graph."""
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
    same: float | None = None
    """Cosine of when+do from which two lessons say the same; None, here and below: calibrated for the embedder."""
    near: float | None = None
    """Cosine from which the curator is asked how a draft and a lesson go together."""
    alike: float | None = None
    """Cosine from which two lessons count as one where nobody is asked, see `curate`."""
    curate: Literal["model", "likeness"] = "model"
    """Who decides about a draft that is near to lessons: the model is asked, or the nearest lesson of the same kind of task is taken for
    the same from `alike` on, which costs no call."""
    nearest: int = 3
    """Most lessons that are shown to the curator."""
    cluster: float | None = None
    """Cosine of when+do from which `consolidate` takes lessons for a cluster; None: from where they count as near."""
    kindred: float | None = None
    """Cosine from which the source tasks of two lessons are of one kind, so that `consolidate` may put them together; None: the floor of
    recall. Far below `similar`: a general lesson is for tasks that differ."""
    cluster_size: int = 6
    """Most lessons of a cluster, 2 to 8: a lesson keeps 8 source tasks, and each lesson that it takes the place of keeps one of them."""
    max_lessons: int | None = 200
    """Most served lessons per namespace; the least valuable are retired. None: no limit."""

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_type(field.name, getattr(self, field.name), field.default)
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise InvalidInput(f"{name}={getattr(self, name)!r}; expected {least} or more")
        _check_cosines(self)
        _check_choices(self)
        for name in ("max_age", "lease"):
            if getattr(self, name) <= timedelta(0):
                raise InvalidInput(f"{name}={getattr(self, name)!r}; expected a positive time")
        for name in ("daily_calls", "daily_tokens", "max_lessons"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise InvalidInput(f"{name}={getattr(self, name)!r}; expected 1 or more, or None for no limit")


_SMALLEST: Final = 2
_LARGEST: Final = 8
_LEAST: Final = {
    "min_rollouts": 2,
    "group_size": 2,
    "siblings": 2,
    "lookback": 0,
    "window": 1,
    "max_groups": 1,
    "digest_tokens": 200,
    "drafts": 1,
    "max_drafts": 1,
    "nearest": 1,
    "max_failures": 1,
}


_WORDS: Final = {"mix": ("prefer_same", "never", "always"), "curate": ("model", "likeness")}


def _check_choices(policy: ReflectionPolicy) -> None:
    if not _SMALLEST <= policy.cluster_size <= _LARGEST:
        raise InvalidInput(f"cluster_size={policy.cluster_size!r}; expected {_SMALLEST} to {_LARGEST}")
    for name, words in _WORDS.items():
        if getattr(policy, name) not in words:
            raise InvalidInput(f"{name}={shown(getattr(policy, name))}; expected {' or '.join(map(repr, words))}")


def _check_type(name: str, value: object, default: object) -> None:
    """Numbers where numbers are expected, times where times are."""
    times = isinstance(default, timedelta)
    if isinstance(default, str) or (value is None and name in _OPTIONAL):
        return
    fits = isinstance(value, timedelta) if times else isinstance(value, int | float) and not isinstance(value, bool)
    if not fits:
        raise InvalidInput(f"{name}={shown(value)}; expected {'a timedelta' if times else 'a number'}")


_OPTIONAL: Final = frozenset({"same", "near", "alike", "cluster", "kindred", "max_lessons", "daily_calls", "daily_tokens"})
"""Fields that may be None."""


def _check_cosines(policy: ReflectionPolicy) -> None:
    for name in ("spread", "success", "similar"):
        if not 0.0 <= getattr(policy, name) <= 1.0:
            raise InvalidInput(f"{name}={getattr(policy, name)!r}; expected 0 to 1")
    for name in ("same", "near", "alike", "cluster", "kindred"):
        if getattr(policy, name) is not None and not 0.0 <= getattr(policy, name) <= 1.0:
            raise InvalidInput(f"{name}={getattr(policy, name)!r}; expected 0 to 1, or None")
    for low, high in (("near", "alike"), ("alike", "same"), ("near", "same")):
        least, most = getattr(policy, low), getattr(policy, high)
        if least is not None and most is not None and least > most:
            raise InvalidInput(f"{low}={least!r} is above {high}={most!r}; expected {low} <= {high}")


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


@runtime_checkable
class EditGate(Protocol):
    """A gate that also tries what reflection would change of lessons that are there: new wordings, merges, retirements."""

    def try_edit(self, edit: LessonEdit, before: Sequence[Lesson], after: Sequence[LessonText], group: RolloutGroup) -> str | None:
        """Why the edit may not be made; None if it may. `before` are the lessons that it touches, `after` is what takes their place."""
        ...


class Grouping(Protocol):
    """Finds the groups that are worth a reflection among judged rollouts; `grouping.ready_groups` is the default."""

    def __call__(
        self, rollouts: Iterable[Rollout], *, vectors: Mapping[UUID, NDArray[np.float32]], policy: ReflectionPolicy, now: datetime
    ) -> Sequence[RolloutGroup]:
        """Choose groups. Rollouts come without trajectories; `vectors` has the embedded task of each without a key."""
        ...
