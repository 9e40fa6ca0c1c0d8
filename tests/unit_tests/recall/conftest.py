import numpy as np
import pytest

from langchain_reflect.index.embeddings import resolve_embedder
from langchain_reflect.index.exact import Rows, nearest
from langchain_reflect.recall.recaller import Recaller
from langchain_reflect.types import SERVABLE, Example, Lesson

FLIGHTS = Lesson(
    id="L-flights",
    when="A user wants to change a basic economy flight",
    do="Say that basic economy cannot be changed, and offer to cancel within 24 hours.",
    why="The airline's policy forbids it.",
    tasks=("Move my basic economy flight to Friday",),
    examples=(Example(input="Move my flight", output="Basic economy cannot be changed."),),
    status="active",
)
LETTERS = Lesson(
    id="L-letters", when="Letters in a word must be counted", do="Write the letters with commas between them, then count one by one."
)
REFUNDS = Lesson(id="L-refunds", when="A user asks for a refund of a flight", do="Check the fare class before promising anything.")


class ShelfBook:
    """Lessons on a shelf: what recall needs of a lesson book, without a ledger."""

    def __init__(self, embedder, lessons=(FLIGHTS, LETTERS, REFUNDS)):
        self.lessons = {lesson.id: lesson for lesson in lessons}
        self.texts = {lesson.id: embedder.embed_documents([lesson.key_text(), *lesson.tasks]) for lesson in lessons}

    def candidates(self, vector, namespace, limit):
        served = [i for i, lesson in self.lessons.items() if lesson.status in SERVABLE and lesson.namespace == namespace]
        hits = nearest(Rows.of([(i, self.texts[i]) for i in served]), vector, limit)
        return [(self.lessons[hit.lesson_id], hit.similarity) for hit in hits]

    def vectors(self, lesson_ids):
        return {i: self.texts[i][0] for i in lesson_ids}


@pytest.fixture(scope="session")
def minilm():
    return resolve_embedder(None)


@pytest.fixture(scope="session")
def book(minilm):
    return ShelfBook(minilm)


@pytest.fixture(scope="session")
def recaller(book, minilm):
    return Recaller(book, minilm)


def unit_vector(*numbers):
    vector = np.array(numbers, np.float32)
    return vector / np.linalg.norm(vector)
