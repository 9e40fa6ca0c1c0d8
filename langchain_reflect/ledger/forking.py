"""No process is forked while a transaction is open.

SQLite keeps a list of its own locks in memory. A child that is forked in the middle of a transaction inherits that list with a lock nobody
will ever release, and none of its own connections could write again (https://www.sqlite.org/howtocorrupt.html, section 2.6). So a fork
waits until the open transactions, which are short, have ended; new ones wait until it is over.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_PATIENCE: Final = 5.0
"""Most seconds that a fork waits."""


class ForkGate:
    """Counts open transactions, and lets a fork in when there are none."""

    def __init__(self) -> None:
        self._idle = threading.Condition(threading.Lock())
        self._open = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """While this is entered, forks wait."""
        idle = self._idle
        with idle:
            self._open += 1
        try:
            yield
        finally:
            with idle:
                self._open = max(0, self._open - 1)
                idle.notify_all()

    def before_fork(self) -> None:
        """Wait until no transaction is open, and let none begin."""
        self._idle.acquire()
        self._idle.wait_for(lambda: not self._open, _PATIENCE)

    def after_in_parent(self) -> None:
        """Go on."""
        self._idle.release()

    def after_in_child(self) -> None:
        """Begin anew: the threads that had transactions are not here."""
        self._idle.release()
        self._idle, self._open = threading.Condition(threading.Lock()), 0


GATE: Final = ForkGate()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=GATE.before_fork, after_in_parent=GATE.after_in_parent, after_in_child=GATE.after_in_child)
