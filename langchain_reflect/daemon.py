"""Work beside the agent: a daemon thread that does one piece of work whenever somebody has asked for it, and rests in between."""

import atexit
import logging
import math
import os
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What follows a piece of work, in seconds from its end."""

    pause: float = 0.0
    """So long nothing begins, unless somebody waits for it in `flush`."""
    quiet: float = 0.0
    """So long nothing begins, whoever waits; more than 0: the work failed."""
    again: float | None = None
    """After so long it begins by itself; None: only when it is asked for."""


def close_at_exit(close: Callable[[], object]) -> bool:
    """Call a method as the process ends, before the interpreter forbids new threads and futures, which `atexit` would be too late for.

    Args:
        close: A bound method; its object is not kept alive.

    Returns:
        Whether it will be called; False: the end has begun, and no thread should start any more.
    """
    known = weakref.WeakMethod(close)

    def call() -> None:
        if (alive := known()) is not None:
            alive()

    try:
        getattr(threading, "_register_atexit", atexit.register)(call)
    except RuntimeError:
        return False
    return True


class Daemon(ABC):
    """Does its work some time after it was asked to, never twice at once.

    The thread starts with the first `poke` and is a daemon, so work that hangs never keeps the process from ending; the end of the
    process waits for what is due, for a limited time. In a forked child nothing is due or held at first: the parent does it.

    Args:
        name: Of the thread.
        pause: Least seconds between a poke and the work, so that pokes that come together are one piece of work.
        exit_timeout: Most seconds that the end of the process waits.
        late: What to warn of if it waited in vain; empty: nothing.
    """

    def __init__(self, name: str, *, pause: float, exit_timeout: float, late: str = "") -> None:
        self._name, self._pause, self._exit_timeout, self._late = name, pause, exit_timeout, late
        self._closed = self._is_known_at_exit = False
        self._rest, self._ended, self._poked = Rest(), -math.inf, -math.inf
        self._holds = self._hurries = 0
        self._due = self._busy = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        _all.add(self)

    @abstractmethod
    def _work(self) -> Rest:
        """Do the work, and say what follows; its exceptions are its own matter."""

    def poke(self) -> None:
        """Say that there may be work; returns at once."""
        with self._changed:
            if self._closed or not self._is_running():
                return
            if not self._due:
                self._due, self._poked = True, time.monotonic()
            self._changed.notify_all()

    def flush(self, timeout: float | None = None) -> bool:
        """Do now what is due, and wait for it.

        Args:
            timeout: Most seconds to wait; None: as long as it takes.

        Returns:
            Whether all was done in time; False also if the last work failed and waits for another try.
        """
        with self._changed:
            self._hurries += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._busy and (self._closed or not self._due), timeout)
            self._hurries -= 1
            return not (self._due or self._busy or self._rest.quiet)

    def close(self, timeout: float | None = None) -> bool:
        """`flush`, then end the thread; later pokes do nothing."""
        done = self.flush(timeout)
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        return done

    @property
    def is_held(self) -> bool:
        """Whether somebody holds it off."""
        return self._holds > 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Begin nothing while the block runs; a poke is remembered. What goes on already is waited for."""
        with (changed := self._changed):
            self._holds += 1
            changed.wait_for(lambda: not self._busy)
        try:
            yield
        finally:
            if changed is self._changed:  # in a child that was forked in the block it is not, and nothing is held
                with changed:
                    self._holds -= 1
                    changed.notify_all()

    def work_here(self, *, apart: float = 0.0) -> None:
        """Work now, in this thread, unless it is resting, busy, held or closed.

        Args:
            apart: Least seconds after the end of the last work.
        """
        with self._changed:
            rested = time.monotonic() >= max(self._earliest(), self._ended + apart)
            if self._closed or self._busy or self._holds or not rested:
                return
            self._busy = True
        self._do()

    def _is_running(self) -> bool:
        """Start the thread if need be; False if the process ends."""
        if not self._is_known_at_exit and not close_at_exit(self._end_with_process):
            return False
        self._is_known_at_exit = True
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
            self._thread.start()
        return True

    def _loop(self) -> None:
        try:
            while self._next():
                self._do()
        finally:
            with self._changed:  # an exception ends the thread, but not what was asked for meanwhile
                self._thread = None
                if self._due and not self._closed:
                    self._is_running()

    def _do(self) -> None:
        rest = Rest()
        try:
            rest = self._work()
        finally:
            with self._changed:
                self._busy, self._rest, self._ended = False, rest, time.monotonic()
                self._changed.notify_all()

    def _next(self) -> bool:
        """Wait until work begins; False when closed."""
        with self._changed:
            while not self._closed:
                seconds = self._seconds_left()
                if seconds is not None and seconds <= 0:
                    self._due, self._busy = False, True
                    return True
                self._changed.wait(seconds)
            return False

    def _seconds_left(self) -> float | None:
        """Until work begins; None: until something changes."""
        if self._busy or self._holds:
            return None
        if self._due:
            return self._earliest() - time.monotonic()
        again = self._rest.again
        return None if again is None else self._ended + max(again, self._rest.quiet) - time.monotonic()

    def _earliest(self) -> float:
        """When work that is asked for may begin, by the monotonic clock."""
        quiet = self._ended + self._rest.quiet
        return quiet if self._hurries else max(quiet, self._ended + self._rest.pause, self._poked + self._pause)

    def _begin_anew(self) -> None:
        """In a forked child: the thread is not there, and a lock that it held would stay locked for ever."""
        self._changed = threading.Condition()
        self._due = self._busy = False
        self._holds = self._hurries = 0
        self._thread = None

    def _end_with_process(self) -> None:
        if not self.close(self._exit_timeout) and self._late:
            logger.warning("%s", self._late)


_all: "weakref.WeakSet[Daemon]" = weakref.WeakSet()


def _after_fork() -> None:
    for daemon in _all:
        daemon._begin_anew()  # noqa: SLF001 - same module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
