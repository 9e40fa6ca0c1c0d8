"""Which of some lessons recall would show if there were no others: its own measure, for whoever has to foresee it. Pure."""

from collections.abc import Mapping, Sequence

import numpy as np

from langchain_reflect.index.base import Vector
from langchain_reflect.index.field import Blocks, Field
from langchain_reflect.lessons.floors import Floors
from langchain_reflect.recall.lexical import LexicalIndex, lesson_words
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recall.ranking import rank
from langchain_reflect.recall.searching import search
from langchain_reflect.types import Lesson, Namespace


def recalled_among(
    lessons: Sequence[Lesson], task: str, vector: Vector, vectors: Mapping[str, Vector], *, floors: Floors, policy: RecallPolicy
) -> list[Lesson]:
    """The lessons that a task would be shown, best first; the budget is not looked at.

    Args:
        lessons: The only ones.
        task: What is asked.
        vector: Of the task, of length 1.
        vectors: Of each lesson's texts (its condition and advice, and its tasks), by text.
        floors: Of the embedder.
        policy: The floor that is asked for, and the most lessons.
    """
    book = _Few(lessons, vectors)
    found = search(book, book, task, vector, namespace=(), limit=len(lessons))
    floor, _ = floors.in_force(policy.floor, words=found.fit is not None)
    ranked = rank(found.candidates, vectors=found.vectors, floor=floor, k=policy.most, fused=found.fused, fit=found.fit)
    return [each.lesson for each in ranked if not each.dropped]


class _Few:
    """Some lessons, searched as a book is."""

    def __init__(self, lessons: Sequence[Lesson], vectors: Mapping[str, Vector]) -> None:
        self._lessons = {lesson.id: lesson for lesson in lessons}
        texts = {lesson.id: dict.fromkeys([lesson.key_text(), *lesson.tasks]) for lesson in lessons}
        self._blocks = Blocks.of((lesson_id, np.stack([vectors[text] for text in said])) for lesson_id, said in texts.items())
        self._words = LexicalIndex((lesson.id, lesson_words(lesson)) for lesson in lessons)

    def best(
        self,
        task: str,
        namespace: Namespace,  # noqa: ARG002 - as in `Words`
        limit: int,
        *,
        version: int | None = None,  # noqa: ARG002
    ) -> Sequence[tuple[str, float]]:
        """Those that share words with a task."""
        return self._words.best(task, limit)

    def field(self, vector: Vector, namespace: Namespace) -> Field:  # noqa: ARG002 - as in `Book`
        """All of them."""
        return Field(self._blocks, vector)

    def servable(
        self,
        lesson_ids: Sequence[str],
        namespace: Namespace,  # noqa: ARG002 - as in `Book`
        *,
        version: int | None = None,  # noqa: ARG002
    ) -> Mapping[str, Lesson]:
        """All that were asked for."""
        return {lesson_id: self._lessons[lesson_id] for lesson_id in lesson_ids}

    def candidates(self, vector: Vector, namespace: Namespace, limit: int) -> Sequence[tuple[Lesson, float]]:
        """Never asked, for all are in the field."""
        raise NotImplementedError

    def vectors(self, lesson_ids: Sequence[str]) -> Mapping[str, Vector]:
        """Never asked, for all are in the field."""
        raise NotImplementedError
