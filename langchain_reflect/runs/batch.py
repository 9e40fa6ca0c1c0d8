"""Jobs that several threads share out among themselves."""

import queue
import threading
from collections.abc import Sequence

from langchain_reflect.runs.jobs import Job, Run


class Batch:
    """Jobs that are due, and what became of them."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = jobs
        self.is_stopped = False
        self.done: queue.SimpleQueue[tuple[int, Run | BaseException]] = queue.SimpleQueue()
        self.told = threading.Semaphore(0)
        """Released for each run that its maker may forget."""
        self._lock = threading.Lock()
        self._begun = 0
        self._awaited = 0

    def next_due(self) -> int | None:
        """Index of a job that nobody has begun; each that is given out comes back in `done` once."""
        with self._lock:
            if self.is_stopped or self._begun == len(self.jobs):
                return None
            self._begun += 1
            return self._begun - 1

    def stop(self) -> None:
        """Give out no more jobs."""
        with self._lock:
            self.is_stopped = True

    def is_open(self, complete: bool) -> bool:  # noqa: FBT001 - read at one place
        """Whether something will come: any of the jobs, or if the batch is not to become complete, one of those that were begun."""
        with self._lock:
            left = (len(self.jobs) if complete else self._begun) - self._awaited
            self._awaited += left > 0
            return left > 0
