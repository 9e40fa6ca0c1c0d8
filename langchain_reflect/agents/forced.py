"""Runs whose lessons are decided by the caller instead of by recall: what practice and measurements are made of."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from langchain_reflect.types import Arm, LessonText


@dataclass(frozen=True)
class Forced:
    """What the caller decided; see `forced`."""

    arm: Arm | None = None
    lessons: tuple[LessonText, ...] | None = None
    record: bool = True
    without: frozenset[str] = frozenset()


_FORCED: Final[ContextVar[Forced | None]] = ContextVar("reflect_forced", default=None)


@contextmanager
def forced(
    *, arm: Arm | None = None, lessons: Sequence[LessonText] | None = None, record: bool = True, without: Collection[str] = ()
) -> Iterator[None]:
    """Decide for every run that starts inside: also for those of `batch` threads and of asyncio tasks created inside.

    Args:
        arm: `holdout`: no lessons. `treated`: what recall finds, without random holdout or withholding. `placebo`: neutral text in place of
            that, about as long. None: as usual.
        lessons: Exactly these, without asking recall.
        record: False: the run leaves no episode.
        without: Ids of lessons that are not there for these runs, as if they had never been learned.
    """
    token = _FORCED.set(Forced(arm, None if lessons is None else tuple(lessons), record, frozenset(without)))
    try:
        yield
    finally:
        _FORCED.reset(token)


def in_force() -> Forced:
    """What holds for a run that starts now."""
    return _FORCED.get() or _AS_USUAL


_AS_USUAL: Final = Forced()
