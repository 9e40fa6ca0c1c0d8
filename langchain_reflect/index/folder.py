"""An embedded Chroma folder has one owner: locks, sharing within the process, and what to do with a folder that cannot be trusted.

Chroma's folders are not safe for several processes (a long-lived reader never finds another's new rows, and two writers lose some), and a
process that dies while Chroma writes can leave a folder that fails, or crashes whoever opens it. So one process holds a lock for as long
as the folder is open, and what was not closed, or has changed since, is never opened again: a new generation takes its place, see
`generations.py`. So does one that has failed.
"""

import atexit
import logging
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from filelock import FileLock, Timeout

from langchain_reflect.errors import IndexUnavailable
from langchain_reflect.index import generations

if TYPE_CHECKING:
    from chromadb.api import ClientAPI

PATIENCE: Final = 2.0
"""Seconds that closing waits for a call inside Chroma; a folder that is not closed by then is filled anew next time."""

_logger = logging.getLogger(__name__)
_open: "dict[Path, ChromaFolder]" = {}
_inherited: "dict[Path, ChromaFolder]" = {}
_guard = threading.RLock()
_exiting = False


class ChromaFolder:
    """A folder that this process owns. Get one with `acquire`, give it back with `release`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.users = 0
        self.generation = 0
        """Grows when the folder is emptied, so that holders of a collection know that it is gone."""
        self.has_failed = False
        """Whether Chroma has failed here, so that what it holds is not to be trusted."""
        self._client: ClientAPI | None = None
        self._place: Path | None = None
        self._lock = FileLock(f"{path}.lock", blocking=False, thread_local=False)
        self._mutex = threading.RLock()

    def own(self) -> None:
        """Take the folder for this process.

        Raises:
            IndexUnavailable: Another process has it, or it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout as error:
            raise IndexUnavailable(
                f"The Chroma folder {str(self.path)!r} belongs to another process while that runs. "
                "Recall works without it; to share one index between processes, run `chroma run` and pass its URL."
            ) from error
        except OSError as error:
            raise IndexUnavailable(_unusable(self.path, error)) from error

    def client(self) -> "ClientAPI":
        """The one client of this folder, opened on first use.

        Raises:
            OSError: The folder cannot be written. Chroma raises many others.
        """
        with self._mutex:
            if self._client is None:
                self._place = self._ready_place()
                self._client = _connect(self._place)
            return self._client

    def empty(self) -> None:
        """Leave the present generation; the next use begins a new one."""
        with self._mutex:
            self._disconnect()
            self.generation += 1
            self.has_failed = True

    def close(self) -> None:
        """Close the client, note that all is well, and let others have the folder."""
        if not self._mutex.acquire(timeout=PATIENCE):
            _logger.warning("The Chroma folder %s is still in use at the end; it will be filled anew next time.", self.path)
            return
        try:
            if self._disconnect() and self._place is not None and not self.has_failed:
                with suppress(OSError):
                    generations.mark(self._place, _chroma_version(), closed=True)
        finally:
            self._lock.release()
            self._mutex.release()

    def _ready_place(self) -> Path:
        """The generation to open: the one that was closed here if nothing has changed in it, else a new one."""
        version = _chroma_version()
        place = None if self.has_failed else generations.trusted(self.path, version)
        if place is not None:
            generations.mark(place, version, closed=False)
            return place
        if (self.path / generations.MARKER).exists():
            _logger.warning("The Chroma folder %s was not left as it is by a process of this version; it is filled anew.", self.path)
        place = generations.begin(self.path, version)
        self.has_failed = False
        return place

    def _disconnect(self) -> bool:
        client: Any = self._client  # `close` is missing from the type that chromadb declares
        self._client = None
        if client is None:
            return False
        try:
            client.close()
        except BaseException as error:  # a panic of Chroma's core is no Exception
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            _logger.warning("The Chroma folder %s could not be closed; it will be filled anew next time.", self.path, exc_info=True)
            return False
        return True


def acquire(path: str | os.PathLike[str]) -> ChromaFolder:
    """The folder at this path, owned by this process; the same object for every caller.

    Raises:
        IndexUnavailable: Another process has it, it cannot be written, or a parent process opened it before forking.
    """
    resolved = Path(path).expanduser().resolve()
    with _guard:
        if _exiting:
            raise IndexUnavailable(f"The Chroma index at {str(resolved)!r} is not opened any more, because this process ends.")
        if resolved in _inherited:
            raise IndexUnavailable(after_fork(resolved))
        if resolved not in _open:
            folder = ChromaFolder(resolved)
            folder.own()
            _open[resolved] = folder
        _open[resolved].users += 1
        return _open[resolved]


def release(folder: ChromaFolder) -> None:
    """Give the folder back; the last one closes it. Does nothing in a forked child."""
    with _guard:
        if _open.get(folder.path) is not folder:
            return
        folder.users -= 1
        if folder.users <= 0:
            del _open[folder.path]
            folder.close()


def after_fork(place: Path | str) -> str:
    """Why a forked child cannot use what its parent opened."""
    return (
        f"The Chroma index at {str(place)!r} was opened before this process was forked and can only be used by the parent. "
        "Recall works without it; open the index after forking, or use a Chroma server."
    )


def _connect(path: Path) -> "ClientAPI":
    import chromadb
    from chromadb.config import Settings

    def connect() -> "ClientAPI":
        return chromadb.PersistentClient(str(path), settings=Settings(anonymized_telemetry=False))

    try:
        return connect()
    except BaseException:
        # chromadb keeps a system that failed to start and hands it out again; failing with it once more makes it let go.
        with suppress(BaseException):
            connect()
        raise


def _chroma_version() -> str:
    import chromadb

    return chromadb.__version__


def _unusable(path: Path, error: OSError) -> str:
    return (
        f"The Chroma folder {str(path)!r} cannot be used ({type(error).__name__}: {error}). "
        "Make it writable, or choose another with ChromaIndex(path) or REFLECT_CHROMA."
    )


def _close_at_exit() -> None:
    global _exiting  # noqa: PLW0603 - threads may still run, and what they opened now would never be closed
    _exiting = True
    _close_all()


def _close_all() -> None:
    with _guard:
        for folder in list(_open.values()):
            folder.users = 1
            release(folder)


def _forget_after_fork() -> None:
    """Chroma's threads do not exist in the child, and unlocking there would unlock the parent: keep all as it is and touch nothing."""
    global _guard  # noqa: PLW0603 - another thread may have held it at the fork
    _guard = threading.RLock()
    _inherited.update(_open)
    _open.clear()


atexit.register(_close_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
