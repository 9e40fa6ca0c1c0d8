"""Finding lessons by meaning: the index proposes, the ledger confirms, and answers where the index cannot.

Before each query the index takes in what changed in the ledger since it last did, see `following.py`. While it cannot be used, recall
answers from the vectors in the ledger.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from langchain_reflect.errors import EmbedderChanged, IndexUnavailable, LedgerError
from langchain_reflect.index.base import Hit, Vector, VectorIndex
from langchain_reflect.index.embeddings import Embedder
from langchain_reflect.index.exact import Rows, nearest
from langchain_reflect.index.field import Field
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.calibration import floors_of, known_floors
from langchain_reflect.lessons.floors import UNCALIBRATED, Floors
from langchain_reflect.lessons.following import BATCH, IndexFollower
from langchain_reflect.lessons.holding import LessonMemory
from langchain_reflect.lessons.spaces import Progress, check_in_use, take_over
from langchain_reflect.types import SERVABLE, Lesson, Namespace

logger = logging.getLogger(__name__)
Path = Literal["index", "ledger"]
"""What answers a query: the index, or the vectors in the ledger because the index cannot."""
EXACT: Final = 150_000
"""Up to so many lessons of a namespace are held in memory, which is faster than a graph index and sees all changes at once."""
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
        self._floors: Floors | None = None
        self._follower = IndexFollower(ledger, index, embedder, embed=self._embed_missing, check=self._check_again)
        self._memory = LessonMemory(ledger, embedder, embed=self._embed_missing, check=self._check_again)

    def is_empty(self, namespace: Namespace) -> bool:
        """Whether a namespace has no servable lesson. Where there were some a moment ago, recall itself sees whether they have gone."""
        return not self._memory.has_some(namespace) and not self.ledger.lessons(namespace=namespace, statuses=SERVABLE, limit=1)

    @property
    def floors(self) -> Floors:
        """The embedder's floors, as far as they are known; nothing is embedded."""
        if self._floors is None:
            self._floors = known_floors(self.embedder, self.ledger)
        return self._floors or UNCALIBRATED

    def calibrate(self) -> None:
        """Find the embedder's floors, once per ledger, so that no recall has to."""
        if self._floors is None:
            self._floors = floors_of(self.embedder, self.ledger)

    def follow(self, since: int) -> None:
        """Embed what has been committed after a version of the book, so that no recall has to, and let the index take it in.

        The change is safe in the ledger, so a failing index or embedder must not undo it: it is tried again at the next recall.
        """
        try:
            self._check_again()
            _, changed = self.ledger.lessons_changed_since(since)
            self._embed_missing(self.ledger.lessons(ids=changed, statuses=SERVABLE))
            self._follower.follow()
            if changed:
                self.calibrate()
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
            hits = self._all(vector, namespace).hits(limit)
            known = self._servable(hits, namespace)
            found = [(known[hit.lesson_id], hit.similarity) for hit in hits if hit.lesson_id in known]
            self._follower.catch_up()  # afterwards, so that this recall need not share the processor with it
        return found

    def field(self, vector: Vector, namespace: Namespace) -> Field | None:
        """Every servable lesson of a namespace with its cosine to a vector; None if there are too many to hold them all.

        The vectors come from the ledger and are kept in memory until lessons change, by whatever process.

        Raises:
            EmbedderChanged: The lessons were embedded by another model.
        """
        self._check_embedder()
        held = self._memory.now(namespace, at_most=EXACT)
        return None if held is None else Field(held.blocks, vector, held.version)

    def servable(self, lesson_ids: Sequence[str], namespace: Namespace, *, version: int | None = None) -> Mapping[str, Lesson]:
        """Those of the lessons that may be shown, as they were at a version of the book or later; None: as they are now."""
        return self._memory.texts(lesson_ids, namespace, version)

    def vectors(self, lesson_ids: Sequence[str]) -> Mapping[str, Vector]:
        """For each lesson that has one, the vector of its condition and advice."""
        held = self.ledger.vectors(self.embedder.id, ids=lesson_ids) if lesson_ids else []
        return {each.lesson_id: each.vectors[0] for each in held}

    def path(self, vector: Vector, namespace: Namespace) -> Path:
        """What answers `candidates` at present."""
        hits = self._follower.query(vector, namespace, 1)
        return "ledger" if hits is None or len(self._servable(hits, namespace)) < len(hits) else "index"

    def nearest_texts(self, vector: Vector, lessons: Sequence[Lesson]) -> Mapping[str, str]:
        """For each lesson that has vectors, which of its texts is nearest: its condition and advice, or a task that it came from."""
        held = self.ledger.vectors(self.embedder.id, ids=[lesson.id for lesson in lessons]) if lessons else []
        texts = {lesson.id: list(dict.fromkeys([lesson.key_text(), *lesson.tasks])) for lesson in lessons}
        return {each.lesson_id: texts[each.lesson_id][int((each.vectors @ vector).argmax())] for each in held}

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

    def prune_index(self) -> None:
        """Drop what the index still holds of embedders that are not in use any more."""
        try:
            self._check_again()
            self.index.open(self.embedder.tag)
            self.index.prune()
        except (EmbedderChanged, IndexUnavailable) as error:
            logger.warning("the index still holds vectors of other embedders: %s", error)

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

    def _all(self, vector: Vector, namespace: Namespace) -> Field:
        held = self._memory.now(namespace)
        assert held is not None, "without a limit there are never too many"
        return Field(held.blocks, vector, held.version)
