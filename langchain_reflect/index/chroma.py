"""Lessons in Chroma: an embedded folder, a server, or a client that the user made.

Chroma is asked for ids and distances only: what a lesson says, and whether it may be shown, comes from the ledger. One collection holds
the vectors of one embedder; a lesson is the rows `namespace:lesson_id#0`, `namespace:lesson_id#1`, …, with its namespace hashed, so
that the ids alone tell what belongs where.
"""

import hashlib
import inspect
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import numpy as np

from langchain_reflect.errors import EmbedderChanged, IndexUnavailable, InvalidInput, ReflectError
from langchain_reflect.index import folder as folders
from langchain_reflect.index.base import EmbedderTag, Hit, IndexEntry, Vector
from langchain_reflect.index.timebox import TimeBox
from langchain_reflect.types import Namespace

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection

T = TypeVar("T")

FORMAT: Final = 2
BATCH: Final = 2000
"""Rows per write; Chroma's own limit is 5461."""
EF_SEARCH: Final = 200
"""Rows that a query looks at in the graph. With Chroma's own 100, about one query in a thousand missed the nearest lesson once rows had been
written again, as several processes do with one server; with 200, none of 2,400 did."""
IDS_PER_FILTER: Final = 500
"""Lesson ids per `$in` filter; each is a variable of an SQL statement."""
SECONDS: Final = 10.0
"""How long a server may take to answer; Chroma's client alone would wait for ever."""
QUERY_SECONDS: Final = 0.15
"""How long a server may take to answer a query: half of recall's default deadline, so that there is time to look in the ledger instead."""


class ChromaIndex:
    """A `VectorIndex` in Chroma.

    Args:
        where: A folder, the `http(s)://` URL of a Chroma server, or a client of the package `chromadb` (for a server that asks for
            credentials, or Chroma Cloud). Nothing is opened before `open`.
        name: Begins the names of the collections. Books of lessons that share one server each need their own.

    Raises:
        InvalidInput: `where` is none of these.
    """

    def __init__(self, where: "str | os.PathLike[str] | ClientAPI", *, name: str = "reflect") -> None:
        self._where = where
        self._name = name
        self._tag: EmbedderTag | None = None
        self._pid = os.getpid()
        self._folder: folders.ChromaFolder | None = None
        self._client: ClientAPI | None = None
        self._collection: Collection | None = None
        self._generation = 0
        self._lock = threading.RLock()
        self._box = TimeBox()
        if not isinstance(where, str | os.PathLike):
            self._client = _checked(where)

    def __repr__(self) -> str:
        return f"ChromaIndex({self._place!r})"

    @property
    def identity(self) -> str | None:
        """The folder or URL; None for a client that the user made, whose place is unknown."""
        if not isinstance(self._where, str | os.PathLike):
            return None
        return f"{self._place if self._url else Path(self._where).resolve()}#{self._name}"

    def open(self, embedder_tag: EmbedderTag) -> None:
        """Connect, and find or make the collection of this embedder; a folder in which Chroma has failed begins anew, empty.

        Raises:
            EmbedderChanged: The collection was filled by another embedder; `reset` makes a new one. On a server each embedder has a
                collection of its own, so only a model that has changed under its name is refused there.
            IndexUnavailable: Another process owns the folder, it cannot be used, or the server does not answer.
        """
        with self._translated("open"):
            self._timed(lambda: self._open(embedder_tag), SECONDS)

    def upsert(self, entries: Sequence[IndexEntry]) -> None:
        """Put each lesson's vectors in place of those it had."""
        latest = {entry.lesson_id: entry for entry in entries}
        rows = [(_row_id(entry, n), vector, entry) for entry in latest.values() for n, vector in enumerate(entry.vectors)]
        self._run("write to", lambda collection: self._write(collection, rows, list(latest)))

    def delete(self, lesson_ids: Iterable[str]) -> None:
        """Forget these lessons; unknown ids are passed over."""
        ids = list(lesson_ids)

        def forget(collection: "Collection") -> None:
            for some in _chunks(ids, IDS_PER_FILTER):
                collection.delete(where=_any_lesson(some))

        self._run("write to", forget)

    def query(self, vector: Vector, *, namespace: Namespace, limit: int) -> list[Hit]:
        """The lessons of this namespace that are nearest, best first, each once."""
        if limit < 1:
            return []
        return self._run("query", lambda collection: _nearest(collection, vector, _hashed(namespace), limit), QUERY_SECONDS)

    def prune(self) -> int:
        """Drop the collections of other embedders, of this name; how many there were.

        Raises:
            IndexUnavailable: The server does not answer, or `open` was never called.
        """
        with self._translated("prune"):
            tag = self._require_open()
            return self._timed(lambda: self._prune(tag), SECONDS)

    def reset(self) -> None:
        """Make an empty collection in place of the embedder's own; a folder that cannot be read begins anew altogether.

        Raises:
            IndexUnavailable: Another process owns the folder, the server does not answer, or `open` was never called.
        """
        with self._translated("reset"):
            tag = self._require_open()
            self._timed(lambda: self._reset(tag), SECONDS)

    def count(self) -> int:
        """Number of vectors held."""
        return self._run("read", lambda collection: collection.count())

    def close(self) -> None:
        """Let go of the folder or the server; it can be opened again. A client that was passed in stays open."""
        if self._pid != os.getpid() or not self._lock.acquire(timeout=folders.PATIENCE):
            return
        try:
            self._tag = self._collection = None
            folder, self._folder = self._folder, None
            if folder is not None:
                folders.release(folder)
            elif self._owns_client and self._client is not None:
                client: Any = self._client  # `close` is missing from the type that chromadb declares
                self._client = None
                sessions = _sessions(client)
                client.close()
                for session in sessions:
                    session.close()
        finally:
            self._lock.release()

    @property
    def _place(self) -> str:
        """The folder, URL (without credentials) or client, for messages."""
        if not isinstance(self._where, str | os.PathLike):
            return type(self._where).__name__
        if not self._url:
            return os.fspath(self._where)
        parts = urlsplit(self._url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()

    @property
    def _url(self) -> str:
        return self._where if isinstance(self._where, str) and self._where.startswith(("http://", "https://")) else ""

    @property
    def _owns_client(self) -> bool:
        return isinstance(self._where, str | os.PathLike)

    def _run(self, doing: str, action: "Callable[[Collection], T]", seconds: float = SECONDS) -> T:
        with self._translated(doing):
            return self._timed(lambda: self._on_collection(action), seconds)

    def _timed(self, call: "Callable[[], T]", seconds: float) -> T:
        """A folder answers or fails; whatever may be a server gets a time limit."""
        if self._pid != os.getpid():
            self._adopt()
        return call() if self._owns_client and not self._url else self._box.run(call, seconds)

    def _adopt(self) -> None:
        """Begin anew in a forked child: what the parent had open cannot be used here, but a server can be asked again."""
        if self._folder is not None or not self._owns_client:
            raise IndexUnavailable(folders.after_fork(self._place))
        self._client = self._collection = None
        self._lock, self._box = threading.RLock(), TimeBox()
        self._pid = os.getpid()

    def _on_collection(self, action: "Callable[[Collection], T]") -> T:
        from chromadb.errors import NotFoundError

        try:
            return action(self._current())
        except NotFoundError:
            self._collection = None
            raise IndexUnavailable(self._made_anew()) from None

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (ReflectError, KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:
            # Chroma's errors have no common base, and a panic of its Rust core is not even an Exception.
            if self._folder is not None:
                self._folder.has_failed = True
            raise IndexUnavailable(
                f"Cannot {doing} the Chroma index at {self._place!r} ({type(error).__name__}: {error}). "
                "Recall works without it; check that the place is reachable and writable, then `reflect reindex` "
                "(learner.lessons.reindex()) makes it anew from the ledger."
            ) from error

    def _require_open(self) -> EmbedderTag:
        if self._tag is None:
            raise IndexUnavailable(f"The Chroma index at {self._place!r} is not open: call open(embedder.tag) first.")
        return self._tag

    def _made_anew(self) -> str:
        return (
            f"The Chroma collection at {self._place!r} has been made anew by another index, and may not hold all lessons yet. "
            "Recall works without it and opens it again by itself."
        )

    def _open(self, tag: EmbedderTag) -> None:
        with self._lock:
            self._tag, self._collection = tag, None
            if self._folder is not None and self._folder.has_failed:
                self._folder.empty()
            client = self._connected()
            self._generation = 0 if self._folder is None else self._folder.generation
            self._collection = self._attach(client, tag)

    def _reset(self, tag: EmbedderTag) -> None:
        with self._lock:
            try:
                self._drop(tag)
                self._open(tag)
            except IndexUnavailable:
                if self._folder is None:
                    raise
                self._folder.empty()
                self._open(tag)

    def _current(self) -> "Collection":
        self._require_open()
        with self._lock:
            if self._collection is None or (self._folder is not None and self._folder.generation != self._generation):
                raise IndexUnavailable(self._made_anew())
            return self._collection

    def _connected(self) -> "ClientAPI":
        if self._url and self._client is None:
            self._client = _connect(self._url)
        if self._client is not None:
            return self._client
        if self._folder is None:
            self._folder = folders.acquire(self._place)
        return self._folder.client()

    def _attach(self, client: "ClientAPI", tag: EmbedderTag) -> "Collection":
        """The collection of this embedder: found and checked, or made."""
        own = _collection_name(self._name, tag.id)
        present = self._collections(client)
        if own in present:
            collection = client.get_collection(own, embedding_function=None)
            tag.check(_stored_tag(collection))
            return collection
        if self._folder is not None and (others := [name for name in present if name != own]):
            tag.check(_stored_tag(client.get_collection(others[0], embedding_function=None)))
        return client.create_collection(
            own,
            embedding_function=None,
            configuration={"hnsw": {"space": "cosine", "ef_search": EF_SEARCH}},
            metadata=_metadata(tag),
            get_or_create=True,
        )

    def _collections(self, client: "ClientAPI") -> list[str]:
        return sorted(c.name for c in client.list_collections() if c.name.startswith(f"{self._name}-"))

    def _drop(self, tag: EmbedderTag) -> None:
        """A folder has one owner and keeps one collection; on a server, others may still be asking that of the embedder before."""
        with self._translated("reset"):
            self._collection = None
            client = self._connected()
            for name in self._collections(client):
                if self._folder is not None or name == _collection_name(self._name, tag.id):
                    client.delete_collection(name)

    def _prune(self, tag: EmbedderTag) -> int:
        client, own = self._connected(), _collection_name(self._name, tag.id)
        others = [name for name in self._collections(client) if name != own]
        for name in others:
            client.delete_collection(name)
        return len(others)

    def _write(self, collection: "Collection", rows: "list[tuple[str, Vector, IndexEntry]]", lesson_ids: list[str]) -> None:
        for some in _chunks(rows, BATCH):
            collection.upsert(
                ids=[row_id for row_id, _, _ in some],
                embeddings=np.stack([vector for _, vector, _ in some]),
                metadatas=[{"lesson_id": e.lesson_id, "revision": e.revision, "namespace": _hashed(e.namespace)} for _, _, e in some],
            )
        # A lesson that has fewer vectors than before: the new ones are in place, so nothing is missing at any moment.
        kept = {row_id for row_id, _, _ in rows}
        for ids in _chunks(lesson_ids, IDS_PER_FILTER):
            stale = set(collection.get(where=_any_lesson(ids), include=[])["ids"]) - kept
            for some_stale in _chunks(sorted(stale), BATCH):
                collection.delete(ids=some_stale)


def _nearest(collection: "Collection", vector: Vector, namespace: str, limit: int) -> list[Hit]:
    """Without a filter first: Chroma reads all rows that match one before it searches, some 300 ms for 100,000.

    If too few of what is near belong to the namespace, it is a small part of the collection, and a filter is cheap.
    """
    found = _found(collection, vector, namespace, limit * 4, where=None)
    rows = limit * 4
    while len(found) < limit:
        found = _found(collection, vector, namespace, rows, where={"namespace": namespace})
        if found.rows < rows:
            break
        rows *= 4  # each lesson may have several rows
    hits = [Hit(lesson_id, similarity) for lesson_id, similarity in found.items()]
    return sorted(hits, key=lambda hit: (-hit.similarity, hit.lesson_id))[:limit]


class _Found(dict[str, float]):
    """Lessons of a namespace with the cosine of their nearest row."""

    rows = 0
    """Number of rows that were found, of whatever namespace."""


def _found(collection: "Collection", vector: Vector, namespace: str, rows: int, where: Any) -> _Found:
    asked: list[Sequence[float]] = [vector.tolist()]
    answer = collection.query(query_embeddings=asked, n_results=rows, where=where, include=["distances"])
    ids, distances = answer["ids"][0], (answer["distances"] or [[]])[0]
    found = _Found()
    found.rows = len(ids)
    for row_id, distance in zip(ids, distances, strict=True):
        space, _, lesson = row_id.partition(":")
        if space == namespace:
            found.setdefault(lesson.rpartition("#")[0], min(1.0, max(-1.0, 1.0 - distance)))
    return found


def _checked(client: Any) -> "ClientAPI":
    if not callable(getattr(client, "get_collection", None)) or inspect.iscoroutinefunction(client.get_collection):
        raise InvalidInput(
            f"ChromaIndex({client!r}) is not usable: expected a folder, the http(s):// URL of a Chroma server, or a Chroma client "
            "that is not async."
        )
    checked: ClientAPI = client
    return checked


def _connect(url: str) -> "ClientAPI":
    import chromadb
    import httpx
    from chromadb.config import Settings

    # Its constructor asks the server without a time limit, so see first whether anybody answers.
    base = urlsplit(url)._replace(query="", fragment="").geturl().rstrip("/")
    httpx.get(f"{base}/api/v2/heartbeat", timeout=SECONDS).raise_for_status()
    client = chromadb.HttpClient(host=base, settings=Settings(anonymized_telemetry=False))
    for session in _sessions(client):
        session.timeout = httpx.Timeout(SECONDS)
    return client


def _sessions(client: Any) -> list[Any]:
    """The HTTP sessions inside a client: chromadb gives them no time limit and leaves their connections open on `close`."""
    holders = (getattr(part, "_server", None) for part in (client, getattr(client, "_admin_client", None)))
    return [session for holder in holders if (session := getattr(holder, "_session", None)) is not None]


def _collection_name(prefix: str, embedder_id: str) -> str:
    return f"{prefix}-{hashlib.sha256(embedder_id.encode()).hexdigest()[:16]}"


def _hashed(namespace: Namespace) -> str:
    return hashlib.sha256(json.dumps(namespace).encode()).hexdigest()[:32]


def _row_id(entry: IndexEntry, number: int) -> str:
    return f"{_hashed(entry.namespace)}:{entry.lesson_id}#{number}"


def _metadata(tag: EmbedderTag) -> dict[str, str | int]:
    probe = json.dumps([round(x, 7) for x in tag.probe])
    return {"embedder": tag.id, "dimension": tag.dimension, "probe": probe, "format": FORMAT}


def _stored_tag(collection: "Collection") -> EmbedderTag:
    stored = collection.metadata or {}
    try:
        if stored["format"] == FORMAT:
            return EmbedderTag(str(stored["embedder"]), int(stored["dimension"]), tuple(json.loads(stored["probe"])))
    except (KeyError, ValueError):
        pass
    raise EmbedderChanged(
        f"The Chroma collection {collection.name!r} was written by another release of this package. "
        "Make it anew with `reflect reindex` (learner.lessons.reindex())."
    )


def _any_lesson(lesson_ids: Sequence[str]) -> Any:
    return {"lesson_id": {"$in": list(lesson_ids)}}


def _chunks(items: Sequence[T], size: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while some := list(islice(remaining, size)):
        yield some
