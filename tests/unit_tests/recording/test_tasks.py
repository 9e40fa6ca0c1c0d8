import pytest
from langchain_core.embeddings import Embeddings

from langchain_reflect import Episode
from langchain_reflect.agents.episodes import new_id
from langchain_reflect.index.embeddings import resolve_embedder
from langchain_reflect.lessons.shelf import vectors_of
from langchain_reflect.recording.recorder import Recorder
from langchain_reflect.recording.tasks import TaskKeeper

TASK = "move my flight"


class Alike(Embeddings):
    symmetric = True
    model = "alike"

    def __init__(self):
        self.asked = []

    def embed_documents(self, texts):
        self.asked += texts
        return [[1.0 + text.count(letter) for letter in "abcdefg"] for text in texts]

    def embed_query(self, text):
        return self.embed_documents([text])[0]


@pytest.fixture
def embedder():
    return resolve_embedder(Alike())


def an_episode(**given):
    return Episode(**({"id": new_id(), "graph": "flights", "task": TASK, "status": "ok"} | given))


def test_a_task_that_was_searched_with_is_never_embedded_again(ledger, embedder):
    asked = embedder.embed_query(TASK)
    with Recorder(TaskKeeper(ledger, embedder)) as recorder:
        recorder.save(an_episode())
    worker = resolve_embedder(Alike())
    assert (vectors_of(ledger, worker, [TASK])[TASK] == asked).all()
    assert worker._backend is None
    assert embedder._backend.asked == [TASK]


@pytest.mark.parametrize("given", [{"task_key": "T-1"}, {"status": "running"}, {"task": "move [masked] flight"}])
def test_nothing_is_kept_of_tasks_with_a_key_runs_that_go_on_or_texts_that_were_masked(ledger, embedder, given):
    embedder.embed_query(TASK)
    TaskKeeper(ledger, embedder).save_episodes([(an_episode(**given), ())])
    assert ledger.text_vectors(embedder.id, [TASK, "move [masked] flight"]) == {}
    assert len(ledger.episodes()) == 1


def test_a_task_that_nobody_searched_with_is_not_embedded_here(ledger, embedder):
    TaskKeeper(ledger, embedder).save_episodes([(an_episode(), ())])
    assert embedder._backend is None


def test_an_erased_episode_takes_the_vector_along(ledger, embedder):
    embedder.embed_query(TASK)
    episode = an_episode()
    TaskKeeper(ledger, embedder).save_episodes([(episode, ())])
    assert TASK in ledger.text_vectors(embedder.id, [TASK])
    assert ledger.forget(episode=episode.id).vectors == 1
    assert ledger.text_vectors(embedder.id, [TASK]) == {}


def test_vectors_that_cannot_be_kept_lose_no_episode(ledger, embedder, monkeypatch):
    def refuse(*_):
        raise OSError("disk full")

    embedder.embed_query(TASK)
    monkeypatch.setattr(ledger, "put_vectors", refuse)
    TaskKeeper(ledger, embedder).save_episodes([(an_episode(), ())])
    assert len(ledger.episodes()) == 1
