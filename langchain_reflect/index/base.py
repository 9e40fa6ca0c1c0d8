"""What an index of lessons must do, and the small values that pass in and out of it.

An index is derived data: it holds ids and vectors only, and whatever it says is checked against the ledger before a model sees it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from langchain_reflect.errors import EmbedderChanged
from langchain_reflect.types import Namespace

Vector = NDArray[np.float32]
"""One embedding, shape `(dimension,)`, of length 1."""
Vectors = NDArray[np.float32]
"""Several embeddings, shape `(n, dimension)`, each of length 1."""

PROBE: Final = "When an order was placed by mistake, first look up its status, then offer to cancel it before it ships."
"""The sentence whose vector identifies an embedder. Never change it: stored probes would no longer match."""
PROBE_COSINE: Final = 0.99
"""Two runs of one model agree to 0.9999 and better; another model, prompt, precision (int8: 0.92 to 0.98) or pooling falls below."""


@dataclass(frozen=True, slots=True)
class EmbedderTag:
    """What identifies the vector space that an index was built in."""

    id: str
    """Stable name of the embedder, such as `sentence-transformers/all-MiniLM-L6-v2`."""
    dimension: int
    probe: tuple[float, ...]
    """The vector of `PROBE`."""

    def check(self, stored: "EmbedderTag") -> None:
        """Refuse to go on in a vector space that is not the stored one.

        Args:
            stored: The tag that was kept when the vectors were made.

        Raises:
            EmbedderChanged: Id or dimension differ, or the probe's vectors have a cosine below `PROBE_COSINE`.
        """
        if (self.id, self.dimension) != (stored.id, stored.dimension):
            found = f"embedder {self.id!r} with {self.dimension} dimensions, expected {stored.id!r} with {stored.dimension}"
        elif not (cosine := _cosine(self.probe, stored.probe)) >= PROBE_COSINE:
            found = (
                f"embedder {self.id!r} gives other vectors than it did (cosine of the probe {cosine:.3f}, expected {PROBE_COSINE} or more)"
            )
        else:
            return
        raise EmbedderChanged(
            f"The lessons were embedded in another vector space: {found}. "
            "Start with the embedder that was expected, or let this one take over with `reflect reindex` (learner.lessons.reindex())."
        )


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """The vectors by which one lesson is found."""

    lesson_id: str
    revision: int
    namespace: Namespace
    vectors: Vectors
    """One row per text: condition and advice first, then the tasks that the lesson came from."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A lesson near a query."""

    lesson_id: str
    similarity: float
    """Cosine of the query and the lesson's nearest vector, -1 to 1."""


@runtime_checkable
class VectorIndex(Protocol):
    """Finds lessons by vector. Every method may raise `IndexUnavailable`, and all may be called from any thread."""

    @property
    def identity(self) -> str | None:
        """Where the vectors stay when the process ends, such as a folder or URL; None: they do not."""

    def open(self, embedder_tag: EmbedderTag) -> None:
        """Make ready for the vectors of one embedder; opening again with an equal tag does nothing.

        Raises:
            EmbedderChanged: What is stored came from another vector space.
        """

    def upsert(self, entries: Sequence[IndexEntry]) -> None:
        """Put each lesson's vectors in place of those it had."""

    def delete(self, lesson_ids: Iterable[str]) -> None:
        """Forget these lessons; unknown ids are passed over."""

    def query(self, vector: Vector, *, namespace: Namespace, limit: int) -> list[Hit]:
        """The lessons of exactly this namespace that are nearest, best first, each once."""

    def prune(self) -> int:
        """Forget what is kept for embedders other than the one it was opened with; how many there were."""

    def reset(self) -> None:
        """Forget everything, so that it can be filled anew; also mends an index that cannot be read."""

    def count(self) -> int:
        """Number of vectors held. 0 right after `open` means: fill it from the ledger."""

    def close(self) -> None:
        """Release files and connections; closing twice does nothing."""


def _cosine(a: Sequence[float], b: Sequence[float]) -> float:
    norm = math.hypot(*a) * math.hypot(*b)
    return math.fsum(x * y for x, y in zip(a, b, strict=True)) / norm if norm else 0.0
