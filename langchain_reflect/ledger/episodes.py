"""Rows of episodes, trajectories and exposures."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, delete, exists, func, or_, select, union

from langchain_reflect.errors import EpisodeNotFound, InvalidInput
from langchain_reflect.ledger import dues, runs, tables, tombs, vectors
from langchain_reflect.ledger.counting import counts
from langchain_reflect.ledger.outcomes import storable
from langchain_reflect.ledger.packing import pack, unpack
from langchain_reflect.ledger.prepared import Prepared
from langchain_reflect.types import Episode, EpisodeStatus, Exposure, Namespace, News

_LOOK_AT: Final = 4
_COLUMNS = [c.name for c in tables.episodes.columns]


def _upsert(dialect: str) -> Any:
    statement = tables.insert(dialect)(tables.episodes)
    changes = {name: statement.excluded[name] for name in _COLUMNS if name not in {"id", "namespace"}}
    own = tables.episodes.c.namespace == statement.excluded.namespace
    return statement.on_conflict_do_update(index_elements=["id"], set_=changes, where=own)


def _put_trajectory(dialect: str) -> Any:
    statement = tables.insert(dialect)(tables.trajectories)
    return statement.on_conflict_do_update(index_elements=["episode_id"], set_={"data": statement.excluded.data})


_UPSERT: Final = Prepared(_upsert)
_PUT_TRAJECTORY: Final = Prepared(_put_trajectory)
_DROP_METADATA: Final = Prepared(lambda _: delete(tables.episode_metadata).where(tables.episode_metadata.c.episode_id == bindparam("this")))


def save(connection: Connection, episode: Episode, exposures: Sequence[Exposure]) -> None:
    """Insert or replace an episode with its trajectory, metadata and exposures; one that was erased stays out.

    Raises:
        InvalidInput: The id belongs to an episode of another namespace.
    """
    dues.take_turns(connection, [episode.id, *episode.run_ids])
    if tombs.is_set(connection, tombs.of_episode(episode.namespace, episode.id)):
        return
    insert = tables.insert(connection.dialect.name)
    row: dict[str, Any] = episode.model_dump(include=set(_COLUMNS)) | {
        "usage": episode.usage.model_dump(),
        "metadata": episode.metadata,
        "shown": list(episode.shown),
        "run_ids": [str(run_id) for run_id in episode.run_ids],
    }
    row = {name: storable(value) if isinstance(value, str) else value for name, value in row.items()}
    if _UPSERT.run(connection, row) == 0:
        raise InvalidInput(f"the id {str(episode.id)!r} cannot be used in namespace {episode.namespace!r}; give each run an id of its own")
    _PUT_TRAJECTORY.run(connection, {"episode_id": episode.id, "data": pack(episode)})
    _save_metadata(connection, episode)
    runs.adopt(connection, episode)
    runs.leave_behind(connection, episode)
    for exposure in exposures:
        values = exposure.model_dump() | {"episode_id": episode.id, "shown": int(exposure.shown)}
        connection.execute(insert(tables.exposures).values(values).on_conflict_do_nothing())
    dues.settle(connection, [episode.id])


def _save_metadata(connection: Connection, episode: Episode) -> None:
    _DROP_METADATA.run(connection, {"this": episode.id})
    rows = [
        {"episode_id": episode.id, "key": key, "value": json.dumps(value)}
        for key, value in episode.metadata.items()
        if isinstance(value, str | int | float | bool)
    ]
    if rows:
        connection.execute(tables.episode_metadata.insert(), rows)


def load(connection: Connection, episode_id: UUID, namespace: Namespace) -> Episode:
    """One episode with its trajectory, by its id or by that of a run that resumed it."""
    table = tables.episodes.c
    wanted = (table.id == runs.episode_of(connection, episode_id, namespace), table.namespace == namespace)
    found = _with_trajectories(connection, select(tables.episodes).where(*wanted))
    if not found:
        raise EpisodeNotFound(
            f"no episode {str(episode_id)!r} in namespace {'/'.join(namespace)!r}; `reflect episodes` shows the namespaces"
        )
    return found[0]


def find(
    connection: Connection,
    *,
    namespace: Namespace | None,
    graph: str | None,
    status: EpisodeStatus | None,
    thread_id: str | None,
    metadata: Mapping[str, JsonValue] | None,
    trajectories: bool,
    limit: int,
) -> list[Episode]:
    """Episodes that match, newest first."""
    table = tables.episodes
    query = select(table).order_by(table.c.started_at.desc(), table.c.id).limit(limit)
    wanted: dict[str, Namespace | str | None] = {"namespace": namespace, "graph": graph, "status": status, "thread_id": thread_id}
    for column, value in wanted.items():
        if value is not None:
            query = query.where(table.c[column] == value)
    pairs = tables.episode_metadata.c
    for key, given in (metadata or {}).items():
        query = query.where(exists().where(and_(pairs.episode_id == table.c.id, pairs.key == key, pairs.value == json.dumps(given))))
    return _found(connection, query, trajectories=trajectories)


def judged(
    connection: Connection,
    *,
    namespace: Namespace | None,
    graph: str | None,
    ids: Collection[UUID] | None,
    below: float | None,
    unreflected: bool,
    newest: bool,
    trajectories: bool,
    limit: int | None,
) -> list[Episode]:
    """Episodes that have an outcome that counts, oldest first, or with `newest` the newest judged first.

    With `unreflected`, only those that are due, and all that share a `task_key` with one of them: a late outcome reopens its group. What a
    practice has reserved is found by whoever names its ids.
    """
    table, given = tables.episodes.c, tables.outcomes.c
    mine = and_(given.episode_id == table.id, given.namespace == table.namespace)
    query = select(tables.episodes).where(exists().where(mine, counts()), *_within(namespace, graph, ids)).limit(limit)
    if below is not None:
        wrong = or_(given.reward < below, given.feedback.is_not(None))
        query = query.where(exists().where(mine, wrong, counts()))
    if unreflected:
        query = query.where(table.id.in_(_due_and_siblings()), ~_is_reserved(table.id, lasting=ids is not None))
    judged_at = select(func.max(given.recorded_at)).where(mine).scalar_subquery()
    query = query.order_by(*((judged_at.desc(), table.id) if newest else (table.started_at, table.id)))
    return _found(connection, query, trajectories=trajectories)


def seen_tasks(connection: Connection, namespace: Namespace, graph: str, limit: int) -> list[tuple[UUID, str]]:
    """Id and task of episodes without a key that a reflection has seen, or that wait for one, newest first.

    However large the ledger is, only the newest episodes of the graph are looked at.
    """
    table = tables.episodes.c
    newest = select(table.id, table.task, table.task_key).where(table.namespace == namespace, table.graph == graph)
    some = newest.order_by(table.started_at.desc()).limit(limit * _LOOK_AT).subquery().c
    reflected = exists().where(tables.reflected.c.episode_id == some.id)
    waiting = exists().where(tables.job_episodes.c.episode_id == some.id)
    query = select(some.id, some.task).where(some.task_key.is_(None), or_(reflected, waiting)).limit(limit)
    return [(row.id, row.task) for row in connection.execute(query)]


def news(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, News]:
    """What a reflection has yet to learn of each of these episodes."""
    reflected, studied = set[UUID](), set[UUID]()
    for start in range(0, len(ids), dues.CHUNK):
        some = ids[start : start + dues.CHUNK]
        for table, found in ((tables.reflected, reflected), (tables.studied, studied)):
            found.update(connection.execute(select(table.c.episode_id).where(table.c.episode_id.in_(some))).scalars())
    return {i: "none" if i in reflected else "changed" if i in studied else "new" for i in ids}


def _within(namespace: Namespace | None, graph: str | None, ids: Collection[UUID] | None) -> list[ColumnElement[bool]]:
    table = tables.episodes.c
    conditions: list[ColumnElement[bool]] = []
    if namespace is not None:
        conditions.append(table.namespace == namespace)
    if graph is not None:
        conditions.append(table.graph == graph)
    if ids is not None:  # written into the statement, because databases limit the number of its parameters
        conditions.append(table.id.in_(bindparam("ids", list(ids), expanding=True, literal_execute=True)))
    return conditions


def _is_reserved(episode_id: ColumnElement[UUID], *, lasting: bool) -> ColumnElement[bool]:
    """Whether a practice keeps others away from an episode; `lasting`: whether it keeps everybody away."""
    held = tables.reserved.c
    return exists().where(held.episode_id == episode_id, *([held.lasting == 1] if lasting else []))


def _due_and_siblings() -> Any:
    due, table = tables.due.c, tables.episodes.c
    free = due.episode_id.not_in(select(tables.job_episodes.c.episode_id))  # what is in a job already has no need to be found
    same_task = and_(due.namespace == table.namespace, due.graph == table.graph, due.task_key == table.task_key)
    return union(select(due.episode_id).where(free), select(table.id).join_from(tables.due, tables.episodes, same_task).where(free))


def exposures_of(connection: Connection, namespace: Namespace, *, episode_id: UUID | None, lesson_id: str | None) -> list[Exposure]:
    """Exposures of an episode or of a lesson (or all) of a namespace, by rank."""
    table, known = tables.exposures, tables.episodes.c
    mine = exists().where(known.id == table.c.episode_id, known.namespace == namespace)
    query = select(table).where(mine).order_by(table.c.episode_id, table.c.rank)
    if episode_id is not None:
        query = query.where(table.c.episode_id == episode_id)
    if lesson_id is not None:
        query = query.where(table.c.lesson_id == lesson_id)
    return [Exposure(**(row._asdict() | {"shown": bool(row.shown)})) for row in connection.execute(query)]


def trim(connection: Connection, *, before: datetime) -> int:
    """Drop the trajectories of episodes that began before a time and are not due, and the vectors of their tasks; returns how many."""
    table, kept = tables.episodes.c, tables.trajectories.c.episode_id
    old = (table.started_at < before, table.id.not_in(select(tables.due.c.episode_id)))
    tasks = connection.execute(select(table.task).distinct().where(*old, exists().where(kept == table.id))).scalars().all()
    vectors.drop_unused_vectors(connection, tasks)
    return connection.execute(delete(tables.trajectories).where(kept.in_(select(table.id).where(*old)))).rowcount


def _found(connection: Connection, query: Select[Any], *, trajectories: bool) -> list[Episode]:
    return _with_trajectories(connection, query) if trajectories else [_episode(row, None) for row in connection.execute(query)]


def _with_trajectories(connection: Connection, query: Select[Any]) -> list[Episode]:
    rows = connection.execute(query).all()
    found: dict[UUID, bytes] = {}
    for start in range(0, len(rows), 500):
        ids = [row.id for row in rows[start : start + 500]]
        packed = select(tables.trajectories).where(tables.trajectories.c.episode_id.in_(ids))
        found |= {row.episode_id: row.data for row in connection.execute(packed)}
    return [_episode(row, found.get(row.id)) for row in rows]


def _episode(row: Row[Any], packed: bytes | None) -> Episode:
    more = unpack(packed) if packed else {}
    return Episode.model_validate(row._asdict() | more)
