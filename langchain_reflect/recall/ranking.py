"""Which of the lessons near a task are worth showing, best first, and why not the others. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from langchain_reflect.recall.fusion import Fused
from langchain_reflect.types import Lesson

TWIN_COSINE: Final = 0.90
"""Two lessons at least this close say the same: showing both wastes the budget."""
ACTIVE_PRIOR: Final = 0.02
"""A proven lesson wins over a candidate that is only so much nearer; the noise of cosines between paraphrases is of that size."""
UTILITY_RATE: Final = 0.15
"""What a reward point of measured effect adds to a score: 20 points add 0.03."""
UTILITY_CAP: Final = 0.03
"""The most that it adds. Scores of lessons that fit about equally differ by so much; more would let a lesson that helped elsewhere pass one
that fits better."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A lesson, its score, and what became of it."""

    lesson: Lesson
    similarity: float
    score: float
    """What it was sorted by: the fused score, or else the similarity; and something more if it is proven."""
    utility: float = 0.0
    """The part of the score that tells of proof, not of nearness, see `utility_of`."""
    lexical: float = 0.0
    """BM25 score; 0 if no word is shared, or words were not compared."""
    dropped: str = ""
    """Why it is out: `below floor`, `near-twin of L-…`, `over k`; empty if it is in."""


def rank(
    candidates: Sequence[tuple[Lesson, float]],
    *,
    vectors: Mapping[str, np.ndarray],
    floor: float,
    k: int,
    fused: Mapping[str, Fused] | None = None,
    fit: float | None = None,
    utilities: Mapping[str, float] | None = None,
) -> list[Ranked]:
    """Order the candidates and drop what is too far, said twice, or too much.

    Args:
        candidates: Lessons with their cosine to the task, each once.
        vectors: For each lesson id the vector of its condition and advice, of length 1; a lesson without one has no twins.
        floor: Least similarity of a lesson that is shown, and least `fit`; 0: nothing is too far.
        k: Most lessons that stay in.
        fused: By lesson id, what meaning and words say together; a lesson without an entry comes last. None: sorted by similarity.
        fit: How well the best lessons fit, see `fusion.fit`; below the floor none is shown. None: each lesson stands for itself.
        utilities: By lesson id, see `utility_of`. It changes the order only: what is too far stays out.

    Returns:
        Every candidate, best score first (ties: nearest, then id), with the reason if it is out.
    """
    scored = [_scored(lesson, similarity, fused, (utilities or {}).get(lesson.id, 0.0)) for lesson, similarity in candidates]
    scored.sort(key=lambda each: (-each[0], -each[1], each[2].id))
    kept: list[str] = []
    ranked = []
    for score, similarity, lesson, utility, lexical in scored:
        nearness = similarity if fit is None else min(similarity, fit)
        reason = _reason(lesson.id, nearness, kept, vectors=vectors, floor=floor, k=k)
        if not reason:
            kept.append(lesson.id)
        ranked.append(Ranked(lesson, similarity, score, utility, lexical, reason))
    return ranked


def utility_of(lesson: Lesson, effect: float = 0.0) -> float:
    """What a lesson's proof adds to its score: 0 to `ACTIVE_PRIOR + UTILITY_CAP`.

    Args:
        lesson: A proven one has a head start.
        effect: Lower bound of what it adds to the reward, in reward points of 0 to 1; what is not known to help adds nothing.
    """
    prior = ACTIVE_PRIOR if lesson.status == "active" else 0.0
    return prior + min(UTILITY_CAP, UTILITY_RATE * max(0.0, effect))


def _scored(
    lesson: Lesson, similarity: float, fused: Mapping[str, Fused] | None, effect: float
) -> tuple[float, float, Lesson, float, float]:
    """Score, similarity, lesson, utility and BM25 score."""
    utility = utility_of(lesson, effect)
    if fused is None:
        return similarity + utility, similarity, lesson, utility, 0.0
    seen = fused.get(lesson.id)
    score, lexical = (0.0, 0.0) if seen is None else (seen.score, seen.lexical)
    return score + utility, similarity, lesson, utility, lexical


def _reason(lesson_id: str, similarity: float, kept: Sequence[str], *, vectors: Mapping[str, np.ndarray], floor: float, k: int) -> str:
    if floor and similarity < floor:
        return "below floor"
    for better in kept:
        if lesson_id in vectors and better in vectors and float(vectors[lesson_id] @ vectors[better]) >= TWIN_COSINE:
            return f"near-twin of {better}"
    return "over k" if len(kept) >= k else ""
