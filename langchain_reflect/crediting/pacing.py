"""Looks at the evidence beside the agent, so seldom that it takes less than a twentieth of the time."""

import atexit
import logging
import math
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

logger = logging.getLogger(__name__)
SHARE: Final = 0.05
"""Most of the time that looking may take."""
_EXIT_TIMEOUT: Final = 10.0


class BackgroundCredit:
    """Looks at the evidence some time after it was asked to, never twice at once.

    After a look that took one second the next one begins nineteen seconds later at the earliest, however many outcomes come in. The thread
    starts with the first `poke` and is a daemon. `flush` looks at once, if something came in since. What is not looked at when the process
    ends is looked at by the next one: nothing is lost, because credit is computed from the ledger.

    Args:
        look: Looks; its exceptions are logged.
        pause: Least seconds between a poke and the look, so that outcomes that come together are seen together.
    """

    def __init__(self, look: Callable[[], Any], *, pause: float = 1.0) -> None:
        self._look = look
        self._pause = pause
        self._changed = threading.Condition()
        self._due = self._busy = self._closed = False
        self._hurries = self._holds = 0
        self._not_before, self._ended = 0.0, -math.inf
        self._thread: threading.Thread | None = None

    def poke(self) -> None:
        """Say that evidence came in; returns at once."""
        with self._changed:
            if self._closed:
                return
            if not self._due:
                self._not_before = max(self._not_before, time.monotonic() + self._pause)
            self._due = True
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="reflect-credit", daemon=True)
                self._thread.start()
                _close_at_exit(self)
            self._changed.notify_all()

    def look_if_affordable(self, *, apart: float = 1.0) -> None:
        """Look now, in this thread, unless another look was so lately that both would take more than their share of the time.

        Args:
            apart: Least seconds after the end of the last look.
        """
        with self._changed:
            ready = time.monotonic() >= max(self._not_before, self._ended + apart)
            if self._closed or self._busy or self._holds or not ready:
                return
            self._busy = True
        self._run()

    def flush(self, timeout: float | None = None) -> bool:
        """Look now if something came in, and wait for it.

        Args:
            timeout: Most seconds to wait; None: as long as it takes.

        Returns:
            Whether it was done in time.
        """
        with self._changed:
            self._hurries += 1
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: not (self._due or self._busy) or self._closed, timeout)
            self._hurries -= 1
            return done

    @contextmanager
    def held(self) -> Iterator[None]:
        """Look at nothing while the block runs; a poke is remembered. A look that goes on already is waited for."""
        with self._changed:
            self._holds += 1
            self._changed.wait_for(lambda: not self._busy)
        try:
            yield
        finally:
            with self._changed:
                self._holds -= 1
                self._changed.notify_all()

    def close(self, timeout: float | None = None) -> bool:
        """`flush`, then end the thread; later pokes do nothing."""
        done = self.flush(timeout)
        with self._changed:
            self._closed, self._due = True, False
            self._changed.notify_all()
        return done

    def _work(self) -> None:
        while self._next():
            self._run()

    def _run(self) -> None:
        began = time.monotonic()
        try:
            self._look()
        except Exception:
            logger.exception("the evidence about lessons could not be looked at; it is tried again after the next outcome")
        finally:
            with self._changed:
                ended = time.monotonic()
                self._busy, self._ended, self._not_before = False, ended, ended + (ended - began) * (1 / SHARE - 1)
                self._changed.notify_all()

    def _next(self) -> bool:
        """Wait until a look is due; False when closed."""
        with self._changed:
            while not self._closed:
                wait = self._not_before - time.monotonic()
                may_begin = self._due and not self._busy and not self._holds
                if may_begin and (wait <= 0 or self._hurries):
                    self._due, self._busy = False, True
                    return True
                self._changed.wait(wait if may_begin else None)
            return False


def _close_at_exit(background: BackgroundCredit) -> None:
    held = weakref.ref(background)

    def close() -> None:
        if (alive := held()) is not None:
            alive.close(_EXIT_TIMEOUT)

    getattr(threading, "_register_atexit", atexit.register)(close)
