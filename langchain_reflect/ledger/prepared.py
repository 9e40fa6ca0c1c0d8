"""Statements that are written down once and run many times.

Building a statement and looking it up costs SQLAlchemy more than SQLite needs to run it, so those of the way that every outcome takes are
kept as text, with the conversions of their values, and go to SQLite's driver as they are.
"""

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, cast

from sqlalchemy import Connection
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

Convert = Callable[[Any], Any]


class Prepared:
    """A statement that changes rows.

    Args:
        make: Writes the statement for a dialect's name; what it is given at each run are `bindparam`s.
    """

    def __init__(self, make: Callable[[str], Any]) -> None:
        self._make = make
        self._statement: dict[str, Any] = {}
        self._text: _Text | None = None

    def run(self, connection: Connection, given: Mapping[str, Any]) -> int:
        """Number of rows that were changed."""
        name = connection.dialect.name
        if name != "sqlite":
            if name not in self._statement:
                self._statement[name] = self._make(name).execution_options(preserve_rowcount=True)
            return connection.execute(self._statement[name], given).rowcount
        if self._text is None:
            self._text = _Text(self._make(name))
        driver = cast("sqlite3.Connection", connection.connection.driver_connection)
        return driver.execute(self._text.sql, self._text.values(given)).rowcount


class _Text:
    """A statement as SQLite's driver takes it."""

    def __init__(self, statement: Any) -> None:
        dialect = SQLiteDialect_pysqlite(paramstyle="named")
        compiled = statement.compile(dialect=dialect)
        self.sql = str(compiled)
        self._fixed: dict[str, Any] = {}
        self._converters: list[tuple[str, Convert]] = []
        for name, bind in compiled.binds.items():
            convert: Convert = bind.type.dialect_impl(dialect).bind_processor(dialect) or _as_it_is
            if bind.required:
                self._converters.append((name, convert))
            else:
                self._fixed[compiled.bind_names[bind]] = convert(bind.value)

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return self._fixed | {name: convert(given[name]) for name, convert in self._converters}


def _as_it_is(value: Any) -> Any:
    return value
