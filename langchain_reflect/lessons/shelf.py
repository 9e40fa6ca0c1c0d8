"""The lessons of one namespace at one version of the book, with their vectors: what curation and consolidation compare with.

Every vector is compared, and none through the index: what a reflection decides must not hang on what an approximate search happens to
find, and can be repeated later.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from langchain_reflect.index.base import Vector, Vectors
from langchain_reflect.index.embeddings import Embedder
from langchain_reflect.ledger import Ledger
from langchain_reflect.ledger.lessons import texts_of
from langchain_reflect.types import Lesson, Namespace

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Found:
    """A lesson near to a text."""

    lesson: Lesson
    cosine: float
    """Of what both say (condition and advice)."""
    related: bool
    """Whether both come from tasks of one kind, or from no task that is known."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Lessons of any status but `superseded`, ready to be compared."""

    version: int
    """Of the book, when they were read."""
    lessons: tuple[Lesson, ...]
    texts: Vectors
    """Row i is the vector of what lesson i says."""
    tasks: tuple[Vectors, ...]
    """Vectors of the tasks that lesson i came from; none for a lesson without tasks."""

    @classmethod
    def of(cls, version: int, lessons: Sequence[Lesson], vectors: Mapping[str, Vector]) -> "Shelf":
        """From lessons and the vectors of all their texts.

        Args:
            version: Of the book.
            lessons: Of one namespace.
            vectors: By text; each of length 1.
        """
        kept = tuple(lesson for lesson in lessons if lesson.status != "superseded")
        texts = [vectors[lesson.key_text()] for lesson in kept]
        tasks = tuple(np.stack([vectors[t] for t in lesson.tasks]) if lesson.tasks else np.zeros((0, 0), np.float32) for lesson in kept)
        return cls(version, kept, np.stack(texts) if texts else np.zeros((0, 0), np.float32), tasks)

    @property
    def digest(self) -> str:
        """Identifies what stands on it, see `digest_of`."""
        return digest_of(self.lessons)

    def near(self, vector: Vector, tasks: Vectors, *, least: float, similar: float) -> list[Found]:
        """Lessons that say something near, those from tasks of the same kind first, then by cosine.

        Args:
            vector: Of length 1.
            tasks: Vectors of the tasks that the other text comes from, shape `(n, dimension)`, n >= 0.
            least: Smallest cosine.
            similar: Cosine from which two tasks are of one kind.
        """
        if not self.lessons:
            return []
        cosines = self.texts @ vector
        chosen = np.flatnonzero(cosines >= least)
        found = [Found(self.lessons[i], float(cosines[i]), are_related(self.tasks[i], tasks, similar)) for i in chosen]
        return sorted(found, key=lambda f: (not f.related, -f.cosine, f.lesson.id))


def digest_of(lessons: Iterable[Lesson]) -> str:
    """Identifies lessons as they are, in any order: another revision, or evidence that was erased, makes another digest.

    Args:
        lessons: Of one namespace; superseded ones do not count.
    """
    said = sorted(f"{x.id} {x.revision} {len(x.evidence)} {len(x.tasks)}" for x in lessons if x.status != "superseded")
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]


def are_related(one: Vectors, other: Vectors, similar: float) -> bool:
    """Whether two lessons come from tasks of one kind; where no task is known, nothing speaks against it.

    Args:
        one: Vectors of tasks, shape `(n, dimension)`.
        other: Likewise.
        similar: Cosine from which two tasks are of one kind.
    """
    return not len(one) or not len(other) or float((one @ other.T).max()) >= similar


def read_shelf(ledger: Ledger, embedder: Embedder, namespace: Namespace) -> Shelf:
    """The lessons of a namespace as they are now; texts without a vector are embedded, and kept.

    Args:
        ledger: Where the lessons are.
        embedder: Made the vectors.
        namespace: Whose lessons.
    """
    for _ in range(_TRIES):  # until nobody changed the book meanwhile; if somebody always does, the commit finds out
        version = ledger.lessons_version()
        lessons = ledger.lessons(namespace=namespace)
        if ledger.lessons_version() == version:
            break
    return Shelf.of(version, lessons, vectors_of(ledger, embedder, [text for lesson in lessons for text in texts_of(lesson)]))


def vectors_of(ledger: Ledger, embedder: Embedder, texts: Sequence[str]) -> dict[str, Vector]:
    """The vector of each text. The ledger keeps them, so that each text is embedded once.

    Args:
        ledger: Keeps the vectors.
        embedder: Makes those that are missing.
        texts: Any texts, also repeatedly.
    """
    wanted = list(dict.fromkeys(texts))
    known: dict[str, Vector] = ledger.text_vectors(embedder.id, wanted)
    if fresh := [text for text in wanted if text not in known]:
        made = dict(zip(fresh, embedder.embed_documents(fresh), strict=True))
        ledger.put_vectors(embedder.id, made)
        known |= made
    return known
