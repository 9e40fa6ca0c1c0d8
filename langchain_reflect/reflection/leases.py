"""While a reflection runs, its leases are prolonged, so that nobody else takes its jobs; if the process dies, they run out."""

import logging
import os
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

from langchain_reflect.errors import LedgerError
from langchain_reflect.ledger import Ledger
from langchain_reflect.ledger.claims import Claim

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
        self._held: dict[str, tuple[float, list[Claim]]] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    def hold(self, reflection_id: str, claims: Sequence[Claim]) -> None:
        """Prolong these claims until they are let go."""
        if self._pid != os.getpid():  # threads and claims are the parent's
            self._held, self._changed, self._thread, self._pid = {}, threading.Condition(), None, os.getpid()
        if not claims:
            return
        with self._changed:
            self._held[reflection_id] = (time.monotonic() + _LONGEST, list(claims))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="reflect-leases", daemon=True)
                self._thread.start()

    def let_go(self, reflection_id: str) -> list[Claim]:
        """Prolong them no longer; returns them."""
        with self._changed:
            _, claims = self._held.pop(reflection_id, (0.0, []))
            self._changed.notify_all()
            return claims

    def give_up(self, reflection_id: str, problem: str) -> None:
        """The reflection broke off: its jobs are tried again later."""
        claims = self.let_go(reflection_id)
        if claims:
            with suppress(LedgerError):  # then they run out by themselves
                self._ledger.give_back(claims, problem=problem[:500], max_failures=self.max_failures)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._held, self.lease.total_seconds() / 3)
                if not self._held:
                    self._thread = None
                    return
                alive = {key: claims for key, (until, claims) in self._held.items() if time.monotonic() < until}
            try:
                self._ledger.renew([c for claims in alive.values() for c in claims], self.lease)
            except LedgerError as error:
                logger.warning("leases could not be prolonged: %s", error)
