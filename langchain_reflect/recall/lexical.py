"""Which lessons share the words of a task: BM25 over stems, with identifiers taken apart. Pure.

It is written out here because a lesson book changes while it is read: one changed lesson costs that lesson (0.2 ms), where `bm25s` builds
the whole matrix anew (290 ms at 10,000 lessons) and imports scipy, numba and jax wherever they are installed (0.4 s and more).
"""

import math
import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from langchain_reflect.types import Lesson

K1: Final = 1.5
"""How soon a repeated word stops to count. With `B` the usual choice (Manning, Raghavan, Schütze: Introduction to Information Retrieval,
11.4.3: 1.2 to 2)."""
B: Final = 0.75
"""How much the length of a lesson counts against it."""
MAX_CHARS: Final = 16_384
"""Of a text that are read."""


def words(text: str) -> list[str]:
    """The stems of a text in their order, without stop words.

    `getUserId` and `get_user_id` are found by their parts and as a whole, paths by their parts; digits stand apart from letters; text in
    Chinese, Japanese or Korean, which sets no spaces, becomes pairs of characters. Mail addresses are left out: they tell whose task it
    is, not what kind of task.

    Args:
        text: Any text; what is beyond `MAX_CHARS` characters is left out.
    """
    return list(_words(text[:MAX_CHARS]))


def lesson_words(lesson: Lesson) -> list[str]:
    """What a lesson is found by: title, condition, advice and the tasks it came from."""
    return words("\n".join((lesson.title, lesson.when, lesson.do, *lesson.tasks)))


class LexicalIndex:
    """Lessons by their words. Not safe for threads that write at the same time.

    Args:
        lessons: Id and words (`lesson_words`) of each.
    """

    def __init__(self, lessons: Iterable[tuple[str, list[str]]] = ()) -> None:
        self._slots: dict[str, int] = {}
        self._ids: list[str | None] = []
        self._free: list[int] = []
        self._lengths: list[int] = []
        self._found: dict[str, dict[int, int]] = {}  # word -> slot -> how often
        self._arrays: dict[str, tuple[NDArray[np.intp], NDArray[np.float32]]] = {}
        self._weights: dict[str, tuple[NDArray[np.intp], NDArray[np.float32]]] = {}  # as `_arrays`, weighted; until a lesson changes
        self._norms: NDArray[np.float32] | None = None
        self._counts: dict[str, Mapping[str, int]] = {}
        for lesson_id, said in lessons:
            self.put(lesson_id, said)

    def __len__(self) -> int:
        return len(self._slots)

    def put(self, lesson_id: str, said: list[str]) -> None:
        """Add a lesson, or take its new wording.

        Args:
            lesson_id: Its id.
            said: Its words.
        """
        self.remove(lesson_id)
        slot = self._new_slot(lesson_id)
        self._slots[lesson_id], self._ids[slot], self._lengths[slot] = slot, lesson_id, len(said)
        self._counts[lesson_id] = Counter(said)
        for word, times in self._counts[lesson_id].items():
            self._found.setdefault(word, {})[slot] = times
            self._arrays.pop(word, None)
        self._changed()

    def remove(self, lesson_id: str) -> None:
        """Forget a lesson; an unknown id is passed over."""
        slot = self._slots.pop(lesson_id, None)
        if slot is None:
            return
        for word in self._counts.pop(lesson_id):
            del self._found[word][slot]
            if not self._found[word]:
                del self._found[word]
            self._arrays.pop(word, None)
        self._ids[slot], self._lengths[slot] = None, 0
        self._free.append(slot)
        self._changed()

    def best(self, task: str, limit: int) -> list[tuple[str, float]]:
        """The lessons that share most with a task, best first (ties: by id), with a score above 0.

        A word counts once however often the task says it: tasks may be long, and what they repeat is seldom what they are about.

        Args:
            task: The text.
            limit: Most lessons returned.
        """
        scores = self._scores(words(task))
        hits = np.flatnonzero(scores > 0)
        if limit < len(hits):
            hits = hits[np.argpartition(-scores[hits], limit - 1)[:limit]] if limit > 0 else hits[:0]
        found = [(str(self._ids[at]), float(scores[at])) for at in hits]
        return sorted(found, key=lambda hit: (-hit[1], hit[0]))

    def _changed(self) -> None:
        """Lengths and rarities are relative to all lessons."""
        self._norms = None
        self._weights.clear()

    def _scores(self, asked: list[str]) -> NDArray[np.float32]:
        """By slot."""
        scores = np.zeros(len(self._ids), np.float32)
        for word in dict.fromkeys(asked):
            if word in self._found:
                slots, weights = self._weighted(word)
                scores[slots] += weights
        return scores

    def _weighted(self, word: str) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """BM25 with the inverse document frequency of Lucene, which is never negative."""
        if word not in self._weights:
            slots, times = self._array(word)
            rarity = math.log(1 + (len(self) - len(slots) + 0.5) / (len(slots) + 0.5))
            self._weights[word] = (slots, np.float32(rarity) * times / (times + self._norm()[slots]))
        return self._weights[word]

    def _array(self, word: str) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        if word not in self._arrays:
            found = self._found[word]
            slots = np.fromiter(found, np.intp, len(found))
            self._arrays[word] = (slots, np.fromiter(found.values(), np.float32, len(found)))
        return self._arrays[word]

    def _norm(self) -> NDArray[np.float32]:
        if self._norms is None:
            lengths = np.array(self._lengths, np.float32)
            mean = max(float(lengths.sum()) / max(len(self), 1), 1.0)
            self._norms = (K1 * (1 - B + B * lengths / mean)).astype(np.float32)
        return self._norms

    def _new_slot(self, lesson_id: str) -> int:
        if self._free:
            return self._free.pop()
        self._ids.append(lesson_id)
        self._lengths.append(0)
        return len(self._ids) - 1


def _words(text: str) -> Iterator[str]:
    for token in _TOKEN.findall(_ADDRESS.sub(" ", text)):
        parts = _PART.findall(_HUMP.sub(" ", token))
        if len(parts) > 1:
            yield token.casefold()
        for part in parts:
            yield from _pairs(part) if _UNSPACED.match(part) else _stems(part.casefold())


def _stems(word: str) -> Iterator[str]:
    if word not in _STOP:
        yield _stem(word)


def _pairs(text: str) -> Iterator[str]:
    """As Lucene's CJKAnalyzer does."""
    if len(text) == 1:
        yield text
    for start in range(len(text) - 1):
        yield text[start : start + 2]


@lru_cache(maxsize=65_536)
def _stem(word: str) -> str:
    """Snowball's English stem; words of other languages mostly stay as they are."""
    return str(_stemmer().stemWord(word)) if len(word) < _LONG else word


def _stemmer() -> Any:
    """One for each thread, since it keeps the word it works on."""
    if not hasattr(_local, "stemmer"):
        import snowballstemmer

        _local.stemmer = snowballstemmer.stemmer("english")
    return _local.stemmer


_local: Final = threading.local()
_LONG: Final = 40
"""Letters from which on it is no word, but a key or a hash."""
_TOKEN: Final = re.compile(r"\w+")
_ADDRESS: Final = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_CJK: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_PART: Final = re.compile(rf"[{_CJK}]+|[^\W\d_{_CJK}]+|\d+")
_UNSPACED: Final = re.compile(f"[{_CJK}]")
_STOP_WORDS: Final = """
i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself it its itself they them
their theirs themselves what which who whom this that these those am is are was were be been being have has had having do does did doing
would should could ought a an the and but if or because as until while of at by for with about against between into through during before
after above below to from up down in out on off over under again further then once here there when where why how all any both each few more
most other some such no nor not only own same so than too very s t can will just don now d ll m re ve
"""
_STOP: Final = frozenset(_STOP_WORDS.split())
"""Snowball's English list, https://snowballstem.org/algorithms/english/stop.txt, with the remains of contractions."""
