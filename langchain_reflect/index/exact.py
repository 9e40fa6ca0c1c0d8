"""Every vector compared, in memory: exact, and faster than a graph index below some 25,000 lessons.

Serves as the index of tests and small books, and whenever Chroma cannot be used; `ExactIndex` is then filled from the ledger's vectors.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from langchain_reflect.errors import EmbedderChanged, InvalidInput
from langchain_reflect.index.base import EmbedderTag, Hit, IndexEntry, Vector, Vectors
from langchain_reflect.types import Namespace


@dataclass(frozen=True, slots=True)
class Rows:
    """The vectors of several lessons as one matrix, ready to be compared with queries."""

    lesson_ids: tuple[str, ...]
    starts: NDArray[np.intp]
    """First row of each lesson."""
    matrix: Vectors

    @classmethod
    def of(cls, vectors: Iterable[tuple[str, Vectors]]) -> "Rows":
        """Stack lessons; those without vectors are left out.

        Args:
            vectors: Lesson id and its vectors, shape `(n, dimension)`, each of length 1. Each id once.
        """
        held = [(lesson_id, rows) for lesson_id, rows in vectors if len(rows)]
        starts = np.cumsum([0, *(len(rows) for _, rows in held)], dtype=np.intp)[:-1]
        matrix = np.ascontiguousarray(np.concatenate([rows for _, rows in held]), np.float32) if held else np.zeros((0, 0), np.float32)
        return cls(tuple(lesson_id for lesson_id, _ in held), starts, matrix)

    def with_changed(self, lesson_ids: Iterable[str], vectors: Iterable[tuple[str, Vectors]]) -> "Rows":
        """The same rows, but for some lessons.

        Args:
            lesson_ids: Lessons whose rows go.
            vectors: Those that come, as in `of`.
        """
        gone, come = set(lesson_ids), Rows.of(vectors)
        kept = self.at(np.array([n for n, lesson_id in enumerate(self.lesson_ids) if lesson_id not in gone], np.intp)) if gone else self
        if not kept.lesson_ids or not come.lesson_ids:
            return come if come.lesson_ids else kept
        starts = np.concatenate([kept.starts, come.starts + len(kept.matrix)])
        return Rows(kept.lesson_ids + come.lesson_ids, starts, np.concatenate([kept.matrix, come.matrix]))

    def at(self, places: NDArray[np.intp]) -> "Rows":
        """The rows of some lessons.

        Args:
            places: Of lessons, each once.
        """
        ids = tuple(self.lesson_ids[at] for at in places.tolist())
        if self.is_plain:
            return Rows(ids, np.arange(len(ids)), self.matrix.take(places, axis=0))
        sizes = np.diff(self.starts, append=len(self.matrix))[places]
        starts = np.cumsum([0, *sizes], dtype=np.intp)[:-1]
        rows = np.repeat(self.starts[places] - starts, sizes) + np.arange(sizes.sum())
        return Rows(ids, starts, self.matrix[rows])

    def cosines(self, vector: Vector, places: NDArray[np.intp]) -> NDArray[np.float32]:
        """What `cosines_of` gives for some lessons."""
        return dots(self.firsts(places), vector) if self.is_plain else cosines_of(self.at(places), vector)

    def firsts(self, places: NDArray[np.intp]) -> Vectors:
        """The first vector of each of some lessons."""
        return self.matrix.take(places if self.is_plain else self.starts[places], axis=0)

    def owners(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Places of the lessons that rows belong to."""
        return rows if self.is_plain else np.searchsorted(self.starts, rows, side="right") - 1

    def items(self) -> Iterator[tuple[str, Vectors]]:
        """Each lesson with its vectors."""
        ends = [*self.starts.tolist(), len(self.matrix)][1:]
        return ((i, self.matrix[start:end]) for i, start, end in zip(self.lesson_ids, self.starts.tolist(), ends, strict=True))

    @property
    def is_plain(self) -> bool:
        """Whether each lesson has one row."""
        return len(self.starts) == len(self.matrix)


def nearest(rows: Rows, vector: Vector, limit: int) -> list[Hit]:
    """The lessons nearest to a vector, best first, each by its best row.

    Args:
        rows: Lessons to choose from.
        vector: Of length 1.
        limit: Most lessons returned.

    Raises:
        InvalidInput: The vector's dimension is not that of the rows.
    """
    if not rows.lesson_ids or limit < 1:
        return []
    best = cosines_of(rows, vector)
    hits = [Hit(rows.lesson_ids[at], float(np.clip(best[at], -1.0, 1.0))) for at in first(best, limit)]
    return sorted(hits, key=lambda hit: (-hit.similarity, hit.lesson_id))


def cosines_of(rows: Rows, vector: Vector) -> NDArray[np.float32]:
    """The cosine of each lesson's nearest row.

    Args:
        rows: Lessons.
        vector: Of length 1.

    Raises:
        InvalidInput: The vector's dimension is not that of the rows.
    """
    if not rows.lesson_ids:
        return np.zeros(0, np.float32)
    check_dimension(vector, rows.matrix.shape[1])
    found = dots(rows.matrix, np.asarray(vector, np.float32))
    if len(rows.starts) == len(found):
        return found
    best: NDArray[np.float32] = np.maximum.reduceat(found, rows.starts)
    return best


def check_dimension(vector: Vector, dimension: int) -> None:
    """Raise if a query cannot be compared with vectors of this many numbers.

    Raises:
        InvalidInput: It has another shape.
    """
    if vector.shape != (dimension,):
        raise InvalidInput(f"A query of shape {vector.shape} cannot be compared with vectors of shape {(dimension,)}.")


def dots(matrix: Vectors, vector: Vector) -> NDArray[np.float32]:
    """The dot product of each row with a vector.

    Row by row, in the calling thread: for a large `matrix @ vector` BLAS wakes a second thread, and waits for it in a busy loop. On a
    machine that has other work to do, that takes 4 ms instead of 0.3 at 10,000 rows of 384 numbers, on both cores.

    Args:
        matrix: Shape `(n, dimension)`.
        vector: Shape `(dimension,)`.
    """
    found: NDArray[np.float32] = np.vecdot(matrix, vector)
    return found


def first(scores: NDArray[np.floating], count: int) -> NDArray[np.intp]:
    """Places of the highest scores, in any order.

    Args:
        scores: Any numbers.
        count: Most places.
    """
    if count >= len(scores):
        return np.arange(len(scores))
    if len(scores) > _LARGE and (likely := _above(scores, count)) is not None:
        return likely[first(scores[likely], count)]
    return np.argpartition(scores, -count)[-count:] if count > 0 else np.zeros(0, np.intp)


def _above(scores: NDArray[np.floating], count: int) -> NDArray[np.intp] | None:
    """Places of the scores above what a sample says, in a tenth of the time that sorting takes; None if they are too few after all."""
    sample = scores[:: len(scores) // _SAMPLE]
    rank = -(-2 * count * len(sample) // len(scores)) + _MARGIN
    if rank >= len(sample):
        return None
    likely = np.flatnonzero(scores >= np.partition(sample, -rank)[-rank])
    return likely if count <= len(likely) < len(scores) // 2 else None


_LARGE: Final = 8192
"""Scores from which on a sample saves time."""
_SAMPLE: Final = 1024
_MARGIN: Final = 4


class ExactIndex:
    """A `VectorIndex` in memory. Nothing is kept when the process ends."""

    def __init__(self) -> None:
        self._tag: EmbedderTag | None = None
        self._vectors: dict[Namespace, dict[str, Vectors]] = {}
        self._stacked: dict[Namespace, Rows] = {}
        self._lock = threading.Lock()

    @property
    def identity(self) -> None:
        """None: nothing is kept when the process ends."""
        return None

    def open(self, embedder_tag: EmbedderTag) -> None:
        """Accept vectors of this embedder."""
        with self._lock:
            if self._tag is not None and self._vectors:
                embedder_tag.check(self._tag)
            self._tag = embedder_tag

    def upsert(self, entries: Sequence[IndexEntry]) -> None:
        """Put each lesson's vectors in place of those it had."""
        with self._lock:
            for entry in entries:
                self._check(entry)
                self._remove(entry.lesson_id)
                self._vectors.setdefault(entry.namespace, {})[entry.lesson_id] = entry.vectors
                self._stacked.pop(entry.namespace, None)

    def delete(self, lesson_ids: Iterable[str]) -> None:
        """Forget these lessons; unknown ids are passed over."""
        with self._lock:
            for lesson_id in lesson_ids:
                self._remove(lesson_id)

    def query(self, vector: Vector, *, namespace: Namespace, limit: int) -> list[Hit]:
        """The lessons of this namespace that are nearest, best first, each once."""
        with self._lock:
            if namespace not in self._stacked:
                self._stacked[namespace] = Rows.of(self._vectors.get(namespace, {}).items())
            rows = self._stacked[namespace]
        return nearest(rows, vector, limit)

    def prune(self) -> int:
        """0: there is nothing of other embedders."""
        return 0

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._vectors.clear()
            self._stacked.clear()

    def count(self) -> int:
        """Number of vectors held."""
        with self._lock:
            return sum(len(rows) for lessons in self._vectors.values() for rows in lessons.values())

    def close(self) -> None:
        """Release the vectors."""
        self.reset()

    def _check(self, entry: IndexEntry) -> None:
        if self._tag is not None and entry.vectors.shape[1:] != (self._tag.dimension,):
            raise EmbedderChanged(
                f"Lesson {entry.lesson_id!r} has vectors of shape {entry.vectors.shape}, expected (n, {self._tag.dimension}) "
                f"of embedder {self._tag.id!r}. Embed the lessons again with `reflect reindex` (learner.lessons.reindex())."
            )

    def _remove(self, lesson_id: str) -> None:
        for namespace, lessons in self._vectors.items():
            if lessons.pop(lesson_id, None) is not None:
                self._stacked.pop(namespace, None)
