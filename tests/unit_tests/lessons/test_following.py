"""The index is followed on a thread of its own, whatever it does; see also `tests/integration_tests/test_index_chaos.py`."""

import threading
import time

import pytest

from langchain_reflect.errors import IndexUnavailable
from langchain_reflect.index.base import IndexEntry
from langchain_reflect.index.embeddings import resolve_embedder
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.lessons.finding import UNCONFIRMED_KEY
from tests.unit_tests.words import Words


class Kept(ExactIndex):
    """An index that outlives the process, as far as its users know."""

    identity = "somewhere"


class Slow(Kept):
    """An index that is filled when it is let."""

    def __init__(self):
        super().__init__()
        self.let = threading.Event()

    def upsert(self, entries):
        self.let.wait(10)
        super().upsert(entries)


def until(true):
    deadline = time.monotonic() + 10
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert true()


@pytest.fixture
def book_on(ledger):
    books = []

    def make(index):
        books.append(LessonBook(ledger, index, resolve_embedder(Words())))
        return books[-1]

    yield make
    for book in books:
        book.close()


def filled(book):
    """Search until the index has caught up."""
    book.search("anything")
    until(lambda: book._finder._follower._is_current(book.ledger.lessons_version()))
    return book


def test_while_an_index_is_filled_recall_answers_at_once_from_the_ledger(book_on):
    index = Slow()
    book = book_on(index)
    lesson = book.add(when="a flight is moved", do="ask")
    started = time.monotonic()
    assert all(book.search("a flight is moved")[0][0] == lesson for _ in range(20))
    assert time.monotonic() - started < 1
    assert index.count() == 0
    index.let.set()
    filled(book)
    assert index.count() == 1


def test_who_only_writes_lessons_opens_no_index_but_embeds_them(book_on, ledger):
    index = Kept()
    book = book_on(index)
    lesson = book.add(when="a flight is moved", do="ask")
    assert ledger.missing_texts(book.embedder.id, [lesson]) == []
    assert index.count() == 0
    assert index._tag is None


def test_a_lesson_that_another_process_writes_is_found_at_the_next_recall(book_on):
    one, two = book_on(Kept()), book_on(Slow())
    filled(one)
    two.add(when="letters are counted", do="spell")
    for _ in range(3):
        lesson = two.add(when=f"a flight {_} is moved", do="ask")
        assert one.search(f"a flight {_} is moved", limit=1)[0][0] == lesson
        assert two.search(f"a flight {_} is moved", limit=1)[0][0] == lesson
    two.index.let.set()


def test_hits_that_the_ledger_does_not_confirm_are_dropped_counted_and_answered_from_the_ledger(book_on, ledger):
    index = Kept()
    book = book_on(index)
    lesson = book.add(when="a flight is moved", do="ask")
    filled(book)
    vector = book.embedder.embed_query("a flight is moved")
    index.upsert([IndexEntry(f"L-rogue-{n}", 1, ("default",), vector[None]) for n in range(30)])
    assert [found for found, _ in book.search("a flight is moved", limit=5)] == [lesson]
    assert book._finder.unconfirmed == 5
    assert ledger.meta(UNCONFIRMED_KEY) == "5"
    book.reindex()
    assert not ledger.meta(UNCONFIRMED_KEY)


def test_what_the_index_says_of_nearness_is_not_believed(book_on):
    index = Kept()
    book = book_on(index)
    near, far = book.add(when="a flight is moved", do="ask"), book.add(when="letters are counted", do="spell")
    filled(book)
    to_far, to_near = (book.embedder.embed_query(lesson.key_text())[None] for lesson in (near, far))
    index.upsert([IndexEntry(near.id, 1, ("default",), to_near), IndexEntry(far.id, 1, ("default",), to_far)])  # swapped
    [(first, cosine), (second, lower)] = book.search(near.key_text(), limit=2)
    assert (first, second) == (near, far)
    assert cosine == pytest.approx(1)
    assert lower < 0.9


def test_an_index_that_was_closed_half_filled_is_not_taken_for_complete(book_on, ledger, monkeypatch):
    index = Kept()
    book = book_on(index)
    for n in range(4):
        book.add(when=f"case {n}", do="ask")
    filled(book)
    index.reset()
    monkeypatch.setattr("langchain_reflect.lessons.following.BATCH", 1)
    monkeypatch.setattr(index, "delete", lambda ids: 1 / 0)
    again = book_on(index)
    again.search("case 0")
    until(lambda: again._finder._follower._has_failed)
    assert 0 < index.count() < 4
    monkeypatch.undo()
    filled(book_on(index))
    assert index.count() == 4


def test_an_index_that_has_lost_rows_is_filled_again_when_it_is_opened(book_on):
    index = Kept()
    lesson = book_on(index).add(when="a flight is moved", do="ask")
    filled(book_on(index)).add(when="letters are counted", do="spell")
    filled(book_on(index))
    index.delete([lesson.id])
    filled(book_on(index))
    assert index.count() == 2


def test_an_index_that_fails_while_it_is_asked_costs_no_answer_and_is_opened_anew(book_on, monkeypatch):
    index = Kept()
    book = book_on(index)
    lesson = book.add(when="a flight is moved", do="ask")
    filled(book)

    def fail(*_, **__):
        raise IndexUnavailable("gone")

    monkeypatch.setattr(index, "query", fail)
    assert book.search("a flight is moved")[0][0] == lesson
    assert not book._finder._follower._is_ready
    monkeypatch.undo()
    book._finder._follower._next_try = 0.0
    filled(book)
    assert book.search("a flight is moved")[0][0] == lesson
