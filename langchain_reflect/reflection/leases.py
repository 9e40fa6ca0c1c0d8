"""While a reflection runs, its leases are prolonged, so that nobody else takes its jobs; if the process dies, they run out."""

import logging
import os
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final

from langchain_reflect.errors import ClaimLost, LedgerError
from langchain_reflect.ledger import Ledger
from langchain_reflect.ledger.claims import Claim, End, Ending
from langchain_reflect.types import Rollout

logger = logging.getLogger("langchain_reflect")
_LONGEST: Final = 3600.0
"""Seconds after which a reflection that has not ended is given up."""


class LeaseKeeper:
    """Holds claims by the id of the reflection that works on them.

    Args:
        ledger: Where the jobs are.
        lease: How long a claim lasts without being prolonged; it is prolonged every third of that.
        max_failures: After so many a job that was given back is parked.
    """

    def __init__(self, ledger: Ledger, lease: timedelta, max_failures: int = 5) -> None:
        self.lease = lease
        self.max_failures = max_failures
        self.owner = f"{socket.gethostname()}:{os.getpid()}"
        self._ledger = ledger
        self._held: dict[str, tuple[float, list[Ending]]] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    def hold(self, reflection_id: str, claims: Sequence[Claim], rollouts: Sequence[Sequence[Rollout]] = ()) -> None:
        """Prolong these claims until they are let go.

        Args:
            reflection_id: Who works on them.
            claims: One for each job.
            rollouts: What was read of each; what is said of them meanwhile is noticed when they are given back.
        """
        if self._pid != os.getpid():  # threads and claims are the parent's
            self._held, self._changed, self._thread, self._pid = {}, threading.Condition(), None, os.getpid()
        if not claims:
            return
        with self._changed:
            read = rollouts or [()] * len(claims)
            held = [Ending(claim, "failed", theirs) for claim, theirs in zip(claims, read, strict=True)]
            self._held[reflection_id] = (time.monotonic() + _LONGEST, held)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="reflect-leases", daemon=True)
                self._thread.start()

    def let_go(self, reflection_id: str) -> list[Ending]:
        """Prolong them no longer; returns them, as failed."""
        with self._changed:
            _, held = self._held.pop(reflection_id, (0.0, []))
            self._changed.notify_all()
            return held

    def give_up(self, reflection_id: str, error: BaseException) -> None:
        """The reflection broke off: its jobs are tried again later, or at once if all that was wrong is that one of them was taken over."""
        end: End = "released" if isinstance(error, ClaimLost) else "failed"
        problem = f"{type(error).__name__}: {error}"[:500]
        if held := [replace(one, end=end, problem=problem) for one in self.let_go(reflection_id)]:
            with suppress(LedgerError):  # then they run out by themselves
                self._ledger.give_back(held, max_failures=self.max_failures)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._held, self.lease.total_seconds() / 3)
                if not self._held:
                    self._thread = None
                    return
                alive = [one.claim for until, held in self._held.values() if time.monotonic() < until for one in held]
            try:
                self._ledger.renew(alive, self.lease)
            except LedgerError as error:
                logger.warning("leases could not be prolonged: %s", error)
