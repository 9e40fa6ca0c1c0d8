"""Rows of episodes, trajectories and exposures."""

import json
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, delete, exists, func, or_, select

from langchain_reflect.errors import EpisodeNotFound
from langchain_reflect.ledger import outcomes, runs, tables
from langchain_reflect.types import Episode, EpisodeStatus, Exposure, Namespace, Rollout, now

_COLUMNS = [c.name for c in tables.episodes.columns]


def save(connection: Connection, episode: Episode, exposures: Sequence[Exposure]) -> None:
    """Insert or replace an episode with its trajectory, metadata and exposures."""
    insert = tables.insert(connection.dialect.name)
    row: dict[str, Any] = episode.model_dump(include=set(_COLUMNS)) | {
        "usage": episode.usage.model_dump(),
        "metadata": episode.metadata,
        "shown": list(episode.shown),
        "run_ids": [str(run_id) for run_id in episode.run_ids],
    }
    row = {name: storable(value) if isinstance(value, str) else value for name, value in row.items()}
    statement = insert(tables.episodes).values(row)
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_={k: statement.excluded[k] for k in row if k != "id"}))
    packed = {"episode_id": episode.id, "data": _pack(episode)}
    statement = insert(tables.trajectories).values(packed)
    connection.execute(statement.on_conflict_do_update(index_elements=["episode_id"], set_={"data": statement.excluded.data}))
    _save_metadata(connection, episode)
    runs.adopt(connection, episode)
    runs.leave_behind(connection, episode)
    for exposure in exposures:
        values = exposure.model_dump() | {"shown": int(exposure.shown)}
        connection.execute(insert(tables.exposures).values(values).on_conflict_do_nothing())


def _save_metadata(connection: Connection, episode: Episode) -> None:
    connection.execute(delete(tables.episode_metadata).where(tables.episode_metadata.c.episode_id == episode.id))
    rows = [
        {"episode_id": episode.id, "key": key, "value": json.dumps(value)}
        for key, value in episode.metadata.items()
        if isinstance(value, str | int | float | bool)
    ]
    if rows:
        connection.execute(tables.episode_metadata.insert(), rows)


def load(connection: Connection, episode_id: UUID) -> Episode:
    """One episode with its trajectory, by its id or by that of a run that resumed it."""
    wanted = tables.episodes.c.id == runs.episode_of(connection, episode_id)
    found = _with_trajectories(connection, select(tables.episodes).where(wanted))
    if not found:
        raise EpisodeNotFound(f"no episode {str(episode_id)!r} in the ledger; `reflect episodes` lists them")
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
    """Episodes that have an outcome, oldest first, or with `newest` the newest judged first.

    With `unreflected`, only those that no reflection has seen since their last outcome, and all that share a `task_key` with one
    of them (so that a late outcome reopens its group).
    """
    table, given = tables.episodes.c, tables.outcomes.c
    query = select(tables.episodes).where(exists().where(given.episode_id == table.id), *_within(namespace, graph, ids)).limit(limit)
    if below is not None:
        wrong = or_(given.reward < below, given.feedback.is_not(None))
        query = query.where(exists().where(given.episode_id == table.id, wrong))
    if unreflected:
        query = query.where(_unreflected_or_reopened())
    judged_at = select(func.max(given.recorded_at)).where(given.episode_id == table.id).scalar_subquery()
    query = query.order_by(*((judged_at.desc(), table.id) if newest else (table.started_at, table.id)))
    return _found(connection, query, trajectories=trajectories)


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


def _unreflected_or_reopened() -> Any:
    table, other = tables.episodes, tables.episodes.alias("sibling")
    sibling_is_new = exists().where(
        and_(
            other.c.task_key == table.c.task_key,
            other.c.namespace == table.c.namespace,
            other.c.graph == table.c.graph,
            exists().where(tables.outcomes.c.episode_id == other.c.id),
            ~exists().where(tables.reflected.c.episode_id == other.c.id),
        )
    )
    return or_(~exists().where(tables.reflected.c.episode_id == table.c.id), sibling_is_new)


def mark_reflected(connection: Connection, reflection_id: str, rollouts: Iterable[Rollout], *, parked: bool) -> None:
    """Note that a reflection has seen these rollouts; one whose outcomes are others by now stays due.

    An episode that is being judged at this moment counts as changed. `outcomes.record` holds the other end of the lock.
    """
    seen = {r.episode.id: list(r.outcomes) for r in rollouts}
    ids = list(seen)
    insert = tables.insert(connection.dialect.name)
    for start in range(0, len(ids), 500):
        some = tables.episodes.c.id.in_(ids[start : start + 500])
        unlocked = connection.execute(select(tables.episodes.c.id).where(some).with_for_update(skip_locked=True)).scalars().all()
        current = outcomes.by_episode(connection, unlocked)
        for episode_id in unlocked:
            if current.get(episode_id, []) != seen[episode_id]:
                continue
            values = {"reflection_id": reflection_id, "at": now(), "parked": int(parked)}
            statement = insert(tables.reflected).values(episode_id=episode_id, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=["episode_id"], set_=values))


def retry_parked(connection: Connection, *, namespace: Namespace | None, graph: str | None, ids: Collection[UUID] | None) -> int:
    """Make parked episodes due again; returns their number."""
    wanted = select(tables.episodes.c.id).where(*_within(namespace, graph, ids))
    statement = delete(tables.reflected).where(tables.reflected.c.parked == 1, tables.reflected.c.episode_id.in_(wanted))
    return connection.execute(statement).rowcount


def count_parked(connection: Connection) -> int:
    """Number of parked episodes."""
    return connection.execute(select(func.count()).where(tables.reflected.c.parked == 1)).scalar_one()


def exposures_of(connection: Connection, *, episode_id: UUID | None, lesson_id: str | None) -> list[Exposure]:
    """Exposures of an episode or of a lesson (or all), by rank."""
    table = tables.exposures
    query = select(table).order_by(table.c.episode_id, table.c.rank)
    if episode_id is not None:
        query = query.where(table.c.episode_id == episode_id)
    if lesson_id is not None:
        query = query.where(table.c.lesson_id == lesson_id)
    return [Exposure(**(row._asdict() | {"shown": bool(row.shown)})) for row in connection.execute(query)]


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
    more = json.loads(zlib.decompress(packed)) if packed else {}
    return Episode.model_validate(row._asdict() | more)


def storable(text: str) -> str:
    """The text without what a database refuses: halves of surrogate pairs and NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def _pack(episode: Episode) -> bytes:
    return zlib.compress(json.dumps(episode.model_dump(include={"steps", "result"})).encode(), level=3)
