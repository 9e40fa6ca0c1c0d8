"""Which of the lessons near a task are worth showing, best first, and why not the others. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from langchain_reflect.recall.fusion import Fused
from langchain_reflect.types import Lesson

DEFAULT_FLOOR: Final = 0.25
"""For embedders without a calibrated floor: drops only what is clearly unrelated. Cosines of different models cannot be compared, so
whoever uses another embedder should set `floor` from their own tasks."""
FLOORS: Final[Mapping[str, float]] = {"sentence-transformers/all-MiniLM-L6-v2": 0.37}
"""Calibrated floors by embedder id.

MiniLM: on a retrieval benchmark of recorded agent tasks and lessons (495 tasks that some of 1,288 lessons answer, 35 that none does), the
nearest lesson reaches 0.37 for 90.7 % of the former and 17.1 % of the latter; of the tasks whose right lesson is among the two nearest,
91.3 % keep it. At 0.32 almost no right lesson is lost (97.7 % kept), but half of the unanswerable tasks get a wrong one."""
FIT_FLOORS: Final[Mapping[str, float]] = {"sentence-transformers/all-MiniLM-L6-v2": 0.28}
"""Floors by embedder id where words bear witness too (`fusion.fit`), as `background_floor` finds them on the built-in lessons.

It needs no tasks, though `BACKGROUND` was settled with the recorded tasks above in view: 83 % of those that no lesson answers get nothing,
and 95 % of those that have a right lesson among the first two keep one.
"""
BACKGROUND: Final = 0.90
"""A lesson must be nearer to its task than nine of ten pairs of lessons that have nothing to do with each other."""
TWIN_COSINE: Final = 0.90
"""Two lessons at least this close say the same: showing both wastes the budget."""
ACTIVE_PRIOR: Final = 0.02
"""A proven lesson wins over a candidate that is only so much nearer; the noise of cosines between paraphrases is of that size."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A lesson, its score, and what became of it."""

    lesson: Lesson
    similarity: float
    score: float
    """What it was sorted by: the fused score, or else the similarity; and something more if it is proven."""
    lexical: float = 0.0
    """BM25 score; 0 if no word is shared, or words were not compared."""
    dropped: str = ""
    """Why it is out: `below floor`, `near-twin of L-…`, `over k`; empty if it is in."""


def floor_for(embedder_id: str, floor: float | None = None) -> float:
    """The least similarity of a lesson that may be shown.

    Args:
        embedder_id: Name of the embedder in use.
        floor: What the user asked for; None takes the embedder's calibrated floor, or `DEFAULT_FLOOR`.
    """
    return FLOORS.get(embedder_id, DEFAULT_FLOOR) if floor is None else floor


def fit_floor_for(embedder_id: str, floor: float | None = None) -> float:
    """`floor_for`, where words bear witness too.

    Args:
        embedder_id: Name of the embedder in use.
        floor: What the user asked for; None takes the embedder's calibrated floor, or `DEFAULT_FLOOR`.
    """
    return FIT_FLOORS.get(embedder_id, DEFAULT_FLOOR) if floor is None else floor


def background_floor(vectors: np.ndarray) -> float:
    """The floor of an embedder, from lessons that have nothing to do with each other.

    Args:
        vectors: Of lessons from many fields, of length 1, shape `(fields, lessons of a field, dimension)`; at least two fields.

    Returns:
        The cosine that all but one of ten pairs from different fields stay below.
    """
    fields, each, dimension = vectors.shape
    flat = vectors.reshape(fields * each, dimension)
    field = np.arange(fields * each) // each
    return float(np.quantile((flat @ flat.T)[field[:, None] != field[None, :]], BACKGROUND))


def rank(
    candidates: Sequence[tuple[Lesson, float]],
    *,
    vectors: Mapping[str, np.ndarray],
    floor: float,
    k: int,
    fused: Mapping[str, Fused] | None = None,
    fit: float | None = None,
) -> list[Ranked]:
    """Order the candidates and drop what is too far, said twice, or too much.

    Args:
        candidates: Lessons with their cosine to the task, each once.
        vectors: For each lesson id the vector of its condition and advice, of length 1; a lesson without one has no twins.
        floor: Least similarity of a lesson that is shown, and least `fit`.
        k: Most lessons that stay in.
        fused: By lesson id, what meaning and words say together; a lesson without an entry comes last. None: sorted by similarity.
        fit: How well the best lessons fit, see `fusion.fit`; below the floor none is shown. None: each lesson stands for itself.

    Returns:
        Every candidate, best score first (ties: nearest, then id), with the reason if it is out.
    """
    scored = [_scored(lesson, similarity, fused) for lesson, similarity in candidates]
    scored.sort(key=lambda each: (-each.score, -each.similarity, each.lesson.id))
    kept: list[Lesson] = []
    ranked = []
    for each in scored:
        nearness = each.similarity if fit is None else min(each.similarity, fit)
        reason = _reason(each.lesson, nearness, kept, vectors=vectors, floor=floor, k=k)
        if not reason:
            kept.append(each.lesson)
        ranked.append(replace(each, dropped=reason))
    return ranked


def _scored(lesson: Lesson, similarity: float, fused: Mapping[str, Fused] | None) -> Ranked:
    prior = ACTIVE_PRIOR if lesson.status == "active" else 0.0
    if fused is None:
        return Ranked(lesson, similarity, similarity + prior)
    seen = fused.get(lesson.id) or Fused(lesson.id, similarity, 0.0, 0.0)
    return Ranked(lesson, similarity, seen.score + prior, seen.lexical)


def _reason(lesson: Lesson, similarity: float, kept: Sequence[Lesson], *, vectors: Mapping[str, np.ndarray], floor: float, k: int) -> str:
    if similarity < floor:
        return "below floor"
    for better in kept:
        if lesson.id in vectors and better.id in vectors and float(vectors[lesson.id] @ vectors[better.id]) >= TWIN_COSINE:
            return f"near-twin of {better.id}"
    return "over k" if len(kept) >= k else ""
