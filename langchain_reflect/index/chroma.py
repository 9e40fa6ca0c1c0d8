"""Lessons in Chroma: an embedded folder, a server, or a client that the user made.

Chroma is asked for ids and distances only: what a lesson says, and whether it may be shown, comes from the ledger. This module opens,
closes and guards the place; `chroma_collections.py` finds the embedder's collection, `chroma_rows.py` writes and searches it.
"""

import inspect
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from langchain_reflect.errors import IndexUnavailable, InvalidInput, ReflectError
from langchain_reflect.index import chroma_collections as collections
from langchain_reflect.index import chroma_rows as rows
from langchain_reflect.index import folder as folders
from langchain_reflect.index.base import EmbedderTag, Hit, IndexEntry, Vector
from langchain_reflect.index.timebox import TimeBox
from langchain_reflect.types import Namespace

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection

T = TypeVar("T")

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
        self._run("write to", partial(rows.write, entries=entries, is_embedded=self._is_embedded))

    def delete(self, lesson_ids: Iterable[str]) -> None:
        """Forget these lessons; unknown ids are passed over."""
        self._run("write to", partial(rows.forget, lesson_ids=list(lesson_ids), is_embedded=self._is_embedded))

    def query(self, vector: Vector, *, namespace: Namespace, limit: int) -> list[Hit]:
        """The lessons of this namespace that are nearest, best first, each once."""
        if limit < 1:
            return []
        return self._run("query", partial(rows.nearest, vector=vector, namespace=namespace, limit=limit), QUERY_SECONDS)

    def prune(self) -> int:
        """Drop the collections of other embedders, of this name; how many there were.

        Raises:
            IndexUnavailable: The server does not answer, or `open` was never called.
        """
        with self._translated("prune"):
            tag = self._require_open()
            return self._timed(lambda: collections.prune(self._connected(), self._name, tag), SECONDS)

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
    def _is_embedded(self) -> bool:
        """Whether Chroma runs in this process. A client that the user made tells by having no HTTP session."""
        return not self._url and (self._owns_client or not _sessions(self._client))

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
            collection = collections.attach(client, self._name, tag, is_shared=self._folder is None)
            if self._is_embedded:
                # Embedded Chroma begins to build its graph at the first read, and the next write waits for all that is in arrears, with the
                # interpreter's lock held: some seconds for 500 rows. Read now, when there are none.
                collection.count()
            self._collection = collection

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

    def _drop(self, tag: EmbedderTag) -> None:
        """A folder has one owner and keeps one collection; on a server, others may still be asking that of the embedder before."""
        with self._translated("reset"):
            self._collection = None
            collections.drop(self._connected(), self._name, tag, is_shared=self._folder is None)


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
