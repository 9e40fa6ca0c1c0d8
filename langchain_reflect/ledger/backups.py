"""Copies of the whole ledger, and files without what was erased."""

import os
import shutil
import sqlite3
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from langchain_reflect.errors import InvalidInput, LedgerError
from langchain_reflect.ledger import tables
from langchain_reflect.ledger.database import Database

_SCRUB_PATIENCE: Final = 10.0


def backup(database: Database, target: Path, *, overwrite: bool) -> Path:
    """Write a consistent copy beside the target, and put it in place when it is complete and on disk."""
    target = target.expanduser().absolute()
    if target.is_dir() or _is_ledger(database, target):
        raise InvalidInput(f"{str(target)!r} is {'a folder' if target.is_dir() else 'the ledger itself'}; name the file of the copy")
    if target.exists() and not overwrite:
        raise InvalidInput(f"the file {str(target)!r} exists; choose another, or overwrite it with --force (overwrite=True)")
    try:
        return _copied(database, target)
    except OSError as error:
        raise LedgerError(f"the copy {str(target)!r} cannot be written ({error.strerror}); nothing is left of it") from error


def _is_ledger(database: Database, target: Path) -> bool:
    return database.is_sqlite and target.exists() and target.samefile(str(database.url.database))


def _copied(database: Database, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # mode 0600
    os.close(handle)
    made = Path(name)
    try:
        if database.is_sqlite:
            database.raw(lambda driver: _vacuum_into(driver, made))
        else:
            _pg_dump(database, made)
        _to_disk(made)
        made.replace(target)
        _to_disk(target.parent)
    except BaseException:
        made.unlink(missing_ok=True)
        raise
    return target


def scrub(database: Database) -> tuple[str, ...]:
    """Make the database's files forget rows that were deleted; returns where they may still be."""
    if database.is_sqlite:
        return (*_rewrite(database), *_truncate_wal(database))
    with suppress(LedgerError):  # the role may lack the right; autovacuum does it later
        database.raw(_vacuum)
    return ()


def _vacuum_into(driver: Any, target: Path) -> None:
    """A snapshot of one moment, compact, while others write (https://www.sqlite.org/lang_vacuum.html)."""
    driver.execute("VACUUM INTO ?", (str(target),))
    copy = sqlite3.connect(target)
    try:
        found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    finally:
        copy.close()
    if found != "ok":
        raise LedgerError(f"the copy of the ledger is damaged ({found}), and so is the ledger; `reflect verify` tells more")


def _pg_dump(database: Database, target: Path) -> None:
    tool = shutil.which("pg_dump")
    if tool is None:
        raise LedgerError("pg_dump is not installed here; on the server: pg_dump --format=custom --file=FILE DATABASE")
    bare = database.url._replace(drivername="postgresql", password=None)
    secret = {} if database.url.password is None else {"PGPASSWORD": str(database.url.password)}  # other users see the arguments
    done = subprocess.run(  # noqa: S603 - the tool that PATH names, with our own URL
        [tool, "--format=custom", f"--file={target}", f"--dbname={bare.render_as_string(hide_password=False)}"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | secret,
    )
    if done.returncode:
        raise LedgerError(f"pg_dump failed: {done.stderr.strip()[:500]}")


def _rewrite(database: Database) -> tuple[str, ...]:
    """Write the whole file anew. `secure_delete` is not enough: as pages are balanced, copies stay in their unused space."""
    deadline = time.monotonic() + _SCRUB_PATIENCE
    while True:
        try:
            database.raw(lambda driver: driver.execute("VACUUM"))  # type: ignore[attr-defined]
        except LedgerError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                return (f"unused space inside the ledger's file, which could not be rewritten ({error}): run the same again later",)
            time.sleep(0.05)
        else:
            return ()


def _truncate_wal(database: Database) -> tuple[str, ...]:
    """Move the WAL into the file and cut it to nothing; readers of an older state may delay that."""
    deadline = time.monotonic() + _SCRUB_PATIENCE
    while True:
        busy = database.raw(lambda driver: driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])  # type: ignore[attr-defined]
        if not busy:
            return ()
        if time.monotonic() > deadline:
            return ("the ledger's -wal file, until readers that began before let it go: run the same again then",)
        time.sleep(0.05)


def _vacuum(driver: Any) -> None:
    for table in tables.metadata.sorted_tables:
        driver.execute(f"VACUUM {table.name}")


def _to_disk(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
