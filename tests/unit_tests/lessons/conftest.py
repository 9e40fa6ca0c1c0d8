import pytest

from langchain_reflect.index.embeddings import resolve_embedder
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.book import LessonBook
from tests.unit_tests.words import Words


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path, durability="fast") as opened:
        yield opened


@pytest.fixture
def book(ledger):
    return LessonBook(ledger, ExactIndex(), resolve_embedder(Words()))


@pytest.fixture
def reviewed(ledger):
    """A book of which a person reviews all changes."""
    return LessonBook(ledger, ExactIndex(), resolve_embedder(Words()), review="required")
