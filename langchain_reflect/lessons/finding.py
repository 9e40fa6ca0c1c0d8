"""Finding lessons by meaning: the index proposes, the ledger confirms, and answers where the index cannot.

Before each query the index takes in what changed in the ledger since it last did, see `following.py`. While it cannot be used, recall
answers from the vectors in the ledger.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from langchain_reflect.errors import LedgerError
from langchain_reflect.index.base import Hit, Vector, VectorIndex, Vectors
from langchain_reflect.index.embeddings import Embedder
from langchain_reflect.index.exact import Field, Rows, field_of, nearest
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.following import BATCH, IndexFollower
from langchain_reflect.lessons.spaces import Progress, check_in_use, take_over
from langchain_reflect.types import SERVABLE, Lesson, Namespace

logger = logging.getLogger(__name__)
EXACT: Final = 20_000
"""Up to so many lessons of a namespace are compared one by one, which is faster than a graph index and sees all changes at once."""
UNCONFIRMED_KEY: Final = "index_unconfirmed"
"""Under which the ledger keeps how many hits of the index it did not confirm."""
_TELLING: Final = 30.0
"""Seconds between two writes of that number."""


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
        self.unconfirmed = 0
        """Hits that the ledger did not confirm, since this process began."""
        self._untold = 0
        self._next_telling = 0.0
        self._checked = False
        self._follower = IndexFollower(ledger, index, embedder, embed=self._embed_missing, check=self._check_again)
        self._rows: dict[Namespace, tuple[int, Rows]] = {}

    def is_empty(self, namespace: Namespace) -> bool:
        """Whether a namespace has no servable lesson."""
        return not self.ledger.lessons(namespace=namespace, statuses=SERVABLE, limit=1)

    def follow(self, since: int) -> None:
        """Embed what has been committed after a version of the book, so that no recall has to, and let the index take it in.

        The change is safe in the ledger, so a failing index or embedder must not undo it: it is tried again at the next recall.
        """
        try:
            self._check_again()
            _, changed = self.ledger.lessons_changed_since(since)
            self._embed_missing(self.ledger.lessons(ids=changed, statuses=SERVABLE))
            self._follower.follow()
        except Exception:
            logger.exception("lessons were written but not yet embedded; it is tried again at the next recall")

    def close(self) -> None:
        """Let the index's thread end; what it has not taken in yet, it takes in next time."""
        self._follower.close()
        self._tell()

    def candidates(self, vector: Vector, namespace: Namespace, limit: int) -> Sequence[tuple[Lesson, float]]:
        """Servable lessons of exactly this namespace nearest to a vector, with their cosine, best first.

        What the index finds is confirmed in the ledger, so a stale index can never revive a retired lesson, nor a foreign one speak. If it
        says what is not so, or cannot be used, the ledger's own vectors are compared.

        Raises:
            EmbedderChanged: The lessons were embedded by another model.
        """
        self._check_embedder()
        hits = self._follower.query(vector, namespace, limit)
        found = None if hits is None else self._confirmed(hits, vector, namespace)
        if found is None:
            hits = nearest(self._ledger_rows(namespace), vector, limit)
            known = self._servable(hits, namespace)
            found = [(known[hit.lesson_id], hit.similarity) for hit in hits if hit.lesson_id in known]
            self._follower.catch_up()  # afterwards, so that this recall need not share the processor with it
        return found

    def field(self, vector: Vector, namespace: Namespace) -> Field | None:
        """Every servable lesson of a namespace with its cosine to a vector; None if there are too many to compare them all.

        The vectors come from the ledger and are kept in memory until lessons change, by whatever process.

        Raises:
            EmbedderChanged: The lessons were embedded by another model.
        """
        self._check_embedder()
        if self.ledger.lesson_count(namespace=namespace, statuses=SERVABLE) > EXACT:
            return None
        return field_of(self._ledger_rows(namespace), vector)

    def vectors(self, lesson_ids: Sequence[str]) -> Mapping[str, Vector]:
        """For each lesson that has one, the vector of its condition and advice."""
        held = self.ledger.vectors(self.embedder.id, ids=lesson_ids) if lesson_ids else []
        return {each.lesson_id: each.vectors[0] for each in held}

    def reindex(self, progress: Progress | None = None) -> int:
        """Let the embedder take over if another one was used, see `spaces.take_over`, and fill the index anew from the ledger.

        Args:
            progress: Told how many of how many texts are embedded.

        Returns:
            Number of lessons in the index.

        Raises:
            IndexUnavailable: The index cannot be reached.
        """
        take_over(self.ledger, self.embedder, progress)
        self._follower.refill()
        self.ledger.set_meta(UNCONFIRMED_KEY, "")
        return len(self.ledger.lessons(statuses=SERVABLE))

    def _confirmed(self, hits: Sequence[Hit], vector: Vector, namespace: Namespace) -> Sequence[tuple[Lesson, float]] | None:
        """The lessons as they are now, scored by their vectors in the ledger; None if the index has named one that may not be shown."""
        known = self._servable(hits, namespace)
        if foreign := len({hit.lesson_id for hit in hits} - set(known)):
            self._count_unconfirmed(foreign)
            return None
        held = self.ledger.vectors(self.embedder.id, ids=list(known))
        rows = Rows.of((each.lesson_id, each.vectors) for each in held)
        return [(known[hit.lesson_id], hit.similarity) for hit in nearest(rows, vector, len(known))]

    def _servable(self, hits: Sequence[Hit], namespace: Namespace) -> Mapping[str, Lesson]:
        ids = [hit.lesson_id for hit in hits]
        return {lesson.id: lesson for lesson in self.ledger.lessons(namespace=namespace, statuses=SERVABLE, ids=ids)}

    def _count_unconfirmed(self, number: int) -> None:
        if not self.unconfirmed:
            logger.warning("the index named %d lessons that the ledger does not confirm; they are dropped and counted", number)
        self.unconfirmed += number
        self._untold += number
        if time.monotonic() >= self._next_telling:
            self._tell()

    def _tell(self) -> None:
        """Add what was counted to the number in the ledger; with several processes it may fall short."""
        self._next_telling = time.monotonic() + _TELLING
        number, self._untold = self._untold, 0
        try:
            if number:
                self.ledger.set_meta(UNCONFIRMED_KEY, str(int(self.ledger.meta(UNCONFIRMED_KEY) or 0) + number))
        except LedgerError:
            self._untold += number

    def _embed_missing(self, lessons: Sequence[Lesson]) -> None:
        texts = self.ledger.missing_texts(self.embedder.id, lessons)
        for start in range(0, len(texts), BATCH):
            some = texts[start : start + BATCH]
            self.ledger.put_vectors(self.embedder.id, dict(zip(some, self.embedder.embed_documents(some), strict=True)))

    def _check_embedder(self) -> None:
        """Refuse vectors of another space than the ledger's, before anything is compared with them."""
        if not self._checked:
            self._check_again()

    def _check_again(self) -> None:
        """Whenever lessons have changed: another embedder may have taken over, which makes a new version of the book."""
        self._checked = False
        check_in_use(self.ledger, self.embedder.tag)
        self._checked = True

    def _ledger_rows(self, namespace: Namespace) -> Rows:
        """The vectors of one namespace as a matrix, kept until lessons change, and then brought up to date."""
        known = self._rows.get(namespace)
        if known is None or known[0] != self.ledger.lessons_version():
            self._check_again()
            known = self._all_rows(namespace) if known is None else self._newer_rows(namespace, *known)
            self._rows[namespace] = known
        return known[1]

    def _all_rows(self, namespace: Namespace) -> tuple[int, Rows]:
        version = self.ledger.lessons_version()
        return version, Rows.of(self._held(namespace))

    def _newer_rows(self, namespace: Namespace, version: int, rows: Rows) -> tuple[int, Rows]:
        """Rows in which the lessons that changed after a version are as they are now, and the version that they have then."""
        newer, changed = self.ledger.lessons_changed_since(version)
        if len(changed) > BATCH:
            return newer, Rows.of(self._held(namespace))
        return newer, rows.with_changed(changed, self._held(namespace, changed)) if changed else rows

    def _held(self, namespace: Namespace, ids: Sequence[str] | None = None) -> Iterator[tuple[str, Vectors]]:
        """Vectors of a namespace's servable lessons. To be called after the version was read, so that what it has lacks no vector."""
        if lacking := self.ledger.unembedded(self.embedder.id, namespace=namespace, statuses=SERVABLE):
            self._embed_missing(self.ledger.lessons(ids=lacking))
        held = self.ledger.vectors(self.embedder.id, namespace=namespace, statuses=SERVABLE, ids=ids)
        return ((each.lesson_id, each.vectors) for each in held)
