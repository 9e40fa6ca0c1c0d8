"""Which lessons share the words of a task: BM25 over stems, with identifiers taken apart. Pure.

It is written out here because a lesson book changes while it is read: one changed lesson costs that lesson (0.1 ms), where `bm25s` builds
the whole matrix anew (290 ms at 10,000 lessons) and imports scipy, numba and jax wherever they are installed (0.4 s and more).
"""

import math
import re
import threading
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from langchain_reflect.index.exact import first
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
    text = text[:MAX_CHARS]
    found: list[str] = []
    for token in _TOKEN.findall(_ADDRESS.sub(" ", text) if "@" in text else text):
        found += _known_words(token) if len(token) < _LONG else _words(token)
    return found


def lesson_words(lesson: Lesson) -> list[str]:
    """What a lesson is found by: title, condition, advice and the tasks it came from."""
    return words("\n".join((lesson.title, lesson.when, lesson.do, *lesson.tasks)))


class LexicalIndex:
    """Lessons by their words. Not safe for threads that write at the same time.

    Args:
        lessons: Id and words (`lesson_words`) of each.
    """

    def __init__(self, lessons: Iterable[tuple[str, list[str]]] = ()) -> None:
        self.clear()
        for lesson_id, said in lessons:
            self.put(lesson_id, said)

    def __len__(self) -> int:
        return len(self._slots)

    def clear(self) -> None:
        """Forget all lessons."""
        self._slots: dict[str, int] = {}
        self._ids: list[str | None] = []  # by slot; None: that lesson has gone, or has another slot now
        self._lengths = array("i")
        self._found: dict[str, array[int]] = {}  # word -> slot, how often, slot, how often, …; also of slots that are empty by now
        self._weights: dict[str, tuple[float, NDArray[np.intp], NDArray[np.float32]]] = {}  # until a lesson changes
        self._norms: NDArray[np.float32] | None = None

    def put(self, lesson_id: str, said: list[str]) -> None:
        """Add a lesson, or take its new wording.

        Args:
            lesson_id: Its id.
            said: Its words.
        """
        self.remove(lesson_id)
        slot = len(self._ids)
        self._slots[lesson_id] = slot
        self._ids.append(lesson_id)
        self._lengths.append(len(said))
        for word, times in Counter(said).items():
            known = self._found.get(word)
            if known is None:
                self._found[word] = array("i", (slot, times))
            else:
                known.append(slot)
                known.append(times)
        self._changed()

    def remove(self, lesson_id: str) -> None:
        """Forget a lesson; an unknown id is passed over."""
        slot = self._slots.pop(lesson_id, None)
        if slot is None:
            return
        self._ids[slot], self._lengths[slot] = None, 0
        self._changed()
        if len(self._ids) > 2 * len(self._slots) + _SPARE:
            self._tidy()

    def best(self, task: str, limit: int) -> list[tuple[str, float]]:
        """The lessons that share most with a task, best first (ties: the one that came first), with a score above 0.

        A word counts once however often the task says it: tasks may be long, and what they repeat is seldom what they are about.

        Args:
            task: The text.
            limit: Most lessons returned.
        """
        scores = self._scores(words(task))
        hits = scores.nonzero()[0]
        if limit < len(hits):
            hits = np.sort(hits[first(scores[hits], limit)])
        hits = hits[(-scores[hits]).argsort(kind="stable")]
        ids = self._ids
        return [(str(ids[at]), score) for at, score in zip(hits.tolist(), scores[hits].tolist(), strict=True)]

    def _changed(self) -> None:
        """Lengths and rarities are relative to all lessons."""
        self._norms = None
        self._weights.clear()

    def _scores(self, asked: list[str]) -> NDArray[np.float32]:
        """By slot.

        No word counts for more than the task's words do by and large (root mean square), for a rare one, such as a name, may tell whose
        task it is and not what kind of task. What is written as an identifier may.
        """
        scores = np.zeros(len(self._ids), np.float32)
        found = [(word, *self._weighted(word)) for word in dict.fromkeys(asked) if word in self._found]
        squares = [rarity * rarity for _, rarity, _, _ in found if rarity > 0]
        most = math.sqrt(sum(squares) / max(len(squares), 1))
        for word, rarity, slots, weights in found:
            np.add.at(scores, slots, weights if rarity <= most or _is_identifier(word) else weights * np.float32(most / rarity))
        return scores

    def _weighted(self, word: str) -> tuple[float, NDArray[np.intp], NDArray[np.float32]]:
        """BM25 with the inverse document frequency of Lucene, which is never negative: this rarity, slots and their weights."""
        if word not in self._weights:
            if len(self._weights) >= _WEIGHTED:
                self._weights.clear()
            slots, times = self._of(word)
            rarity = math.log(1 + (len(self) - len(slots) + 0.5) / (len(slots) + 0.5)) if len(slots) else 0.0
            self._weights[word] = (rarity, slots, np.float32(rarity) * times / (times + self._norm()[slots]))
        return self._weights[word]

    def _of(self, word: str) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Slots of the lessons that say a word, and how often each does."""
        pairs = np.array(self._found[word], np.int32).reshape(-1, 2)  # a copy, for an array that is looked at cannot grow
        if len(self._ids) > len(self._slots):
            pairs = pairs[self._alive()[pairs[:, 0]]]
        return pairs[:, 0].astype(np.intp), pairs[:, 1].astype(np.float32)

    def _alive(self) -> NDArray[np.bool_]:
        """By slot."""
        alive = np.zeros(len(self._ids), np.bool_)
        alive[np.fromiter(self._slots.values(), np.intp, len(self._slots))] = True
        return alive

    def _norm(self) -> NDArray[np.float32]:
        if self._norms is None:
            lengths = np.array(self._lengths, np.float32)
            mean = max(float(lengths.sum()) / max(len(self), 1), 1.0)
            self._norms = (K1 * (1 - B + B * lengths / mean)).astype(np.float32)
        return self._norms

    def _tidy(self) -> None:
        """Close the gaps that removed lessons have left."""
        alive = self._alive()
        moved = np.cumsum(alive, dtype=np.int32) - 1
        for word, known in list(self._found.items()):
            pairs = np.array(known, np.int32).reshape(-1, 2)
            pairs = pairs[alive[pairs[:, 0]]]
            pairs[:, 0] = moved[pairs[:, 0]]
            if len(pairs):
                self._found[word] = array("i", pairs.tobytes())
            else:
                del self._found[word]
        self._lengths = array("i", np.array(self._lengths, np.int32)[alive].tobytes())
        self._ids = [lesson_id for lesson_id in self._ids if lesson_id is not None]
        self._slots = {lesson_id: slot for slot, lesson_id in enumerate(self._ids) if lesson_id is not None}


def _is_identifier(word: str) -> bool:
    """Whether a word is of several parts, as `get_user_id` or `utf8` are."""
    return not (word.isalpha() or word.isdigit())


@lru_cache(maxsize=65_536)
def _known_words(token: str) -> tuple[str, ...]:
    """Most tokens of a book are said again and again."""
    return tuple(_words(token))


def _words(token: str) -> Iterator[str]:
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
_SPARE: Final = 1024
"""Gaps that are not worth closing."""
_WEIGHTED: Final = 4096
"""Words whose weights are kept."""
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
