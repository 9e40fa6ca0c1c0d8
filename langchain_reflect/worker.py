"""A worker: takes groups that are due, reflects on them, and goes on until it is told to stop.

Between groups, and while there are none, it looks at the evidence about lessons, see `Learner.credit`.

Several workers may share one ledger, on one machine or many. Each group has its effect exactly once; if a worker dies, another takes the
group over when the lease runs out, so the model may be asked at least once. Each slot works on one group at a time; a worker that is
stopped finishes what its slots have begun.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from langchain_reflect.errors import InvalidInput, LedgerError
from langchain_reflect.learner import Learner
from langchain_reflect.reflection.graph import reflect
from langchain_reflect.types import Namespace, ReflectionReport, Usage

logger = logging.getLogger("langchain_reflect")
Progress = Callable[[ReflectionReport], None]
_LONGEST_WAIT: Final = 60.0
_PATIENCE: Final = 5
"""Failures of ours in a row after which a worker that was to end when idle gives up."""


@dataclass(slots=True)
class WorkerReport:
    """What a worker did so far."""

    groups: int = 0
    """Groups reflected on, also those that were parked or are tried again later."""
    edits: int = 0
    """Edits of the lesson book that were applied."""
    outages: int = 0
    """Times that the model was out of reach."""
    broken: int = 0
    """Times that the ledger, the embedder or a part of ours failed."""
    usage: Usage = field(default_factory=Usage)

    @property
    def calls_per_group(self) -> float:
        """Model calls for each group; 0 if there was none."""
        return self.usage.calls / self.groups if self.groups else 0.0

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"{self.groups} groups, {self.edits} edits, {self.usage.calls} calls ({self.calls_per_group:.2f} a group), "
            f"{self.usage.tokens_in}+{self.usage.tokens_out} tokens, {self.outages} outages, {self.broken} failures"
        )


class Worker:
    """Works off what is due, for ever.

    Args:
        learner: Its ledger, lessons, model, policy and budgets (`ReflectionPolicy.daily_calls`, `daily_tokens`).
        concurrency: Groups at a time.
        poll: Seconds between looks for work when there was none, give or take half of it.
        namespace: Only this one; default all.
        on_progress: Told of each group that is done, from the slots' threads.

    Raises:
        InvalidInput: A value is out of range.
        ModelMissing: The learner has no model.
    """

    def __init__(
        self,
        learner: Learner,
        *,
        concurrency: int = 1,
        poll: float = 2.0,
        namespace: Namespace | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        if concurrency < 1:
            raise InvalidInput(f"concurrency={concurrency!r}; expected 1 or more")
        if not poll > 0:
            raise InvalidInput(f"poll={poll!r}; expected seconds above 0")
        self.learner = learner
        self._graph = learner.reflection_graph()
        self._concurrency = concurrency
        self._poll = poll
        self._namespace = namespace
        self._on_progress = on_progress
        self._report = WorkerReport()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._quiet_until = 0.0
        self._failures = 0

    @property
    def report(self) -> WorkerReport:
        """What it did so far."""
        with self._lock:
            return replace(self._report)

    def run(self, *, until_idle: bool = False) -> WorkerReport:
        """Work until `stop`, or until nothing can be taken now.

        Args:
            until_idle: End when no slot finds work; groups that wait after an outage stay due. It also ends if ledger or embedder fail
                five times in a row.
        """
        slots = [
            threading.Thread(target=self._slot, args=(until_idle,), name=f"reflect-slot-{n}", daemon=True) for n in range(self._concurrency)
        ]
        for slot in slots:
            slot.start()
        for slot in slots:
            while slot.is_alive():
                slot.join(0.2)  # so that signals are heard
        return self.report

    def stop(self) -> None:
        """Take no more work; `run` returns when the slots have finished what they began. Safe in a signal handler."""
        self._stopping.set()

    def _slot(self, until_idle: bool) -> None:  # noqa: FBT001 - the one argument of a thread
        broken = 0
        while not self._stopping.is_set():
            if self._wait_quietly():
                continue
            try:
                done = reflect(self._graph, namespace=self._namespace, limit=1, leases=self.learner.leases)
            except Exception as error:  # noqa: BLE001 - a restart of the database must not end the worker
                broken += 1
                self._note_broken(error)
                if until_idle and broken >= _PATIENCE:
                    return
                continue
            broken = 0
            self._note(done)
            self.learner.credit_if_affordable()
            if done.groups:
                continue
            if until_idle:
                return
            self._stopping.wait(self._poll * (0.5 + random.random()))  # noqa: S311 - jitter, not a secret

    def _wait_quietly(self) -> bool:
        """While the model or the ledger is out of reach, no slot takes work."""
        wait = self._quiet_until - time.monotonic()
        return wait > 0 and (self._stopping.wait(min(wait, 1.0)) or True)

    def _note(self, done: ReflectionReport) -> None:
        with self._lock:
            self._report.groups += done.groups
            self._report.edits += len(done.applied)
            self._report.outages += done.outages
            self._report.usage += done.usage
            if done.outages:
                self._be_quiet(done.retry_after)
            elif done.groups:
                self._failures = 0
        if done.groups and self._on_progress is not None:
            try:
                self._on_progress(done)
            except Exception:
                logger.exception("what was to be told of a reflection could not be told")

    def _note_broken(self, error: Exception) -> None:
        level = logging.WARNING if isinstance(error, LedgerError) else logging.ERROR
        logger.log(level, "a reflection broke off, its group is tried again later: %s: %s", type(error).__name__, error)
        with self._lock:
            self._report.broken += 1
            self._be_quiet(None)

    def _be_quiet(self, retry_after: float | None) -> None:
        wait = min(2.0**self._failures, _LONGEST_WAIT) * (0.75 + random.random() / 2)  # noqa: S311 - jitter, not a secret
        if time.monotonic() >= self._quiet_until:  # several slots meet the same outage
            self._failures += 1
        self._quiet_until = max(self._quiet_until, time.monotonic() + max(wait, retry_after or 0.0))
