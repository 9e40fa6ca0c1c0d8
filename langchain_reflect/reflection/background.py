"""Reflection beside the agent: a daemon thread that works off what is due whenever an outcome has come in."""

import atexit
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from langchain_reflect.types import ReflectionReport

_FIRST_WAIT: Final = 5.0
_LONGEST_WAIT: Final = 300.0
_SHORTEST_WAIT: Final = 1.0

logger = logging.getLogger(__name__)


class BackgroundReflection:
    """Runs a reflection soon after it was asked for, never two at once.

    The thread starts with the first `poke` and is a daemon, so a stuck model never keeps the process from exiting. `flush` waits for
    what is due; the end of the process waits for it too, for a limited time. What is not done by then stays due in the ledger. Where the
    model or the ledger was out of reach, it is tried again by itself after a while that grows.

    Args:
        reflect: Works off what is due and returns its report; its exceptions are logged.
        next_look: After a run, seconds until a group may be taken that cannot be taken now; None: there is none.
        pause: Seconds to wait after a poke, so that outcomes that come together are worked off together.
        exit_timeout: Most seconds that the end of the process waits.
    """

    def __init__(
        self,
        reflect: Callable[[], ReflectionReport],
        *,
        next_look: Callable[[], float | None] = lambda: None,
        pause: float = 0.2,
        exit_timeout: float = 30.0,
    ) -> None:
        self._reflect = reflect
        self._next_look = next_look
        self._pause = pause
        self._exit_timeout = exit_timeout
        self._changed = threading.Condition()
        self._due = self._busy = self._closed = self._hurry = False
        self._holds = 0
        self._failures = 0
        self._again: float | None = None
        """When to look again, by the monotonic clock."""
        self._quiet_until = 0.0
        """While the model is out of reach, nothing begins, whoever pokes."""
        self._thread: threading.Thread | None = None

    def poke(self) -> None:
        """Say that something may be due; returns at once."""
        with self._changed:
            if self._closed:
                return
            self._due = True
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="reflect-background", daemon=True)
                self._thread.start()
                _close_at_exit(self)
            self._changed.notify_all()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until nothing is due.

        Args:
            timeout: Most seconds to wait; None: as long as it takes.

        Returns:
            Whether all was done in time; False also if some waits because the model was out of reach.
        """
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: not (self._due or self._busy), timeout)
            self._hurry = False
            return done and not self._failures

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
        """Begin no reflection while the block runs; a poke is remembered. One that runs already is waited for."""
        with self._changed:
            self._holds += 1
            self._changed.wait_for(lambda: not self._busy)
        try:
            yield
        finally:
            with self._changed:
                self._holds -= 1
                self._changed.notify_all()

    def _work(self) -> None:
        while self._next():
            look: float | None = None
            quiet = 0.0
            try:
                report = self._reflect()
                quiet = self._backoff(report.retry_after) if report.outages else 0.0
                look = self._next_look()
            except Exception:
                logger.exception("reflection in the background failed; the outcomes stay due, and it is tried again later")
                look = quiet = self._backoff(None)
            finally:
                with self._changed:
                    self._busy = False
                    self._failures = self._failures + 1 if quiet else 0
                    self._quiet_until = time.monotonic() + quiet
                    self._again = None if look is None else time.monotonic() + max(look, quiet, _SHORTEST_WAIT)
                    self._changed.notify_all()

    def _backoff(self, retry_after: float | None) -> float:
        return max(retry_after or 0.0, min(_FIRST_WAIT * float(2**self._failures), _LONGEST_WAIT))

    def _waits(self) -> float | None:
        """Seconds until there is something to do; None: until somebody pokes. 0 or less: now."""
        begin = 0.0 if self._due else self._again
        if begin is None or self._holds:
            return None
        return max(begin, self._quiet_until) - time.monotonic()

    def _next(self) -> bool:
        """Wait for work and a short pause after it; False when closed."""
        with self._changed:
            while not self._closed and ((wait := self._waits()) is None or wait > 0):
                self._changed.wait(wait)
            if self._closed and (not self._due or self._holds):
                return False
            until = time.monotonic() + self._pause
            self._changed.wait_for(lambda: self._hurry or self._closed, max(0.0, until - time.monotonic()))
            if self._holds:
                return self._next()
            self._due, self._busy, self._again = False, True, None
            return True


def _close_at_exit(background: BackgroundReflection) -> None:
    """Drain before the interpreter forbids new threads and futures, which `atexit` would be too late for."""
    held = weakref.ref(background)

    def close() -> None:
        alive = held()
        if alive is not None and not alive.close(alive._exit_timeout):  # noqa: SLF001 - this module's own class
            logger.warning("reflection was not done in time; the outcomes stay due, and the next process takes them")

    getattr(threading, "_register_atexit", atexit.register)(close)
