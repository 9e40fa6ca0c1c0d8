"""The lesson book changes lessons durably and finds them whatever becomes of the index."""

import logging
import time

import pytest

from langchain_reflect.errors import EmbedderChanged, IndexUnavailable, InvalidInput, LessonNotFound
from langchain_reflect.index.embeddings import resolve_embedder
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.types import LessonEdit, LessonText
from tests.unit_tests.words import Words


class Down(ExactIndex):
    """An index that cannot be reached."""

    def query(self, vector, *, namespace, limit):
        raise IndexUnavailable("down")


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path) as opened:
        yield opened


@pytest.fixture
def book(ledger):
    return LessonBook(ledger, ExactIndex(), resolve_embedder(Words()))


def test_a_lesson_written_by_hand_is_found_by_its_condition_and_its_tasks(book):
    lesson = book.add(when="a flight is moved", do="check the fare class first", tasks=["please rebook me"])
    assert lesson.status == "candidate"
    assert book.search("flight moved is a")[0][0] == lesson
    (found, cosine) = book.search("please rebook me")[0]
    assert found == lesson
    assert cosine == pytest.approx(1.0, abs=1e-5)


def test_a_lesson_of_another_namespace_is_never_found(book):
    book.add(when="a flight is moved", do="ask", namespace=("acme",))
    assert book.search("a flight is moved") == []
    assert len(book.search("a flight is moved", namespace=("acme",))) == 1


def test_a_retired_lesson_is_found_no_more_and_can_be_restored(book):
    lesson = book.add(when="a flight is moved", do="ask")
    assert book.retire(lesson.id, by="dana", reason="wrong").status == "retired"
    assert book.search("a flight is moved") == []
    assert book.restore(lesson.id).status == "candidate"
    assert book.search("a flight is moved")[0][0].id == lesson.id
    assert [(r.kind, r.actor) for r in book.history(lesson.id)] == [("add", "human"), ("status", "dana"), ("restore", "human")]


def test_a_reworded_lesson_goes_on_trial_again_and_is_found_by_its_new_words(book):
    lesson = book.approve(book.add(when="a flight is moved", do="ask").id)
    changed = book.edit(lesson.id, when="a booking is cancelled")
    assert (lesson.status, changed.status, changed.revision) == ("active", "candidate", 3)
    assert book.search("a booking is cancelled")[0][1] > book.search("a flight is moved")[0][1]


def test_what_a_reflection_writes_waits_where_a_person_reviews(ledger):
    book = LessonBook(ledger, ExactIndex(), resolve_embedder(Words()), review="required")
    edit = LessonEdit(kind="add", text=LessonText(when="a flight is moved", do="ask"))
    (done,) = book.commit([edit], namespace=("default",), actor="R-000000000001")
    assert book.show(done.lesson_id).status == "proposed"
    assert book.search("a flight is moved") == []
    assert book.approve(done.lesson_id, by="dana").status == "active"
    assert len(book.search("a flight is moved")) == 1


def test_edits_of_one_commit_see_each_other_and_a_bad_one_stops_none(book):
    kept, gone = book.add(when="a", do="b"), book.add(when="c", do="d")
    edits = [
        LessonEdit(kind="merge", lesson_id=kept.id, merged=(gone.id,)),
        LessonEdit(kind="retire", lesson_id="L-unknown"),
        LessonEdit(kind="retire", lesson_id=gone.id),
    ]
    done = book.commit(edits, namespace=("default",), actor="R-1")
    assert [d.applied for d in done] == [True, False, False]
    assert "L-unknown" in done[1].reason
    assert "already superseded" in done[2].reason
    assert book.show(gone.id).status == "superseded"


def test_the_same_reflection_replayed_gives_the_same_ids(tmp_path):
    edit = LessonEdit(kind="add", text=LessonText(when="a flight is moved", do="ask"))
    ids = []
    for folder in ("one", "two"):
        with Ledger(tmp_path / folder) as ledger:
            book = LessonBook(ledger, ExactIndex(), resolve_embedder(Words()))
            ids.append([d.lesson_id for d in book.commit([edit, edit], namespace=("default",), actor="R-1")])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2


def test_when_the_index_is_down_the_ledger_answers_and_it_is_said_once(ledger, caplog):
    book = LessonBook(ledger, Down(), resolve_embedder(Words()))
    lesson = book.add(when="a flight is moved", do="ask")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert book.search("a flight is moved is a")[0][0] == lesson
    assert book.add(when="a flight is cancelled", do="refund") in [found for found, _ in book.search("a flight is cancelled")]


def test_a_change_by_another_process_is_found_at_the_next_recall(book, tmp_path):
    book.search("anything")
    with Ledger(tmp_path) as other:
        lesson = LessonBook(other, ExactIndex(), resolve_embedder(Words())).add(when="a flight is moved", do="ask")
    assert book.search("a flight is moved")[0][0] == lesson


def test_an_embedder_whose_vectors_changed_is_refused_with_the_way_out(ledger):
    LessonBook(ledger, ExactIndex(), resolve_embedder(Words())).add(when="a flight is moved", do="ask")
    changed = LessonBook(ledger, ExactIndex(), resolve_embedder(Words(shift=1)))
    with pytest.raises(EmbedderChanged, match="reflect reindex"):
        changed.search("a flight is moved")


def test_reindex_fills_the_index_without_embedding_anything_again(ledger):
    first = Words()
    LessonBook(ledger, ExactIndex(), resolve_embedder(first)).add(when="a flight is moved", do="ask")
    second = Words()
    book = LessonBook(ledger, ExactIndex(), resolve_embedder(second))
    assert book.reindex() == 1
    assert [text for text in second.embedded if "a flight is moved" in text] == []
    assert len(book.search("a flight is moved")) == 1


def test_an_embedder_that_fails_does_not_undo_the_lesson(ledger, caplog):
    class Broken(Words):
        def embed_documents(self, texts):
            raise OSError("disk")

    book = LessonBook(ledger, ExactIndex(), resolve_embedder(Broken()))
    with caplog.at_level(logging.ERROR):
        lesson = book.add(when="a flight is moved", do="ask")
    assert ledger.lesson(lesson.id) == lesson
    assert "not yet embedded" in caplog.text
    assert LessonBook(ledger, ExactIndex(), resolve_embedder(Words())).search("a flight is moved")[0][0] == lesson


def test_bad_changes_are_refused_by_name(book):
    with pytest.raises(InvalidInput, match="`do` is empty"):
        book.add(when="a", do=" ")
    with pytest.raises(LessonNotFound, match="L-none"):
        book.retire("L-none")
    with pytest.raises(InvalidInput, match="already says that"):
        book.edit(book.add(when="a", do="b").id, do="b")


class Hanging(ExactIndex):
    """An index that takes its time to fail, as a server that accepts and never answers."""

    tries = 0

    def open(self, embedder_tag):
        self.tries += 1
        time.sleep(0.5)
        raise IndexUnavailable("no answer")


def test_an_index_that_hangs_is_not_asked_again_at_every_recall(ledger):
    book = LessonBook(ledger, Hanging(), resolve_embedder(Words()))
    lesson = book.add(when="a flight is moved", do="ask")
    started = time.monotonic()
    assert all(book.search("a flight is moved")[0][0] == lesson for _ in range(20))
    assert time.monotonic() - started < 0.5
    assert book.index.tries == 1


def test_an_index_that_comes_back_is_used_again(ledger, monkeypatch):
    monkeypatch.setattr("langchain_reflect.lessons.following._PAUSE", 0.0)
    index = Hanging()
    book = LessonBook(ledger, index, resolve_embedder(Words()))
    book.add(when="a flight is moved", do="ask")
    monkeypatch.setattr(Hanging, "open", ExactIndex.open)
    book.search("a flight is moved")
    deadline = time.monotonic() + 10
    while index.count() == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert index.count() == 1
    assert len(book.search("a flight is moved")) == 1
