"""One way to read and one way to write, for either database.

Work is a function of a connection that may be run again: when others hold the lock, when a server restarts, or when the answer to a commit
got lost, the whole transaction is tried again for as long as `patience` allows. So all work on the ledger is idempotent. On SQLite every
write transaction begins with `BEGIN IMMEDIATE` (a deferred one that upgrades fails at once under contention), and the threads of one
process take turns at a lock of their own instead of polling.
"""

import logging
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError, StatementError

from langchain_reflect.errors import InvalidInput, LedgerError, ReflectError
from langchain_reflect.ledger import postgres, sqlite
from langchain_reflect.ledger.forking import GATE
from langchain_reflect.ledger.sqlite import Durability

logger = logging.getLogger("langchain_reflect")
T = TypeVar("T")
Work = Callable[[Connection], T]
_FIRST_PAUSE: Final = 0.001


class Database:
    """A database that is shared by threads and survives forks.

    Args:
        url: From `locations.url_of`.
        durability: See `Ledger`.
        patience: Most seconds that one call is tried again.

    Raises:
        InvalidInput: The file belongs to another program.
        LedgerError: The folder cannot be made or written, or the file is damaged.
        MissingExtra: The PostgreSQL driver is not installed.
    """

    def __init__(self, url: URL, durability: Durability, *, patience: float = 30.0) -> None:
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self._patience = patience
        self._engine: Engine = sqlite.open_sqlite(url, durability) if self.is_sqlite else postgres.open_postgres(url, durability)
        self._turn = threading.Lock()
        self._pid = os.getpid()
        self._guard = threading.Lock()

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    def read(self, work: Work[T]) -> T:
        """The result of work that reads, in one transaction: it sees one state.

        Raises:
            LedgerError: The database refused, also after trying again.
        """
        return self._run(work, write=False)

    def write(self, work: Work[T]) -> T:
        """The result of work that writes; it is durable when this returns. Work that raises changes nothing.

        Raises:
            LedgerError: The database refused, also after trying again.
        """
        return self._run(work, write=True)

    def glance(self, query: str, parameters: Sequence[str] = ()) -> list[tuple[Any, ...]] | None:
        """The rows of a query by SQLite, in a quarter of the time that `read` takes; None: it has to be read, which tells what is wrong.

        Args:
            query: In SQLite's SQL.
            parameters: One for each `?`.
        """
        self._forget_after_fork()
        if not self.is_sqlite:
            return None
        try:
            with GATE.transaction():
                connection = self._engine.raw_connection()
                try:
                    cursor = connection.cursor()
                    cursor.execute(query, parameters)
                    found = list(cursor.fetchall())
                    cursor.close()
                finally:
                    connection.close()
        except (SQLAlchemyError, sqlite3.Error):
            return None
        return found

    def raw(self, work: Callable[[object], T]) -> T:
        """The result of work with the driver's own connection, outside any transaction (for VACUUM and checkpoints)."""
        self._forget_after_fork()
        try:
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            with GATE.transaction(), connection:
                driver = connection.connection.driver_connection
                assert driver is not None, "the pool hands out open connections"
                return work(driver)
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise LedgerError(f"the ledger {self.shown} refused: {error}") from error

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._engine.dispose()

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    def _run(self, work: Work[T], *, write: bool) -> T:
        self._forget_after_fork()
        deadline, pause = time.monotonic() + self._patience, _FIRST_PAUSE
        while True:
            try:
                with self._in_turn(write=write), GATE.transaction(), self._engine.connect() as connection:
                    connection.info[sqlite.WRITES] = write
                    with connection.begin():
                        return work(connection)
            except (SQLAlchemyError, sqlite3.Error) as error:  # the set-up of a connection raises the driver's own
                if not self._may_pass(error) or time.monotonic() > deadline:
                    raise self._refused(error) from error
            time.sleep(pause * (0.5 + random.random()))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 1.5, 0.02 if self.is_sqlite else 0.5)

    def _in_turn(self, *, write: bool) -> AbstractContextManager[object]:
        return self._turn if write and self.is_sqlite else nullcontext()

    def _may_pass(self, error: Exception) -> bool:
        if self.is_sqlite:
            cause = getattr(error, "orig", error)
            return isinstance(cause, sqlite3.Error) and ("database is locked" in str(cause) or "database table is locked" in str(cause))
        return isinstance(error, DBAPIError) and postgres.is_transient(error)

    def _refused(self, error: Exception) -> Exception:
        """The error of ours that says what to do."""
        if isinstance(error, StatementError) and isinstance(error.orig, ReflectError):
            return error.orig
        said = str(getattr(error, "orig", None) or error).strip()
        if isinstance(error, IntegrityError | sqlite3.IntegrityError):
            return InvalidInput(f"the ledger {self.shown} does not take this value: {said}")
        if not isinstance(error, DBAPIError | sqlite3.Error):
            return LedgerError(f"the ledger {self.shown} could not be used: {said}")
        if isinstance(error, DBAPIError) and not self.is_sqlite:
            return LedgerError(f"the ledger {self.shown} refused: {said}; {postgres.hint(error)}")
        if "malformed" in said or "not a database" in said:
            return sqlite.damaged(self.url.database, said)
        return LedgerError(f"the ledger {self.shown} refused: {said}; {_sqlite_hint(said)}")

    def _forget_after_fork(self) -> None:
        if self._pid != os.getpid():
            with self._guard:
                if self._pid != os.getpid():
                    self._engine.dispose(close=False)
                    self._turn = threading.Lock()
                    self._pid = os.getpid()


def _sqlite_hint(said: str) -> str:
    if "full" in said or "disk I/O" in said:
        return "its disk is full or failing; acknowledged outcomes are safe, and writing works again once there is room"
    if "readonly" in said:
        return "its file or folder cannot be written by this user"
    return "is it writable, on a local disk, and not held open by a long transaction of another program?"
