"""Calls that get a deadline: they run on daemon threads of our own, and whoever waits gives up in time.

A `ThreadPoolExecutor` would not do, because the interpreter waits for its threads at exit, and one that hangs keeps the process from ever
ending.
"""

import asyncio
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

_IDLE: Final = 10.0
"""Seconds without work after which a thread ends."""

T = TypeVar("T")


class Late(TimeoutError):
    """The call did not end in time, or was not begun because all threads hang."""


@dataclass(eq=False)
class _Call:
    function: Callable[[], Any]
    future: "Future[Any]" = field(default_factory=Future)
    overdue: bool = False


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
        try:
            result: T = call.future.result(timeout)
        except TimeoutError as error:
            if call.future.done() and not call.future.cancelled():
                raise
            self._give_up(call)
            raise Late(f"not done within {timeout} s") from error
        return result

    async def arun(self, function: Callable[[], T], timeout: float) -> T:  # noqa: ASYNC109 - it raises our own error
        """Async `run`; the event loop is never blocked."""
        call = self._submit(function)
        await asyncio.sleep(0)  # a quick call is done by now, and waking the loop from a thread costs more than this
        if call.future.done():
            return cast("T", call.future.result())
        waiter = asyncio.wrap_future(call.future)
        done, _ = await asyncio.wait([waiter], timeout=timeout)
        if not done:
            self._give_up(call)
            waiter.cancel()
            raise Late(f"not done within {timeout} s")
        result: T = waiter.result()
        return result

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
            if not call.future.cancel() and not call.future.done():
                call.overdue = True
                self._overdue += 1

    def _work(self) -> None:
        while (call := self._next()) is not None:
            if call.future.set_running_or_notify_cancel():
                try:
                    call.future.set_result(call.function())
                except BaseException as error:  # noqa: BLE001 - the one who waits gets it
                    call.future.set_exception(error)
            with self._lock:
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
