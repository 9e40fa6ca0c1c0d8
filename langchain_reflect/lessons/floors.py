"""From which cosine on a lesson may be shown for a task, by embedder. Pure.

Cosines of two embedders cannot be compared, so a floor is taken from how an embedder sees lessons that have nothing to do with each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from langchain_reflect.index.base import Vectors
from langchain_reflect.index.minilm import DEFAULT_ID

FloorSource = Literal["given", "calibrated", "default"]

DEFAULT_FLOOR: Final = 0.25
"""For embedders that were not calibrated, or that cannot tell lessons apart: drops only what is clearly unrelated."""
BACKGROUND: Final = 0.90
"""A lesson must be nearer to its task than nine of ten pairs of lessons that have nothing to do with each other."""
ALONE: Final = 0.98
"""The same where words bear no witness: the nearest of many lessons is nearer by chance than any one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floors:
    """Least cosines of one embedder."""

    fit: float
    """Where words bear witness: of a lesson, and of `recall.fusion.fit`."""
    cosine: float
    """Where only meaning counts."""
    source: FloorSource = "calibrated"

    def in_force(self, given: float | None, *, words: bool) -> tuple[float, FloorSource]:
        """The floor that decides, and where it comes from.

        Args:
            given: What the user asked for; None: the embedder's.
            words: Whether words bear witness.
        """
        if given is not None:
            return given, "given"
        return (self.fit if words else self.cosine), self.source


UNCALIBRATED: Final = Floors(fit=DEFAULT_FLOOR, cosine=DEFAULT_FLOOR, source="default")
MEASURED: Final[Mapping[str, Floors]] = {DEFAULT_ID: Floors(fit=0.28, cosine=0.37)}
"""By embedder id, what needs no calibration.

MiniLM, on a retrieval benchmark of recorded agent tasks and lessons (495 tasks that some of 1,288 lessons answer, 35 that none does). With
words, 83 % of the tasks that no lesson answers get nothing, and 95 % of those that have a right lesson among the first two keep one. By
meaning alone, the nearest lesson reaches 0.37 for 90.7 % of the answerable tasks and 17.1 % of the others; of the tasks whose right lesson
is among the two nearest, 91.3 % keep it. At 0.32 almost no right lesson is lost (97.7 % kept), but half of the others get a wrong one.
"""


def floors_from(lessons: Vectors) -> Floors:
    """The floors of an embedder, from lessons that have nothing to do with each other.

    Args:
        lessons: Vectors of lessons from many fields, of length 1, shape `(fields, lessons of a field, dimension)`; at least two fields.
    """
    return Floors(fit=background(lessons, BACKGROUND), cosine=background(lessons, ALONE))


def background(lessons: Vectors, share: float = BACKGROUND) -> float:
    """The cosine that a share of the pairs from different fields stay below.

    Args:
        lessons: As for `floors_from`.
        share: 0 to 1.
    """
    fields, each, dimension = lessons.shape
    flat = lessons.reshape(fields * each, dimension)
    field = np.arange(fields * each) // each
    return float(np.quantile((flat @ flat.T)[field[:, None] != field[None, :]], share))
