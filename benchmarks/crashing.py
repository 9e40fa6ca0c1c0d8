"""Child processes to be killed: forked from a parent that has imported everything, they tell through a pipe what was acknowledged.

The parent opens no ledger and starts no thread, so a fork is a fresh process without the seconds of an interpreter's start. A child tells
`READY` once it has opened what it needs. What it told before it was killed is read to the end, so nothing acknowledged is missed.
"""

import ctypes
import os
import selectors
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, Self
from uuid import UUID

READY, EPISODE, OUTCOME, GROUP, ERROR = b"r", b"e", b"o", b"g", b"x"
_FORM = struct.Struct("=c16sqd")
_NOBODY = UUID(int=0)
_DIE_WITH_PARENT = 1
PATIENCE = 360.0
"""Seconds for a child to get ready, or to end when it is asked to."""


class Told(NamedTuple):
    """One message of a child."""

    kind: bytes
    id: UUID
    number: int
    seconds: float


class Tell(Protocol):
    """How a child tells something; it is written at once, in one piece."""

    def __call__(self, kind: bytes, id: UUID = _NOBODY, number: int = 0, seconds: float = 0.0) -> None:  # noqa: A002 - of `Told`
        """Write one message."""


Work = Callable[[Tell], None]


@dataclass
class Child:
    """A running child, and where its messages go."""

    kind: str
    slot: int
    pid: int
    pipe: int
    hear: Callable[["Child", Told], None]
    is_ready: bool = False
    rest: bytes = b""
    ended: int | None = None
    """Its exit code; minus the signal that ended it."""


@dataclass
class Crew:
    """Children that one parent starts, hears and kills."""

    hear: Callable[[Child, Told], None]
    children: list[Child] = field(default_factory=list)
    selector: selectors.DefaultSelector = field(default_factory=selectors.DefaultSelector)

    def start(self, kind: str, work: Work, slot: int = 0) -> Child:
        """Fork a child that does some work and exits."""
        theirs, mine = os.pipe(), os.getpid()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            _be_child(work, theirs[1], mine)
        os.close(theirs[1])
        os.set_blocking(theirs[0], False)
        child = Child(kind, slot, pid, theirs[0], self.hear)
        self.children.append(child)
        self.selector.register(child.pipe, selectors.EVENT_READ, child)
        return child

    def listen(self, seconds: float) -> None:
        """Hear all children for so long.

        Raises:
            RuntimeError: One of them ended by itself.
        """
        self._listen_until(lambda: False, seconds)
        for child in self.children:
            if child.ended is not None:
                raise RuntimeError(f"a {child.kind} ended by itself with {child.ended}")

    def wait_ready(self, *children: Child) -> None:
        """Hear all until these are ready.

        Raises:
            RuntimeError: One took too long, or ended.
        """
        self._listen_until(lambda: all(c.is_ready or c.ended is not None for c in children), PATIENCE)
        for child in children:
            if not child.is_ready:
                raise RuntimeError(f"a {child.kind} did not get ready (exit code {child.ended})")

    def kill(self, child: Child) -> None:
        """SIGKILL, and hear what the child had told before."""
        os.kill(child.pid, signal.SIGKILL)
        self.wait_ended(child)

    def wait_ended(self, *children: Child) -> None:
        """Hear all until these have ended; they leave the crew.

        Raises:
            RuntimeError: One took too long.
        """
        self._listen_until(lambda: all(c.ended is not None for c in children), PATIENCE)
        late = [c for c in children if c.ended is None]
        if late:
            raise RuntimeError(f"a {late[0].kind} does not end")
        self.children = [c for c in self.children if c not in children]

    def run(self, kind: str, work: Work) -> None:
        """Start a child that does some work, and wait for its end.

        Raises:
            RuntimeError: It failed.
        """
        child = self.start(kind, work)
        self.wait_ended(child)
        if child.ended:
            raise RuntimeError(f"the {kind} failed with {child.ended}")

    def dismiss(self) -> None:
        """Ask all children to end, and wait for it."""
        leaving = list(self.children)
        for child in leaving:
            if child.ended is None:
                os.kill(child.pid, signal.SIGTERM)
        self.wait_ended(*leaving)
        failed = [c for c in leaving if c.ended]
        if failed:
            raise RuntimeError(f"a {failed[0].kind} that was asked to end did so with {failed[0].ended}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self.children:
            if child.ended is None:
                os.kill(child.pid, signal.SIGKILL)
                os.waitpid(child.pid, 0)
                os.close(child.pipe)
        self.selector.close()

    def _listen_until(self, is_enough: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not is_enough() and (left := deadline - time.monotonic()) > 0:
            if not self.selector.get_map():
                time.sleep(left)
                return
            for key, _ in self.selector.select(left):
                self._read(key.data)

    def _read(self, child: Child) -> None:
        try:
            more = os.read(child.pipe, 1 << 16)
        except BlockingIOError:
            return
        if not more:
            self.selector.unregister(child.pipe)
            os.close(child.pipe)
            child.ended = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
            return
        said = child.rest + more
        whole = len(said) - len(said) % _FORM.size
        child.rest = said[whole:]
        for kind, id_, number, seconds in _FORM.iter_unpack(said[:whole]):
            told = Told(kind, UUID(bytes=id_), number, seconds)
            child.is_ready = child.is_ready or told.kind == READY
            child.hear(child, told)


class Stop:
    """Whether this child was asked to end (SIGTERM)."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True


def _be_child(work: Work, pipe: int, parent: int) -> None:
    code = 1
    try:
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if os.getppid() == parent:

            def tell(kind: bytes, id: UUID = _NOBODY, number: int = 0, seconds: float = 0.0) -> None:  # noqa: A002 - of `Told`
                os.write(pipe, _FORM.pack(kind, id.bytes, number, seconds))

            work(tell)
            code = 0
    except BaseException:  # noqa: BLE001 - it must not go on as a second parent
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
