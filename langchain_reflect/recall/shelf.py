"""The words of each namespace's servable lessons, kept in memory and brought up to date before each search."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from langchain_reflect.index.turns import Turns
from langchain_reflect.ledger import Ledger
from langchain_reflect.recall.lexical import LexicalIndex, words
from langchain_reflect.types import SERVABLE, Namespace

MAX_HELD: Final = 300_000
"""Lessons whose words are kept, of all namespaces; those go first whose namespace was not asked for longest. Each takes some 3 KB."""
AT_ONCE: Final = 500
"""Changed lessons from which on a namespace is read anew as a whole."""


class LexicalShelf:
    """Lexical search over a ledger's lessons. Safe for threads.

    Args:
        ledger: Where the lessons are; changes by other processes are seen at the next search.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._held: OrderedDict[Namespace, tuple[int, LexicalIndex]] = OrderedDict()
        self._turns = Turns(self._forget)

    def best(self, task: str, namespace: Namespace, limit: int, *, version: int | None = None) -> list[tuple[str, float]]:
        """Ids of the servable lessons that share most words with a task, see `LexicalIndex.best`.

        Args:
            task: The text.
            namespace: Whose lessons.
            limit: Most lessons returned.
            version: Of the book that is searched at least; None: as it is now.
        """
        version = self._ledger.lessons_version() if version is None else version
        with self._turns.of(namespace):
            return self._current(namespace, version).best(task, limit)

    def _current(self, namespace: Namespace, version: int) -> LexicalIndex:
        known, index = self._held.get(namespace) or (None, LexicalIndex())
        if known != version:
            known = self._brought_up(namespace, index, known, version)
        self._held[namespace] = (known, index)
        self._held.move_to_end(namespace)
        if len(self._held) > 1 and sum(len(each) for _, each in list(self._held.values())) > MAX_HELD:
            self._held.popitem(last=False)
        return index

    def _brought_up(self, namespace: Namespace, index: LexicalIndex, known: int | None, version: int) -> int:
        """Take in what has changed, and return the version that the index is of then."""
        if known is None or known > version:  # a ledger may have been put back to what it was
            return self._read_all(namespace, index)
        newer, changed = self._ledger.lessons_changed_since(known, namespace=namespace)
        if len(changed) > AT_ONCE:
            return self._read_all(namespace, index)
        if changed:
            self._read(index, namespace, changed)
        return newer

    def _read_all(self, namespace: Namespace, index: LexicalIndex) -> int:
        version = self._ledger.lessons_version()
        index.clear()
        self._read(index, namespace, None)
        return version

    def _read(self, index: LexicalIndex, namespace: Namespace, ids: Sequence[str] | None) -> None:
        """Take in lessons; of the given ids, those that are not served any more go."""
        served = self._ledger.lesson_texts(namespace=namespace, statuses=SERVABLE, ids=ids)
        for lesson_id, text in served:
            index.put(lesson_id, words(text))
        for gone in set(ids or ()) - {lesson_id for lesson_id, _ in served}:
            index.remove(gone)

    def _forget(self) -> None:
        """In a forked child, an index may be half written."""
        self._held.clear()
