"""What a lesson's nearness and its words say together: one order, and whether any lesson fits at all. Pure.

The forms and the few round numbers come from the literature; nothing is trained. They were chosen among alternatives by looking at the
recorded tasks of `benchmarks/retrieval_quality.py`, so its figures flatter them somewhat.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from langchain_reflect.index.exact import dots, first

Numbers = NDArray[np.floating]
Positions = NDArray[np.intp]

POOL: Final = 100
"""Lessons that either search hands over."""
FEEDBACK: Final = 3
"""Best lessons whose vectors are added to the task's: the depth that suits short feedback for dense retrieval (Li et al., Pseudo Relevance
Feedback with Deep Language Models and Dense Retrievers, arXiv 2108.11044: 3 to 5)."""
LEAST_SPREAD: Final = 0.3
"""Cosines that lie closer together are not stretched to the whole of 0..1, so that rounding errors decide nothing. Half of what lies
between the nearest lesson of a large book and its farthest."""
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


def fuse(cosines: Numbers, lexical: Numbers, vectors: Numbers, *, limit: int) -> tuple[Positions, Numbers]:
    """The lessons of two searches that are best by both.

    Args:
        cosines: Of each to the task, shape `(n,)`, at least one; also of those that only the other search found.
        lexical: BM25 score of each, 0 if no word is shared.
        vectors: Of each, of length 1, shape `(n, dimension)`.
        limit: Most lessons, beside those that are as good as the last; 1 or more.

    Returns:
        Their places, ascending, and the scores of all.
    """
    scores = fused_scores(cosines, lexical, vectors)
    least = np.partition(scores, -limit)[-limit] if limit < len(scores) else -np.inf
    return (scores >= least).nonzero()[0], scores


def in_order(fused: Iterable[Fused]) -> list[Fused]:
    """Best score first (ties: nearest, then id)."""
    return sorted(fused, key=lambda each: (-each.score, -each.similarity, each.lesson_id))


def fused_scores(cosines: Numbers, lexical: Numbers, vectors: Numbers) -> Numbers:
    """Both scores, each stretched to 0..1 and weighted by `share_of_words`, after one round of feedback.

    The vectors of the best lessons are added to the task's (Rocchio), so that the lessons beside them come up. The feedback lessons are
    chosen by both searches, which is what keeps it from running off. Stretched scores keep how far the first is ahead, which ranks forget.

    Args:
        cosines: Of each lesson to the task, shape `(n,)`; where the lessons of a small book are all about as near, they stay about equal.
        lexical: BM25 score of each, shape `(n,)`; stretched up from 0.
        vectors: Of each, of length 1, shape `(n, dimension)`.

    Returns:
        Shape `(n,)`, 0 to 1.

    Source: convex combination, Bruch et al., An Analysis of Fusion Functions for Hybrid Retrieval, arXiv 2210.11934; Rocchio feedback,
    Manning, Raghavan, Schütze: Introduction to Information Retrieval, 9.1.1.
    """
    share, most = share_of_words(cosines, lexical, vectors), lexical.max()
    said = lexical * (share / most) if most > 0 else lexical
    best = (-_with_words(cosines, said, share)).argsort(kind="stable")[:FEEDBACK]
    return _with_words(cosines + dots(vectors, vectors[best].sum(axis=0) / len(best)), said, share)


def share_of_words(cosines: Numbers, lexical: Numbers, vectors: Numbers) -> float:
    """What the words count for beside the meaning, 0 to 1: half, if the lessons that either finds are as much of one kind.

    Where words that matter little have led the search astray, the lessons it finds have little else in common.

    Args:
        cosines: As for `fused_scores`.
        lexical: Likewise.
        vectors: Likewise.

    Source: the more alike the first results are, the better they are; He, Larson, de Rijke: Using Coherence-Based Measures to Predict Query
    Difficulty, ECIR 2008.
    """
    depth = min(WITNESSES, int(np.count_nonzero(lexical)))
    by_meaning, by_words = (_coherence(vectors[first(each, depth)]) for each in (cosines, lexical))
    return by_words / (by_meaning + by_words) if by_words > 0 else 0.5


def _coherence(vectors: Numbers) -> float:
    """The mean cosine of all pairs, each vector with itself included; 0 without vectors."""
    total = vectors.sum(axis=0)
    return float(total @ total) / max(len(vectors) ** 2, 1)


def _with_words(dense: Numbers, said: Numbers, share: float) -> Numbers:
    """The stretched scores by meaning, as far as the words leave room, and `said`."""
    low = dense.min()
    mixed: Numbers = (dense - low) * ((1 - share) / max(dense.max() - low, LEAST_SPREAD)) + said
    return mixed


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
    witnesses = first(lexical, WITNESSES)
    weights = lexical[witnesses]
    total = weights.sum()
    return (nearest + float(weights @ cosines[witnesses] / total)) / 2 if total > 0 else nearest


def pool(near: Positions, sharing: Positions, count: int, size: int = POOL) -> Positions:
    """Positions of the lessons that are worth fusing, ascending: what either search finds, and a sample of the book.

    The sample, evenly spaced, shows what the scores of lessons that do not fit look like; scores are stretched down to it.

    Args:
        near: Positions of the lessons that are nearest.
        sharing: Of those that share most words.
        count: Lessons of the book.
        size: Lessons of the sample.
    """
    if count <= size:
        return np.arange(count)
    is_in = np.zeros(count, np.bool_)  # in a tenth of the time that `np.unique` takes
    for some in (near, sharing, _sample(count, size)):
        is_in[some] = True
    return np.flatnonzero(is_in)


@lru_cache(maxsize=256)
def _sample(count: int, size: int) -> Positions:
    """Evenly spaced positions. Remembered, because books change seldom."""
    spaced = np.linspace(0, count - 1, size).astype(np.intp)
    spaced.setflags(write=False)
    return spaced
