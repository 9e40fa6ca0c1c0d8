"""Forward-only, named changes of the schema, each applied once under a lock.

A new ledger gets today's tables and is marked as having all migrations; an older one gets the missing ones in order. A ledger that knows a
migration this release does not know was written by a newer release and is left untouched. Each released schema is kept as SQL text among
the tests (`scripts/golden_ledger.py`), and every later release opens it.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Table, inspect, select, text

from langchain_reflect.errors import LedgerTooNew
from langchain_reflect.ledger import dues, lessons, tables
from langchain_reflect.ledger.columns import JsonText
from langchain_reflect.ledger.sqlite import APPLICATION_ID
from langchain_reflect.types import Lesson, now

_LOCK: Final = 0x7265666C656374  # "reflect", the advisory lock of PostgreSQL


def _add_resumed_runs(connection: Connection) -> None:
    """An episode may be made of several runs, and may fork from another."""
    kind = "UUID" if connection.dialect.name == "postgresql" else "CHAR(32)"
    connection.execute(text(f"CREATE TABLE runs (run_id {kind} PRIMARY KEY, episode_id {kind} NOT NULL)"))
    connection.execute(text("ALTER TABLE episodes ADD COLUMN run_ids JSON DEFAULT '[]' NOT NULL"))
    connection.execute(text(f"ALTER TABLE episodes ADD COLUMN forked_from {kind}"))


def _rebuild(connection: Connection) -> None:
    """Strict tables; outcomes and reflections belong to namespaces; reflections are jobs."""
    had = set(inspect(connection).get_table_names())
    _remake(connection, [table for table in tables.metadata.sorted_tables if table.name in had])
    dues.settle_all(connection)
    for body in connection.execute(select(tables.lessons.c.body)).scalars().all():
        lessons.put_evidence(connection, Lesson.model_validate(body))


def _add_reviews(connection: Connection) -> None:
    """Who acted is told by a fingerprint, revisions and reflections have their place in the journal, and people review edits."""
    if "fingerprint" not in {c["name"] for c in inspect(connection).get_columns("episodes")}:
        _remake(connection, [tables.episodes, tables.revisions, tables.reflections])


def _add_trials(connection: Connection) -> None:
    """Exposures tell how they were drawn; what evidence says steers recall."""
    if "policy" not in {c["name"] for c in inspect(connection).get_columns("exposures")}:
        _remake(connection, [tables.exposures])


def _remake(connection: Connection, remade: Sequence[Table]) -> None:
    """Build today's form of these tables (and all that are missing) and take the rows over; a migration that comes later finds it done."""
    for table in remade:
        for index in inspect(connection).get_indexes(table.name):
            connection.execute(text(f"DROP INDEX {index['name']}"))
        connection.execute(text(f"ALTER TABLE {table.name} RENAME TO old_{table.name}"))
    tables.metadata.create_all(connection)
    for table in remade:
        had = {c["name"] for c in inspect(connection).get_columns(f"old_{table.name}")}
        filled = {name: value for name, value in _FILLED.get(table.name, {}).items() if name not in had}
        taken = {c.name: _taken(c) for c in table.columns if c.name in had} | filled
        kept = " WHERE parked = 0" if "parked" in had else ""
        columns, values = ", ".join(taken), ", ".join(taken.values())
        statement = f"INSERT INTO {table.name} ({columns}) SELECT {values} FROM old_{table.name}{kept}"  # noqa: S608 - names of ours
        connection.execute(text(statement))
    for table in remade:
        connection.execute(text(f"DROP TABLE old_{table.name}"))


def _taken(column: Any) -> str:
    return f"CAST({column.name} AS TEXT)" if isinstance(column.type, JsonText) else str(column.name)


_FILLED: Final = {
    "outcomes": {
        "namespace": """COALESCE((SELECT e.namespace FROM old_episodes e WHERE e.id = old_outcomes.episode_id), '["default"]')""",
    },
    "reflections": {
        "namespace": """COALESCE((SELECT e.namespace FROM old_reflected r JOIN old_episodes e ON e.id = r.episode_id
                                  WHERE r.reflection_id = old_reflections.id LIMIT 1), '["default"]')""",
    },
}

MIGRATIONS: Final[dict[str, Callable[[Connection], None]]] = {
    "0001_first_schema": tables.metadata.create_all,
    "0002_resumed_runs": _add_resumed_runs,
    "0003_strict_tables_and_jobs": _rebuild,
    "0004_reviews_and_fingerprints": _add_reviews,
    "0005_trials": _add_trials,
}
"""Name -> what it does, in order. Names are never changed or removed."""


def is_current(connection: Connection) -> bool:
    """Whether nothing is left to do; reads only.

    Raises:
        LedgerTooNew: The ledger was written by a newer release.
    """
    if not inspect(connection).has_table(tables.migrations.name):
        return False
    applied = _applied(connection)
    refuse_newer(_shown(connection), applied)
    return set(MIGRATIONS) <= applied


def migrate(connection: Connection) -> None:
    """Bring the schema up to date inside the given write transaction.

    Raises:
        LedgerTooNew: The ledger was written by a newer release.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    known = inspect(connection).has_table(tables.migrations.name)
    applied = _applied(connection) if known else set()
    refuse_newer(_shown(connection), applied)
    if not applied:
        tables.metadata.create_all(connection)
    for name, change in MIGRATIONS.items():
        if name not in applied:
            if applied:
                change(connection)
            connection.execute(tables.migrations.insert().values(name=name, applied_at=now()))
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")


def refuse_newer(url: str, applied: set[str]) -> None:
    """Raise `LedgerTooNew` if a ledger has a migration that this release does not know."""
    unknown = sorted(applied - set(MIGRATIONS))
    if unknown:
        raise LedgerTooNew(
            f"the ledger {url} has migration {unknown[-1]!r}, which this release does not know "
            f"(its newest is {list(MIGRATIONS)[-1]!r}); upgrade langchain-reflect"
        )


def _shown(connection: Connection) -> str:
    return connection.engine.url.render_as_string(hide_password=True)


def _applied(connection: Connection) -> set[str]:
    return set(connection.execute(select(tables.migrations.c.name)).scalars())
