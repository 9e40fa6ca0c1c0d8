"""The index follows the ledger, on a thread of its own: a recall never waits until it is open, filled, or answers again.

A recall gives the thread a moment to catch up with a small change. While there is more to do, or the index has failed, it is not asked,
and the ledger's vectors answer instead.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from langchain_reflect.daemon import close_at_exit
from langchain_reflect.errors import EmbedderChanged, IndexUnavailable
from langchain_reflect.index.base import EmbedderTag, Hit, IndexEntry, Vector, VectorIndex
from langchain_reflect.index.embeddings import Embedder
from langchain_reflect.ledger import Ledger, LessonVectors
from langchain_reflect.types import SERVABLE, Lesson, Namespace

logger = logging.getLogger(__name__)
BATCH: Final = 500
"""Lessons taken in at once."""
_PATIENCE: Final = 0.05
"""Seconds that a recall waits until the index has caught up."""
_PAUSE: Final = 30.0
"""Seconds after which an index that failed is tried again."""
_FAREWELL: Final = 2.0
"""Seconds that closing waits for the batch on its way."""


class IndexFollower:
    """An index that is brought up to date before it is asked. Safe for threads.

    Args:
        ledger: Where lessons and their vectors are kept.
        index: Where they are found.
        embedder: Made the vectors.
        embed: Puts the vectors that lessons lack into the ledger.
        check: Raises `EmbedderChanged` if another embedder has taken over; asked before changes are taken in.
    """

    def __init__(
        self,
        ledger: Ledger,
        index: VectorIndex,
        embedder: Embedder,
        *,
        embed: Callable[[Sequence[Lesson]], None],
        check: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._index = index
        self._embedder = embedder
        self._embed = embed
        self._check = check
        self._start_lock = threading.Lock()
        self._work_lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._begun = 0.0
        self._is_closing = self._is_known_at_exit = False
        self._is_ready = False
        self._has_failed = False
        self._next_try = 0.0
        self._taken = 0

    def query(self, vector: Vector, namespace: Namespace, limit: int) -> Sequence[Hit] | None:
        """What the index finds; None if it cannot be used, or has not caught up with the ledger: then have it `catch_up`."""
        version = self._ledger.lessons_version()
        if self._is_ready and not self._is_current(version):
            self.catch_up(_PATIENCE)
        if not self._is_current(version):
            return None
        try:
            return self._index.query(vector, namespace=namespace, limit=limit)
        except IndexUnavailable as error:
            self._note_failure(error)
            return None

    def follow(self) -> None:
        """Begin to take in what has just been committed, if this process uses the index at all."""
        if self._is_ready and not self._has_failed:
            self.catch_up()

    def refill(self) -> None:
        """Fill the index anew from the ledger, in the caller's thread.

        Raises:
            IndexUnavailable: The index cannot be reached.
        """
        with self._work_lock:
            try:
                self._index.open(self._embedder.tag)
            except (EmbedderChanged, IndexUnavailable) as error:
                logger.info("the index cannot be used as it is, so it is made anew: %s", error)
            self._remember(0, 0)  # before it is emptied: whoever opens it half filled must not take it for complete
            self._index.reset()
            self._index.open(self._embedder.tag)
            self._is_ready, self._taken = True, 0
            self._take_in(self._embedder.tag)

    def close(self) -> None:
        """Stop after the batch on its way."""
        self._is_closing = True
        if (thread := self._thread) is not None:
            thread.join(_FAREWELL)

    def _is_current(self, version: int) -> bool:
        return self._is_ready and not self._has_failed and self._taken >= version

    def catch_up(self, patience: float = 0.0) -> None:
        """Have the thread work if it may.

        Args:
            patience: Seconds after it began that the caller waits for it. Opening an index takes longer than any recall should wait.
        """
        if not self._start_lock.acquire(timeout=_PATIENCE):  # in a forked child, nobody may be left to release it
            return
        try:
            self._start()
            thread, rest = self._thread, self._begun + patience - time.monotonic()
        finally:
            self._start_lock.release()
        if thread is not None and rest > 0:
            thread.join(rest)

    def _start(self) -> None:
        is_at_work = self._thread is not None and self._thread.is_alive()
        if is_at_work or self._is_closing or time.monotonic() < self._next_try:
            return
        if not self._is_known_at_exit and not close_at_exit(self.close):
            return
        self._is_known_at_exit = True
        self._begun = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="reflect-index", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            tag = self._embedder.tag  # the first one may take long, and the process end meanwhile
            with self._work_lock:
                if not self._is_closing:
                    self._take_in(tag)
        except Exception as error:
            if not self._is_closing:
                self._note_failure(error)
                logger.debug("taking lessons into the index failed", exc_info=True)

    def _take_in(self, tag: EmbedderTag) -> None:
        """Bring the index up to date with the ledger."""
        if not self._is_ready:
            self._open(tag)
            self._taken = self._found()
        while not self._is_closing and self._ledger.lessons_version() > self._taken:
            self._check()
            version, changed = self._ledger.lessons_changed_since(self._taken)
            for start in range(0, len(changed), BATCH):
                if self._is_closing:
                    return
                self._refresh(changed[start : start + BATCH])
            self._taken = version
            self._remember(version, self._index.count())
        self._is_ready, self._has_failed = True, False

    def _open(self, tag: EmbedderTag) -> None:
        """Open the index; one that still has the vectors of an embedder that is not in use any more is emptied."""
        try:
            self._index.open(tag)
        except EmbedderChanged as error:
            self._check()
            logger.info("another embedder has taken over, so the index is filled anew: %s", error)
            self._remember(0, 0)
            self._index.reset()
            self._index.open(tag)

    def _found(self) -> int:
        """How far an index that has just been opened has read; 0 if it does not hold what it held then."""
        version, held = self._remembered()
        if held and self._index.count() == held:
            return version
        self._remember(0, 0)  # it may be closed before it is full, and must not pass for full then
        return 0

    def _refresh(self, ids: Sequence[str]) -> None:
        servable = self._ledger.lessons(ids=ids, statuses=SERVABLE)
        self._embed(servable)
        entries = [_entry(held) for held in self._ledger.vectors(self._embedder.id, ids=[lesson.id for lesson in servable])]
        self._index.upsert(entries)
        self._index.delete(set(ids) - {entry.lesson_id for entry in entries})

    def _remember(self, version: int, held: int) -> None:
        """Note how far the index has read, and its number of vectors then; one that ends with the process needs no memory beyond it."""
        if self._index.identity:
            self._ledger.set_meta(self._key(), f"{version} {held}")

    def _remembered(self) -> tuple[int, int]:
        if not self._index.identity:
            return 0, 0
        version, _, held = (self._ledger.meta(self._key()) or "0 0").partition(" ")
        return int(version), int(held or 0)

    def _key(self) -> str:
        return "taken_in:" + hashlib.sha256(f"{self._index.identity}\0{self._embedder.id}".encode()).hexdigest()[:32]

    def _note_failure(self, error: Exception) -> None:
        self._next_try = time.monotonic() + _PAUSE
        if not self._has_failed:
            logger.warning("the index cannot be used, so lessons are found by the vectors in the ledger: %s", error)
        self._has_failed, self._is_ready = True, False


def _entry(held: LessonVectors) -> IndexEntry:
    return IndexEntry(lesson_id=held.lesson_id, revision=held.revision, namespace=held.namespace, vectors=held.vectors)
