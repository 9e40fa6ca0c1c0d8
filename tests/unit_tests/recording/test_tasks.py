from datetime import timedelta

import pytest
from langchain_core.embeddings import Embeddings

from langchain_reflect import Episode
from langchain_reflect.agents.episodes import new_id
from langchain_reflect.index.embeddings import resolve_embedder
from langchain_reflect.lessons.shelf import vectors_of
from langchain_reflect.recording.recorder import Recorder
from langchain_reflect.recording.tasks import TaskKeeper
from langchain_reflect.types import Lesson, Revision, now

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


def test_a_task_with_a_key_is_kept_too_for_lessons_name_it(ledger, embedder):
    asked = embedder.embed_query(TASK)
    TaskKeeper(ledger, embedder).save_episodes([(an_episode(task_key="T-1"), ())])
    assert (ledger.text_vectors(embedder.id, [TASK])[TASK] == asked).all()


def test_a_task_that_no_database_takes_as_it_is_can_be_found_and_erased(ledger, embedder):
    embedder.embed_query("move\0it")
    episode = an_episode(task="move\0it")
    TaskKeeper(ledger, embedder).save_episodes([(episode, ())])
    assert len(ledger.text_vectors(embedder.id, [ledger.episode(episode.id).task])) == 1
    assert ledger.forget(episode=episode.id).vectors == 1


@pytest.mark.parametrize("given", [{"status": "running"}, {"task": "move [masked] flight"}])
def test_nothing_is_kept_of_runs_that_go_on_or_texts_that_were_masked(ledger, embedder, given):
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


def test_the_vector_goes_with_the_trajectory_unless_a_lesson_names_the_task(ledger, embedder):
    for task in (TASK, "book a hotel", "rent a car"):
        embedder.embed_query(task)
    month_ago, keeper = now() - timedelta(days=31), TaskKeeper(ledger, embedder)
    keeper.save_episodes([(an_episode(started_at=month_ago), ()), (an_episode(task="book a hotel", started_at=month_ago), ())])
    keeper.save_episodes([(an_episode(task="rent a car"), ())])
    ledger.append_revisions([Revision(lesson=Lesson(id="L-1", when="w", do="d", tasks=("book a hotel",)), kind="add", actor="human")])
    assert ledger.trim(timedelta(days=30)) == 2
    assert set(ledger.text_vectors(embedder.id, [TASK, "book a hotel", "rent a car"])) == {"book a hotel", "rent a car"}


def test_vectors_that_cannot_be_kept_lose_no_episode(ledger, embedder, monkeypatch):
    def refuse(*_):
        raise OSError("disk full")

    embedder.embed_query(TASK)
    monkeypatch.setattr(ledger, "put_vectors", refuse)
    TaskKeeper(ledger, embedder).save_episodes([(an_episode(), ())])
    assert len(ledger.episodes()) == 1
