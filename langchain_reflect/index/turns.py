"""One thread at a time, for each thing that is worked on, and none left waiting in a forked child."""

import os
import threading
import weakref
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager


class Turns:
    """Locks by key. A lock that another thread held at a fork would stay locked in the child for ever, so the child has new ones.

    Args:
        after_fork: Called in the child, where what was worked on at the fork may be half done.
    """

    def __init__(self, after_fork: Callable[[], None] | None = None) -> None:
        self._after_fork = None if after_fork is None else weakref.WeakMethod(after_fork)
        self._renew()
        _all.add(self)

    @contextmanager
    def of(self, key: Hashable) -> Iterator[None]:
        """While this is entered, other threads wait that enter it with the same key."""
        with self._guard:
            turn = self._turns.setdefault(key, threading.Lock())
        with turn:
            yield

    def _renew(self) -> None:
        self._guard = threading.Lock()
        self._turns: dict[Hashable, threading.Lock] = {}

    def renew_after_fork(self) -> None:
        """Begin anew."""
        self._renew()
        if self._after_fork is not None and (tidy := self._after_fork()) is not None:
            tidy()


_all: "weakref.WeakSet[Turns]" = weakref.WeakSet()


def _renew_all() -> None:
    for turns in _all:
        turns.renew_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
