"""The health of a lesson book, as numbers and names. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from langchain_reflect.index.base import Vector, Vectors
from langchain_reflect.ledger.facts import LessonFacts
from langchain_reflect.lessons.counting import estimate_tokens
from langchain_reflect.types import SERVABLE, Lesson, LessonStatus, LessonText, Namespace, Noun, Review

_ROWS: Final = 1024
"""Lessons that are compared with all others at once: bounds the memory to some 40 MB at 10,000 lessons."""


class TokenCounts(Noun):
    """Tokens of the served lessons, in full."""

    total: int = 0
    median: int = 0
    most: int = 0


class Audit(Noun):
    """The health of the lessons of one namespace, or of all."""

    statuses: dict[LessonStatus, int] = Field(default_factory=dict)
    """Lessons by status."""
    served: int = 0
    near_twins: dict[str, str] = Field(default_factory=dict)
    """Served lessons with another one of their namespace that says nearly the same, which is named."""
    near_twin_rate: float = 0.0
    """Their share of the served lessons that have a vector, 0 to 1."""
    without_vector: int = 0
    """Served lessons that could not be compared, because nothing embedded them yet."""
    unsupported: tuple[str, ...] = ()
    """Served lessons that no person approved and that rest on no judged episode."""
    never_shown: dict[str, float] = Field(default_factory=dict)
    """Served lessons that no agent was ever shown, with their age in days."""
    tokens: TokenCounts = TokenCounts()
    lost_evidence: dict[str, int] = Field(default_factory=dict)
    """Lessons that rest on episodes which the ledger does not have, with the number of these."""
    orphan_outcomes: int = 0
    """Outcomes whose episode has not come."""
    contradictions: tuple[str, ...] = ()
    """Open reviews of lessons that contradict each other."""
    reviews: tuple[str, ...] = ()
    """Open reviews of edits."""
    over_cap: dict[str, int] = Field(default_factory=dict)
    """Namespaces with more served lessons than they may have, and how many too many."""

    def __str__(self) -> str:
        """One line for people."""
        waiting = len(self.contradictions) + len(self.reviews) + self.statuses.get("proposed", 0)
        return (
            f"{self.served} lessons served, {self.near_twin_rate:.1%} near-twins, {len(self.unsupported)} unsupported, "
            f"{len(self.never_shown)} never shown, {self.tokens.total} tokens, {waiting} wait for a person"
        )


def audit(
    lessons: Sequence[Lesson],
    vectors: Mapping[str, Vector],
    facts: LessonFacts,
    reviews: Iterable[Review],
    *,
    at: datetime,
    twins: float = 0.9,
    cap: int | None = None,
    tokens: Callable[[LessonText], int] | None = None,
) -> Audit:
    """Look at lessons.

    Args:
        lessons: Of any status.
        vectors: By what a lesson says (`key_text`); each of length 1.
        facts: What the record says of them.
        reviews: Open ones.
        at: Now.
        twins: Cosine from which two lessons say nearly the same.
        cap: Most served lessons of a namespace; None: any number.
        tokens: Counts those of a lesson; default a careful guess.
    """
    served, open_reviews = [x for x in lessons if x.status in SERVABLE], list(reviews)
    known = [x for x in served if x.key_text() in vectors]
    twin_of = _twins(known, vectors, twins)
    counts = Counter(x.namespace for x in served)
    return Audit(
        statuses=dict(sorted(Counter(x.status for x in lessons).items())),
        served=len(served),
        near_twins=twin_of,
        near_twin_rate=len(twin_of) / len(known) if known else 0.0,
        without_vector=len(served) - len(known),
        unsupported=tuple(x.id for x in served if not x.approved_by and not facts.judged.get(x.id)),
        never_shown={x.id: round((at - x.created_at).total_seconds() / 86400, 2) for x in served if not facts.shown.get(x.id)},
        tokens=_tokens([(tokens or tokens_of)(x) for x in served]),
        lost_evidence={lesson_id: len(ids) for lesson_id, ids in facts.lost.items()},
        orphan_outcomes=facts.orphans,
        contradictions=tuple(r.id for r in open_reviews if r.kind == "contradiction"),
        reviews=tuple(r.id for r in open_reviews if r.kind == "edit"),
        over_cap={"/".join(space): n - cap for space, n in sorted(counts.items()) if cap is not None and n > cap},
    )


def tokens_of(lesson: LessonText) -> int:
    """A careful guess of a lesson's tokens, in full.

    Args:
        lesson: What it says.
    """
    parts = [
        lesson.title,
        lesson.when,
        lesson.when_not,
        lesson.do,
        lesson.why,
        *(side for e in lesson.examples for side in (e.input, e.output)),
    ]
    return estimate_tokens("\n".join(part for part in parts if part))


def _tokens(counts: Sequence[int]) -> TokenCounts:
    return TokenCounts(total=sum(counts), median=sorted(counts)[len(counts) // 2], most=max(counts)) if counts else TokenCounts()


def _twins(lessons: Iterable[Lesson], vectors: Mapping[str, Vector], least: float) -> dict[str, str]:
    spaces: dict[Namespace, list[Lesson]] = {}
    for lesson in lessons:
        spaces.setdefault(lesson.namespace, []).append(lesson)
    found: dict[str, str] = {}
    for mine in spaces.values():
        other, cosine = _nearest_others(np.stack([vectors[x.key_text()] for x in mine]).astype(np.float32))
        found |= {mine[i].id: mine[other[i]].id for i in range(len(mine)) if cosine[i] >= least}
    return found


def _nearest_others(rows: Vectors) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """For each row the nearest other one, and its cosine; -1 where there is no other."""
    other, cosine = np.zeros(len(rows), np.intp), np.full(len(rows), -1, np.float32)
    for start in range(0, len(rows), _ROWS):
        some = np.arange(start, min(start + _ROWS, len(rows)))
        products = rows[some] @ rows.T
        products[some - start, some] = -1
        other[some] = products.argmax(axis=1)
        cosine[some] = products.max(axis=1)
    return other, cosine
