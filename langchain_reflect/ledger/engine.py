"""Connections and transactions: one way to open either database, and one way to write to it.

On SQLite every write transaction begins with `BEGIN IMMEDIATE` (a deferred one that upgrades fails at once under contention)
and waits by jittered retries instead of SQLite's busy handler, which starves some writers. The file is in WAL mode with
`synchronous=FULL`, so a commit that returned survives a power cut; `durability="fast"` means `NORMAL`, which survives a killed
process but may lose the last commits when power fails.
"""

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError, SQLAlchemyError

from langchain_reflect.errors import InvalidInput, LedgerError, MissingExtra
from langchain_reflect.ledger.forking import GATE

Durability = Literal["full", "fast"]
FILE_NAME = "ledger.db"
_PATIENCE = 30.0


def url_of(where: str | Path) -> URL:
    """The SQLAlchemy URL of a ledger.

    Args:
        where: A URL (`postgresql+psycopg://...`, `sqlite:///...`), a `.db`/`.sqlite` file, or a folder, in which the file is `ledger.db`.

    Raises:
        InvalidInput: The URL cannot be read, or names a database other than SQLite or PostgreSQL.
    """
    if isinstance(where, str) and "://" in where:
        try:
            url = make_url(where)
        except ArgumentError as error:
            raise InvalidInput(
                f"ledger URL {where!r} cannot be read; expected sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME"
            ) from error
        if url.get_backend_name() not in {"sqlite", "postgresql"}:
            raise InvalidInput(f"ledger URL {where!r} names {url.get_backend_name()!r}; expected sqlite or postgresql")
        return url
    path = Path(where).expanduser()
    if path.suffix not in {".db", ".sqlite", ".sqlite3"}:
        path = path / FILE_NAME
    return URL.create("sqlite", database=str(path.resolve()))


def open_engine(url: URL, durability: Durability) -> Engine:
    """An engine whose connections are set up as this page's docstring says.

    Raises:
        LedgerError: The folder cannot be made or written.
        MissingExtra: The PostgreSQL driver is not installed.
    """
    if url.get_backend_name() == "sqlite":
        _ensure_folder(url)
    try:
        engine = create_engine(url, pool_pre_ping=url.get_backend_name() == "postgresql")
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise MissingExtra(f"the driver of {url.drivername!r} is not installed; pip install 'langchain-reflect[postgres]'") from error
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine, durability)
    return engine


def _ensure_folder(url: URL) -> None:
    if not url.database or url.database == ":memory:":
        raise InvalidInput(f"ledger URL {url!s} has no file; an in-memory ledger would forget; expected sqlite:///FILE")
    folder = Path(url.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise LedgerError(
            f"the folder {str(folder)!r} cannot be made ({error.strerror}); choose another path= or set REFLECT_PATH"
        ) from error
    if not Path(url.database).exists() and not os.access(folder, os.W_OK):
        raise LedgerError(f"the folder {str(folder)!r} is not writable; choose another path= or set REFLECT_PATH")


def _prepare_sqlite(engine: Engine, durability: Durability) -> None:
    @event.listens_for(engine, "connect")
    def setup(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout=50")
        _with_patience(lambda: cursor.execute("PRAGMA journal_mode=WAL"))
        cursor.execute(f"PRAGMA synchronous={'FULL' if durability == 'full' else 'NORMAL'}")
        cursor.execute("PRAGMA secure_delete=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get("reflect_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _with_patience(step: Any) -> None:
    deadline = time.monotonic() + _PATIENCE
    pause = 0.001
    while True:
        try:
            step()
        except Exception as error:  # both sqlite3's and SQLAlchemy's error, told apart by the text
            if not _is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(pause * (0.5 + random.random()))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 1.5, 0.02)
        else:
            return


def _is_busy(error: Exception) -> bool:
    text = str(error)
    return "database is locked" in text or "database table is locked" in text or "SQLITE_BUSY" in text


@contextmanager
def transaction(engine: Engine, *, write: bool) -> Iterator[Connection]:
    """A transaction that commits at the end and rolls back on an exception.

    Raises:
        LedgerError: The database refused; the original error is the cause.
    """
    try:
        with GATE.transaction(), engine.connect() as raw:
            connection = raw.execution_options(reflect_write=write)
            _with_patience(connection.begin)
            yield connection
            connection.commit()
    except OperationalError as error:
        raise LedgerError(f"the ledger {_shown(engine)} refused: {error.orig}; is it writable, on a local disk, and not full?") from error
    except DBAPIError as error:
        raise LedgerError(f"the ledger {_shown(engine)} refused: {error.orig}") from error
    except SQLAlchemyError as error:
        raise LedgerError(f"the ledger {_shown(engine)} could not be used: {error}") from error


def _shown(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)
