"""Rows of steering: a log that only grows, and its fold.

Numbers are taken under a lock that is held until the commit, so they are seen in order: whoever knows the newest number knows all of them.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from sqlalchemy import Connection, Integer, Text, func, select, update
from sqlalchemy import cast as sql_cast

from langchain_reflect.ledger import tables
from langchain_reflect.types import Namespace, Steered, Steering

_KEY: Final = "steering_number"
_EVIDENCE: Final = "credit"
"""See `Steered.by`."""
_TABLE: Final = tables.steering.c
_NEWEST: Final = select(func.max(_TABLE.number))


def newest(connection: Connection) -> int:
    """Number of the newest entry, 0 without one. Read at each run, so SQLite's driver is asked itself (a fifth of the time)."""
    if connection.dialect.name != "sqlite":
        return connection.execute(_NEWEST).scalar() or 0
    driver = cast("sqlite3.Connection", connection.connection.driver_connection)
    return driver.execute("SELECT max(number) FROM steering").fetchone()[0] or 0


def append(connection: Connection, entry: Steered, after: int | None = None) -> Steered:
    """Add an entry, which gets the next number; one that is there already, because the answer to its commit got lost, stays as it is.

    With `after`, an entry that holds for the same graph and is newer than that number stands, and is returned in its place.
    """
    number = _next(connection)
    since = None if after is None else _last_of(connection, entry.namespace, entry.graph)
    if since is not None and after is not None and since.number > after:
        return since
    last = find(connection, namespace=entry.namespace, graph=entry.graph, limit=1)
    if last and last[0] == entry.model_copy(update={"number": last[0].number}):
        return last[0]
    kept = entry.model_copy(update={"number": number})
    connection.execute(tables.steering.insert().values(kept.model_dump()))
    return kept


def _last_of(connection: Connection, namespace: Namespace, graph: str) -> Steered | None:
    """The newest entry that holds for a graph; of `""`, the newest about any graph of the namespace."""
    places = [None] if not graph else [graph, ""]
    found = [entry for place in places for entry in find(connection, namespace=namespace, graph=place, limit=1)]
    return max(found, key=lambda entry: entry.number, default=None)


def _next(connection: Connection) -> int:
    insert = tables.insert(connection.dialect.name)
    connection.execute(insert(tables.meta).values(key=_KEY, value="0").on_conflict_do_nothing())
    here, value = tables.meta.c.key == _KEY, tables.meta.c.value
    connection.execute(update(tables.meta).where(here).values(value=sql_cast(sql_cast(value, Integer) + 1, Text)))
    return int(connection.execute(select(value).where(here)).scalar_one())


def find(
    connection: Connection, *, namespace: Namespace | None = None, graph: str | None = None, limit: int | None = None
) -> list[Steered]:
    """Entries that match, newest first; of a graph without those of all graphs."""
    query = select(tables.steering).order_by(_TABLE.number.desc()).limit(limit)
    if namespace is not None:
        query = query.where(_TABLE.namespace == namespace)
    if graph is not None:
        query = query.where(_TABLE.graph == graph)
    return [Steered(**row._asdict()) for row in connection.execute(query)]


def of_graph(connection: Connection, namespace: Namespace, graph: str) -> Steering:
    """What holds for a graph: entries about it, and those about all graphs of its namespace."""
    mine = (_TABLE.namespace == namespace, _TABLE.graph.in_({graph, ""}))
    rows = connection.execute(select(tables.steering).where(*mine).order_by(_TABLE.number))
    return fold(Steered(**row._asdict()) for row in rows)


def fold(log: Iterable[Steered]) -> Steering:
    """What follows from entries about one graph, oldest first; the newest word of each kind holds. Pure."""
    state = Steering()
    for entry in log:
        told: dict[str, Any] = {"reason": entry.reason, "by": entry.by}
        if entry.kind == "doses":
            told = {"doses": doses_in(entry.body)} | ({} if entry.by == _EVIDENCE else {"doses_since": entry.at})
        elif entry.kind == "paused":
            told |= {"paused": True, "since": state.since or entry.at}
        else:
            told |= {"paused": False, "since": None, "resumed_at": entry.at}
        state = state.model_copy(update=told)
    return state


def doses_in(body: object) -> dict[int, float] | None:
    """The doses that an entry's body names; None if it names none that could be drawn."""
    if not isinstance(body, dict):
        return None
    try:
        shares = {int(dose): float(share) for dose, share in body.items()}
    except (TypeError, ValueError):
        return None
    if min(shares.values(), default=-1.0) < 0 or not any(share for dose, share in shares.items() if dose > 0):
        return None
    return shares


def folds(log: Sequence[Steered]) -> dict[tuple[Namespace, str], Steering]:
    """What holds for each graph that is named in the log, and for each namespace as a whole (graph `""`).

    Args:
        log: All entries, oldest first.
    """
    places = dict.fromkeys((entry.namespace, entry.graph) for entry in log)
    return {(space, graph): fold(e for e in log if e.namespace == space and e.graph in ("", graph)) for space, graph in places}
