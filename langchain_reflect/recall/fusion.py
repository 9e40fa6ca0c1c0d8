"""What a lesson's nearness and its words say together: one order, and whether any lesson fits at all. Pure.

The forms and the few round numbers come from the literature; nothing is trained. They were chosen among alternatives by looking at the
recorded tasks of `benchmarks/retrieval_quality.py`, so its figures flatter them somewhat.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from langchain_reflect.index.base import Vector

Numbers = NDArray[np.floating]

POOL: Final = 100
"""Lessons that either search hands over."""
FEEDBACK: Final = 3
"""Best lessons whose vectors are added to the task's: the depth that suits short feedback for dense retrieval (Li et al., Pseudo Relevance
Feedback with Deep Language Models and Dense Retrievers, arXiv 2108.11044: 3 to 5)."""
WITNESSES: Final = 10
"""Lessons, best by their words, that are asked whether they are near as well; the usual depth of feedback in relevance models."""


@dataclass(frozen=True, slots=True)
class Fused:
    """A lesson as both searches see it."""

    lesson_id: str
    similarity: float
    """Cosine to the task."""
    lexical: float
    """BM25 score, 0 if no word is shared."""
    score: float
    """0 to 1, comparable within one task only."""


def fuse(dense: Sequence[tuple[str, float]], lexical: Sequence[tuple[str, float]], *, vectors: Mapping[str, Vector]) -> list[Fused]:
    """One order of the lessons that two searches found.

    Args:
        dense: Lesson id and cosine to the task, each id once; also of those that only the other search found.
        lexical: Lesson id and BM25 score, each id once; ids that `dense` does not know are left out.
        vectors: Of length 1, by lesson id; a lesson without one gets nothing from the feedback.

    Returns:
        The lessons of `dense`, best score first (ties: nearest, then id).
    """
    if not dense:
        return []
    by_words = dict(lexical)
    cosines = np.array([cosine for _, cosine in dense])
    shared = np.array([by_words.get(lesson_id, 0.0) for lesson_id, _ in dense])
    missing = np.zeros_like(next(iter(vectors.values()))) if vectors else np.zeros(1)
    scores = fused_scores(cosines, shared, np.stack([vectors.get(lesson_id, missing) for lesson_id, _ in dense]))
    found = [
        Fused(lesson_id, cosine, float(words), float(score))
        for (lesson_id, cosine), words, score in zip(dense, shared, scores, strict=True)
    ]
    return sorted(found, key=lambda each: (-each.score, -each.similarity, each.lesson_id))


def fused_scores(cosines: Numbers, lexical: Numbers, vectors: Numbers) -> Numbers:
    """The mean of both scores, each stretched to 0..1, after one round of feedback.

    The vectors of the best lessons are added to the task's (Rocchio), so that the lessons beside them come up. The feedback lessons are
    chosen by both searches, which is what keeps it from running off. Stretched scores keep how far the first is ahead, which ranks forget.

    Args:
        cosines: Of each lesson to the task, shape `(n,)`.
        lexical: BM25 score of each, shape `(n,)`.
        vectors: Of each, of length 1, shape `(n, dimension)`.

    Returns:
        Shape `(n,)`, 0 to 1.

    Source: convex combination, Bruch et al., An Analysis of Fusion Functions for Hybrid Retrieval, arXiv 2210.11934; Rocchio feedback,
    Manning, Raghavan, Schütze: Introduction to Information Retrieval, 9.1.1.
    """
    best = np.argsort(-convex(cosines, lexical), kind="stable")[:FEEDBACK]
    return convex(cosines + vectors @ vectors[best].mean(axis=0), lexical)


def convex(dense: Numbers, lexical: Numbers) -> Numbers:
    """The mean of two scores, each stretched to 0..1.

    Args:
        dense: One number per lesson.
        lexical: Likewise.
    """
    return (_stretched(dense) + _stretched(lexical)) / 2


def fit(cosines: Numbers, lexical: Numbers) -> float:
    """How well the best lessons fit a task, as a cosine: the nearest lesson's, averaged with what the words bear witness to.

    The witnesses are the lessons best by their words; they vouch with their cosine, weighted by how much they share. Where words and
    meaning point at the same lessons, that is as high as the best cosine; where no lesson fits, both point anywhere, and it is low.
    One lesson in a small book vouches for itself, for the others share little with the task.

    Args:
        cosines: Of each lesson to the task, shape `(n,)`, at least one.
        lexical: BM25 score of each, shape `(n,)`; if no word is shared, the nearest lesson stands alone.

    Source: weighting feedback by its retrieval score, as relevance models and the clarity score do (Cronen-Townsend et al., Predicting
    Query Performance, SIGIR 2002).
    """
    nearest = float(cosines.max())
    first = _first(lexical, WITNESSES)
    weights = lexical[first]
    if weights.sum() <= 0:
        return nearest
    return (nearest + float(weights @ cosines[first] / weights.sum())) / 2


def pool(cosines: Numbers, lexical: Numbers, size: int = POOL) -> NDArray[np.intp]:
    """Positions of the lessons that are worth fusing, ascending: what either search finds, and a sample of the book.

    The sample, evenly spaced, shows what the scores of lessons that do not fit look like; scores are stretched down to it.

    Args:
        cosines: One per lesson of the book.
        lexical: Likewise.
        size: Most lessons of each search and of the sample.
    """
    if len(cosines) <= size:
        return np.arange(len(cosines))
    sample = np.linspace(0, len(cosines) - 1, size).astype(np.intp)
    sharing = np.flatnonzero(lexical)
    sharing = sharing[_first(lexical[sharing], size)]
    found: NDArray[np.intp] = np.unique(np.concatenate([_first(cosines, size), sharing, sample]))
    return found


def _first(scores: Numbers, count: int) -> NDArray[np.intp]:
    """Positions of the highest scores, in any order."""
    return np.argpartition(-scores, count - 1)[:count] if count < len(scores) else np.arange(len(scores))


def _stretched(scores: Numbers) -> Numbers:
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.zeros_like(scores)
