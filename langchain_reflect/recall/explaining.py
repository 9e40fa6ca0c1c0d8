"""Why recall shows what it shows: every lesson considered, with every part of its score. Pure.

Made only where somebody asks, so that a run pays nothing for it.
"""

import html
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar, Final, Literal

from langchain_reflect.lessons.finding import Path
from langchain_reflect.lessons.floors import FloorSource
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recall.ranking import Ranked
from langchain_reflect.recall.rendering import scrub
from langchain_reflect.types import Lesson, Match, Namespace, Recalled
from langchain_reflect.types.base import Noun

EXPLAINED: Final = 40
"""Lessons that are told of beyond those that a run ranks."""
_WIDTH: Final = 44


class Considered(Noun):
    """One lesson as recall saw it."""

    lesson: Lesson
    rank: int
    """Place in the order of scores, from 1; lessons beyond `Explanation.ranked` come after those that were ranked."""
    similarity: float
    """Cosine of the task to the lesson's nearest text."""
    nearest: Literal["lesson", "task"]
    """Whether that is its condition and advice, or a task that it came from."""
    nearest_text: str
    lexical: float
    """BM25 score of the words shared with the task."""
    fused: float
    """What meaning and words say together, 0 to 1 within one task; without words the cosine."""
    utility: float
    """What its proof adds: its status, and its measured effect."""
    score: float
    """`fused + utility`, what the order goes by."""
    tokens: int
    kept: bool
    reason: str
    """As in `Match`, or `beyond the candidates`: a run would not have ranked it."""
    shown_with: float
    """Probability that a run which gets lessons shows it, if it is in the block."""


class Explanation(Noun):
    """What a task would get, and why."""

    HEAD: ClassVar = ("rank", "lesson", "cosine", "by", "words", "fused", "utility", "score", "tokens", "", "when")
    """Of the table."""

    task: str
    namespace: Namespace
    block: str
    """What stands in the prompt of a run that chance lets have lessons."""
    note: str
    """Why the block is empty, if it is."""
    considered: tuple[Considered, ...] = ()
    """Best first."""
    ranked: int = 0
    """So many of them a run would rank."""
    more: int = 0
    """Further lessons of the namespace that are not told of."""
    fit: float | None = None
    """How well the best lessons fit, see `fusion.fit`; None where words were not compared."""
    floor: float | None = None
    """What a lesson's cosine, and `fit`, must reach; None if nothing was compared."""
    floor_source: FloorSource | None = None
    """`given` by the user, `calibrated` for the embedder, or the `default` for all."""
    path: Path | Literal["memory"] | None = None
    """What answered: all lessons in `memory`, the `index`, or the `ledger`'s vectors because the index could not."""
    tokens: int = 0
    max_tokens: int
    holdout: float
    """Probability that a run gets no lessons."""
    placebo: float
    """Probability that it gets neutral text instead."""
    paused: str = ""
    """Why runs get no lessons at the moment, if so."""

    @property
    def lessons(self) -> tuple[Lesson, ...]:
        """The lessons in the block, best first."""
        return tuple(each.lesson for each in self.considered if each.kept)

    def rows(self) -> list[tuple[str, ...]]:
        """The table's cells, without its head."""
        return [_row(each) for each in self.considered]

    def lines(self) -> list[str]:
        """What holds for all lessons, one line each."""
        said = []
        if self.paused:
            said.append(f"Recall is paused, runs get no lessons: {self.paused}.")
        if self.floor is not None:
            fits = "" if self.fit is None else f", the best lessons fit by {self.fit:.3f}"
            said.append(f"Floor {self.floor:.3f} ({self.floor_source}){fits}; {_PATHS[self.path]}.")
        if self.more:
            said.append(f"{self.more} further lessons were not near enough to be listed.")
        chances = f"a run gets none by chance with probability {self.holdout:g}"
        chances += f", neutral text with {self.placebo:g}" if self.placebo else ""
        said.append(f"{self.tokens} of {self.max_tokens} tokens used; {chances}.")
        return said

    def __str__(self) -> str:
        """A table for people, the block below it."""
        table = [self.HEAD, *self.rows()]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        body = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
        shown = self.block or f"Nothing would be shown: {self.note}"
        return "\n".join([*(body if self.considered else ["No lessons to consider."]), "", *self.lines(), "", shown])

    def _repr_html_(self) -> str:
        """The same for notebooks."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.HEAD)
        rows = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows())
        said = "".join(f"<p>{html.escape(line)}</p>" for line in self.lines())
        shown = html.escape(self.block or f"Nothing would be shown: {self.note}")
        return f"<table><tr>{head}</tr>{rows}</table>{said}<pre>{shown}</pre>"


_PATHS: Final[Mapping[Path | Literal["memory"] | None, str]] = {
    "memory": "all lessons were looked at, in memory",
    "index": "the index answered",
    "ledger": "the ledger's vectors answered, because the index could not",
    None: "nothing was searched",
}


def explanation(
    recalled: Recalled,
    *,
    namespace: Namespace,
    policy: RecallPolicy,
    matches: Sequence[Match] = (),
    ranked: Mapping[str, Ranked] = MappingProxyType({}),
    texts: Mapping[str, str] = MappingProxyType({}),
    served: int = 0,
    floor: float | None = None,
    floor_source: FloorSource | None = None,
    fit: float | None = None,
    path: Path | Literal["memory"] | None = None,
    tokens: int = 0,
) -> Explanation:
    """Put together what was found out.

    Args:
        recalled: What somebody who asks would get.
        namespace: Whose lessons.
        policy: What recall went by.
        matches: The recall's own, and those beyond them.
        ranked: The parts of their scores, by lesson id.
        texts: Of each lesson the text that is nearest to the task.
        served: Number of servable lessons.
        floor: See `Explanation`; likewise the rest.
        floor_source: Where the floor comes from.
        fit: How well the best lessons fit.
        path: What answered.
        tokens: Of the block.
    """
    usual = len(recalled.matches)
    order = sorted(range(len(matches)), key=lambda at: (at >= usual, -ranked[matches[at].lesson.id].score))
    considered = [
        _considered(matches[at], ranked[matches[at].lesson.id], place, policy, texts, is_beyond=at >= usual)
        for place, at in enumerate(order, 1)
    ]
    return Explanation(
        task=recalled.task,
        namespace=namespace,
        block=recalled.block,
        note=recalled.note,
        considered=tuple(considered),
        ranked=usual,
        more=max(0, served - len(considered)),
        fit=fit,
        floor=floor,
        floor_source=floor_source,
        path=path,
        tokens=tokens,
        max_tokens=policy.max_tokens,
        holdout=policy.holdout,
        placebo=policy.placebo,
    )


def _considered(match: Match, ranked: Ranked, place: int, policy: RecallPolicy, texts: Mapping[str, str], *, is_beyond: bool) -> Considered:
    lesson = match.lesson
    text = texts.get(lesson.id, lesson.key_text())
    beyond = ranked.dropped if ranked.dropped == "below floor" else "beyond the candidates"
    return Considered(
        lesson=lesson,
        rank=place,
        similarity=match.similarity,
        nearest="lesson" if text == lesson.key_text() else "task",
        nearest_text=text,
        lexical=match.lexical,
        fused=ranked.score - ranked.utility,
        utility=ranked.utility,
        score=ranked.score,
        tokens=match.tokens,
        kept=match.kept and not is_beyond,
        reason=beyond if is_beyond else match.reason,
        shown_with=1.0 - policy.withhold_probability(lesson.status),
    )


def _row(each: Considered) -> tuple[str, ...]:
    when = " ".join(scrub(each.lesson.when).split())
    return (
        str(each.rank),
        each.lesson.id,
        f"{each.similarity:.3f}",
        each.nearest,
        f"{each.lexical:.1f}",
        f"{each.fused:.3f}",
        f"{each.utility:+.3f}",
        f"{each.score:.3f}",
        str(each.tokens),
        f"{each.reason} ({each.shown_with:g})" if each.kept else each.reason,
        when if len(when) <= _WIDTH else f"{when[: _WIDTH - 1]}…",
    )
