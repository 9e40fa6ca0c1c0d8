"""Calls that get a deadline: they run on daemon threads of our own, and whoever waits gives up in time.

A `ThreadPoolExecutor` would not do, because the interpreter waits for its threads at exit, and one that hangs keeps the process from ever
ending.
"""

import asyncio
import os
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar, cast

_IDLE: Final = 10.0
"""Seconds without work after which a thread ends."""

T = TypeVar("T")


class Late(TimeoutError):
    """The call did not end in time, or was not begun because all threads hang."""


class _Call:
    """One call on its way. A lock that is held until it is done is much cheaper than a `Future`, and a run pays for one each time."""

    __slots__ = ("done", "error", "finished", "function", "given_up", "overdue", "result", "started", "wake")

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.result: Any = None
        self.error: BaseException | None = None
        self.started = self.finished = self.given_up = self.overdue = False
        self.wake: Callable[[], object] | None = None
        """Called when it is done, for a waiter in an event loop."""
        self.done = threading.Lock()
        self.done.acquire()

    def run(self) -> None:
        try:
            self.result = self.function()
        except BaseException as error:  # noqa: BLE001 - the one who waits gets it
            self.error = error
        self.finished = True
        self.done.release()
        if (wake := self.wake) is not None:
            with suppress(RuntimeError):  # the loop has ended meanwhile
                wake()

    def outcome(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.result


class DaemonCalls:
    """Runs calls on at most `limit` daemon threads, which are started when needed and end when idle.

    Args:
        limit: Most threads. When all of them hang, further calls are late at once instead of waiting for the deadline.
    """

    def __init__(self, limit: int = 16) -> None:
        self._limit = limit
        self._reset()

    def run(self, function: Callable[[], T], timeout: float) -> T:
        """The call's result.

        Raises:
            Late: It did not come within `timeout` seconds.
        """
        call = self._submit(function)
        if not call.done.acquire(timeout=timeout):
            self._give_up(call)
            raise Late(f"not done within {timeout} s")
        return cast("T", call.outcome())

    async def arun(self, function: Callable[[], T], timeout: float) -> T:  # noqa: ASYNC109 - it raises our own error
        """Async `run`; the event loop is never blocked."""
        call = self._submit(function)
        await asyncio.sleep(0)  # a quick call is done by now, and waking the loop from a thread costs more than this
        if not call.finished:
            loop, waiter = asyncio.get_running_loop(), asyncio.Event()
            call.wake = partial(loop.call_soon_threadsafe, waiter.set)
            if not call.finished:  # it may have ended before it knew whom to wake
                with suppress(TimeoutError):
                    await asyncio.wait_for(waiter.wait(), timeout)
        if not call.finished:
            self._give_up(call)
            raise Late(f"not done within {timeout} s")
        return cast("T", call.outcome())

    def _submit(self, function: Callable[[], Any]) -> _Call:
        if self._pid != os.getpid():
            self._reset()  # threads do not survive a fork
        call = _Call(function)
        with self._lock:
            if self._overdue >= self._limit:
                raise Late(f"all {self._limit} threads hang")
            self._calls.put(call)
            if self._idle < self._calls.qsize() and self._threads < self._limit:
                self._threads += 1
                threading.Thread(target=self._work, name="reflect-recall", daemon=True).start()
        return call

    def _give_up(self, call: _Call) -> None:
        with self._lock:
            call.given_up = True
            if call.started and not call.finished:
                call.overdue = True
                self._overdue += 1

    def _work(self) -> None:
        while (call := self._next()) is not None:
            with self._lock:
                call.started = True
                if call.given_up:
                    continue
            call.run()
            with self._lock:  # whoever gives up at this moment has either counted it already or sees that it is finished
                self._overdue -= call.overdue

    def _next(self) -> _Call | None:
        with self._lock:
            self._idle += 1
        while True:
            try:
                call = self._calls.get(timeout=_IDLE)
            except queue.Empty:
                call = None
            with self._lock:
                if call is None and not self._calls.empty():
                    continue  # one came in between
                self._idle -= 1
                self._threads -= call is None
                return call

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._threads = self._idle = self._overdue = 0
