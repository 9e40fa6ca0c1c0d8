"""What all the ledger's methods stand on: the database and the namespace."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, func, select
from sqlalchemy.engine import URL

from langchain_reflect.errors import InvalidInput
from langchain_reflect.ledger import migrations, postgres, sqlite, tables
from langchain_reflect.ledger.database import Database
from langchain_reflect.ledger.locations import url_of
from langchain_reflect.ledger.sqlite import Durability
from langchain_reflect.redaction import Redact
from langchain_reflect.redaction import redact as default_redact
from langchain_reflect.types import Namespace, Steering, check_namespace

T = TypeVar("T")
_COUNTED = (
    tables.episodes,
    tables.outcomes,
    tables.exposures,
    tables.lessons,
    tables.revisions,
    tables.reflections,
)


class Methods:
    """Opens the database; see `Ledger` for the arguments."""

    def __init__(
        self,
        url: str | Path,
        *,
        namespace: Namespace = ("default",),
        durability: Durability = "full",
        redact: Redact = default_redact,
        patience: float = 30.0,
    ) -> None:
        if durability not in ("full", "fast"):
            raise InvalidInput(f"durability {durability!r} is unknown; expected 'full' or 'fast'")
        if not patience > 0:
            raise InvalidInput(f"patience {patience!r} cannot be used; expected seconds above 0")
        self.url: URL = url_of(url)
        self.namespace: Namespace = check_namespace(namespace)
        self._redact = redact
        self._database = Database(self.url, durability, patience=patience)
        self._steered: dict[tuple[Namespace, str], tuple[int, Steering]] = {}
        try:
            if not self._read(migrations.is_current):
                self._write(migrations.migrate)
        except BaseException:
            self.close()
            raise

    def meta(self, key: str) -> str | None:
        """A small value kept beside the data."""
        query = select(tables.meta.c.value).where(tables.meta.c.key == key)
        found: str | None = self._read(lambda c: c.execute(query).scalar())
        return found

    def set_meta(self, key: str, value: str) -> None:
        """Keep a small value beside the data."""

        def put(connection: Connection) -> None:
            statement = tables.insert(connection.dialect.name)(tables.meta).values(key=key, value=value)
            connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"value": statement.excluded["value"]}))

        self._write(put)

    def counts(self) -> dict[str, int]:
        """Rows by noun, over all namespaces, for status displays."""
        return self._read(lambda c: {t.name: c.execute(select(func.count()).select_from(t)).scalar_one() for t in _COUNTED})

    def namespaces(self) -> list[Namespace]:
        """The namespaces that have episodes or lessons."""
        query = select(tables.episodes.c.namespace).union(select(tables.lessons.c.namespace))
        return sorted(self._read(lambda c: c.execute(query).scalars().all()))

    def warnings(self) -> list[str]:
        """What about the database's version or settings endangers what it keeps."""
        if not self._database.is_sqlite:
            return self._read(postgres.warnings_of)
        found = []
        if sqlite.has_reset_bug():
            found.append(
                f"SQLite {sqlite3.sqlite_version} can, in a rare race of two connections, corrupt a WAL file as it is reset; "
                "3.51.3, 3.50.7 or 3.44.6 have the fix (a newer Python brings one), or use PostgreSQL"
            )
        return found

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Ledger({self._database.shown!r}, namespace={self.namespace!r})"

    def _space(self, namespace: Namespace | None) -> Namespace:
        return self.namespace if namespace is None else check_namespace(namespace)

    def _read(self, work: Callable[..., T], *given: Any, **named: Any) -> T:
        return self._database.read(lambda connection: work(connection, *given, **named))

    def _write(self, work: Callable[..., T], *given: Any, **named: Any) -> T:
        return self._database.write(lambda connection: work(connection, *given, **named))
