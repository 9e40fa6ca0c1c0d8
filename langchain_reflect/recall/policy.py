"""How recall behaves for one agent: how many lessons, how close, how often deliberately none."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final, Literal, get_args

from langchain_reflect.errors import InvalidInput
from langchain_reflect.types import LessonStatus
from langchain_reflect.types.block import DEFAULT_BLOCK, BlockTemplate

Unit = Literal["thread", "episode", "user"]
MOST: Final = 3
"""The largest dose of `k="auto"`: more dilute the prompt."""


@dataclass(frozen=True, kw_only=True)
class RecallPolicy:
    """Settings of recall, checked when made.

    Raises:
        InvalidInput: A value is outside its range.
    """

    k: int | Literal["auto"] = 2
    """Most lessons shown, 1 or more. Two or three help most: more dilute the prompt (ReasoningBank: k=1 49.7, k=4 44.4). `auto`: each run
    draws a dose of 1 to 3, and what the doses achieve is compared."""
    max_tokens: int = 300
    """Most tokens of the whole block, 0 or more; with too few for one lesson nothing is shown."""
    floor: float | None = None
    """Least cosine similarity, -1 to 1, below which a lesson is not considered; None takes the embedder's calibrated floor."""
    holdout: float = 0.1
    """Share of runs, 0 to 1, that get no lessons, so that uplift can be measured."""
    placebo: float = 0.0
    """Share of runs, 0 to 1, that get neutral text in place of lessons; with `holdout` 1 at most."""
    withhold: float | None = None
    """Probability, 0 to 1, with which an eligible lesson is left out of a run; None: 0.25 for a candidate, 0.05 for an active lesson."""
    deadline: float = 0.3
    """Seconds that an agent run waits for recall, more than 0."""
    unit: Unit = "thread"
    """What chance is drawn for: `thread` treats a conversation alike in all its turns (a run without a thread stands for itself); `episode`
    draws for every run; `user` treats a person alike in all conversations."""
    salt: str = ""
    """Changes which runs fall into which arm."""
    block: BlockTemplate = DEFAULT_BLOCK
    """The form of the prompt block."""
    without: frozenset[str] = frozenset()
    """Ids of lessons that are passed over, as if they had never been learned; for measurements."""

    doses: Mapping[int, float] | None = None
    """For `k="auto"`: how often a run that gets lessons may have 1, 2 or 3 of them, in any proportion; None: alike."""

    def __post_init__(self) -> None:
        if self.k != "auto":
            _check_whole("k", self.k, 1)
        _check_whole("max_tokens", self.max_tokens, 0)
        _check("holdout", self.holdout, 0, 1)
        _check("placebo", self.placebo, 0, 1)
        if self.holdout + self.placebo > 1:
            raise InvalidInput(
                f"holdout={self.holdout!r} and placebo={self.placebo!r} are more than all runs: expected a sum of 1 or less."
            )
        if not isinstance(self.block, BlockTemplate):
            raise InvalidInput(f"block={self.block!r} cannot be used: expected a BlockTemplate.")
        if self.floor is not None:
            _check("floor", self.floor, -1, 1)
        if self.withhold is not None:
            _check("withhold", self.withhold, 0, 1)
        if self.unit not in get_args(Unit):
            raise InvalidInput(f"unit={self.unit!r} is unknown: expected 'thread', 'episode' or 'user'.")
        if self.doses is not None and not _are_doses(self.doses):
            raise InvalidInput(f"doses={self.doses!r} cannot be drawn from: expected shares of 1 to {MOST}, such as {{1: 0.5, 2: 0.5}}.")
        if not (_number(self.deadline) and self.deadline > 0):
            raise InvalidInput(f"deadline={self.deadline!r} is out of range: expected seconds greater than 0.")

    @property
    def most(self) -> int:
        """The most lessons that any run may be shown."""
        return MOST if self.k == "auto" else self.k

    @property
    def usual(self) -> int:
        """The most lessons of a run in which chance has no part: the likeliest dose, of several the one nearest to 2."""
        return max(sorted(shares := dict(self._shares()), key=lambda dose: abs(dose - 2)), key=lambda dose: shares[dose])

    @cached_property
    def version(self) -> str:
        """The settings by which chance is drawn and lessons are fitted in, as text: equal for runs that were drawn alike, see `chances`."""
        withhold = "0.25/0.05" if self.withhold is None else f"{self.withhold:g}"
        floor = "auto" if self.floor is None else f"{self.floor:g}"
        parts = {
            "holdout": f"{self.holdout:g}",
            "placebo": f"{self.placebo:g}",
            "doses": ",".join(f"{dose}:{share:.4g}" for dose, share in self._shares()),
            "withhold": withhold,
            "max_tokens": str(self.max_tokens),
            "floor": floor,
            "unit": self.unit,
            "salt": self.salt,
        }
        return " ".join(f"{name}={value}" for name, value in parts.items())

    def _shares(self) -> list[tuple[int, float]]:
        if self.k != "auto":
            return [(self.k, 1.0)]
        given = self.doses or dict.fromkeys(range(1, MOST + 1), 1.0)
        return [(dose, given[dose] / sum(given.values())) for dose in sorted(given) if given[dose] > 0]

    def withhold_probability(self, status: LessonStatus) -> float:
        """Probability with which a lesson of this status is left out of a run.

        Args:
            status: A candidate is on trial, so it is left out more often than a proven lesson.
        """
        if self.withhold is not None:
            return self.withhold
        return 0.05 if status == "active" else 0.25


@dataclass(frozen=True, slots=True)
class Chances:
    """Probabilities by which a run was drawn."""

    holdout: float
    placebo: float
    doses: Mapping[int, float]
    """Of each dose, for a run that gets lessons; they sum to 1."""


@lru_cache(maxsize=1024)
def chances(version: str) -> Chances:
    """What a `RecallPolicy.version` says of chance.

    Args:
        version: The text.

    Raises:
        InvalidInput: It is no such text.
    """
    said = dict(part.partition("=")[::2] for part in version.partition(" salt=")[0].split(" "))
    try:
        shares = {int(dose): float(share) for dose, share in (pair.split(":") for pair in said["doses"].split(","))}
        total = sum(shares.values())
        return Chances(float(said["holdout"]), float(said["placebo"]), {dose: share / total for dose, share in shares.items()})
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise InvalidInput(f"policy {version!r} cannot be read; expected 'holdout=0.1 placebo=0 doses=2:1 ...'") from error


def is_drawn_alike(version: str, other: str) -> bool:
    """Whether two policies differ in nothing but the doses, which evidence changes while conversations go on.

    Args:
        version: A `RecallPolicy.version`.
        other: Another.
    """
    return _but_doses(version) == _but_doses(other)


@lru_cache(maxsize=1024)
def _but_doses(version: str) -> tuple[str, str]:
    before, _, rest = version.partition(" doses=")
    return before, rest.partition(" ")[2]


def _are_doses(doses: Mapping[int, float]) -> bool:
    shares = doses.values()
    return set(doses) <= set(range(1, MOST + 1)) and all(_number(share) and share >= 0 for share in shares) and any(shares)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _check_whole(name: str, value: object, low: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise InvalidInput(f"{name}={value!r} is out of range: expected a whole number, {low} or more.")


def _check(name: str, value: float, low: float, high: float) -> None:
    if not (_number(value) and low <= value <= high):
        expected = f"{low} or more" if high == math.inf else f"a number from {low} to {high}"
        raise InvalidInput(f"{name}={value!r} is out of range: expected {expected}.")
