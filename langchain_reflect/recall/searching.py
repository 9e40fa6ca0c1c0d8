"""Which lessons are worth ranking for a task: those near to it, and those that share its words.

Vectors and words of a namespace are kept in memory, so that another process's lessons are seen at once and no index is waited for; where
there are too many for that, the index gives the nearest.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from langchain_reflect.index.base import Vector
from langchain_reflect.index.field import Field, Positions
from langchain_reflect.recall.fusion import POOL, Fused, Numbers, fit, fuse, in_order, pool
from langchain_reflect.types import Lesson, Namespace


class Words(Protocol):
    """Searches lessons by their words."""

    def best(self, task: str, namespace: Namespace, limit: int, *, version: int | None) -> Sequence[tuple[str, float]]:
        """Ids of the servable lessons that share most words with a task, with their score; `version` is the book's, if it is known."""


class Book(Protocol):
    """What searching needs of a `LessonBook`."""

    def candidates(self, vector: Vector, namespace: Namespace, limit: int) -> Sequence[tuple[Lesson, float]]:
        """Servable lessons nearest to a vector, with their cosine."""

    def vectors(self, lesson_ids: Sequence[str]) -> Mapping[str, np.ndarray]:
        """For each lesson that has one, the vector of its condition and advice."""

    def field(self, vector: Vector, namespace: Namespace) -> Field | None:
        """Every servable lesson with its cosine; None if there are too many."""

    def servable(self, lesson_ids: Sequence[str], namespace: Namespace, *, version: int | None) -> Mapping[str, Lesson]:
        """Those of the lessons that may be shown; `version` is the book's, if it is known."""


@dataclass(frozen=True, slots=True)
class Searched:
    """What was found for a task."""

    candidates: Sequence[tuple[Lesson, float]]
    """With their cosine."""
    vectors: Mapping[str, np.ndarray]
    """Of what each says."""
    fused: Mapping[str, Fused] | None = None
    """By lesson id, what meaning and words say together; None if words were not compared."""
    fit: float | None = None
    """How well the best lessons fit, see `fusion.fit`."""


def search(
    book: Book, words: Words | None, task: str, vector: Vector, *, namespace: Namespace, limit: int, without: Collection[str] = ()
) -> Searched:
    """The lessons to rank.

    Args:
        book: The lessons.
        words: Searches by words; None: only meaning counts.
        task: What is asked.
        vector: Of the task.
        namespace: Whose lessons.
        limit: Most candidates.
        without: Ids of lessons that are passed over, as if they were not there.
    """
    field = None if words is None else book.field(vector, namespace)
    if words is None or field is None:
        near = book.candidates(vector, namespace, limit + len(without))
        found = [each for each in near if each[0].id not in without][:limit]
        return Searched(found, book.vectors([lesson.id for lesson, _ in found]))
    sharing, scores = field.placed(words.best(task, namespace, POOL + len(without), version=field.version) if len(field) else ())
    chosen = pool(field.near(POOL + len(without)), sharing, len(field))
    if without:
        chosen = chosen[~np.isin(chosen, field.placed((lesson_id, 0.0) for lesson_id in without)[0])]
    if not len(chosen):
        return Searched((), {})
    lexical = np.zeros(len(field))
    lexical[sharing] = scores
    return _hybrid(book, field, chosen, lexical[chosen], namespace=namespace, limit=limit)


def _hybrid(book: Book, field: Field, chosen: Positions, lexical: Numbers, *, namespace: Namespace, limit: int) -> Searched:
    cosines, vectors = field.compared(chosen)
    best, scores = fuse(cosines, lexical, vectors, limit=limit)
    ids = field.ids(chosen[best])
    numbers = zip(ids, cosines[best].tolist(), lexical[best].tolist(), scores[best].tolist(), strict=True)
    fused = {each.lesson_id: each for each in in_order(Fused(*each) for each in numbers)[:limit]}
    known = book.servable(list(fused), namespace, version=field.version)
    return Searched(
        candidates=[(known[lesson_id], each.similarity) for lesson_id, each in fused.items() if lesson_id in known],
        vectors=dict(zip(ids, vectors[best], strict=True)),
        fused=fused,
        fit=fit(cosines, lexical),
    )
