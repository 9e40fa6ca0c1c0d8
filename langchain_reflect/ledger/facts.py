"""What the record says of lessons beyond themselves: how often they were shown, and whether what they rest on is still there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, and_, exists, func, select

from langchain_reflect.ledger import tables
from langchain_reflect.ledger.counting import counts
from langchain_reflect.types import Namespace


@dataclass(frozen=True, slots=True)
class LessonFacts:
    """Facts about the lessons of one namespace, or of all."""

    shown: Mapping[str, int]
    """How often each lesson was shown; one that never was is missing."""
    judged: Mapping[str, int]
    """On how many episodes that are judged each lesson rests; one without any is missing."""
    lost: Mapping[str, tuple[UUID, ...]]
    """Evidence of each lesson whose episode the ledger does not have."""
    orphans: int
    """Outcomes whose episode has not come."""


def of_lessons(connection: Connection, namespace: Namespace | None) -> LessonFacts:
    """Facts about lessons; an episode of another namespace is none."""
    lesson, episode, edge = tables.lessons.c, tables.episodes.c, tables.evidence.c
    mine: tuple[Any, ...] = () if namespace is None else (lesson.namespace == namespace,)
    shown, same = tables.exposures.c, episode.namespace == lesson.namespace
    seen = (
        select(lesson.id, func.count())
        .join(tables.exposures, shown.lesson_id == lesson.id)
        .join(tables.episodes, episode.id == shown.episode_id)
    )
    told = exists().where(tables.outcomes.c.episode_id == edge.episode_id, tables.outcomes.c.namespace == lesson.namespace, counts())
    rests = select(lesson.id, func.count()).join(tables.evidence, edge.lesson_id == lesson.id).where(told, *mine).group_by(lesson.id)
    known = exists().where(and_(episode.id == edge.episode_id, same))
    gone = select(lesson.id, edge.episode_id).join(tables.evidence, edge.lesson_id == lesson.id).where(~known, *mine)
    lost: dict[str, list[UUID]] = {}
    for row in connection.execute(gone.order_by(lesson.id, edge.episode_id)):
        lost.setdefault(row[0], []).append(row[1])
    return LessonFacts(
        shown=_pairs(connection, seen.where(shown.shown == 1, same, *mine).group_by(lesson.id)),
        judged=_pairs(connection, rests),
        lost={lesson_id: tuple(ids) for lesson_id, ids in lost.items()},
        orphans=_orphans(connection, namespace),
    )


def _pairs(connection: Connection, query: Any) -> dict[str, int]:
    return {row[0]: row[1] for row in connection.execute(query)}


def _orphans(connection: Connection, namespace: Namespace | None) -> int:
    said, known = tables.outcomes.c, tables.episodes.c
    query = select(func.count()).select_from(tables.outcomes)
    query = query.where(~exists().where(known.id == said.episode_id, known.namespace == said.namespace))
    return int(connection.execute(query if namespace is None else query.where(said.namespace == namespace)).scalar_one())
