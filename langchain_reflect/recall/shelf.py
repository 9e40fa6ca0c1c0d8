"""The words of each namespace's servable lessons, kept in memory and brought up to date before each search."""

import threading
from collections import OrderedDict
from typing import Final

from langchain_reflect.ledger import Ledger
from langchain_reflect.recall.lexical import LexicalIndex, lesson_words
from langchain_reflect.types import SERVABLE, Namespace

MAX_NAMESPACES: Final = 256
"""Indexes that are kept, those used last."""


class LexicalShelf:
    """Lexical search over a ledger's lessons. Safe for threads.

    Args:
        ledger: Where the lessons are; changes by other processes are seen at the next search.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._held: OrderedDict[Namespace, tuple[int, LexicalIndex]] = OrderedDict()

    def best(self, task: str, namespace: Namespace, limit: int) -> list[tuple[str, float]]:
        """Ids of the servable lessons that share most words with a task, see `LexicalIndex.best`.

        Args:
            task: The text.
            namespace: Whose lessons.
            limit: Most lessons returned.
        """
        with self._lock:
            return self._current(namespace).best(task, limit)

    def _current(self, namespace: Namespace) -> LexicalIndex:
        version, index = self._held.pop(namespace, (None, LexicalIndex()))
        if version is None:
            version = self._ledger.lessons_version()
            self._read(index, namespace, ids=None)
        elif self._ledger.lessons_version() != version:
            version, changed = self._ledger.lessons_changed_since(version)
            self._read(index, namespace, ids=changed)
        self._held[namespace] = (version, index)
        if len(self._held) > MAX_NAMESPACES:
            self._held.popitem(last=False)
        return index

    def _read(self, index: LexicalIndex, namespace: Namespace, *, ids: list[str] | None) -> None:
        """Take in lessons; of the given ids, those that are not served any more go."""
        served = self._ledger.lessons(namespace=namespace, statuses=SERVABLE, ids=ids)
        for lesson in served:
            index.put(lesson.id, lesson_words(lesson))
        for gone in set(ids or ()) - {lesson.id for lesson in served}:
            index.remove(gone)
