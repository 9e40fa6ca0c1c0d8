import multiprocessing
import os
import signal
import time
from contextlib import closing

import pytest
from langchain_core.embeddings import Embeddings

from langchain_reflect import Ledger
from langchain_reflect.errors import EmbedderChanged
from langchain_reflect.index.base import PROBE
from langchain_reflect.index.chroma import ChromaIndex
from langchain_reflect.index.embeddings import resolve_embedder
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.lessons import spaces
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.lessons.paraphrases import TRIOS
from langchain_reflect.lessons.spaces import tag_in_use, take_over

OTHERS = {PROBE, *(text for trio in TRIOS for text in trio)}
FLIGHT = "a flight is moved"


class Letters(Embeddings):
    """How often each of some letters occurs; `model` is its name, `letters` its space."""

    def __init__(self, letters="abcdefgh", model="letters"):
        self.letters, self.model = letters, model
        self.embedded = []

    def embed_documents(self, texts):
        self.embedded += [text for text in texts if text not in OTHERS]
        return [[1.0 + text.count(letter) for letter in self.letters] for text in texts]

    def embed_query(self, text):
        return self.embed_documents([text])[0]


def made(letters="abcdefgh", model="letters"):
    return resolve_embedder(Letters(letters, model))


def texts_of(embedder):
    return embedder._model().embedded


@pytest.fixture
def book(ledger):
    """100 lessons, compared by the letters a to h."""
    book = LessonBook(ledger, ExactIndex(), made())
    for n in range(100):
        book.add(when=f"{FLIGHT} {n} times", do="ask")
    assert len(book.search(FLIGHT)) == 10
    return book


def test_another_embedder_takes_over_and_is_found_by(book, ledger):
    other = made("qrstuvw", "other")
    assert book.reindex(other) == 100
    assert tag_in_use(ledger) == other.tag
    assert len(texts_of(other)) == 100
    after = LessonBook(ledger, book.index, other)
    assert len(after.search(FLIGHT, limit=100)) == 100
    assert len(texts_of(other)) == 101


def test_a_process_with_the_former_embedder_works_until_the_switch_and_then_learns_the_way_out(book, ledger):
    seen = []
    book.reindex(made("qrstuvw", "other"), progress=lambda done, total: seen.append((done, total, len(book.search(FLIGHT)))))
    assert seen == [(64, 100, 10), (100, 100, 10)]
    with pytest.raises(EmbedderChanged, match=r"(?s)other.*reflect reindex"):
        book.search(FLIGHT)
    with pytest.raises(EmbedderChanged):
        book.field(book.embedder.embed_query(FLIGHT), ("default",))


def test_lessons_written_meanwhile_are_embedded_before_the_switch(book, ledger):
    other = made("qrstuvw", "other")
    late = []

    def write(done, total):
        if not late:
            late.append(book.add(when="a late lesson", do="ask"))

    book.reindex(other, progress=write)
    assert ledger.missing_texts(other.id, late) == []
    assert tag_in_use(ledger) == other.tag


def test_going_back_embeds_nothing_until_pruned(book, ledger):
    book.reindex(other := made("qrstuvw", "other"))
    back = made()
    LessonBook(ledger, book.index, other).reindex(back)
    assert texts_of(back) == []
    assert book.search(FLIGHT)
    assert book.prune_vectors() == 100
    take_over(ledger, again := made("qrstuvw", "other"))
    assert len(texts_of(again)) == 100


def test_another_model_under_the_same_name_gets_vectors_of_its_own(book, ledger):
    changed = made("qrstuvwx")
    assert changed.id == book.embedder.id
    seen = []
    book.reindex(changed, progress=lambda *_: seen.append(len(book.search(FLIGHT))))
    assert seen == [10, 10]
    assert len(texts_of(changed)) == 100
    after = LessonBook(ledger, ExactIndex(), changed)
    ((lesson, cosine),) = after.search(f"{FLIGHT} 7 times ask", limit=1)
    assert cosine > 0.99
    assert ledger.text_vectors(changed.id, [lesson.key_text()])[lesson.key_text()] @ changed.embed_documents([lesson.key_text()])[0] > 0.999


def test_vectors_of_a_model_that_has_changed_since_it_was_used_are_not_used(book, ledger):
    book.reindex(other := made("qrstuvw", "other"))
    changed = made("qrstuvwx")
    LessonBook(ledger, ExactIndex(), other).reindex(changed)
    assert len(texts_of(changed)) == 100


def test_reindexing_with_the_same_embedder_changes_no_version_and_embeds_nothing(book, ledger):
    version, before = ledger.lessons_version(), len(texts_of(book.embedder))
    assert book.reindex() == 100
    assert (ledger.lessons_version(), len(texts_of(book.embedder))) == (version, before)


def test_a_folder_gets_the_vectors_of_the_new_embedder(ledger, tmp_path):
    index = ChromaIndex(tmp_path / "chroma")
    with closing(index):
        book = LessonBook(ledger, index, made())
        added = [book.add(when=f"{FLIGHT} {n} times", do="ask") for n in range(3)]
        assert book.reindex() == 3
        assert book.reindex(made("qrstuvw", "other")) == 3
        assert index.count() == 3
        after = LessonBook(ledger, index, made("qrstuvw", "other"))
        assert {lesson for lesson, _ in after.search(FLIGHT)} == set(added)


def test_an_index_that_a_switch_could_not_reach_is_filled_by_its_owner_afterwards(ledger, tmp_path):
    with closing(ChromaIndex(tmp_path / "chroma")) as index:
        book = LessonBook(ledger, index, made())
        book.add(when=FLIGHT, do="ask")
        book.reindex()
    take_over(ledger, other := made("qrstuvw", "other"))
    with closing(ChromaIndex(tmp_path / "chroma")) as index:
        after = LessonBook(ledger, index, other)
        deadline = time.monotonic() + 20
        while not after._finder._follower._is_ready and time.monotonic() < deadline:
            assert len(after.search(FLIGHT)) == 1
        assert index.count() == 1
        assert len(after.search(FLIGHT)) == 1
        after.close()


def _reindex_and_die(path):
    def die(done, _total):
        if done >= 128:
            os.kill(os.getpid(), signal.SIGKILL)

    with Ledger(path) as ledger:
        take_over(ledger, made("qrstuvw", "other"), die)


def test_a_kill_in_the_middle_leaves_the_former_in_use_and_the_next_run_goes_on(book, ledger, tmp_path):
    for n in range(100, 200):
        book.add(when=f"{FLIGHT} {n} times", do="ask")
    child = multiprocessing.get_context("spawn").Process(target=_reindex_and_die, args=(tmp_path,))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert tag_in_use(ledger) == book.embedder.tag
    assert len(book.search(FLIGHT)) == 10
    book.reindex(other := made("qrstuvw", "other"))
    assert len(texts_of(other)) == 200 - 128
    assert tag_in_use(ledger) == other.tag


def test_a_provider_that_fails_in_the_middle_is_heard_and_resumed(book, ledger):
    class Limited(Letters):
        def embed_documents(self, texts):
            if len(self.embedded) >= 64 and not set(texts) <= OTHERS:
                raise ConnectionError("rate limit")
            return super().embed_documents(texts)

    with pytest.raises(ConnectionError, match="rate limit"):
        take_over(ledger, resolve_embedder(Limited("qrstuvw", "other")))
    assert tag_in_use(ledger) == book.embedder.tag
    assert len(ledger.missing_texts(resolve_embedder(Limited("x", "other")).id, ledger.lessons())) == 100 - spaces.BATCH


def test_on_either_database_the_switch_is_refused_if_lessons_changed(either):
    version = either.lessons_version()
    assert not either.adopt_vectors("new", made_as="new", since=version - 1, meta={"k": "v"})
    either.put_vectors("new (new)", {"text": made().embed_query("text")})
    either.put_vectors("new", {"text": made().embed_query("txet"), "other": made().embed_query("other")})
    assert either.meta("k") is None
    assert either.adopt_vectors("new", made_as="new (new)", since=either.lessons_version(), meta={"k": "v"})
    assert either.meta("k") == "v"
    assert list(either.text_vectors("new", ["text", "other"])) == ["text"]
    assert either.drop_vectors(but="new") == 0
    assert either.drop_vectors("new") == 1
