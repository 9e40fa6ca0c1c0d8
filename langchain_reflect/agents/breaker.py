"""A circuit breaker: what has failed several times in a row is left alone for a while, so that a broken part costs runs no time."""

import threading
import time
from collections.abc import Callable


class Breaker:
    """Counts failures in a row; after `failures` of them it opens for `pause` seconds, then lets one try through at a time.

    Args:
        failures: Failures in a row that open it.
        pause: Seconds until the next try.
        clock: Seconds that only ever grow.
    """

    def __init__(self, failures: int = 3, pause: float = 30.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.failures = failures
        self.pause = pause
        self._clock = clock
        self._in_a_row = 0
        self._next_try = 0.0
        self._lock = threading.Lock()

    def allows(self) -> bool:
        """Whether to try now. While it is open, one caller in each pause is told yes."""
        if self._in_a_row < self.failures:
            return True
        with self._lock:
            now = self._clock()
            if now < self._next_try:
                return False
            self._next_try = now + self.pause
            return True

    @property
    def is_open(self) -> bool:
        """Whether it is left alone at the moment, but for a try in each pause."""
        return self._in_a_row >= self.failures

    def failed(self) -> bool:
        """Note a failure; returns whether this one opened it."""
        with self._lock:
            self._in_a_row += 1
            if self._in_a_row >= self.failures:
                self._next_try = self._clock() + self.pause
            return self._in_a_row == self.failures

    def succeeded(self) -> bool:
        """Note a success; returns whether this one closed it."""
        if not self._in_a_row:
            return False
        with self._lock:
            was_open, self._in_a_row = self._in_a_row >= self.failures, 0
            return was_open
