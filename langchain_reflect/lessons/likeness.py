"""When do two lessons say the same? Pure.

Cosines of two embedders cannot be compared, so the thresholds are taken from how an embedder sees lessons that are known to say the same,
and others that are known not to. What vectors hardly see, such as a negation or another number, is read from the words by `says_same`.
"""

import re
from dataclasses import dataclass
from typing import Final

import numpy as np

from langchain_reflect.index.base import Vectors
from langchain_reflect.lessons.wording import Said, agree, share_words
from langchain_reflect.types import LessonText

_MISSED: Final = 0.10
"""Share of pairs that say the same below `near`, so that nobody is asked about them."""
_BOTHERED: Final = 0.05
"""Share of pairs of other lessons of one field above `near`, at most."""
_LEAST_GAP: Final = 1e-3
"""Below this, twins and other lessons are told apart by rounding errors."""
_SAME_EXCEPTION: Final = 0.5
"""Least share of common words of two exceptions that may be the same; no vector shows it, since exceptions are not embedded."""
_LEAD: Final = re.compile(r"^\W*(?:when(?:ever)?|if|while|for|in case)\b", re.IGNORECASE)
"""How a condition may begin without saying more by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """Cosines of `when` and `do` that mean something for one embedder: `near` <= `alike` <= `same`."""

    same: float
    """From here a draft only adds support to a lesson, without a question to anybody."""
    near: float
    """From here the curator is asked."""
    alike: float
    """From here two lessons count as one where nobody can be asked."""

    @property
    def echo(self) -> float:
        """From here the curator is asked about a lesson that was shown where a draft was learned: as far below `near` as 1 is above."""
        return 2 * self.near - 1


UNKNOWN: Final = Likeness(same=1.01, near=0.999, alike=1.01)
"""For embedders that cannot tell lessons apart: nothing counts as the same, and only literal repeats are asked about."""


def likeness_from(trios: Vectors) -> Likeness | None:
    """Thresholds from how an embedder sees known lessons.

    `alike` lies midway between the typical pair that says the same (the median) and the most similar pair that does not: a false merge
    loses a lesson, a missed one costs a twin that a later curation finds. `same` lies midway between `alike` and identical texts. Nine of
    ten pairs that say the same are above `near`, unless that would bother the curator with more than one in twenty pairs of one field.

    Args:
        trios: Shape `(n, 3, dimension)`, of length 1: a lesson, the same again, another lesson of the same field.

    Returns:
        The thresholds, or None if half of the pairs that say the same are no more alike than some pair that does not.
    """
    lesson, again, other = trios[:, 0], trios[:, 1], trios[:, 2]
    twins = np.sum(lesson * again, axis=1)
    neighbours = np.concatenate([np.sum(lesson * other, axis=1), np.sum(again * other, axis=1)])
    typical, strangest = float(np.median(twins)), float(max(neighbours.max(), _strangers(trios).max()))
    if typical - strangest < _LEAST_GAP:
        return None
    alike = (typical + strangest) / 2
    near = max(np.quantile(twins, _MISSED), np.quantile(neighbours, 1 - _BOTHERED))
    return Likeness(same=(alike + 1) / 2, near=float(np.clip(near, 0.0, alike)), alike=alike)


def _strangers(trios: Vectors) -> Vectors:
    """Cosines of all texts of different trios."""
    flat = trios.reshape(-1, trios.shape[-1])
    trio = np.repeat(np.arange(len(trios)), trios.shape[1])
    cosines: Vectors = (flat @ flat.T)[trio[:, None] < trio[None, :]]
    return cosines


def says_same(one: LessonText, other: LessonText) -> bool:
    """Whether two texts of near-equal meaning agree in what turns a meaning round, in their advice and in where it applies.

    Made for texts whose vectors are almost equal, and made to doubt: what it calls different may still say the same in other words, and
    goes to the curator. The words are English; of other languages only numbers, order and single words are seen.

    Args:
        one: A lesson's text.
        other: Another's.

    Returns:
        False if, in `do`, `when` or `when_not`, one of them has more negations, exceptions, restrictions, conditions or other numbers; if
        they bind them to another word of both ("not A but B", "B after A"); if a word of one stands against its opposite in the other; if
        they differ in one word only, or only in the order of words; if only one of them has a `when_not`, or the two have little in common.
    """
    exceptions = Said.of(one.when_not), Said.of(other.when_not)
    return (
        agree(Said.of(one.do), Said.of(other.do))
        and agree(Said.of(_LEAD.sub("", one.when)), Said.of(_LEAD.sub("", other.when)))
        and agree(*exceptions)
        and share_words(*exceptions) >= _SAME_EXCEPTION
    )
