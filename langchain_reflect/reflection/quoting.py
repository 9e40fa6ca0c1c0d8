"""What we once said ourselves is taken out of a run's texts, so that no reflection learns from its own lessons. Pure.

Two ways to know it again: by the marks of the block, and by its words, for an agent may repeat a lesson in part, with other case, quotes,
bullets and line breaks, or inside the JSON of a tool call. A text's words are compared in short runs (shingles) with the runs of the
lessons that were shown. What a lesson has from the task (its condition, the questions of its examples) is the task's where the task says
it too; the right answer alone is nobody's quote.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from langchain_reflect.types import LessonText
from langchain_reflect.types.block import PLACEBO, PREAMBLE

QUOTE: Final = "[a lesson]"
"""Stands where a lesson was quoted."""

_RUN: Final = 7
"""Words that must agree in a row: with thousands of recorded lessons at once, 0.006 % of the text of other domains did by chance."""
_SENTENCE_WORDS: Final = 4
"""A shorter sentence is a quote only as a whole, and only if it has at least so many words."""
_LETTERS: Final = 18
"""Fewest letters of a quote."""
_BETWEEN: Final = 2
"""Words between two quotes that belong to them: labels and numbers such as `2. Not when:`."""
_OPEN: Final = r"(?:<|&lt;|\\{1,8}u003c)"
_SLASH: Final = r"\\{0,8}/"
_END: Final = r"(?:>|&gt;|\\u003e)"
_BLOCK: Final = re.compile(
    rf"{_OPEN}lessons\b[^<>]{{0,300}}?{_END}.*?(?:{_OPEN}{_SLASH}lessons\b[^<>]{{0,9}}?{_END}|\Z)"
    rf"|{_OPEN}(?:{_SLASH})?lessons\b[^<>]{{0,300}}>?",
    re.DOTALL | re.IGNORECASE,
)
_NAMED_BLOCK: Final = re.compile(  # of a replaced template, known by its id, see `types/block.py`
    rf"{_OPEN}([a-z][a-z0-9_-]{{0,31}}) id=[^<>a-z]{{0,9}}?(?:&quot;|u0022)?reflect-[0-9a-f]{{8}}[^<>]{{0,9}}?{_END}"
    rf".*?(?:{_OPEN}{_SLASH}\1\b[^<>]{{0,9}}?{_END}|\Z)",
    re.DOTALL,
)
_CJK: Final = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\u0e00-\u0e7f"
_ESCAPE: Final = re.compile(r"\\{1,8}u([0-9a-fA-F]{4})")
_WORDS: Final = re.compile(rf"((?:[^\W_{_CJK}]|[\u0300-\u036f]|\\{{1,8}}u[0-9a-fA-F]{{4}})+|[{_CJK}])|\\{{1,8}}[nrtbf]")
_ENDS: Final = re.compile(r"(?<=[.!?;:])\s+|(?<=[。！？；])|\n+")  # noqa: RUF001 - the signs of Chinese and Japanese sentences

Run = tuple[str, ...]


Word = tuple[str, int, int]
"""A word as it is compared, and where it starts and ends."""


@dataclass(frozen=True, slots=True)
class Quotes:
    """Knows the words of some lessons again. Made by `quotes_of`."""

    runs: frozenset[Run] = frozenset()
    more: frozenset[Run] = frozenset()
    """Runs that are quotes only where they go on with one: the answers of examples."""
    lengths: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """Lengths of the runs that begin with a word."""

    def left_out(self, text: str) -> str:
        """The text without our own block, and with `[a lesson]` for each passage that repeats a lesson.

        Args:
            text: Any text; comes back as it is if it has nothing of ours. Takes time in proportion to its length.
        """
        text = without_block(text)
        passages = self._passages(list(words_of(text))) if self.runs else []
        parts, at = [], 0
        for start, end in passages:
            parts += [text[at:start], QUOTE]
            at = end
        return "".join([*parts, text[at:]]) if parts else text

    def _passages(self, words: Sequence[Word]) -> Iterator[tuple[int, int]]:
        """Start and end of each quoted passage, in characters."""
        first = last = -1
        for start, end in self.found([word for word, _, _ in words]):
            if first >= 0 and start - last > _BETWEEN:
                yield words[first][1], words[last - 1][2]
                first = start
            first, last = start if first < 0 else first, max(last, end)
        if first >= 0:
            yield words[first][1], words[last - 1][2]

    def found(self, words: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Start and end of each run of these lessons, in words, by start.

        Args:
            words: As `words_of` gives them.
        """
        reached = 0
        for at, word in enumerate(words):
            for length in self.lengths.get(word, ()):
                run = tuple(words[at : at + length])  # shorter at the end of the text
                if run in self.runs or (at < reached and run in self.more):
                    reached = max(reached, at + len(run))
                    yield at, at + len(run)


NONE: Final = Quotes()
"""Knows the block by its marks only."""


def quotes_of(lessons: Iterable[LessonText], *, tasks: Iterable[str] = ()) -> Quotes:
    """What tells quotes of these lessons.

    Args:
        lessons: Lessons that were shown.
        tasks: What was asked of the agent; what it says of a lesson's condition or examples is no quote.
    """
    kept = list(lessons)
    advice = [text for lesson in kept for text in (lesson.do, lesson.why, lesson.when_not)] + ([PREAMBLE, *PLACEBO] if kept else [])
    context = [text for lesson in kept for text in (lesson.when, *(example.input for example in lesson.examples))]
    asked = _quotes(run for text in context for run in _runs(text))
    theirs = {tuple(words[a:b]) for words in map(_texts, tasks) for a, b in asked.found(words)}
    pairs = (run for lesson in kept for example in lesson.examples for run in _across(_texts(example.input), _texts(example.output)))
    answers = (run for lesson in kept for example in lesson.examples for run in _full_runs(_texts(example.output)))
    return _quotes([*(run for text in advice for run in _runs(text)), *(asked.runs - theirs), *pairs], answers)


def without_block(text: str) -> str:
    """The text without our own block, also where it is cut off or escaped.

    Args:
        text: Any text.
    """
    if "reflect-" in text:
        text = _NAMED_BLOCK.sub("", text)
    return _BLOCK.sub("", text) if "lessons" in text.lower() else text


def words_of(text: str) -> Iterator[Word]:
    """The words of a text in one form: no case, no punctuation, no JSON escapes; a Chinese, Japanese, Korean or Thai letter is a word.

    Args:
        text: Any text.
    """
    for found in _WORDS.finditer(text):
        if word := found[1]:
            if "\\" in word:
                plain = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), word)
                yield from ((part, *found.span()) for part, _, _ in words_of(plain))
            else:
                yield (word.lower() if word.isascii() else unicodedata.normalize("NFKC", word).casefold(), *found.span())


def _texts(text: str) -> list[str]:
    return [word for word, _, _ in words_of(text)]


def _quotes(runs: Iterable[Run], more: Iterable[Run] = ()) -> Quotes:
    kept, going_on = frozenset(runs), frozenset(more)
    lengths: dict[str, set[int]] = {}
    for run in kept | going_on:
        lengths.setdefault(run[0], set()).add(len(run))
    return Quotes(kept, going_on, {word: frozenset(found) for word, found in lengths.items()})


def _runs(text: str) -> Iterator[Run]:
    """Every run of the text, and each of its short sentences as a whole."""
    yield from _full_runs(_texts(text))
    for sentence in {text, *_ENDS.split(text)}:
        words = tuple(_texts(sentence))
        if _SENTENCE_WORDS <= _weight(words) < _RUN and _is_long(words):
            yield words


def _full_runs(words: Sequence[str]) -> Iterator[Run]:
    ends = (_end(words, at) for at in range(len(words)))
    runs = (tuple(words[at:end]) for at, end in enumerate(ends) if end)
    return (run for run in runs if _is_long(run))


def _across(asked: Sequence[str], answered: Sequence[str]) -> Iterator[Run]:
    """Runs that begin in an example's question and end in its answer."""
    words = [*asked, *answered]
    ends = ((at, _end(words, at)) for at in range(len(asked)))
    return (tuple(words[at:end]) for at, end in ends if end and end > len(asked))


def _end(words: Sequence[str], at: int) -> int | None:
    """Where a run that begins there has enough words."""
    weight = 0.0
    for end in range(at, len(words)):
        weight += _weight(words[end : end + 1])
        if weight >= _RUN:
            return end + 1
    return None


def _weight(words: Sequence[str]) -> float:
    """How many words they are worth: a letter that is a word of its own is worth half of one."""
    return sum(0.5 if len(word) == 1 and not word.isascii() else 1.0 for word in words)


def _is_long(words: Sequence[str]) -> bool:
    return sum(len(word) if word.isascii() else 2 * len(word) for word in words) >= _LETTERS
