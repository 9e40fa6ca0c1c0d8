"""The lessons of each namespace in memory, as the ledger has them: looked after before each recall, by one small query.

What changed since is read anew, by whatever process it was changed. So a recall sees what a comparison with every vector in the ledger
would, and nothing that was kept is older than the version of the book that was just asked for.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from langchain_reflect.index.base import Vectors
from langchain_reflect.index.embeddings import Embedder
from langchain_reflect.index.field import Blocks
from langchain_reflect.index.turns import Turns
from langchain_reflect.ledger import Ledger
from langchain_reflect.types import SERVABLE, Lesson, Namespace

MAX_HELD: Final = 300_000
"""Lessons in memory, of all namespaces together; those go first whose namespace was not asked for longest. Each takes 2 KB to 5 KB."""
MAX_READ: Final = 4096
"""Lessons of a namespace whose texts are in memory too."""
AT_ONCE: Final = 500
"""Changed lessons from which on a namespace is read anew as a whole."""


@dataclass(frozen=True, slots=True)
class Held:
    """The servable lessons of a namespace at one version of the book."""

    version: int
    blocks: Blocks
    lessons: dict[str, Lesson] = field(default_factory=dict)
    """Those that were shown or considered."""


class LessonMemory:
    """Lessons that are kept in memory. Safe for threads.

    Args:
        ledger: Where they are.
        embedder: Made their vectors.
        embed: Puts the vectors that lessons lack into the ledger.
        check: Raises `EmbedderChanged` if another embedder has taken over; asked before changes are taken in.
    """

    def __init__(self, ledger: Ledger, embedder: Embedder, *, embed: Callable[[Sequence[Lesson]], None], check: Callable[[], None]) -> None:
        self._ledger = ledger
        self._embedder = embedder
        self._embed = embed
        self._check = check
        self._held: OrderedDict[Namespace, Held] = OrderedDict()
        self._too_large: dict[Namespace, int] = {}
        self._turns = Turns()

    def has_some(self, namespace: Namespace) -> bool:
        """Whether a namespace had lessons when it was last asked for."""
        held = self._held.get(namespace)
        return held is not None and len(held.blocks) > 0

    def now(self, namespace: Namespace, *, at_most: int | None = None) -> Held | None:
        """The lessons of a namespace as they are now; None if they are more than `at_most`."""
        version = self._ledger.lessons_version()
        held = self._held.get(namespace)
        if held is None or held.version != version:
            if self._too_large.get(namespace) == version and at_most is not None:
                return None
            with self._turns.of(namespace):
                held = self._brought_up(namespace, version, at_most)
        if held is not None and at_most is not None and len(held.blocks) > at_most:
            return None
        if held is not None:
            self._keep(namespace, held)
        return held

    def texts(self, lesson_ids: Collection[str], namespace: Namespace, version: int | None) -> Mapping[str, Lesson]:
        """Those of the lessons that are servable, as they were at a version of the book or later; None: as they are now."""
        held = self._held.get(namespace)
        if held is None or version != held.version:
            return self._read(lesson_ids, namespace)
        known = {lesson_id: lesson for lesson_id in lesson_ids if (lesson := held.lessons.get(lesson_id)) is not None}
        if missing := [lesson_id for lesson_id in lesson_ids if lesson_id not in known]:
            read = self._read(missing, namespace)
            if len(held.lessons) + len(read) > MAX_READ:
                held.lessons.clear()  # other threads may be at it too, so what is returned is not looked up again
            held.lessons.update(read)
            known.update(read)
        return known

    def _read(self, lesson_ids: Collection[str], namespace: Namespace) -> dict[str, Lesson]:
        return {lesson.id: lesson for lesson in self._ledger.lessons(namespace=namespace, statuses=SERVABLE, ids=lesson_ids)}

    def _keep(self, namespace: Namespace, held: Held) -> None:
        self._held[namespace] = held
        self._held.move_to_end(namespace)
        if len(self._held) > 1 and sum(len(each.blocks) for each in list(self._held.values())) > MAX_HELD:
            self._held.popitem(last=False)

    def _brought_up(self, namespace: Namespace, version: int, at_most: int | None) -> Held | None:
        held = self._held.get(namespace)
        if held is not None and held.version == version:
            return held  # another thread has done it meanwhile
        self._check()
        if held is None or held.version > version:  # a ledger may have been put back to what it was
            if at_most is not None and self._ledger.lesson_count(namespace=namespace, statuses=SERVABLE) > at_most:
                self._too_large[namespace] = version
                return None
            return self._whole(namespace)
        newer, changed = self._ledger.lessons_changed_since(held.version, namespace=namespace)
        if not changed:
            return replace(held, version=newer)
        if len(changed) > AT_ONCE:
            return self._whole(namespace)
        vectors = self._vectors(namespace, changed)
        kept = {lesson_id: lesson for lesson_id, lesson in list(held.lessons.items()) if lesson_id not in set(changed)}
        return Held(newer, held.blocks.with_changed(changed, vectors), kept)

    def _whole(self, namespace: Namespace) -> Held:
        version = self._ledger.lessons_version()
        return Held(version, Blocks.of(self._vectors(namespace)))

    def _vectors(self, namespace: Namespace, ids: Sequence[str] | None = None) -> Iterator[tuple[str, Vectors]]:
        """Vectors of a namespace's servable lessons. To be called after the version was read, so that what it has lacks no vector."""
        if lacking := self._ledger.unembedded(self._embedder.id, namespace=namespace, statuses=SERVABLE, ids=ids):
            self._embed(self._ledger.lessons(ids=lacking))
        return iter(self._ledger.lesson_vectors(self._embedder.id, namespace=namespace, statuses=SERVABLE, ids=ids))
