"""Trajectories become short texts for a prompt. Pure.

What tells most stays: the first and the last steps, every error, and the first step at which a bad rollout left the path of a good one. The
middle is left out and counted. All rollouts of a group share one hard budget; what a short one does not need goes to the longer ones.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from statistics import median_low
from typing import Final

from langchain_reflect.lessons.counting import estimate_tokens
from langchain_reflect.reflection.quoting import NONE, Quotes
from langchain_reflect.reflection.reading import Line, lines_of
from langchain_reflect.types import Episode

_HEAD: Final = 2
_TAIL: Final = 3
_LINE: Final = 600
"""Most characters of one step, where the budget allows it."""
_SHORT_LINE: Final = 120
_MISSES: Final = 5
"""After so many steps without room the rest is not tried."""
_SLOW_MS: Final = 1000.0
_SLOW_TIMES: Final = 3.0
"""A step is slow if it took so many times as long as the typical step of its kind in the group."""
_PARTED: Final = " [the first step that no good try took]"


def digests(episodes: Sequence[Episode], *, good: Sequence[bool], budget: int, quotes: Quotes = NONE) -> list[str]:
    """What happened in each rollout of a group, in few words.

    Args:
        episodes: The rollouts' episodes.
        good: Whether each was among the better ones; divergence is told for the others.
        budget: Most tokens (as `estimate_tokens` counts) of all digests together.
        quotes: Knows the lessons that were shown; where an agent repeats one it is left out, so that we never learn from ourselves.

    Returns:
        One text per episode, in order; `""` for one without steps, or for which there is no room.
    """
    paths = [lines_of(episode) for episode in episodes]
    apart = [None if is_good else _leaves(path, paths, good) for path, is_good in zip(paths, good, strict=True)]
    slow = _slow(paths)
    sheets = [_Sheet(path, at, quotes, slow) for path, at in zip(paths, apart, strict=True)]
    return _shared_out(sheets, budget)


def cut(text: str, limit: int) -> str:
    """At most `limit` characters on one line, the middle left out: beginning and end tell most.

    Args:
        text: Any text.
        limit: Most characters of the result.
    """
    text = " ".join(text.split())
    if len(text) <= limit:
        return text
    tail = limit // 3
    return f"{text[: limit - tail - 3]} … {text[len(text) - tail :]}"


@dataclass(slots=True)
class _Sheet:
    """One rollout's lines, of which the most telling are chosen while there is room; keeps count of their tokens."""

    path: Sequence[Line]
    apart: int | None
    """Index of the first step that no good rollout took."""
    quotes: Quotes
    slow: Mapping[str, float]
    chosen: dict[int, str] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    """Indices of the chosen lines."""
    told: dict[int, str] = field(default_factory=dict)
    """Lines that were looked at, without quotes."""
    used: int = 0
    """Tokens of the chosen lines and of the gaps between them, each with its line break."""
    fails: list[int] = field(default_factory=list)
    """Failed lines before each index."""

    def __post_init__(self) -> None:
        self.fails = list(accumulate((line.failed for line in self.path), initial=0))
        self.used = self._gap_cost(-1, len(self.path))

    def fill(self, budget: int) -> str:
        """The text, of at most so many tokens."""
        if self.used > budget:
            return ""
        telling = self._telling()
        self._place(telling, budget, [_SHORT_LINE])
        self._place(telling, budget, [_LINE])
        self._place((at for at in range(len(self.path)) if at not in self.chosen), budget, [_LINE, _SHORT_LINE])
        return self.text()

    def text(self) -> str:
        """The chosen lines, numbered, with counts of what is left out."""
        lines: list[str] = []
        before = -1
        for at in self.order:
            lines += [gap for gap in [self._gap(before, at)] if gap]
            lines.append(self.chosen[at])
            before = at
        return "\n".join([*lines, *(gap for gap in [self._gap(before, len(self.path))] if gap)])

    def _place(self, indices: Iterable[int], budget: int, limits: Sequence[int]) -> None:
        misses = 0
        for at in indices:
            if not any(self._put(at, limit, budget) for limit in limits):
                misses += 1
                if misses > _MISSES:
                    return

    def _put(self, at: int, limit: int, budget: int) -> bool:
        """Put the line in, or in a longer form, if there is room."""
        form = self._form(at, limit)
        before, after = self._around(at)
        if at in self.chosen:
            more = estimate_tokens(form) - estimate_tokens(self.chosen[at])
        else:
            more = estimate_tokens(form) + 1 + self._gap_cost(before, at) + self._gap_cost(at, after) - self._gap_cost(before, after)
        if self.used + more > budget:
            return False
        if at not in self.chosen:
            insort(self.order, at)
        self.chosen[at] = form
        self.used += more
        return True

    def _around(self, at: int) -> tuple[int, int]:
        """The chosen lines before and after."""
        place = bisect_left(self.order, at)
        after = place + (place < len(self.order) and self.order[place] == at)
        return self.order[place - 1] if place else -1, self.order[after] if after < len(self.order) else len(self.path)

    def _form(self, at: int, limit: int) -> str:
        line = self.path[at]
        if at not in self.told:
            self.told[at] = cut(self.quotes.left_out(line.text), _LINE)
        return f"{at + 1}. {cut(self.told[at], limit)}{_latency(line, self.slow)}{_PARTED if at == self.apart else ''}"

    def _gap(self, before: int, after: int) -> str:
        count = after - before - 1
        failed = self.fails[after] - self.fails[before + 1]
        errors = f", {failed} of them error{'s' if failed > 1 else ''}" if failed else ""
        return f"[{count} step{'s' if count > 1 else ''} left out{errors}]" if count else ""

    def _gap_cost(self, before: int, after: int) -> int:
        gap = self._gap(before, after)
        return estimate_tokens(gap) + 1 if gap else 0

    def _telling(self) -> list[int]:
        """Indices of the lines that tell something, the most telling first."""
        last = len(self.path) - 1
        parted = [] if self.apart is None else [self.apart]
        errors = [at for at in range(last, -1, -1) if self.path[at].failed]
        edges = [*range(last, max(last - _TAIL, -1), -1), *range(min(_HEAD, len(self.path)))]
        around = [at + step for at in parted for step in (-1, 1)]
        return list(dict.fromkeys(at for at in [last, *parted, 0, *errors, *edges, *around] if 0 <= at <= last))


def _shared_out(sheets: Sequence[_Sheet], budget: int) -> list[str]:
    """Fill the sheets within one budget: the smallest first, each with an equal share of what is left."""
    texts = [""] * len(sheets)
    needs = [_need(sheet, budget) for sheet in sheets]
    waiting = sorted((at for at, sheet in enumerate(sheets) if sheet.path), key=lambda at: needs[at])
    for place, at in enumerate(waiting):
        texts[at] = sheets[at].fill(budget // (len(waiting) - place))
        budget -= estimate_tokens(texts[at])
    return texts


def _need(sheet: _Sheet, most: int) -> int:
    """About how many tokens the whole path would take, at most `most`: four characters each are enough to tell short from long."""
    need = 0
    for line in sheet.path:
        need += min(len(line.text), _LINE) // 4 + 3
        if need >= most:
            return most
    return need


def _leaves(path: Sequence[Line], paths: Sequence[Sequence[Line]], good: Sequence[bool]) -> int | None:
    """Index of the first step that no good rollout took: where the longest way shared with one of them ends.

    What was done is compared, not how it was said, unless nobody did anything but talk.
    """
    others = [other for other, is_good in zip(paths, good, strict=True) if is_good and other]
    by_word = not any(line.act for line in path) or not any(line.act for other in others for line in other)
    mine = _marks(path, by_word=by_word)
    shared = [_shared([mark for _, mark in mine], [mark for _, mark in _marks(other, by_word=by_word)]) for other in others]
    if not shared or len(path) <= 1:
        return None
    most = max(shared)
    if most < len(mine):
        return mine[most][0]
    stopped = any(len(_marks(other, by_word=by_word)) > most for other in others)
    return mine[-1][0] + 1 if stopped and mine and mine[-1][0] + 1 < len(path) else None


def _marks(path: Sequence[Line], *, by_word: bool) -> list[tuple[int, str]]:
    """Index and mark of the lines that can tell two ways apart."""
    if by_word:
        return [(at, " ".join(line.text.casefold().split())) for at, line in enumerate(path) if line.kind == "model"]
    return [(at, line.act) for at, line in enumerate(path) if line.act]


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def _slow(paths: Sequence[Sequence[Line]]) -> dict[str, float]:
    """Milliseconds from which a step of each kind is slow in this group."""
    times: dict[str, list[float]] = {}
    for line in (line for path in paths for line in path if line.latency_ms is not None):
        times.setdefault(line.kind, []).append(line.latency_ms or 0.0)
    return {kind: max(_SLOW_MS, _SLOW_TIMES * median_low(found)) for kind, found in times.items()}


def _latency(line: Line, slow: Mapping[str, float]) -> str:
    took = line.latency_ms
    is_slow = took is not None and (took >= slow[line.kind] or (line.failed and took >= _SLOW_MS))
    return f" ({took / 1000:.1f} s)" if took is not None and is_slow else ""
