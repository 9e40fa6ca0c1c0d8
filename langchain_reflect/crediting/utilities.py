"""What ranking knows of the worth of lessons: what the last look at the evidence was sure of."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Final

from langchain_reflect.credit import Trial
from langchain_reflect.crediting.deciding import certain
from langchain_reflect.evidence import Evidence
from langchain_reflect.ledger import Ledger

_KEY: Final = "utilities"


def keep_utilities(ledger: Ledger, evidence: Evidence, known: Mapping[int, Trial], *, whole: bool) -> None:
    """Keep what is certain about lessons, if it changed.

    Args:
        ledger: Keeps it.
        evidence: What was looked at; lessons of namespaces that were not looked at stay as they are.
        known: What is known of the trials.
        whole: Whether all namespaces were looked at; then what is not mentioned was erased.
    """
    before = _read(ledger)
    mentioned = {wording.lesson_id for wording in evidence.wordings}
    now = {} if whole else {lesson_id: worth for lesson_id, worth in before.items() if lesson_id not in mentioned}
    for number, trial in known.items():
        wording = evidence.wordings[number]
        if wording.is_current and (worth := round(certain(trial), 4)):
            now[wording.lesson_id] = worth
    if now != before:
        ledger.set_meta(_KEY, json.dumps(now, sort_keys=True))


def _read(ledger: Ledger) -> dict[str, float]:
    worths: dict[str, float] = json.loads(ledger.meta(_KEY) or "{}")
    return worths


class KnownUtilities:
    """Tells how much of the effect of lessons is certain; what another process found out is known within half a minute.

    Args:
        ledger: Has what the last look found.
        fresh: Seconds for which it is not read again.
    """

    def __init__(self, ledger: Ledger, *, fresh: float = 30.0) -> None:
        self._ledger = ledger
        self._fresh = fresh
        self._known: Mapping[str, float] = {}
        self._until = 0.0

    def __call__(self, lesson_ids: Sequence[str]) -> Mapping[str, float]:
        """By lesson id, the end of the interval of its effect that is nearer to 0; those of which nothing is certain are missing."""
        if time.monotonic() >= self._until:
            self._known, self._until = _read(self._ledger), time.monotonic() + self._fresh
        return {i: self._known[i] for i in lesson_ids if i in self._known}

    def forget(self) -> None:
        """Read again at the next call."""
        self._until = 0.0
