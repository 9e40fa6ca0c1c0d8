"""All lessons of a namespace in memory, as one query sees them.

Up to 6,000 lessons every vector is compared. Beyond that a sketch of each vector, its directions of most variance, points out the few
hundred that may be nearest, and only those are compared: half of the time at 10,000 lessons, a fourth at 100,000. Lessons are held in
blocks, so that a change costs the blocks that it touches.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from langchain_reflect.index.base import Hit, Vector, Vectors
from langchain_reflect.index.exact import Rows, check_dimension, cosines_of, dots, first

BLOCK: Final = 8192
"""Lessons held together."""
SKETCHED: Final = 6_000
"""Lessons from which on there are sketches."""
MANY: Final = 40_000
"""Lessons from which on sketches are smaller."""
DIRECTIONS: Final = (96, 64)
"""Numbers of a sketch, and of a smaller one."""
SHORTLIST: Final = (25, 400, 1500)
"""Of how many lessons one vector is compared because of its sketch; the fewest and the most of them. For recorded tasks (MiniLM) all of the
8 nearest and 99 % of the 100 nearest were among these at 9,600 lessons, recorded ones and variations; 99.5 % and 96 % at 89,000, where
Chroma's graph index finds 95 % of the 10 nearest."""
_SAMPLE: Final = 2048
"""Vectors that the directions are found by."""
_ROUNDS: Final = 3
"""Of improving the directions."""

Positions = NDArray[np.intp]
"""Places of lessons in the order of the blocks."""


@dataclass(frozen=True, slots=True)
class _Block:
    """Lessons that are held together."""

    rows: Rows
    sketches: Rows | None
    """Of the same lessons."""
    place: Mapping[str, int]
    """By lesson id."""

    @classmethod
    def of(cls, rows: Rows, directions: Vectors | None) -> "_Block":
        return cls._from(rows, None if directions is None else replace(rows, matrix=rows.matrix @ directions))

    @classmethod
    def _from(cls, rows: Rows, sketches: Rows | None) -> "_Block":
        return cls(rows, sketches, {lesson_id: at for at, lesson_id in enumerate(rows.lesson_ids)})

    def with_changed(self, gone: Collection[str], come: Sequence[tuple[str, Vectors]], directions: Vectors | None) -> "_Block":
        """The same lessons, but for some; see `Rows.with_changed`."""
        sketches = self.sketches
        if sketches is not None and directions is not None:
            sketches = sketches.with_changed(gone, [(lesson_id, rows @ directions) for lesson_id, rows in come])
        return self._from(self.rows.with_changed(gone, come), sketches)


@dataclass(frozen=True, slots=True)
class Blocks:
    """The vectors of many lessons. Never changed: what follows a change is another one, which shares the blocks that stayed."""

    blocks: tuple[_Block, ...] = ()
    where: Mapping[str, int] = field(default_factory=dict)
    """Number of the block that has a lesson."""
    directions: Vectors | None = None
    """Shape `(dimension, numbers of a sketch)`; None: few enough to compare them all."""

    @classmethod
    def of(cls, vectors: Iterable[tuple[str, Vectors]]) -> "Blocks":
        """Take lessons; those without vectors are left out.

        Args:
            vectors: As for `Rows.of`.
        """
        held = [(lesson_id, rows) for lesson_id, rows in vectors if len(rows)]
        parts = [Rows.of(held[start : start + BLOCK]) for start in range(0, len(held), BLOCK)]
        return cls._from(parts, _directions(parts) if len(held) > SKETCHED else None)

    @classmethod
    def _from(cls, parts: Sequence[Rows], directions: Vectors | None) -> "Blocks":
        blocks = tuple(_Block.of(rows, directions) for rows in parts)
        return cls(blocks, {lesson_id: n for n, block in enumerate(blocks) for lesson_id in block.rows.lesson_ids}, directions)

    def __len__(self) -> int:
        return len(self.where)

    def with_changed(self, lesson_ids: Iterable[str], vectors: Iterable[tuple[str, Vectors]]) -> "Blocks":
        """The same lessons, but for some.

        Args:
            lesson_ids: Lessons whose vectors go.
            vectors: Those that come, as in `Rows.of`.
        """
        gone, come = set(lesson_ids), [(lesson_id, rows) for lesson_id, rows in vectors if len(rows)]
        blocks, where = list(self.blocks), dict(self.where)
        for number in {where.pop(lesson_id) for lesson_id in gone & where.keys()}:
            blocks[number] = blocks[number].with_changed(gone, (), self.directions)
        if come:
            if blocks and len(blocks[-1].rows.lesson_ids) + len(come) <= BLOCK:
                blocks[-1] = blocks[-1].with_changed((), come, self.directions)
            else:
                blocks.append(_Block.of(Rows.of(come), self.directions))
            where |= {lesson_id: len(blocks) - 1 for lesson_id, _ in come}
        if len(blocks) > 2 + 2 * len(where) // BLOCK or (self.directions is None and len(where) > SKETCHED):
            return Blocks.of((i, rows) for block in blocks for i, rows in block.rows.items())
        return Blocks(tuple(blocks), where, self.directions)


class Field:
    """Lessons as one query sees them.

    Args:
        blocks: The lessons.
        vector: The query, of length 1.
        version: Of the book that the lessons are those of.

    Raises:
        InvalidInput: The vector's dimension is not that of the lessons.
    """

    def __init__(self, blocks: Blocks, vector: Vector, version: int = 0) -> None:
        self.version = version
        self._where = blocks.where
        self._blocks = blocks.blocks
        self._starts = [0, *accumulate(len(block.place) for block in self._blocks)]
        self._vector = np.asarray(vector, np.float32)
        self._sketch: Vector | None = None
        self._cosines: NDArray[np.float32] | None = None
        if blocks.directions is not None:
            check_dimension(self._vector, len(blocks.directions))
            self._sketch = self._vector @ blocks.directions
        else:
            found = [cosines_of(block.rows, self._vector) for block in self._blocks]
            self._cosines = found[0] if len(found) == 1 else np.concatenate([np.zeros(0, np.float32), *found])

    def __len__(self) -> int:
        return len(self._where)

    def placed(self, scores: Iterable[tuple[str, float]]) -> tuple[Positions, NDArray[np.float64]]:
        """The positions of lessons, and their scores; lessons that are not here are left out.

        Args:
            scores: Id of a lesson and its score.
        """
        where, blocks, starts = self._where, self._blocks, self._starts
        found = [(starts[at] + blocks[at].place[name], score) for name, score in scores if (at := where.get(name)) is not None]
        return np.array([place for place, _ in found], np.intp), np.array([score for _, score in found])

    def ids(self, positions: Positions) -> list[str]:
        """Ids of lessons."""
        return [self._blocks[n].rows.lesson_ids[at] for n, places in self._split(positions) for at in places.tolist()]

    def near(self, size: int) -> Positions:
        """Positions of the lessons nearest to the query, in any order.

        Args:
            size: Most lessons.
        """
        if self._cosines is not None:
            return first(self._cosines, size)
        share, fewest, most = SHORTLIST
        listed = self._shortlist(max(fewest, 2 * size, min(most, len(self) // share)))
        return listed[first(self.cosines(listed), size)]

    def cosines(self, positions: Positions) -> NDArray[np.float32]:
        """The cosine of each lesson's nearest vector to the query.

        Args:
            positions: Ascending.
        """
        if self._cosines is not None:
            return self._cosines[positions]
        found = [self._blocks[n].rows.cosines(self._vector, places) for n, places in self._split(positions)]
        return np.concatenate([np.zeros(0, np.float32), *found])

    def vectors(self, positions: Positions) -> Vectors:
        """Each lesson's first vector, of what it says, shape `(n, dimension)`.

        Args:
            positions: Ascending.
        """
        found = [self._blocks[n].rows.firsts(places) for n, places in self._split(positions)]
        if len(found) == 1:
            return found[0]
        return np.concatenate(found) if found else np.zeros((0, len(self._vector)), np.float32)

    def compared(self, positions: Positions) -> tuple[NDArray[np.float32], Vectors]:
        """What `cosines` and `vectors` give, in less time than both take."""
        vectors = self.vectors(positions)
        if self._cosines is None and all(block.rows.is_plain for block in self._blocks):
            return dots(vectors, self._vector), vectors
        return self.cosines(positions), vectors

    def hits(self, limit: int) -> list[Hit]:
        """The lessons nearest to the query, best first."""
        near = np.sort(self.near(limit)) if limit > 0 else np.zeros(0, np.intp)
        cosines = np.clip(self.cosines(near), -1.0, 1.0).tolist()
        hits = [Hit(lesson_id, cosine) for lesson_id, cosine in zip(self.ids(near), cosines, strict=True)]
        return sorted(hits, key=lambda hit: (-hit.similarity, hit.lesson_id))

    def _shortlist(self, size: int) -> Positions:
        """Positions of the lessons of the vectors whose sketches are nearest to the query's, ascending."""
        sketch, blocks = self._sketch, self._blocks
        likely = [dots(block.sketches.matrix, sketch) for block in blocks if block.sketches is not None and sketch is not None]
        rows = np.sort(first(np.concatenate(likely), size))
        firsts = [0, *accumulate(map(len, likely))]
        parts = np.split(rows, np.searchsorted(rows, firsts[1:-1]))
        owners = [block.rows.owners(some - at) + start for block, some, at, start in zip(blocks, parts, firsts, self._starts, strict=False)]
        found = np.concatenate(owners)
        return found[np.diff(found, prepend=-1) > 0]

    def _split(self, positions: Positions) -> list[tuple[int, Positions]]:
        """Ascending positions by block, each counted from the block's first."""
        if len(self._blocks) == 1:
            return [(0, positions)]
        parts = np.split(positions, np.searchsorted(positions, self._starts[1:-1])) if self._blocks else []
        return [(n, part - self._starts[n]) for n, part in enumerate(parts) if len(part)]


def _directions(parts: Sequence[Rows]) -> Vectors:
    """About the directions in which the vectors differ most, of length 1 and at right angles.

    Found by iteration from directions of chance, whose cost grows with the dimension and not with its cube: 3,072 numbers are common.

    Source: randomised subspace iteration, Halko, Martinsson, Tropp: Finding Structure with Randomness (2011), algorithm 4.4.
    """
    total = sum(len(rows.matrix) for rows in parts)
    sample = np.concatenate([rows.matrix[:: max(1, total // _SAMPLE)] for rows in parts])
    shape = sample.shape[1], min(DIRECTIONS[total > MANY], sample.shape[1])
    axes = np.random.default_rng(0).standard_normal(shape, np.float32)
    for _ in range(_ROUNDS):
        axes, _ = np.linalg.qr(sample.T @ (sample @ axes))
    return np.ascontiguousarray(axes)
