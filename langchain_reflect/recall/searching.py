"""Which lessons are worth ranking for a task: those near to it, and those that share its words.

In a namespace that is small enough every lesson is compared, with vectors and words kept in memory, so that another process's lessons are
seen at once and no index is waited for; in a larger one the index gives the nearest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from langchain_reflect.index.base import Vector
from langchain_reflect.index.exact import Field
from langchain_reflect.recall.fusion import POOL, Fused, fit, fuse, pool
from langchain_reflect.types import Lesson, Namespace


class Words(Protocol):
    """Searches lessons by their words."""

    def best(self, task: str, namespace: Namespace, limit: int) -> Sequence[tuple[str, float]]:
        """Ids of the servable lessons that share most words with a task, with their score."""


class Book(Protocol):
    """What searching needs of a `LessonBook`."""

    def candidates(self, vector: Vector, namespace: Namespace, limit: int) -> Sequence[tuple[Lesson, float]]:
        """Servable lessons nearest to a vector, with their cosine."""

    def vectors(self, lesson_ids: Sequence[str]) -> Mapping[str, np.ndarray]:
        """For each lesson that has one, the vector of its condition and advice."""

    def field(self, vector: Vector, namespace: Namespace) -> Field | None:
        """Every servable lesson with its cosine; None if there are too many."""

    def servable(self, lesson_ids: Sequence[str], namespace: Namespace) -> Mapping[str, Lesson]:
        """Those of the lessons that may be shown."""


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


def search(book: Book, words: Words | None, task: str, vector: Vector, *, namespace: Namespace, limit: int) -> Searched:
    """The lessons to rank.

    Args:
        book: The lessons.
        words: Searches by words; None: only meaning counts.
        task: What is asked.
        vector: Of the task.
        namespace: Whose lessons.
        limit: Most candidates.
    """
    field = None if words is None else book.field(vector, namespace)
    if words is None or field is None:
        found = book.candidates(vector, namespace, limit)
        return Searched(found, book.vectors([lesson.id for lesson, _ in found]))
    if not field.lesson_ids:
        return Searched((), {})
    return _hybrid(book, field, words.best(task, namespace, POOL), namespace, limit)


def _hybrid(book: Book, field: Field, lexical: Sequence[tuple[str, float]], namespace: Namespace, limit: int) -> Searched:
    place = {lesson_id: at for at, lesson_id in enumerate(field.lesson_ids)}
    shared = np.zeros(len(place))
    for lesson_id, score in lexical:
        if lesson_id in place:
            shared[place[lesson_id]] = score
    chosen = [field.lesson_ids[at] for at in pool(field.cosines, shared)]
    vectors = {lesson_id: field.vectors[place[lesson_id]] for lesson_id in chosen}
    dense = [(lesson_id, float(field.cosines[place[lesson_id]])) for lesson_id in chosen]
    fused = fuse(dense, lexical, vectors=vectors)[:limit]
    known = book.servable([each.lesson_id for each in fused], namespace)
    return Searched(
        candidates=[(known[each.lesson_id], each.similarity) for each in fused if each.lesson_id in known],
        vectors=vectors,
        fused={each.lesson_id: each for each in fused},
        fit=fit(field.cosines, shared),
    )
