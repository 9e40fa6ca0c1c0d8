"""A real Chroma server on a free loopback port: what `REFLECT_CHROMA=http://…` gives."""

import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import chromadb
import httpx
import numpy as np
import pytest

from langchain_reflect.errors import EmbedderChanged, IndexUnavailable
from langchain_reflect.index import chroma as chroma_module
from langchain_reflect.index.base import EmbedderTag, IndexEntry
from langchain_reflect.index.chroma import ChromaIndex
from langchain_reflect.index.embeddings import Embedder, resolve_embedder
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.book import LessonBook
from tests.unit_tests.words import Words

pytestmark = [pytest.mark.enable_socket, pytest.mark.slow]

HERE = ("default",)
TAG = EmbedderTag("fake", 4, (1.0, 0.0, 0.0, 0.0))


def entry(lesson_id, *rows):
    return IndexEntry(lesson_id, 1, HERE, np.array(rows, np.float32))


def axis(n):
    return np.eye(4, dtype=np.float32)[n]


def start(folder, port):
    command = [str(Path(sys.executable).with_name("chroma")), "run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if server.poll() is not None:
            pytest.fail(f"`{' '.join(command)}` ended with code {server.returncode}")
        try:
            httpx.get(f"http://127.0.0.1:{port}/api/v2/heartbeat", timeout=1)
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return server
    stop(server)
    pytest.fail("the Chroma server did not answer within a minute")


def stop(server):
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    port = free_port()
    server = start(tmp_path_factory.mktemp("server"), port)
    yield f"http://127.0.0.1:{port}"
    stop(server)


@pytest.fixture
def index(url, monkeypatch):
    monkeypatch.setattr(chroma_module, "QUERY_SECONDS", 10.0)  # these are not about speed, and the machine may be busy
    opened = ChromaIndex(url)
    opened.open(TAG)
    opened.reset()
    yield opened
    opened.close()


def test_lessons_are_written_found_replaced_and_deleted(index):
    index.upsert([entry("L-a", axis(0), axis(1)), entry("L-b", axis(2))])
    assert [hit.lesson_id for hit in index.query(axis(1), namespace=HERE, limit=1)] == ["L-a"]
    index.upsert([entry("L-a", axis(3))])
    assert index.count() == 2
    index.delete(["L-a"])
    assert [hit.lesson_id for hit in index.query(axis(3), namespace=HERE, limit=5)] == ["L-b"]


def test_two_clients_see_each_others_lessons_and_survive_each_others_reset(index, url):
    other = ChromaIndex(url + "/")
    other.open(TAG)
    other.upsert([entry("L-a", axis(0))])
    assert index.count() == 1
    other.reset()
    with pytest.raises(IndexUnavailable, match="made anew"):
        index.count()
    index.open(TAG)
    assert index.count() == 0
    index.upsert([entry("L-b", axis(0))])
    assert other.query(axis(0), namespace=HERE, limit=1)[0].lesson_id == "L-b"
    other.close()


def test_each_embedder_has_a_collection_of_its_own_until_it_is_pruned(index, url):
    index.upsert([entry("L-a", axis(0))])
    other = ChromaIndex(url)
    other.open(EmbedderTag("another", 4, TAG.probe))
    other.upsert([entry("L-b", axis(1))])
    other.reset()
    assert (index.count(), other.count()) == (1, 0)
    assert other.prune() == 1
    with pytest.raises(IndexUnavailable, match="made anew"):
        index.count()
    other.close()


def test_a_model_that_changed_under_its_name_is_refused(index, url):
    index.upsert([entry("L-a", axis(0))])
    other = ChromaIndex(url)
    with pytest.raises(EmbedderChanged, match="reflect reindex"):
        other.open(EmbedderTag(TAG.id, 4, (0.0, 1.0, 0.0, 0.0)))
    other.close()


def test_another_embedder_takes_over_beside_the_one_in_use(tmp_path, url):
    class Shifted(Words):
        model = "shifted"

    def found(book):
        return [lesson.id for lesson, _ in book.search("a flight is moved", limit=1)]

    with Ledger(tmp_path / "ledger.db") as ledger:
        index, theirs = ChromaIndex(url, name="switch"), ChromaIndex(url, name="switch")
        old = LessonBook(ledger, index, resolve_embedder(Words()))
        lesson = old.add(when="a flight is moved", do="ask")
        old.reindex()
        new = LessonBook(ledger, theirs, Embedder("shifted", lambda: Shifted(3)))
        during = []
        new.reindex(progress=lambda *_: during.append((found(old), index.count())))
        assert during == [([lesson.id], 1)], "the one in use goes on until the other has all vectors"
        assert found(new) == [lesson.id]
        with pytest.raises(EmbedderChanged):
            found(old)
        assert (index.count(), theirs.count()) == (1, 1), "the former collection stays, so that going back costs nothing"
        new.prune_vectors()
        with pytest.raises(IndexUnavailable):
            index.count()
        assert theirs.count() == 1
        for book in (old, new):
            book.close()
            book.index.close()


def test_threads_share_one_index(index):
    threads = [threading.Thread(target=index.upsert, args=([entry(f"L-{n}", axis(n % 4))],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert index.count() == 8


def test_a_clients_own_client_of_a_server_is_not_taken_for_embedded(url):
    client = chromadb.HttpClient(host=url)
    assert not ChromaIndex(client)._is_embedded
    for session in chroma_module._sessions(client):
        session.close()


def test_a_server_that_went_away_is_unavailable_and_found_again_when_it_is_back(tmp_path):
    port = free_port()
    server = start(tmp_path, port)
    index = ChromaIndex(f"http://127.0.0.1:{port}")
    try:
        index.open(TAG)
        index.upsert([entry("L-a", axis(0))])
        stop(server)
        with pytest.raises(IndexUnavailable, match=str(port)):
            index.query(axis(0), namespace=HERE, limit=1)
        server = start(tmp_path, port)
        assert index.query(axis(0), namespace=HERE, limit=1)[0].lesson_id == "L-a"
        index.close()
    finally:
        stop(server)


def test_a_server_that_hangs_costs_a_query_its_time_limit_and_then_nothing(tmp_path):
    server = start(tmp_path, port := free_port())
    index = ChromaIndex(f"http://127.0.0.1:{port}")
    try:
        index.open(TAG)
        server.send_signal(signal.SIGSTOP)
        times = []
        for _ in range(6):
            begun = time.monotonic()
            with pytest.raises(IndexUnavailable, match="Timeout"):
                index.query(axis(0), namespace=HERE, limit=1)
            times.append(time.monotonic() - begun)
        assert max(times) < 0.3
        assert times[-1] < 0.05  # as many calls as may hang do so
    finally:
        server.send_signal(signal.SIGCONT)
        index.close()
        stop(server)


def test_a_server_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(chroma_module, "SECONDS", 0.3)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        begun = time.monotonic()
        with pytest.raises(IndexUnavailable, match="Timeout"):
            ChromaIndex(f"http://127.0.0.1:{deaf.getsockname()[1]}").open(TAG)
        assert time.monotonic() - begun < 5
