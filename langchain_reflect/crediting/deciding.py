"""What follows for lessons from their trials. Pure."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from langchain_reflect.credit import Trial
from langchain_reflect.credit.columns import Bools
from langchain_reflect.crediting.terms import Turn
from langchain_reflect.evidence import Evidence
from langchain_reflect.lessons.authors import approver_of
from langchain_reflect.lessons.trials import Wording
from langchain_reflect.reporting.wording import points, size
from langchain_reflect.types import SERVABLE, LessonEdit, LessonStatus

_COUNTS: Final = re.compile(r"shown (\d+), withheld (\d+)")


@dataclass(frozen=True, slots=True)
class Decision:
    """A change of status that evidence calls for."""

    wording: Wording
    turn: Turn
    status: LessonStatus
    reason: str

    @property
    def edit(self) -> LessonEdit:
        """The change, as the lesson book takes it."""
        return LessonEdit(kind="status", lesson_id=self.wording.lesson_id, status=self.status, reason=self.reason)


@dataclass(frozen=True, slots=True)
class Hindsight:
    """What the outcomes that a decision rested on say today."""

    trial: Trial | None
    units: int
    """How many of the units are still in the record, whatever became of their outcomes."""


def decisions(wordings: Sequence[Wording], trials: Mapping[int, Trial], then: Callable[[int], Hindsight]) -> list[Decision]:
    """What evidence calls for now; nothing where it called for the present status.

    Args:
        wordings: All trials of the lessons.
        trials: What is known of them, by place among the wordings.
        then: For the place of a wording, what the outcomes that were given until it was decided about say of it today.
    """
    current = [(number, wording) for number, wording in enumerate(wordings) if wording.is_current]
    made = (_decided(wording, trials.get(number), partial(then, number)) for number, wording in current)
    return [decision for decision in made if decision is not None]


def is_a_persons(wording: Wording) -> bool:
    """Whether a person wrote or approved the words, so that evidence alone does not retire them."""
    return wording.approved_by is not None or approver_of(wording.writer) is not None


def _decided(wording: Wording, trial: Trial | None, then: Callable[[], Hindsight]) -> Decision | None:
    if wording.status in SERVABLE and trial is not None and _hurts(trial):
        asks = is_a_persons(wording)
        return Decision(wording, "asked" if asks else "retired", "retired", said(trial))
    if wording.status == "candidate" and trial is not None and _helps(trial):
        return Decision(wording, "promoted", "active", said(trial))
    return _taken_back(wording, trial, then)


def _taken_back(wording: Wording, trial: Trial | None, then: Callable[[], Hindsight]) -> Decision | None:
    """What `credit` decided is taken back if the outcomes that it rested on say something else by now, and the later ones do not help.

    Evidence that fades as more comes in takes nothing back: what was shown once at that level stays shown, however one looks at it later.
    Nor does evidence that was erased: it said what it said.
    """
    has_gone = {"active": lambda t: t is None or not _helps(t), "retired": lambda t: t is None or not _hurts(t)}.get(wording.status)
    if wording.decided_at is None or has_gone is None or is_a_persons(wording) or wording.decided_from not in SERVABLE:
        return None
    if not has_gone(trial):
        return None
    hindsight = then()
    if not has_gone(hindsight.trial) or hindsight.units < _units_in(wording.decided_for):
        return None
    now = "no judged run is left to tell" if trial is None else f"by now: {said(trial)}"
    return Decision(wording, "taken_back", "candidate", f"the outcomes that it was {wording.status} for were corrected; {now}")


def _units_in(reason: str) -> int:
    """How many units a decision rested on, by its reason, see `said`."""
    found = _COUNTS.search(reason)
    return sum(map(int, found.groups())) if found else 0


def _hurts(trial: Trial) -> bool:
    return trial.verdict == "hurts"


def _helps(trial: Trial) -> bool:
    return trial.verdict == "helps" and not trial.uneven


def said(trial: Trial) -> str:
    """A trial in plain words."""
    counts = f"shown {trial.shown}, withheld {trial.withheld}"
    if math.isnan(trial.effect):
        return f"effect not known yet, {counts}"
    if trial.verdict == "hurts" and trial.effect >= 0:
        whole = f"{points(trial.effect)} points ({interval_text(trial.low, trial.high)})"
        return f"lowers the reward of late; over all the time it is {whole}, {counts}"
    if trial.effect < 0:
        return f"lowers the reward by {size(-trial.effect)} points ({interval_text(-trial.high, -trial.low)}), {counts}"
    return f"raises the reward by {size(trial.effect)} points ({interval_text(trial.low, trial.high)}), {counts}"


def interval_text(low: float, high: float) -> str:
    """An interval in points."""
    return f"{size(low)} to {size(high)}"


def until_decided(evidence: Evidence, number: int) -> tuple[Bools, int]:
    """Which episodes tell of a wording and were judged until it was decided about; and of how many units there was ever a judgement.

    A judgement that came later was none that the decision rested on, however far it was dated back. Clocks of several computers differ,
    so the first judgements count in any case, as many as the decision names.

    Args:
        evidence: All there is, with the rewards that count today.
        number: Place of the wording.
    """
    wording, episodes, exposures = evidence.wordings[number], evidence.episodes, evidence.exposures
    assert wording.decided_at is not None, "asked only of what was decided"
    until = wording.decided_at.timestamp()
    drawn = (exposures.trial == number) & (exposures.probability > 0) & (exposures.probability < 1)
    mine = np.zeros(len(episodes.id), np.bool_)
    mine[exposures.episode[drawn]] = True
    mine &= (episodes.started <= until) & ~np.isnan(evidence.told)
    units, place = np.unique(episodes.unit[mine], return_inverse=True)
    first = np.full(len(units), np.inf)
    np.minimum.at(first, place, evidence.told[mine])
    if 0 < (count := _units_in(wording.decided_for)) <= len(units):
        until = max(until, float(np.sort(first)[count - 1]))
    return mine & (evidence.told <= until) & (episodes.at <= until), len(units)


def certain(trial: Trial) -> float:
    """How much of a trial's effect is certain: the end of its interval that is nearer to 0, and 0 if that is inside."""
    if math.isnan(trial.low) or math.isnan(trial.high):
        return 0.0
    return max(trial.low, 0.0) + min(trial.high, 0.0)
