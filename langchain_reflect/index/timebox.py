"""Calls that may hang: each runs on a daemon thread of its own, and whoever waits gives up in time.

Chroma's client sets no time limits, and those of HTTP count each part of an answer for itself, so that a server that sends a byte now and
then is never late. The threads are daemons, because one that hangs must not keep the process from ending.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class TimeBox:
    """Runs calls with a time limit.

    Args:
        most: Calls that may hang at once; beyond that, further ones are refused without waiting.
    """

    def __init__(self, most: int = 4) -> None:
        self._most = most
        self._hanging = 0
        self._lock = threading.Lock()

    def run(self, call: Callable[[], T], seconds: float) -> T:
        """The call's result, or the exception that it raised.

        Raises:
            TimeoutError: It did not end in time (it goes on, and its result is thrown away), or earlier ones still hang.
        """
        with self._lock:
            if self._hanging >= self._most:
                raise TimeoutError(f"{self._hanging} earlier calls have not ended yet")
        boxed = _Boxed(call)
        threading.Thread(target=self._work, args=(boxed,), name="reflect-index-call", daemon=True).start()
        if boxed.done.wait(seconds):
            return boxed.outcome()
        with self._lock:
            if not boxed.done.is_set():
                boxed.is_given_up = True
                self._hanging += 1
                raise TimeoutError(f"no answer within {seconds:g} s")
        return boxed.outcome()

    def _work(self, boxed: "_Boxed[T]") -> None:
        boxed.run()
        with self._lock:
            boxed.done.set()
            if boxed.is_given_up:
                self._hanging -= 1


class _Boxed(Generic[T]):
    """One call, and what became of it."""

    def __init__(self, call: Callable[[], T]) -> None:
        self.done = threading.Event()
        self.is_given_up = False
        self._call = call
        self._results: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._results.append(self._call())
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it; a panic of Chroma's core is no Exception
            self._error = error

    def outcome(self) -> T:
        if self._error is not None:
            raise self._error
        return self._results[0]
