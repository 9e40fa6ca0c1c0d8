"""Forward-only, named changes of the schema, each applied once under a lock.

A new ledger gets today's tables and is marked as having all migrations; an older one gets the missing ones in order. A ledger that knows a
migration this release does not know was written by a newer release and is left untouched.
"""

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, inspect, select, text

from langchain_reflect.errors import LedgerTooNew
from langchain_reflect.ledger import tables
from langchain_reflect.types import now


def _add_resumed_runs(connection: Connection) -> None:
    """An episode may be made of several runs, and may fork from another."""
    tables.runs.create(connection)
    connection.execute(text("ALTER TABLE episodes ADD COLUMN run_ids JSON DEFAULT '[]' NOT NULL"))
    connection.execute(
        text(f"ALTER TABLE episodes ADD COLUMN forked_from {'UUID' if connection.dialect.name == 'postgresql' else 'CHAR(32)'}")
    )
    connection.execute(text("CREATE INDEX episodes_by_thread ON episodes (thread_id)"))


MIGRATIONS: Final[dict[str, Callable[[Connection], None]]] = {
    "0001_first_schema": tables.metadata.create_all,
    "0002_resumed_runs": _add_resumed_runs,
}
"""Name -> what it does, in order. Names are never changed or removed."""

_LOCK: Final = 0x7265666C656374  # "reflect", the advisory lock of PostgreSQL


def is_current(connection: Connection) -> bool:
    """Whether nothing is left to do; reads only."""
    return inspect(connection).has_table(tables.migrations.name) and set(MIGRATIONS) <= _applied(connection)


def migrate(connection: Connection) -> None:
    """Bring the schema up to date inside the given write transaction.

    Raises:
        LedgerTooNew: The ledger was written by a newer release.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    known = inspect(connection).has_table(tables.migrations.name)
    applied = _applied(connection) if known else set()
    refuse_newer(connection, applied)
    if not applied:
        tables.metadata.create_all(connection)
    for name, change in MIGRATIONS.items():
        if name not in applied:
            if applied:
                change(connection)
            connection.execute(tables.migrations.insert().values(name=name, applied_at=now()))


def refuse_newer(connection: Connection, applied: set[str] | None = None) -> None:
    """Raise `LedgerTooNew` if the ledger has a migration that this release does not know."""
    unknown = sorted((_applied(connection) if applied is None else applied) - set(MIGRATIONS))
    if unknown:
        url = connection.engine.url.render_as_string(hide_password=True)
        raise LedgerTooNew(
            f"the ledger {url} has migration {unknown[-1]!r}, which this release does not know "
            f"(its newest is {list(MIGRATIONS)[-1]!r}); upgrade langchain-reflect"
        )


def _applied(connection: Connection) -> set[str]:
    return set(connection.execute(select(tables.migrations.c.name)).scalars())
