"""Rows of runs that resumed an episode, and what becomes of episodes that nobody resumes.

A run that goes on after an interrupt or an error has a run id of its own but belongs to the episode it continues. Outcomes may name either
id and may come before the run is known; they end up with the episode whatever the order.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, and_, bindparam, delete, select, update

from langchain_reflect.ledger import dues, tables, tombs
from langchain_reflect.types import Episode, Namespace

_EPISODE_OF: Final = (
    select(tables.runs.c.episode_id)
    .join_from(tables.runs, tables.episodes, tables.episodes.c.id == tables.runs.c.episode_id)
    .where(tables.runs.c.run_id == bindparam("run_id"), tables.episodes.c.namespace == bindparam("namespace"))
)


def episode_of(connection: Connection, run_id: UUID, namespace: Namespace) -> UUID:
    """Id of the episode that a run belongs to: the run's own id unless it resumed one of this namespace."""
    found = connection.execute(_EPISODE_OF, {"run_id": run_id, "namespace": namespace}).scalar()
    return run_id if found is None else found


def adopt(connection: Connection, episode: Episode) -> None:
    """Note the runs that resumed an episode, and give it the outcomes that named them before they were known."""
    insert, table = tables.insert(connection.dialect.name), tables.outcomes
    for run_id in episode.run_ids:
        if connection.execute(_EPISODE_OF, {"run_id": run_id, "namespace": episode.namespace}).first() is not None:
            continue  # whoever named it first in this namespace has it
        connection.execute(insert(tables.runs).values(run_id=run_id, episode_id=episode.id).on_conflict_do_nothing())
        named_it = (table.c.episode_id == run_id, table.c.namespace == episode.namespace)
        early = [row._asdict() | {"episode_id": episode.id} for row in connection.execute(select(table).where(*named_it))]
        if early:
            slots = [tombs.of_slot(episode.namespace, episode.id, row["source"], row["key"]) for row in early]
            erased = tombs.among(connection, slots)
            if kept := [row for row, slot in zip(early, slots, strict=True) if slot not in erased]:
                connection.execute(insert(table).on_conflict_do_nothing(), kept)
            connection.execute(delete(table).where(*named_it))
            dues.reopen(connection, [episode.id])


def leave_behind(connection: Connection, episode: Episode) -> None:
    """A thread that goes on with a new question abandons the episode that waited for an answer."""
    if episode.thread_id is None or episode.parent_id is not None:
        return
    table = tables.episodes
    waiting = and_(table.c.thread_id == episode.thread_id, table.c.namespace == episode.namespace, table.c.graph == episode.graph)
    older = and_(table.c.status == "interrupted", table.c.started_at < episode.started_at, table.c.id != episode.id)
    connection.execute(update(table).where(waiting, older).values(status="abandoned"))


def sweep(connection: Connection, *, before: datetime) -> int:
    """Mark episodes that began before a time and still run as abandoned; returns their number."""
    table = tables.episodes
    return connection.execute(
        update(table).where(table.c.status == "running", table.c.started_at < before).values(status="abandoned")
    ).rowcount
