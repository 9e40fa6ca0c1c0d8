import json
import os
import subprocess
import sys
import threading
import time
from unittest.mock import MagicMock

import chromadb
import numpy as np
import pytest
from chromadb.api.models.Collection import Collection
from chromadb.config import Settings

from langchain_reflect.errors import EmbedderChanged, IndexUnavailable, InvalidInput
from langchain_reflect.index import chroma_rows as rows
from langchain_reflect.index import folder as folders
from langchain_reflect.index.base import EmbedderTag
from langchain_reflect.index.chroma import ChromaIndex
from langchain_reflect.index.chroma_collections import EF_SEARCH
from langchain_reflect.index.generations import MARKER

from .conftest import entry, tag_of, unit

HERE = ("default",)
OWN_AND_WAIT = """
import sys
from langchain_reflect.index.base import EmbedderTag
from langchain_reflect.index.chroma import ChromaIndex
index = ChromaIndex(sys.argv[1])
index.open(EmbedderTag("fake", 8, (1.0, 1.0, *[0.0] * 6)))
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path):
    yield tmp_path / "chroma"
    folders._close_all()


def generation(folder):
    return next(folder.glob("reflect-index-*"))


@pytest.fixture
def index(folder, tag):
    made = ChromaIndex(folder)
    made.open(tag)
    yield made
    made.close()


def test_vectors_are_there_again_after_closing(index, folder, tag):
    index.upsert([entry("L-a", unit(1))])
    index.close()
    again = ChromaIndex(str(folder))
    again.open(tag)
    assert again.query(unit(1), namespace=HERE, limit=1)[0].lesson_id == "L-a"


def test_nothing_is_made_on_disk_before_open(folder):
    ChromaIndex(folder)
    assert not folder.exists()


def test_use_before_open_says_what_to_do(folder):
    with pytest.raises(IndexUnavailable, match="open"):
        ChromaIndex(folder).count()


def test_no_text_and_no_namespace_is_stored(index, folder):
    index.upsert([entry("L-a", unit(1), namespace=("acme", "secret-project"))])
    row = index._collection.get(include=["metadatas", "documents"])
    assert row["documents"] == [None]
    assert set(row["metadatas"][0]) == {"lesson_id", "revision", "namespace"}
    assert "secret-project" not in json.dumps(row["metadatas"])


def test_two_indexes_on_one_folder_share_it_within_a_process(index, folder, tag):
    other = ChromaIndex(folder)
    other.open(tag)
    other.upsert([entry("L-a", unit(1))])
    other.close()
    assert index.query(unit(1), namespace=HERE, limit=1)[0].lesson_id == "L-a"


def test_a_second_process_is_refused_while_the_first_lives(index, folder):
    second = subprocess.run([sys.executable, "-c", OWN_AND_WAIT, folder], input="", capture_output=True, text=True, check=False)
    assert "IndexUnavailable" in second.stderr
    assert "another process" in second.stderr


def test_a_folder_whose_owner_was_killed_is_emptied_instead_of_opened(folder, tag, caplog):
    owner = subprocess.Popen([sys.executable, "-c", OWN_AND_WAIT, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert owner.stdout.readline() == b"open\n"
    owner.kill()
    owner.communicate()
    (generation(folder) / "chroma.sqlite3").write_bytes(b"damaged")
    index = ChromaIndex(folder)
    index.open(tag)
    assert index.count() == 0
    assert "filled anew" in caplog.text
    index.upsert([entry("L-a", unit(1))])
    assert index.count() == 1


def test_a_folder_that_was_closed_at_exit_is_kept(folder, tag):
    fill = OWN_AND_WAIT + "import numpy as np\nfrom langchain_reflect.index.base import IndexEntry\n"
    fill += "index.upsert([IndexEntry('L-a', 1, ('default',), np.eye(1, 8, dtype=np.float32))])\n"
    subprocess.run([sys.executable, "-c", fill, folder], input=b"", capture_output=True, check=True)
    index = ChromaIndex(folder)
    index.open(tag)
    assert index.count() == 1


def test_a_folder_of_another_chroma_version_is_filled_anew(index, folder, tag):
    index.upsert([entry("L-a", unit(1))])
    index.close()
    state = json.loads((folder / MARKER).read_text())
    (folder / MARKER).write_text(json.dumps({**state, "chroma": "99.0"}))
    index.open(tag)
    assert index.count() == 0


def test_a_folder_that_was_damaged_after_it_was_closed_is_never_opened(index, folder, tag, caplog):
    index.upsert([entry("L-a", unit(1))])
    index.close()
    damaged = generation(folder)
    (damaged / "chroma.sqlite3").write_bytes(b"damaged" * 1000)
    index.open(tag)
    assert index.count() == 0
    assert "filled anew" in caplog.text
    assert not damaged.exists()


def test_a_folder_in_which_chroma_has_failed_begins_anew_when_it_is_opened_again(index, folder, tag, monkeypatch):
    index.upsert([entry("L-a", unit(1))])
    failed = generation(folder)
    monkeypatch.setattr(index._collection, "query", lambda **_: 1 / 0, raising=False)
    with pytest.raises(IndexUnavailable, match="ZeroDivisionError"):
        index.query(unit(1), namespace=HERE, limit=1)
    index.open(tag)
    assert index.count() == 0
    assert generation(folder) != failed


def test_a_folder_in_which_chroma_has_failed_is_not_closed_as_if_it_were_well(index, folder, tag, monkeypatch):
    index.upsert([entry("L-a", unit(1))])
    monkeypatch.setattr(index._collection, "query", lambda **_: 1 / 0, raising=False)
    with pytest.raises(IndexUnavailable):
        index.query(unit(1), namespace=HERE, limit=1)
    index.close()
    index.open(tag)
    assert index.count() == 0


def test_the_other_index_of_a_folder_is_told_that_it_was_made_anew(index, folder, tag):
    other = ChromaIndex(folder)
    other.open(tag)
    for make_anew in (index.reset, lambda: (index._folder.empty(), index.open(tag))):
        other.upsert([entry("L-a", unit(1))])
        make_anew()
        with pytest.raises(IndexUnavailable, match="made anew"):
            other.count()
        other.open(tag)
        assert other.count() == 0


def test_what_somebody_else_keeps_in_the_folder_is_left_alone(folder, tag):
    client = chromadb.PersistentClient(str(folder), settings=Settings(anonymized_telemetry=False))
    client.create_collection("theirs", embedding_function=None)
    index = ChromaIndex(folder)
    index.open(tag)
    index.upsert([entry("L-a", unit(1))])
    index._folder.empty()
    index.open(tag)
    assert [c.name for c in client.list_collections()] == ["theirs"]
    assert (folder / "chroma.sqlite3").exists()
    client.close()


def test_a_folder_that_cannot_be_made_is_named_with_the_way_out(tmp_path, tag):
    (tmp_path / "file").write_text("")
    with pytest.raises(IndexUnavailable, match=r"(?s)file/chroma.*REFLECT_CHROMA"):
        ChromaIndex(tmp_path / "file" / "chroma").open(tag)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named_with_the_way_out(folder, tag):
    folder.mkdir()
    folder.parent.chmod(0o500)
    try:
        with pytest.raises(IndexUnavailable, match="chroma"):
            ChromaIndex(folder).open(tag)
    finally:
        folder.parent.chmod(0o700)


def test_another_embedder_is_refused_and_reset_accepts_it(index, folder):
    index.upsert([entry("L-a", unit(1))])
    with pytest.raises(EmbedderChanged, match="'another'"):
        index.open(tag_of("another"))
    index.reset()
    assert index.count() == 0
    assert len(index._folder.client().list_collections()) == 1


def test_a_collection_of_another_release_is_refused(index, tag):
    index._collection.modify(metadata={"format": 99})
    with pytest.raises(EmbedderChanged, match="another release"):
        index.open(tag)


def test_a_query_looks_at_more_of_the_graph_than_chroma_would_by_itself(index):
    assert index._collection.get_model().configuration_json["hnsw"]["ef_search"] == EF_SEARCH


def test_a_panic_inside_chroma_becomes_index_unavailable(index, monkeypatch):
    class PanicError(BaseException):
        pass

    def panic(*_, **__):
        raise PanicError("range start index 10 out of range")

    monkeypatch.setattr(index._collection, "query", panic, raising=False)
    with pytest.raises(IndexUnavailable, match="PanicError"):
        index.query(unit(1), namespace=HERE, limit=1)


def test_more_rows_than_chroma_takes_at_once_are_split(index, monkeypatch):
    monkeypatch.setattr("langchain_reflect.index.chroma_rows.EMBEDDED_BATCH", 7)
    monkeypatch.setattr("langchain_reflect.index.chroma_rows.IDS_PER_FILTER", 7)
    index.upsert([entry(f"L-{n}", unit(1, n), unit(0, 1, n)) for n in range(20)])
    assert index.count() == 40
    index.upsert([entry(f"L-{n}", unit(1, n)) for n in range(20)])
    assert index.count() == 20


@pytest.mark.parametrize(
    ("is_embedded", "sizes"),
    [pytest.param(True, [50, 50, 20], id="embedded, where all threads wait meanwhile"), pytest.param(False, [120], id="a server")],
)
def test_embedded_chroma_is_given_few_rows_at_a_time(is_embedded, sizes, monkeypatch):
    calls, rests = [], []
    monkeypatch.setattr(rows.time, "sleep", rests.append)
    collection = MagicMock(spec=Collection)
    collection.upsert.side_effect = lambda ids, **_: calls.append(len(ids))
    collection.get.return_value = {"ids": []}
    rows.write(collection, [entry(f"L-{n}", unit(1, n)) for n in range(120)], is_embedded=is_embedded)
    assert calls == sizes
    assert len(rests) == len(sizes) - 1, "other threads get on between two writes"


def test_a_folder_is_filled_in_small_writes_and_forgets_in_small_steps(index, monkeypatch):
    spy = MagicMock(wraps=index._collection)
    monkeypatch.setattr(index, "_collection", spy)
    index.upsert([entry(f"L-{n}", unit(1, n)) for n in range(120)])
    index.delete([f"L-{n}" for n in range(120)])
    assert (spy.upsert.call_count, spy.delete.call_count) == (3, 3)
    assert index.count() == 0


def test_a_clients_own_client_is_taken_for_embedded_unless_it_speaks_http():
    remote = MagicMock(spec=["get_collection", "_server"])
    assert not ChromaIndex(remote)._is_embedded
    assert ChromaIndex(MagicMock(spec=["get_collection"]))._is_embedded


def test_no_write_has_to_wait_until_chroma_has_made_up_for_those_before(folder):
    vectors = np.random.default_rng(0).normal(size=(550, 384)).astype(np.float32)
    index = ChromaIndex(folder)
    index.open(EmbedderTag("wide", 384, (1.0, *[0.0] * 383)))
    index.upsert([entry(f"L-{n}", vectors[n]) for n in range(500)])
    assert index.count() == 500
    begun = time.process_time()  # not the clock on the wall, since others may use the machine
    index.upsert([entry(f"L-{n}", vectors[n]) for n in range(500, 550)])
    assert time.process_time() - begun < 0.5, "with 500 rows in arrears it is more than a second"
    index.close()


def test_threads_may_write_and_query_at_once(index):
    errors = []

    def work(n):
        try:
            for i in range(5):
                index.upsert([entry(f"L-{n}-{i}", unit(1, n, i))])
                index.query(unit(1), namespace=HERE, limit=2)
        except IndexUnavailable as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert index.count() == 20


def test_a_clients_own_client_is_used_and_stays_open(folder, tag):
    client = chromadb.PersistentClient(str(folder), settings=Settings(anonymized_telemetry=False))
    index = ChromaIndex(client)
    index.open(tag)
    index.upsert([entry("L-a", unit(1))])
    index.close()
    assert len(client.list_collections()) == 1
    client.close()


def test_books_with_different_names_do_not_touch_each_other(folder, tag):
    one, two = ChromaIndex(folder, name="one"), ChromaIndex(folder, name="two")
    one.open(tag)
    two.open(tag_of("another"))
    one.upsert([entry("L-a", unit(1))])
    two.reset()
    assert (one.count(), two.count()) == (1, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_child_is_refused_and_leaves_the_parent_alone(index, folder, tag):
    index.upsert([entry("L-a", unit(1))])
    child = os.fork()
    if child == 0:
        refused = 0
        for attempt in (index.count, lambda: ChromaIndex(folder).open(tag)):
            try:
                attempt()
            except IndexUnavailable:
                refused += 1
        index.close()
        folders._close_all()
        os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert index.count() == 1
    second = subprocess.run([sys.executable, "-c", OWN_AND_WAIT, folder], input="", capture_output=True, text=True, check=False)
    assert "another process" in second.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_an_index_that_was_not_opened_before_a_fork_can_be_opened_after_it(folder, tag):
    made = ChromaIndex(folder)
    made._lock.acquire()  # as another thread of the parent might, which the child has not
    child = os.fork()
    if child == 0:
        made.open(tag)
        made.upsert([entry("L-a", unit(1))])
        os._exit(made.count())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


@pytest.mark.parametrize("where", [3, None, object()])
def test_what_is_no_place_is_refused(where):
    with pytest.raises(InvalidInput, match=r"http\(s\)://"):
        ChromaIndex(where)


@pytest.mark.enable_socket
def test_a_server_that_is_down_is_unavailable_and_its_password_stays_secret(tag):
    index = ChromaIndex("http://me:hunter2@127.0.0.1:9/?key=hunter2")
    with pytest.raises(IndexUnavailable, match=r"127\.0\.0\.1:9") as caught:
        index.open(tag)
    assert "hunter2" not in str(caught.value)
