import numpy as np
import pytest

from langchain_reflect.index.embeddings import resolve_embedder
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.recall.recaller import Recaller
from langchain_reflect.types import Example, Lesson, Revision

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


def book_of(ledger, embedder, lessons, index=None):
    """A real book that holds these lessons under their own ids."""
    ledger.append_revisions([Revision(lesson=lesson, kind="add", actor="test") for lesson in lessons])
    return LessonBook(ledger, index or ExactIndex(), embedder)


@pytest.fixture(scope="session")
def minilm():
    return resolve_embedder(None)


@pytest.fixture(scope="session")
def book(minilm, tmp_path_factory):
    with Ledger(tmp_path_factory.mktemp("book"), durability="fast") as ledger:
        yield book_of(ledger, minilm, (FLIGHTS, LETTERS, REFUNDS))


@pytest.fixture(scope="session")
def recaller(book, minilm):
    return Recaller(book, minilm)


@pytest.fixture
def recaller_of(minilm, tmp_path):
    """Makes a recaller over other lessons."""
    opened = []

    def make(*lessons, index=None):
        ledger = Ledger(tmp_path / f"ledger-{len(opened)}", durability="fast")
        opened.append(ledger)
        return Recaller(book_of(ledger, minilm, lessons, index), minilm)

    yield make
    for ledger in opened:
        ledger.close()


def unit_vector(*numbers):
    vector = np.array(numbers, np.float32)
    return vector / np.linalg.norm(vector)
