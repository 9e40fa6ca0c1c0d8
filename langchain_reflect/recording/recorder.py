"""Finished runs go into the ledger from a thread of their own, so that the run's caller never waits for a disk.

The queue is bounded: when it is full, an episode is dropped, counted and logged, and the agent goes on. The thread is a daemon, because
a ledger that hangs must not keep the process from ending; what is queued is written at exit for as long as `exit_timeout` allows.
"""

import atexit
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol, Self

from langchain_reflect.errors import InvalidInput
from langchain_reflect.types import Episode, Exposure

logger = logging.getLogger("langchain_reflect")

_BATCH: Final = 64
_IDLE: Final = 10.0
"""Seconds without work after which the thread ends; the next episode starts it again."""

Record = tuple[Episode, Sequence[Exposure]]


class EpisodeStore(Protocol):
    """What the recorder needs of a ledger."""

    def save_episodes(self, batch: Iterable[Record]) -> None:
        """Keep episodes with their exposures in one transaction."""


@dataclass(frozen=True)
class _Job:
    make: Callable[[], Record]
    then: Callable[[Episode], None] | None
    after_others: bool


class Recorder:
    """Writes episodes in the background.

    Args:
        ledger: Where they go.
        limit: Most episodes that wait; the next one is dropped.
        write_before_return: The run waits for its episode to be written, so that it is in the ledger when the run returns.
        exit_timeout: Seconds that the end of the process waits for what is queued.
    """

    def __init__(self, ledger: EpisodeStore, *, limit: int = 10_000, write_before_return: bool = False, exit_timeout: float = 10.0) -> None:
        if limit < 1:
            raise InvalidInput(f"limit {limit!r} is too small; expected at least 1 waiting episode")
        self.dropped = 0
        """Episodes that were lost because the queue was full or the ledger refused them."""
        self.written = 0
        self._ledger = ledger
        self._limit = limit
        self.write_before_return = write_before_return
        """Whether whoever submits an episode waits until it is written (under asyncio: at the end of the run)."""
        self._exit_timeout = exit_timeout
        self._closed = False
        self._waiting: deque[_Job] = deque()
        self._busy = False
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        self._pid = os.getpid()
        _close_at_exit(self)

    def save(self, episode: Episode, exposures: Sequence[Exposure] = ()) -> None:
        """Queue an episode; returns at once and never raises."""
        record = (episode, exposures)
        self.submit(lambda: record)

    def submit(self, make: Callable[[], Record], then: Callable[[Episode], None] | None = None, *, after_others: bool = False) -> None:
        """Queue an episode that is still to be made from the run's objects.

        Args:
            make: Builds the episode, in the writer's thread.
            then: Called with it once it is kept, in the writer's thread.
            after_others: Build it only when all that was queued before is in the ledger.
        """
        job = _Job(make, then, after_others)
        if self._pid != os.getpid():
            self._reset()  # threads do not survive a fork; what the parent had queued, the parent writes
        with self._changed:
            if self._closed or len(self._waiting) >= self._limit:
                self._drop(1, "it is closed" if self._closed else f"{self._limit} episodes are waiting already")
                return
            self._waiting.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="reflect-recorder", daemon=True)
                self._thread.start()
            else:
                self._changed.notify_all()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until everything queued is written and judged.

        Args:
            timeout: Most seconds to wait; None: for as long as it takes.

        Returns:
            Whether it is.
        """
        if self._thread is threading.current_thread():
            return False
        if self._pid != os.getpid():  # what was queued before a fork is the parent's
            self._reset()
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout)

    def close(self, timeout: float | None = None) -> bool:
        """Write what is queued and end the thread; episodes after that are dropped. Returns whether all was written."""
        done = self.flush(self._exit_timeout if timeout is None else timeout)
        with self._changed:
            if not done and not self._closed:
                logger.warning("%d episodes were not written in time and are lost", len(self._waiting))
            self._closed = True
            self._changed.notify_all()
        return done

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _reset(self) -> None:
        self._waiting, self._busy, self._thread = deque(), False, None
        self._changed = threading.Condition()
        self._pid = os.getpid()

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._waiting or self._closed, _IDLE) or not self._waiting:
                    self._thread = None
                    return
                batch = [self._waiting.popleft()]
                while self._waiting and len(batch) < _BATCH and not self._waiting[0].after_others:
                    batch.append(self._waiting.popleft())
                self._busy = True
            try:
                self._write(batch)
            finally:
                batch.clear()  # what a run returned must not stay until the next one
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()

    def _write(self, batch: Sequence[_Job]) -> None:
        records = [(job, record) for job in batch if (record := self._make(job)) is not None]
        kept = self._keep([record for _, record in records])
        for job, record in records:
            if job.then is not None and record[0].id in kept:
                with suppress_and_log("what follows an episode failed"):
                    job.then(record[0])

    def _make(self, job: _Job) -> Record | None:
        try:
            return job.make()
        except Exception:
            self._drop(1, "it could not be made")
            logger.exception("an episode could not be made")
            return None

    def _keep(self, records: Sequence[Record]) -> set[object]:
        """Write all at once, else one by one, so that one bad episode takes no other with it; returns the ids written."""
        if not records:
            return set()
        try:
            self._ledger.save_episodes(records)
        except Exception as error:  # noqa: BLE001 - whatever the ledger raises, the agent must go on
            if len(records) > 1:
                return set().union(*(self._keep([record]) for record in records))
            return self._keep_again(records[0], error)
        self.written += len(records)
        return {episode.id for episode, _ in records}

    def _keep_again(self, record: Record, error: Exception) -> set[object]:
        """A second try after a moment, because a ledger that is busy is the usual reason."""
        time.sleep(0.1)
        try:
            self._ledger.save_episodes([record])
        except Exception:  # noqa: BLE001 - as above
            self._drop(1, f"the ledger refused it: {type(error).__name__}: {error}")
            return set()
        self.written += 1
        return {record[0].id}

    def _drop(self, count: int, why: str) -> None:
        self.dropped += count
        if self.dropped & (self.dropped - 1) == 0:  # at 1, 2, 4, 8 ...: a ledger that is down must not flood the log
            logger.warning("an episode was not recorded (%d so far): %s", self.dropped, why)


class suppress_and_log(suppress):  # noqa: N801 - used like contextlib.suppress
    """Swallow an exception and log it."""

    def __init__(self, message: str) -> None:
        super().__init__(Exception)
        self._message = message

    def __exit__(self, *given: object) -> bool:
        """Log what `suppress` is about to swallow."""
        swallowed = bool(super().__exit__(*given))  # type: ignore[arg-type]  # the three that `with` passes
        if swallowed:
            logger.warning("%s", self._message, exc_info=given[1])  # type: ignore[arg-type]  # the exception
        return swallowed


def _close_at_exit(recorder: Recorder) -> None:
    held = weakref.ref(recorder)

    def close() -> None:
        if (alive := held()) is not None:
            alive.close()

    atexit.register(close)
