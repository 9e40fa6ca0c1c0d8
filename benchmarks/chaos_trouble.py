"""The cases of `chaos_index.py` in which the index is whole, but not to be had: down, hung, full, read-only, forked, owned by others."""

# ruff: noqa: SLF001 - as in `chaos_cases.py`

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import numpy as np
from chaos_cases import HERE, Answers, Home, generation, opened

from langchain_reflect.index.base import IndexEntry
from langchain_reflect.index.chroma import ChromaIndex

PROCESSES = 8
NOBODY = 65534


class Server:
    """A Chroma server in a process of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start(folder)

    def start(self, folder: Path) -> None:
        """Start, and wait until it answers."""
        program = str(Path(sys.executable).with_name("chroma"))
        command = [program, "run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            with suppress(httpx.HTTPError):
                httpx.get(f"{self.url}/api/v2/heartbeat", timeout=1)
                return
            time.sleep(0.05)
        raise TimeoutError("the Chroma server did not start")

    def stop(self) -> None:
        """End it, hung or not."""
        self.process.kill()
        self.process.wait()


@contextmanager
def served(home: Path) -> Iterator[tuple[Server, Home]]:
    """A server and a book whose index it holds."""
    server = Server(home / "server")
    try:
        with opened(home, ChromaIndex(server.url)) as here:
            assert here.come_back()
            here.ask()
            yield server, here
    finally:
        server.stop()


def server_stopped(home: Path) -> Answers:
    """It goes away, and comes back with what it had."""
    with served(home) as (server, here):
        server.stop()
        _meanwhile(here)
        server.start(home / "server")
        return _back(here)


def server_hung(home: Path) -> Answers:
    """It accepts and never answers, then goes on."""
    with served(home) as (server, here):
        server.process.send_signal(signal.SIGSTOP)
        here.answers.slowest = 0.0
        _meanwhile(here)
        server.process.send_signal(signal.SIGCONT)
        return _back(here)


def server_lost_all(home: Path) -> Answers:
    """It comes back with an empty folder."""
    with served(home) as (server, here):
        server.stop()
        server.start(home / "another")
        _meanwhile(here)
        return _back(here)


def server_lost_half(home: Path) -> Answers:
    """Somebody deletes rows while no agent runs."""
    with served(home) as (server, here):
        ids = here.book.index._collection.get(include=[])["ids"]
        here.book.index._collection.delete(ids=ids[::2])
        with opened(home, ChromaIndex(server.url)) as later:
            back = later.come_back()
            later.ask()
            later.answers.note = "used again" if back else "NOT USED AGAIN"
            return later.answers


def server_rogue(home: Path) -> Answers:
    """Somebody puts in rows that are nearer to each query than any lesson."""
    with served(home) as (_, here):
        vectors = [here.book.embedder.embed_query(f"query {number}") for number in range(20)]
        entries = [IndexEntry(f"L-rogue-{n}-{i}", 1, HERE, np.stack([v])) for n, v in enumerate(vectors) for i in range(50)]
        here.book.index.upsert(entries)
        here.ask()
        here.answers.note = f"{here.book._finder.unconfirmed} foreign hits dropped and counted"
        return here.answers


def server_with_two_books(home: Path) -> Answers:
    """Two agents write and read through one server."""
    with served(home) as (server, one), opened(home, ChromaIndex(server.url)) as two:
        two.come_back()
        for number in range(5):
            for here, other in ((one, two), (two, one)):
                lesson = here.book.add(when=f"{number} {id(here)} happens", do="do it")
                other.see(lesson.id, lesson.key_text())
        two.ask()
        return _back(one)


def _meanwhile(here: Home) -> None:
    here.ask()
    here.add("the one that came meanwhile")
    here.ask()


def _back(here: Home) -> Answers:
    back = here.come_back()
    here.ask()
    here.add("the newcomer")
    here.answers.note = "used again" if back else "NOT USED AGAIN"
    return here.answers


def disk_full(home: Path) -> Answers:
    """Chroma's files cannot grow any more; those of the ledger are small enough."""
    (generation(home) / "chroma.sqlite3").unlink()
    with opened(home) as here:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        here.ask()
        back = here.come_back(3.0)
        here.ask()
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        here.answers.note = f"{'USED' if back else 'not used'} while full"
        again = here.come_back()
        here.answers.note += ", used again afterwards" if again else ", NOT USED AFTERWARDS"
        here.add("the newcomer")
        return here.answers


def read_only(home: Path) -> Answers:
    """The folder may be read, but not written."""
    for folder in (home, *home.parents[:2]):
        folder.chmod(0o755)
    for path in [*home.rglob("*"), home]:
        if not path.is_relative_to(home / "chroma"):
            os.chown(path, NOBODY, NOBODY)
    (home / "chroma.lock").unlink(missing_ok=True)
    (home / "chroma").chmod(0o555)
    if os.geteuid() == 0:
        os.setresuid(NOBODY, NOBODY, NOBODY)
    with opened(home) as here:
        here.ask()
        back = here.come_back(2.0)
        here.add("the newcomer")
        here.answers.note = "USED" if back else "not used"
        return here.answers


def forked(home: Path) -> Answers:
    """A server process opens the index and forks workers while its own thread may be at work."""
    with opened(home) as here:
        for moment in (0.0, 0.05, 0.3, 1.0):
            here.ask(1)
            time.sleep(moment)
            _in_children(2, lambda _: _work_of_fork(here), here)
        return _back(here)


def _work_of_fork(here: Home) -> bool:
    here.answers.wrong = here.answers.unseen = 0
    here.ask()
    here.add(f"forked {os.getpid()}")
    here.book.close()
    here.book.index.close()
    return not here.answers.wrong and not here.answers.unseen


def eight_processes(home: Path) -> Answers:
    """Eight processes use one folder; each writes, and sees at its next recall what the others wrote."""
    with ExitStack() as stack:
        parent = Home(None, None, Answers())  # type: ignore[arg-type] # only the answers are used: this process must not open the folder
        goes = [os.pipe() for _ in range(PROCESSES)]
        stack.callback(lambda: [os.close(end) for pair in goes for end in pair])
        _in_children(PROCESSES, lambda number: _one_of_eight(home, number, goes), parent)
    parent.answers.note = f"{PROCESSES} processes, all lessons seen by all"
    return parent.answers


def _one_of_eight(home: Path, number: int, goes: list[tuple[int, int]]) -> bool:
    with opened(home) as here:
        here.ask(5)
        here.come_back(1.0)
        here.add(f"lesson of process {number}")
        for _, end in goes:  # the barrier: everybody has written
            os.write(end, b"x")
        for _ in range(PROCESSES):
            os.read(goes[number][0], 1)
        for other in range(PROCESSES):
            [lesson] = [each for each in here.book.list() if each.when.startswith(f"lesson of process {other} ")]
            here.see(lesson.id, lesson.key_text())
        here.ask()
        return not here.answers.wrong and not here.answers.unseen


def _in_children(count: int, work: Callable[[int], bool], here: Home) -> None:
    """Run work in forked children; what went wrong there is added to the answers."""
    children = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            code = 2
            with suppress(BaseException):
                code = 0 if work(number) else 1
            os._exit(code)
        children.append(child)
    killer = threading.Timer(60, lambda: [os.kill(child, signal.SIGKILL) for child in children])
    killer.daemon = True
    killer.start()
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    killer.cancel()
    here.answers.asked += count
    here.answers.wrong += codes.count(1)
    if bad := [code for code in codes if code not in (0, 1)]:
        raise RuntimeError(f"children ended with {bad}")


TROUBLE = {
    ("server", "stopped and started again"): server_stopped,
    ("server", "hung"): server_hung,
    ("server", "came back empty"): server_lost_all,
    ("server", "lost half of its rows"): server_lost_half,
    ("server", "1,000 rogue rows"): server_rogue,
    ("server", "two books"): server_with_two_books,
    ("disk", "full"): disk_full,
    ("disk", "read-only"): read_only,
    ("process", "forked"): forked,
    ("process", "eight on one folder"): eight_processes,
}
