"""Reflection beside the agent: a daemon thread that works off what is due whenever an outcome has come in."""

import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)


class BackgroundReflection:
    """Runs a reflection soon after it was asked for, never two at once.

    The thread starts with the first `poke` and is a daemon, so it never keeps the process from exiting; `flush` waits for what is due.

    Args:
        reflect: Works off what is due and returns; its exceptions are logged.
        pause: Seconds to wait after a poke, so that outcomes that come together are worked off together.
    """

    def __init__(self, reflect: Callable[[], object], *, pause: float = 0.2) -> None:
        self._reflect = reflect
        self._pause = pause
        self._changed = threading.Condition()
        self._due = self._busy = self._closed = self._hurry = False
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
            self._changed.notify_all()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until nothing is due.

        Args:
            timeout: Most seconds to wait; None: as long as it takes.

        Returns:
            Whether all was done in time.
        """
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: not (self._due or self._busy), timeout)
            self._hurry = False
            return done

    def close(self, timeout: float | None = None) -> bool:
        """`flush`, then end the thread; later pokes do nothing."""
        done = self.flush(timeout)
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        return done

    def _work(self) -> None:
        while self._next():
            try:
                self._reflect()
            except Exception:
                logger.exception("reflection in the background failed; the outcomes stay due, and learner.reflect() tries again")
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()

    def _next(self) -> bool:
        """Wait for work and a short pause after it; False when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._due or self._closed)
            if not self._due:
                return False
            until = time.monotonic() + self._pause
            self._changed.wait_for(lambda: self._hurry or self._closed, max(0.0, until - time.monotonic()))
            self._due, self._busy = False, True
            return True
