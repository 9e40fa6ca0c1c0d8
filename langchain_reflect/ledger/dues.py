"""Which episodes are due: judged, and seen by no reflection since their last outcome.

`due` is derived from episodes, outcomes and `reflected`; it is settled in the transaction that changes any of them, so that finding work
never reads the whole ledger. An episode of a practice's control arm is never due: nobody may learn from it.
"""

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, Connection, Select, and_, bindparam, delete, exists, func, select, text

from langchain_reflect.ledger import tables
from langchain_reflect.ledger.counting import counts
from langchain_reflect.ledger.prepared import Prepared

CHUNK: Final = 500
_TURNS: Final = 0x7475726E
"""PostgreSQL's advisory locks: whoever brings an episode and its outcomes together takes turns."""
_LANES: Final = 1024
"""So few that a batch of any size fits into the server's table of locks."""
_TAKE_TURNS: Final = text("SELECT pg_advisory_xact_lock(:turns, lane) FROM unnest(CAST(:lanes AS int[])) AS lane")
_COLUMNS: Final = ("episode_id", "namespace", "graph", "task_key", "judged_at")
_IDS: Final[BindParameter[Any]] = bindparam("ids", expanding=True)
_NO_LONGER_DUE: Final = delete(tables.due).where(tables.due.c.episode_id.in_(_IDS))
_NO_LONGER_REFLECTED: Final = delete(tables.reflected).where(tables.reflected.c.episode_id.in_(_IDS))
_WAITING: Final = (
    select(tables.jobs.c.id)
    .where(
        tables.jobs.c.id.in_(select(tables.job_episodes.c.job_id).where(tables.job_episodes.c.episode_id.in_(_IDS))),
        tables.jobs.c.state.in_(("ready", "parked")),
    )
    .order_by(tables.jobs.c.id)
    .with_for_update()  # one that is claimed at this moment does not wait any more
)


def derived(*conditions: ColumnElement[bool]) -> Select[tuple[object, ...]]:
    """The rows that `due` ought to have, for the episodes that fit the conditions."""
    e, o = tables.episodes.c, tables.outcomes.c
    judged = and_(o.episode_id == e.id, o.namespace == e.namespace)
    last = select(func.max(o.recorded_at)).where(judged).scalar_subquery()
    seen = exists().where(tables.reflected.c.episode_id == e.id)
    control = exists().where(tables.reserved.c.episode_id == e.id, tables.reserved.c.lasting == 1)
    return select(e.id, e.namespace, e.graph, e.task_key, last).where(exists().where(judged, counts()), ~seen, ~control, *conditions)


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
    connection.execute(_TAKE_TURNS, {"turns": _TURNS, "lanes": lanes})
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
    if len(ids) == 1:
        _ONE_NO_LONGER_DUE.run(connection, {"this": ids[0]})
        _ONE_SETTLED.run(connection, {"this": ids[0]})
        return
    for start in range(0, len(ids), CHUNK):
        some = {"ids": ids[start : start + CHUNK]}
        connection.execute(_NO_LONGER_DUE, some)
        connection.execute(_settled(connection.dialect.name), some)


def settle_all(connection: Connection) -> None:
    """Derive all anew."""
    connection.execute(delete(tables.due))
    connection.execute(_inserted(connection.dialect.name))


def now_due(dialect: str, episode_id: ColumnElement[UUID], recorded_at: ColumnElement[datetime]) -> Any:
    """The statement that makes an episode due that no reflection saw, because an outcome that counts was recorded just now."""
    e, o = tables.episodes.c, tables.outcomes.c
    last = select(func.max(o.recorded_at)).where(o.episode_id == e.id, o.namespace == e.namespace).scalar_subquery()
    latest = (func.greatest if dialect == "postgresql" else func.max)(func.coalesce(last, recorded_at), recorded_at)
    row = select(e.id, e.namespace, e.graph, e.task_key, latest).where(e.id == episode_id)
    statement = tables.insert(dialect)(tables.due).from_select(_COLUMNS, row)
    return statement.on_conflict_do_update(index_elements=["episode_id"], set_={"judged_at": statement.excluded.judged_at})


@cache
def _settled(dialect: str) -> Any:
    return _inserted(dialect, tables.episodes.c.id.in_(_IDS))


def _inserted(dialect: str, *conditions: ColumnElement[bool]) -> Any:
    return tables.insert(dialect)(tables.due).from_select(_COLUMNS, derived(*conditions)).on_conflict_do_nothing()


_ONE_NO_LONGER_DUE: Final = Prepared(lambda _: delete(tables.due).where(tables.due.c.episode_id == bindparam("this")))
_ONE_SETTLED: Final = Prepared(lambda dialect: _inserted(dialect, tables.episodes.c.id == bindparam("this")))


def reopen(connection: Connection, episode_ids: Collection[UUID]) -> None:
    """Make episodes due again because what is said of them changed; a job that waits with one of them is made anew."""
    ids = list(episode_ids)
    connection.execute(_NO_LONGER_REFLECTED, {"ids": ids})
    if stale := list(connection.execute(_WAITING, {"ids": ids}).scalars()):
        connection.execute(delete(tables.job_episodes).where(tables.job_episodes.c.job_id.in_(stale)))
        connection.execute(delete(tables.jobs).where(tables.jobs.c.id.in_(stale)))
    settle(connection, ids)


def drop_jobs(connection: Connection, ids: Collection[UUID]) -> None:
    """Jobs that hold one of the episodes go; what is left of their groups is planned anew."""
    members = tables.job_episodes.c
    jobs = list(connection.execute(select(members.job_id).distinct().where(members.episode_id.in_(ids))).scalars())
    connection.execute(delete(tables.job_episodes).where(members.job_id.in_(jobs)))
    connection.execute(delete(tables.jobs).where(tables.jobs.c.id.in_(jobs)))
