"""A SQLite file as a ledger: durable, guarded, and never somebody else's file.

- WAL mode with `synchronous=FULL`: a commit that returned survives a power cut. `durability="fast"` is `NORMAL`, which survives a killed
  process but may lose all since the last checkpoint, some hundred outcomes, when power fails.
- On network file systems WAL cannot work (https://www.sqlite.org/wal.html, section 1), so the journal mode is DELETE there, with
  `synchronous=EXTRA`, which also makes the removal of the journal durable.
- Each process that uses the file holds a shared lock on `ledger.db.users`. Whoever opens it first and finds a WAL with content knows that
  the last one did not end cleanly, and checks the file before trusting it.
- A folder that cannot be written is read all the same: with its WAL if there is one, else as an immutable file.
"""

import logging
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Literal
from weakref import WeakSet

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from langchain_reflect.errors import InvalidInput, LedgerDamaged, LedgerError

logger = logging.getLogger("langchain_reflect")

Durability = Literal["full", "fast"]
APPLICATION_ID: Final = 0x52464C54
"""`RFLT`, in the header of every ledger file."""
_NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "lustre", "ceph", "glusterfs", "fuse.glusterfs", "fuse.sshfs", "afs", "beegfs"}
)
_FIXED: Final = ((3, 51, 3), (3, 50, 7), (3, 44, 6))
"""First releases without the WAL-reset bug, newest branch first."""
_WAL: Final = b"\x02"
"""The byte of the header that tells of WAL mode."""
_HEADER: Final = 100
"""Bytes of a file's header (https://www.sqlite.org/fileformat.html, section 1.3)."""
_opening = threading.Lock()
_engines: dict[tuple[int, int], WeakSet[Engine]] = {}
"""Engines of this process by file. While there is one, nothing but SQLite may open the file: closing any other handle on it drops the locks
of all of them (https://www.sqlite.org/howtocorrupt.html, section 2.2.1)."""
WRITES: Final = "reflect_writes"
"""Whether the next transaction of a connection writes, in its `info`."""
_POOL: Final = 16
_OVERFLOW: Final = 112


def open_sqlite(url: URL, durability: Durability) -> Engine:
    """An engine whose connections are set up as this page's docstring says.

    Raises:
        InvalidInput: The place is a folder, or a database that is no ledger.
        LedgerDamaged: The file is damaged or no database.
        LedgerError: The folder cannot be made or written.
    """
    path = Path(url.database or "")
    _ensure_folder(path)
    with _opening:
        known = _engines.setdefault(_inode(path), WeakSet())
        if not known:
            _refuse_foreign(path)
        engine = _made(url, path, durability)
        known.add(engine)
    _begin_as_told(engine)
    return engine


def _made(url: URL, path: Path, durability: Durability) -> Engine:
    if _is_read_only(path):
        logger.warning("the ledger %s is in a folder that cannot be written; it is read only", path)
        # Opened anew each time: a writer of another user may have changed it, or begun a WAL.
        engine = create_engine("sqlite://", poolclass=NullPool, creator=lambda: _opened(_uri_of(path)))
    else:
        users = _Users(path)
        if users.is_first and _has_wal(path):
            check_file(path)
        users.share()
        network = file_system_of(path) in _NETWORK
        if network:
            logger.warning("the ledger %s is on a network file system: no WAL there, and one machine at a time; PostgreSQL is better", path)
        engine = create_engine(url, pool_size=_POOL, max_overflow=_OVERFLOW)
        engine.dialect.reflect_users = users  # type: ignore[attr-defined]  # the lock lives as long as the engine
        _set_up(engine, durability, network=network)
    return engine


def _forget_opening() -> None:
    """In a forked child: whichever thread was opening a ledger is not here."""
    global _opening  # noqa: PLW0603 - the lock of the process
    _opening = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_opening)


def _inode(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def has_reset_bug(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> bool:
    """Whether this SQLite may, in a rare race of two connections, corrupt a WAL file as it is reset.

    Source: https://www.sqlite.org/wal.html, section 11; from 3.7.0, fixed in 3.51.3 and backported to 3.50.7 and 3.44.6.
    """
    if version < (3, 7, 0) or version >= _FIXED[0]:
        return False
    return not any(version[:2] == fixed[:2] and version >= fixed for fixed in _FIXED)


def file_system_of(path: Path) -> str:
    """Type of the file system that a path is on, such as `ext4` or `nfs4`; empty where the system does not tell."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    wanted, best, found = path.resolve(), -1, ""
    for line in mounts:
        _, place, kind, *_ = line.split(" ")
        point = Path(place.replace("\\040", " "))
        if (point == wanted or point in wanted.parents) and len(point.parts) >= best:
            best, found = len(point.parts), kind
    return found


def check_file(path: Path) -> None:
    """SQLite's own check of a file.

    Raises:
        LedgerDamaged: It found something.
    """
    try:
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            found = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            return
        found = [str(error)]
    if found != ["ok"]:
        raise damaged(path, "; ".join(found))


def damaged(path: object, found: str) -> LedgerDamaged:
    """The error for a damaged file, with what can be done."""
    return LedgerDamaged(
        f"the ledger {str(path)!r} is damaged ({found}); restore a backup (`reflect backup` makes them), or save what can be read: "
        f"sqlite3 {path} .recover | sqlite3 recovered.db"
    )


def _ensure_folder(path: Path) -> None:
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise LedgerError(
            f"the folder {str(folder)!r} cannot be made ({error.strerror}); choose another path= or set REFLECT_PATH"
        ) from error
    if path.is_dir():
        raise InvalidInput(f"the ledger {str(path)!r} is a folder; expected a file, or a folder without the suffix {path.suffix!r}")
    if not path.exists():
        if not os.access(folder, os.W_OK):
            raise LedgerError(f"the folder {str(folder)!r} is not writable; choose another path= or set REFLECT_PATH")
        path.touch(mode=0o600)  # its -wal and -shm files get the same permissions


def _is_read_only(path: Path) -> bool:
    return path.stat().st_size > 0 and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


def _refuse_foreign(path: Path) -> None:
    """Raise if the file is no ledger; it is only read. Never while this process has it open, see `_engines`."""
    with path.open("rb") as file:
        header = file.read(_HEADER)
    is_wal, is_ours = header[18:19] == _WAL, header.startswith(b"SQLite format 3") and header[68:72] == APPLICATION_ID.to_bytes(4)
    if not header or (is_ours and is_wal):
        return
    try:
        with closing(_opened(_uri_of(path))) as connection:
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if is_ours:  # a copy: to open it switches its journal, so what is newer has to be refused before that
                _refuse_newer(path, {row[0] for row in connection.execute("SELECT name FROM schema_migrations")})
                return
    except sqlite3.OperationalError:
        return  # busy, or its WAL needs a writer first: what is wrong shows when it is opened
    except sqlite3.DatabaseError as error:
        raise damaged(path, str(error)) from error
    ours = application == APPLICATION_ID or (application == 0 and (not names or {"schema_migrations", "episodes"} <= names))
    if not ours:
        raise InvalidInput(
            f"{str(path)!r} is the database of another program (tables {', '.join(sorted(names)[:3]) or 'none'}, "
            f"application id {application}); "
            "it was left untouched, choose another path="
        )


def _refuse_newer(path: Path, applied: set[str]) -> None:
    from langchain_reflect.ledger import migrations  # it needs this module

    migrations.refuse_newer(f"sqlite:///{path}", applied)


def _uri_of(path: Path) -> str:
    """To open the file for reading only. Where no WAL waits it is read as it lies, which leaves nothing beside it."""
    return f"{path.absolute().as_uri()}?mode=ro{'' if _has_wal(path) else '&immutable=1'}"


def _opened(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False)


def _has_wal(path: Path) -> bool:
    wal = Path(f"{path}-wal")
    return wal.exists() and wal.stat().st_size > 0


class _Users:
    """The lock that every process with the file open shares; without `fcntl` (Windows) nobody knows whether others are there."""

    def __init__(self, path: Path) -> None:
        self.is_first = False
        self._file: Any = None
        try:
            import fcntl

            self._file = os.fdopen(os.open(f"{path}.users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "ab")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.is_first = True
        except (ImportError, OSError):
            return

    def share(self) -> None:
        """From now on others may come."""
        if self._file is not None:
            import fcntl

            try:
                fcntl.flock(self._file, fcntl.LOCK_SH | (0 if self.is_first else fcntl.LOCK_NB))
            except OSError:
                return  # somebody is checking the file right now, and does not need to know about us

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()


def _set_up(engine: Engine, durability: Durability, *, network: bool) -> None:
    journal, synchronous = ("DELETE", "EXTRA") if network else ("WAL", "FULL" if durability == "full" else "NORMAL")

    @event.listens_for(engine, "connect")
    def setup(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout=50")
        cursor.execute(f"PRAGMA journal_mode={journal}")
        cursor.execute(f"PRAGMA synchronous={synchronous}")
        cursor.execute("PRAGMA secure_delete=ON")
        cursor.execute("PRAGMA journal_size_limit=67108864")
        cursor.execute("PRAGMA fullfsync=1")  # macOS: a plain fsync does not reach the disk there
        cursor.execute("PRAGMA trusted_schema=OFF")
        cursor.close()


def _begin_as_told(engine: Engine) -> None:
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        driver.execute("BEGIN IMMEDIATE" if connection.info.get(WRITES) else "BEGIN")
