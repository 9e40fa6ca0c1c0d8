"""Meaning and words together, and what becomes of a namespace that is too large to compare every lesson."""

import pytest

from langchain_reflect.index.embeddings import resolve_embedder
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons import finding
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recall.recaller import Recaller
from langchain_reflect.recall.shelf import LexicalShelf
from tests.unit_tests.words import Words

SPACE = ("default",)
POLICY = RecallPolicy(k=1, floor=0.0)


class Flat(Words):
    """An embedder for which all texts are alike, so that only words can tell."""

    def embed_documents(self, texts):
        return [[1.0, 0.0] for _ in texts]

    def embed_query(self, text):
        return self.embed_documents([text])[0]


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.db") as opened:
        yield opened


def recaller_of(ledger, embeddings):
    embedder = resolve_embedder(embeddings)
    book = LessonBook(ledger, ExactIndex(), embedder)
    return book, Recaller(book, embedder, words=LexicalShelf(ledger))


def test_words_find_what_meaning_cannot_tell_apart(ledger):
    book, recaller = recaller_of(ledger, Flat())
    book.add(when="an invoice is cancelled", do="ask for the reason")
    named = book.add(when="get_user_by_id fails", do="look the id up in user_index first")
    recalled = recaller.recall("Why does getUserById raise KeyError?", namespace=SPACE, policy=POLICY)
    assert [x.id for x in recalled.lessons] == [named.id]
    shown, other = recalled.matches
    assert shown.lexical > 0 == other.lexical
    assert shown.score > other.score, "all vectors are equal"


def test_a_lesson_of_another_process_is_found_at_the_next_recall(ledger, tmp_path):
    _, recaller = recaller_of(ledger, Words())
    assert recaller.recall("cancel the invoice", namespace=SPACE, policy=POLICY).lessons == ()
    with Ledger(tmp_path / "ledger.db") as theirs:
        book, _ = recaller_of(theirs, Words())
        lesson = book.add(when="cancel the invoice", do="ask for the reason")
        assert [x.id for x in recaller.recall("cancel the invoice", namespace=SPACE, policy=POLICY).lessons] == [lesson.id]
        book.retire(lesson.id)
    assert recaller.recall("cancel the invoice", namespace=SPACE, policy=POLICY).lessons == ()


def test_lessons_of_another_namespace_are_not_seen(ledger):
    book, recaller = recaller_of(ledger, Words())
    book.add(when="cancel the invoice", do="ask for the reason", namespace=("acme",))
    book.add(when="write a date", do="year first")
    found = recaller.recall("cancel the invoice", namespace=SPACE, policy=POLICY)
    assert {m.lesson.namespace for m in found.matches} == {SPACE}


def test_a_namespace_that_is_too_large_is_searched_by_the_index(ledger, monkeypatch):
    book, recaller = recaller_of(ledger, Words())
    lesson = book.add(when="cancel the invoice", do="ask for the reason")
    monkeypatch.setattr(finding, "EXACT", 0)
    (match,) = recaller.recall("cancel the invoice", namespace=SPACE, policy=POLICY).matches
    assert (match.lesson.id, match.lexical, match.kept) == (lesson.id, 0.0, True)


def test_where_nothing_fits_nothing_is_shown_and_the_reason_told(ledger):
    book, recaller = recaller_of(ledger, Words())
    book.add(when="cancel the invoice", do="ask for the reason")
    found = recaller.recall("bake a cake", namespace=SPACE, policy=RecallPolicy(k=1, floor=0.4))
    assert (found.block, found.note, [m.reason for m in found.matches]) == ("", "below floor", ["below floor"])
