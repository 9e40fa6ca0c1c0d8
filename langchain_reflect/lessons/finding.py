"""Finding lessons by meaning: the index follows the ledger, and the ledger answers where the index cannot.

Before each query the index takes in what changed in the ledger since it last did. While it cannot be reached, recall answers from
the vectors in the ledger, and the index is tried again from time to time on a thread of its own.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import TypeAdapter

from langchain_reflect.errors import EmbedderChanged, IndexUnavailable
from langchain_reflect.index.base import EmbedderTag, Hit, IndexEntry, Vector, VectorIndex
from langchain_reflect.index.embeddings import Embedder
from langchain_reflect.index.exact import Rows, nearest
from langchain_reflect.ledger import Ledger, LessonVectors
from langchain_reflect.types import SERVABLE, Lesson, Namespace

logger = logging.getLogger(__name__)
_TAG_KEY: Final = "embedder_tag"
_TAG: Final = TypeAdapter(EmbedderTag)
_BATCH: Final = 500
_PATIENCE: Final = 0.05
"""Seconds that a recall waits while another thread brings the index up to date."""
_PAUSE: Final = 30.0
"""Seconds after which an index that failed is tried again."""


class LessonFinder:
    """Servable lessons by vector.

    Args:
        ledger: Where lessons and their vectors are kept.
        index: Where they are found.
        embedder: Made the vectors.
    """

    def __init__(self, ledger: Ledger, index: VectorIndex, embedder: Embedder) -> None:
        self.ledger = ledger
        self.index = index
        self.embedder = embedder
        self._index_lock = threading.RLock()
        self._ready = False
        self._taken = 0
        self._index_failed = False
        self._next_try = 0.0
        self._rows: dict[Namespace, tuple[int, Rows]] = {}

    def is_empty(self, namespace: Namespace) -> bool:
        """Whether a namespace has no servable lesson."""
        return not self.ledger.lessons(namespace=namespace, statuses=SERVABLE, limit=1)

    def follow(self) -> None:
        """Take in what has just been committed, unless the index is known to be down."""
        if not self._index_failed:
            self._take_in_quietly()

    def candidates(self, vector: Vector, namespace: Namespace, limit: int) -> Sequence[tuple[Lesson, float]]:
        """Servable lessons of exactly this namespace nearest to a vector, with their cosine, best first.

        What the index finds is confirmed in the ledger, so a stale index can never revive a retired lesson. Where the index cannot
        be used, the ledger's own vectors are compared.

        Raises:
            EmbedderChanged: The lessons were embedded by another model.
        """
        hits = self._ask_index(vector, namespace, limit)
        ids = [hit.lesson_id for hit in hits]
        found = {lesson.id: lesson for lesson in self.ledger.lessons(namespace=namespace, statuses=SERVABLE, ids=ids)}
        return [(found[hit.lesson_id], hit.similarity) for hit in hits if hit.lesson_id in found]

    def vectors(self, lesson_ids: Sequence[str]) -> Mapping[str, Vector]:
        """For each lesson that has one, the vector of its condition and advice."""
        held = self.ledger.vectors(self.embedder.id, ids=lesson_ids) if lesson_ids else []
        return {each.lesson_id: each.vectors[0] for each in held}

    def reindex(self) -> int:
        """Fill the index anew from the ledger; only texts without a vector by the present embedder are embedded.

        Returns:
            Number of lessons in the index.

        Raises:
            IndexUnavailable: The index cannot be reached.
        """
        with self._index_lock:
            tag = self.embedder.tag
            lessons = self.ledger.lessons(statuses=SERVABLE)
            self._embed_missing(lessons)
            self.ledger.set_meta(_TAG_KEY, _tag_text(tag))
            try:
                self.index.open(tag)
            except (EmbedderChanged, IndexUnavailable) as error:
                logger.info("the index cannot be used as it is, so it is made anew: %s", error)
            self.index.reset()
            self._ready, self._taken = True, 0
            self._take_in()
            return len(lessons)

    def _ask_index(self, vector: Vector, namespace: Namespace, limit: int) -> Sequence[Hit]:
        self._check_embedder()
        hits = None if self._index_failed else self._query(vector, namespace, limit)
        if hits is None:
            self._try_again_later()
            return nearest(self._ledger_rows(namespace), vector, limit)
        return hits

    def _query(self, vector: Vector, namespace: Namespace, limit: int) -> Sequence[Hit] | None:
        """What the index finds; None if it fails, or if somebody else is still waiting for it."""
        if not self._index_lock.acquire(timeout=_PATIENCE):
            return None
        try:
            self._take_in()
        except IndexUnavailable as error:
            self._note_failure(error)
            return None
        finally:
            self._index_lock.release()
        try:
            return self.index.query(vector, namespace=namespace, limit=limit)
        except IndexUnavailable as error:
            self._note_failure(error)
            return None

    def _try_again_later(self) -> None:
        """Every while, see on another thread whether the index can be used again; a run must never wait for a server that hangs."""
        if not self._index_failed or time.monotonic() < self._next_try:
            return
        self._next_try = time.monotonic() + _PAUSE
        threading.Thread(target=self._take_in_quietly, name="reflect-index", daemon=True).start()

    def _take_in_quietly(self) -> None:
        """After a commit: the change is safe in the ledger, so a failing index or embedder must not undo it."""
        try:
            self._check_embedder()
            with self._index_lock:
                self._take_in()
        except IndexUnavailable as error:
            self._note_failure(error)
        except Exception:
            logger.exception("lessons were written but not yet taken into the index; it is tried again at the next recall")

    def _take_in(self) -> None:
        """Bring the index up to date with the ledger."""
        if not self._ready:
            self.index.open(self.embedder.tag)
            self._taken = self._stored_mark() if self.index.count() else 0
            self._ready = True
        if self.ledger.lessons_version() > self._taken:
            version, changed = self.ledger.lessons_changed_since(self._taken)
            for start in range(0, len(changed), _BATCH):
                self._refresh(changed[start : start + _BATCH])
            self._mark(version)
        self._index_failed = False

    def _refresh(self, ids: Sequence[str]) -> None:
        servable = self.ledger.lessons(ids=ids, statuses=SERVABLE)
        self._embed_missing(servable)
        entries = [_entry(held) for held in self.ledger.vectors(self.embedder.id, ids=[lesson.id for lesson in servable])]
        self.index.upsert(entries)
        self.index.delete(set(ids) - {entry.lesson_id for entry in entries})

    def _mark(self, version: int) -> None:
        """Remember how far the index has read; an index that ends with the process needs no memory beyond it."""
        self._taken = version
        if self.index.identity:
            self.ledger.set_meta(self._mark_key(), str(version))

    def _stored_mark(self) -> int:
        return int(self.ledger.meta(self._mark_key()) or 0) if self.index.identity else 0

    def _mark_key(self) -> str:
        return "taken_in:" + hashlib.sha256(f"{self.index.identity}\0{self.embedder.id}".encode()).hexdigest()[:32]

    def _embed_missing(self, lessons: Sequence[Lesson]) -> None:
        texts = self.ledger.missing_texts(self.embedder.id, lessons)
        for start in range(0, len(texts), _BATCH):
            some = texts[start : start + _BATCH]
            self.ledger.put_vectors(self.embedder.id, dict(zip(some, self.embedder.embed_documents(some), strict=True)))

    def _check_embedder(self) -> None:
        """Refuse vectors of another space than the ledger's, before anything is compared with them."""
        if self._ready:
            return
        tag = self.embedder.tag
        stored = self.ledger.meta(_TAG_KEY)
        if stored is None:
            self.ledger.set_meta(_TAG_KEY, _tag_text(tag))
        else:
            tag.check(_tag_of(stored))

    def _ledger_rows(self, namespace: Namespace) -> Rows:
        """The vectors of one namespace as a matrix, kept until lessons change."""
        version = self.ledger.lessons_version()
        known = self._rows.get(namespace)
        if known is None or known[0] != version:
            self._embed_missing(self.ledger.lessons(namespace=namespace, statuses=SERVABLE))
            held = self.ledger.vectors(self.embedder.id, namespace=namespace, statuses=SERVABLE)
            known = (version, Rows.of((each.lesson_id, each.vectors) for each in held))
            self._rows[namespace] = known
        return known[1]

    def _note_failure(self, error: IndexUnavailable) -> None:
        self._next_try = time.monotonic() + _PAUSE
        if not self._index_failed:
            logger.warning("the index cannot be used, so lessons are found by the vectors in the ledger: %s", error)
        self._index_failed = True


def _entry(held: LessonVectors) -> IndexEntry:
    return IndexEntry(lesson_id=held.lesson_id, revision=held.revision, namespace=held.namespace, vectors=held.vectors)


def _tag_text(tag: EmbedderTag) -> str:
    return _TAG.dump_json(tag).decode()


def _tag_of(text: str) -> EmbedderTag:
    return _TAG.validate_json(text)
