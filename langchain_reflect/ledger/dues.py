"""Which episodes are due: judged, and seen by no reflection since their last outcome.

`due` is derived from episodes, outcomes and `reflected`; it is settled in the transaction that changes any of them, so that finding work
never reads the whole ledger.
"""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, exists, func, select

from langchain_reflect.ledger import tables

CHUNK: Final = 500


def derived(*conditions: ColumnElement[bool]) -> Select[tuple[object, ...]]:
    """The rows that `due` ought to have, for the episodes that fit the conditions."""
    e, o = tables.episodes.c, tables.outcomes.c
    judged = and_(o.episode_id == e.id, o.namespace == e.namespace)
    last = select(func.max(o.recorded_at)).where(judged).scalar_subquery()
    seen = exists().where(tables.reflected.c.episode_id == e.id)
    return select(e.id, e.namespace, e.graph, e.task_key, last).where(exists().where(judged), ~seen, *conditions)


def settle(connection: Connection, episode_ids: Collection[UUID]) -> None:
    """Derive anew whether these episodes are due."""
    ids = list(episode_ids)
    for start in range(0, len(ids), CHUNK):
        some = ids[start : start + CHUNK]
        connection.execute(delete(tables.due).where(tables.due.c.episode_id.in_(some)))
        _insert(connection, tables.episodes.c.id.in_(some))


def settle_all(connection: Connection) -> None:
    """Derive all anew."""
    connection.execute(delete(tables.due))
    _insert(connection)


def _insert(connection: Connection, *conditions: ColumnElement[bool]) -> None:
    columns = ["episode_id", "namespace", "graph", "task_key", "judged_at"]
    statement = tables.insert(connection.dialect.name)(tables.due).from_select(columns, derived(*conditions))
    connection.execute(statement.on_conflict_do_nothing())


def reopen(connection: Connection, episode_ids: Collection[UUID]) -> None:
    """Make episodes due again because what is said of them changed; a job that waits with one of them is made anew."""
    ids = list(episode_ids)
    connection.execute(delete(tables.reflected).where(tables.reflected.c.episode_id.in_(ids)))
    of_them = select(tables.job_episodes.c.job_id).where(tables.job_episodes.c.episode_id.in_(ids))
    waiting = select(tables.jobs.c.id).where(tables.jobs.c.id.in_(of_them), tables.jobs.c.state.in_(("ready", "parked")))
    if stale := list(connection.execute(waiting).scalars()):
        connection.execute(delete(tables.job_episodes).where(tables.job_episodes.c.job_id.in_(stale)))
        connection.execute(delete(tables.jobs).where(tables.jobs.c.id.in_(stale)))
    settle(connection, ids)
