"""Which episodes are due: judged, and seen by no reflection since their last outcome.

`due` is derived from episodes, outcomes and `reflected`; it is settled in the transaction that changes any of them, so that finding work
never reads the whole ledger.
"""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, exists, func, select, text

from langchain_reflect.ledger import tables
from langchain_reflect.ledger.counting import counts

CHUNK: Final = 500
_TURNS: Final = 0x7475726E
"""PostgreSQL's advisory locks: whoever brings an episode and its outcomes together takes turns."""
_LANES: Final = 1024
"""So few that a batch of any size fits into the server's table of locks."""


def derived(*conditions: ColumnElement[bool]) -> Select[tuple[object, ...]]:
    """The rows that `due` ought to have, for the episodes that fit the conditions."""
    e, o = tables.episodes.c, tables.outcomes.c
    judged = and_(o.episode_id == e.id, o.namespace == e.namespace)
    last = select(func.max(o.recorded_at)).where(judged).scalar_subquery()
    seen = exists().where(tables.reflected.c.episode_id == e.id)
    return select(e.id, e.namespace, e.graph, e.task_key, last).where(exists().where(judged, counts()), ~seen, *conditions)


def take_turns(connection: Connection, ids: Collection[UUID]) -> bool:
    """Wait for those who bring these ids into the ledger at this moment, and let others wait until this transaction ends.

    Two transactions of PostgreSQL do not see each other: one that saves an episode and one that keeps an outcome of it would both find
    nothing to join. SQLite has one writer at a time.

    Args:
        connection: Of a write transaction.
        ids: All that the transaction may come to lock, at once and before others, so that nobody waits in a circle.

    Returns:
        Whether others may have been there, so that what was read before has to be read again.
    """
    if connection.dialect.name != "postgresql":
        return False
    lanes = sorted({int.from_bytes(i.bytes[-2:], "big") % _LANES for i in ids})
    turns = text("SELECT pg_advisory_xact_lock(:turns, lane) FROM unnest(CAST(:lanes AS int[])) AS lane")
    connection.execute(turns, {"turns": _TURNS, "lanes": lanes})
    return True


def lock(connection: Connection, ids: Collection[UUID]) -> None:
    """Before a batch changes or judges episodes: take the locks of all, in one order, so that no two batches wait in a circle."""
    if connection.dialect.name != "postgresql":
        return
    ordered, table = sorted(set(ids)), tables.episodes.c
    chunks = [ordered[start : start + CHUNK] for start in range(0, len(ordered), CHUNK)]
    known = {i for some in chunks for i in connection.execute(select(table.id).where(table.id.in_(some))).scalars()}
    if new := set(ordered) - known:
        take_turns(connection, new)
    for some in chunks:
        rows = select(table.id).where(table.id.in_(some)).order_by(table.id)
        connection.execute(rows.with_for_update(key_share=True))


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
