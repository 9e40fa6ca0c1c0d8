"""Which of the lessons near a task are worth showing, best first, and why not the others. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from langchain_reflect.types import Lesson

DEFAULT_FLOOR: Final = 0.25
"""For embedders without a calibrated floor: drops only what is clearly unrelated. Cosines of different models cannot be compared, so
whoever uses another embedder should set `floor` from their own tasks."""
FLOORS: Final[Mapping[str, float]] = {"sentence-transformers/all-MiniLM-L6-v2": 0.37}
"""Calibrated floors by embedder id.

MiniLM: on a retrieval benchmark of recorded agent tasks and lessons (495 tasks that some of 1,288 lessons answer, 35 that none does), the
nearest lesson reaches 0.37 for 90.7 % of the former and 17.1 % of the latter; of the tasks whose right lesson is among the two nearest,
91.3 % keep it. At 0.32 almost no right lesson is lost (97.7 % kept), but half of the unanswerable tasks get a wrong one."""
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
    dropped: str = ""
    """Why it is out: `below floor`, `near-twin of L-…`, `over k`; empty if it is in."""


def floor_for(embedder_id: str, floor: float | None = None) -> float:
    """The least similarity of a lesson that may be shown.

    Args:
        embedder_id: Name of the embedder in use.
        floor: What the user asked for; None takes the embedder's calibrated floor, or `DEFAULT_FLOOR`.
    """
    return FLOORS.get(embedder_id, DEFAULT_FLOOR) if floor is None else floor


def rank(candidates: Sequence[tuple[Lesson, float]], *, vectors: Mapping[str, np.ndarray], floor: float, k: int) -> list[Ranked]:
    """Order the candidates and drop what is too far, said twice, or too much.

    Args:
        candidates: Lessons with their cosine to the task, each once.
        vectors: For each lesson id the vector of its condition and advice, of length 1; a lesson without one has no twins.
        floor: Least similarity.
        k: Most lessons that stay in.

    Returns:
        Every candidate, best score first (ties: nearest, then id), with the reason if it is out.
    """
    scored = [(_score(lesson, similarity), similarity, lesson) for lesson, similarity in candidates]
    scored.sort(key=lambda c: (-c[0], -c[1], c[2].id))
    kept: list[Lesson] = []
    ranked = []
    for score, similarity, lesson in scored:
        reason = _reason(lesson, similarity, kept, vectors=vectors, floor=floor, k=k)
        if not reason:
            kept.append(lesson)
        ranked.append(Ranked(lesson, similarity, score, reason))
    return ranked


def _score(lesson: Lesson, similarity: float) -> float:
    return similarity + (ACTIVE_PRIOR if lesson.status == "active" else 0.0)


def _reason(lesson: Lesson, similarity: float, kept: Sequence[Lesson], *, vectors: Mapping[str, np.ndarray], floor: float, k: int) -> str:
    if similarity < floor:
        return "below floor"
    for better in kept:
        if lesson.id in vectors and better.id in vectors and float(vectors[lesson.id] @ vectors[better.id]) >= TWIN_COSINE:
            return f"near-twin of {better.id}"
    return "over k" if len(kept) >= k else ""
