"""What is kept of a reflection beside its report, so that it can be repeated: what it read, and what the model said, word for word.

Kept with the report in the ledger, and erased with it. `replaying.py` reads it.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from pydantic import JsonValue

from langchain_reflect.lessons.committing import ReviewPolicy
from langchain_reflect.reflection.curation import Measures
from langchain_reflect.reflection.state import Parts, ReflectionState
from langchain_reflect.types import Namespace, Noun, Outcome, RolloutGroup

FORM: Final = 1
"""Version of this form."""


class PromptsRecord(Noun):
    """Which wording was asked."""

    version: str
    hash: str


class SettingsRecord(Noun):
    """The numbers that decided."""

    same: float
    near: float
    alike: float
    similar: float
    nearest: int
    max_drafts: int
    max_lessons: int | None
    review: ReviewPolicy


class ReadRollout(Noun):
    """An episode as it was judged when the reflection read it."""

    episode: UUID
    outcomes: tuple[Outcome, ...] = ()


class AskedRecord(Noun):
    """One question about a group."""

    labels: dict[str, UUID]
    """Which episode each label in it means."""
    replies: tuple[JsonValue, ...]


class GroupRecord(Noun):
    """What became of one group."""

    key: str
    namespace: Namespace
    graph: str
    reason: str
    rollouts: tuple[ReadRollout, ...]
    asked: tuple[AskedRecord, ...] = ()
    gated: bool = False
    """Whether a gate had to choose."""
    kept: tuple[str, ...] | None = None
    """The advice of the drafts that it kept; None if it did not come to an end."""
    parked: str | None = None


class JudgedRecord(Noun):
    """What the curator said to one question."""

    question: str
    replies: tuple[JsonValue, ...] = ()
    answer: dict[str, JsonValue] | None = None
    problem: str = ""


class Record(Noun):
    """All that a reflection read, and all that it was told."""

    form: int = FORM
    prompts: PromptsRecord
    settings: SettingsRecord | None
    """None if there was nothing to compare."""
    read: int
    """Version of the lesson book that the drafts were compared with."""
    compared: str = ""
    """Digest of the lessons at that version; empty if there was nothing to compare."""
    at: datetime
    """Time of the revisions."""
    groups: tuple[GroupRecord, ...]
    curation: tuple[JudgedRecord, ...] = ()
    lost: tuple[str, ...] = ()
    """Changes of lessons that a gate refused, see `gating.name_of`."""


def record_of(state: ReflectionState, parts: Parts) -> Record:
    """The record of a reflection that is about to be committed.

    Args:
        state: After check, with the time of its end.
        parts: That it ran with.
    """
    measures, prompts = state.get("measures"), parts.prompts
    return Record(
        prompts=PromptsRecord(version=prompts.version, hash=prompts.hash),
        settings=None if measures is None else _settings(measures, parts),
        read=state.get("read", 0),
        compared=state.get("compared", ""),
        at=state["ended"],
        groups=tuple(_group(state, index, group, gated=parts.gate is not None) for index, group in enumerate(state.get("groups", []))),
        curation=tuple(
            JudgedRecord(
                question=j.question,
                replies=j.replies,
                answer=None if j.answer is None else j.answer.model_dump(mode="json"),
                problem=j.problem,
            )
            for j in state.get("judged", [])
        ),
        lost=tuple(state.get("lost", [])),
    )


def _settings(measures: Measures, parts: Parts) -> SettingsRecord:
    likeness, policy = measures.likeness, parts.policy
    return SettingsRecord(
        same=likeness.same,
        near=likeness.near,
        alike=likeness.alike,
        similar=measures.similar,
        nearest=measures.nearest,
        max_drafts=policy.max_drafts,
        max_lessons=policy.max_lessons,
        review=parts.book.review,
    )


def _group(state: ReflectionState, index: int, group: RolloutGroup, *, gated: bool) -> GroupRecord:
    mine = [s for s in (*state.get("studied", []), *state.get("waiting", [])) if s.group == index]
    return GroupRecord(
        key=group.key,
        namespace=group.namespace,
        graph=group.graph,
        reason=group.reason,
        rollouts=tuple(ReadRollout(episode=r.episode.id, outcomes=r.outcomes) for r in group.rollouts),
        asked=tuple(AskedRecord(labels=dict(a.labels), replies=a.replies) for s in mine for a in s.asked),
        gated=gated,
        kept=next((s.kept for s in mine if s.kept is not None), None),
        parked=next((s.parked for s in mine if s.parked is not None), None),
    )
