"""The processes that `run.py` starts, and stops whatever happens."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from langchain_reflect.testing.postgres import PostgresServer

HERE = Path(__file__).parent
PATIENCE = 120.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Service:
    """A process with a log of its own.

    It gets a session of its own, so that Ctrl-C reaches `run.py` alone, which then stops all in order.

    Args:
        name: What it is called in messages.
        command: The program and its arguments.
        folder: Where its log goes.
        env: Its environment.
        answers: Whether it is talked to through standard input and output.
    """

    def __init__(self, name: str, command: list[str], *, folder: Path, env: Mapping[str, str], answers: bool = False) -> None:
        self.name = name
        self._told = False
        self.log = folder / f"{name.replace(' ', '-')}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own commands
                command,
                stdin=subprocess.PIPE if answers else subprocess.DEVNULL,
                stdout=subprocess.PIPE if answers else log,
                stderr=log,
                cwd=HERE,
                env=dict(env),
                text=True,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raise if it has ended."""
        if self.process.poll() is not None:
            raise SystemExit(f"{self.name} ended with code {self.process.returncode}:\n{self.log.read_text()[-2000:]}")

    def terminate(self) -> None:
        """SIGTERM, once: to some programs the second one means at once."""
        if not self._told and self.process.poll() is None:
            self._told = True
            self.process.terminate()

    def stop(self) -> int:
        """SIGTERM, and SIGKILL if that does not help; returns the exit code."""
        self.terminate()
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


@contextmanager
def service(name: str, command: list[str], *, folder: Path, env: Mapping[str, str], answers: bool = False) -> Iterator[Service]:
    """A service that is stopped as the block ends."""
    with ExitStack() as stack:
        with uninterrupted():
            started = Service(name, command, folder=folder, env=env, answers=answers)
            stack.callback(started.stop)
        print(f"started {name} (pid {started.process.pid})", flush=True)
        yield started


@contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL server with an empty database, and its URL."""
    with ExitStack() as stack:
        with uninterrupted():
            server = PostgresServer(fsync=True)
            stack.callback(server.stop)
            server.start()
        print(f"started postgres (pid {server.pid})", flush=True)
        yield server.create("reflect")


def stop_on_signals() -> None:
    """Let SIGTERM and a closed terminal end the program as Ctrl-C does; none of them interrupts the stopping."""

    def end(number: int, _frame: object) -> None:
        for name in _SIGNALS:
            signal.signal(name, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for name in _SIGNALS:
        signal.signal(name, end)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A signal waits until the block has ended: what is half started could not be stopped."""
    came: list[int] = []
    before = {name: signal.signal(name, lambda number, _: came.append(number)) for name in _SIGNALS}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
    if came:
        signal.raise_signal(came[0])


def program(name: str) -> str:
    """A command of this Python's environment."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name) or name


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_http(url: str, of: Service) -> None:
    """Wait until a server answers."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        of.check()
        try:
            if httpx.get(url, timeout=2).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"{of.name} did not answer on {url} in {PATIENCE:.0f} s:\n{of.log.read_text()[-2000:]}")
