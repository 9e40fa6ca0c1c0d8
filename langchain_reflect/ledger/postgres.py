"""A PostgreSQL database as a ledger, through psycopg.

Each transaction sets its own limits (so that a pooler between us and the server does no harm): a statement and a lock may not hang for
ever, a client that went to sleep inside a transaction is thrown out, and an acknowledged commit is on the server's disk
(`synchronous_commit=on`, whatever the server's default; `durability="fast"` turns it off). Prepared statements are off for the same reason.
"""

import logging
import re
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from langchain_reflect.errors import MissingExtra
from langchain_reflect.ledger.sqlite import Durability

logger = logging.getLogger("langchain_reflect")

_CONNECT: Final[dict[str, Any]] = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "prepare_threshold": None,
    "application_name": "langchain-reflect",
}
_BEGIN: Final = (
    "BEGIN; SELECT set_config('statement_timeout', '60s', true), set_config('lock_timeout', '20s', true), "
    "set_config('idle_in_transaction_session_timeout', '60s', true), set_config('synchronous_commit', '{commit}', true)"
)
_TRANSIENT: Final = frozenset({"40001", "40P01", "55P03", "57P01", "57P02", "57P03", "53300"})
"""Serialisation failure, deadlock, lock timeout, shutdown, crash, starting up, too many connections."""
_HINTS: Final = {
    "42501": "the role lacks a right; GRANT CONNECT ON DATABASE, USAGE, CREATE ON SCHEMA, "
    "and SELECT, INSERT, UPDATE, DELETE ON ALL TABLES to it",
    "25006": "it is read only (a standby?); give the URL of the primary server",
    "53100": "its disk is full; acknowledged outcomes are safe, and writing works again once there is room",
    "3D000": "there is no such database; CREATE DATABASE first",
    "28P01": "the password is wrong",
    "28000": "the role is unknown or may not log in there (CREATE ROLE, pg_hba.conf)",
    "57014": "a statement took longer than its limit",
    "42P01": "its tables are missing; was the schema changed, or the search_path?",
}
_REFUSALS: Final = {
    re.compile(r'FATAL: .*database "[^"]*" does not exist'): "3D000",
    re.compile(r'FATAL: .*role "[^"]*" does not exist'): "28000",
    re.compile(r"FATAL: .*password authentication failed"): "28P01",
    re.compile(r"FATAL: .*(no pg_hba\.conf entry|authentication failed|not permitted to log in)"): "28000",
    re.compile(r"FATAL: .*permission denied for database"): "42501",
}


def open_postgres(url: URL, durability: Durability) -> Engine:
    """An engine whose transactions are set up as this page's docstring says.

    Raises:
        MissingExtra: The driver is not installed.
    """
    try:
        engine = create_engine(url, isolation_level="AUTOCOMMIT", pool_size=10, max_overflow=90, connect_args=_CONNECT)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise MissingExtra(f"the driver of {url.drivername!r} is not installed; pip install 'langchain-reflect[postgres]'") from error
    begun = _BEGIN.format(commit="on" if durability == "full" else "off")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(begun, execution_options={"no_parameters": True})

    return engine


def warnings_of(connection: Connection) -> list[str]:
    """What about the server's settings endangers what it has acknowledged."""
    found = []
    if connection.execute(text("SHOW fsync")).scalar() == "off":
        found.append("fsync is off on the PostgreSQL server: a crash of its machine can lose or damage everything")
    if connection.execute(text("SHOW full_page_writes")).scalar() == "off":
        found.append("full_page_writes is off on the PostgreSQL server: a power cut can damage pages")
    if connection.execute(text("SELECT pg_is_in_recovery()")).scalar():
        found.append("the PostgreSQL server is a standby: it can be read only")
    return found


def is_transient(error: DBAPIError) -> bool:
    """Whether the same transaction may succeed in a moment: the server restarts, or others were in the way."""
    state = _state_of(error)
    if state is None:  # no answer from a server at all
        return error.connection_invalidated or type(error.orig).__name__ in {"OperationalError", "InterfaceError", "ConnectionTimeout"}
    return state in _TRANSIENT or state.startswith("08")


def hint(error: DBAPIError) -> str:
    """What to do about an error, as far as its code tells."""
    return _HINTS.get(_state_of(error) or "", "is the server up and reachable?")


def _state_of(error: DBAPIError) -> str | None:
    """The error's code. A server that refuses a log-in gives one, but the driver keeps only the words."""
    found: str | None = getattr(error.orig, "sqlstate", None)
    said = str(error.orig)
    return found or next((state for words, state in _REFUSALS.items() if words.search(said)), None)
