"""What the ledger knows of a practice, and the report that it makes. Nothing is changed by reading it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

from langchain_reflect.errors import NotFound
from langchain_reflect.learner import Learner
from langchain_reflect.ledger import Ledger
from langchain_reflect.practising.budget import Prices
from langchain_reflect.practising.gate import EditTrial, Trial
from langchain_reflect.practising.report import PracticeReport, epochs_of
from langchain_reflect.practising.tally import Tally
from langchain_reflect.types import Namespace, Practice, ReflectionReport


@dataclass(slots=True)
class Reflected:
    """What the reflection after an epoch led to."""

    report: ReflectionReport
    trials: list[Trial] = field(default_factory=list)
    edit_trials: list[EditTrial] = field(default_factory=list)


def practice_report(name: str, *, learner: Learner, namespace: Namespace | None = None, prices: Prices | None = None) -> PracticeReport:
    """The report of a practice as far as it has come: finished, stopped, killed, or still under way in any process.

    Args:
        name: Of the practice; `learner.ledger.practices()` lists them, also those that were made up for calls without one.
        learner: Whose ledger.
        namespace: Of the name; default the ledger's own.
        prices: For the cost in the report.

    Raises:
        NotFound: There is no practice of this name.
    """
    ledger = learner.ledger
    found = ledger.practices(name, namespace=namespace)
    if not found:
        known = [practice.name for practice in ledger.practices(namespace=namespace)]
        raise NotFound(f"there is no practice {name!r}; expected one of {known!r}")
    practice, tally = found[0], Tally()
    for run in ledger.practice_runs(practice.id):
        tally.add(run)
    reflected = reflected_in(ledger, practice)
    open_ = _reports_left(ledger, practice)
    stopped = practice.body.get("stopped")
    return report_of(
        practice,
        tally,
        [*reflected, Reflected(reduce(add, open_))] if open_ else reflected,
        stopped=stopped if isinstance(stopped, str) else None,
        prices=prices,
    )


def reflected_in(ledger: Ledger, practice: Practice) -> list[Reflected]:
    """What came of each epoch that was reflected on.

    Args:
        ledger: Where the practice is.
        practice: As it is now.
    """
    reports = {report.id: report for report in ledger.practice_reports(practice.id)}
    found = []
    for epoch in _epochs(practice):
        theirs = [reports[i] for i in epoch["reflections"] if i in reports]
        whole = reduce(add, theirs) if theirs else ReflectionReport(id="")
        trials = [Trial.from_dict(t) for t in epoch.get("trials", [])]
        found.append(Reflected(whole, trials, [EditTrial(**t) for t in epoch.get("edit_trials", [])]))
    return found


def report_of(
    practice: Practice,
    tally: Tally,
    reflected: Sequence[Reflected],
    *,
    stopped: str | None,
    prices: Prices | None = None,
    trials: Sequence[Trial] = (),
    edit_trials: Sequence[EditTrial] = (),
) -> PracticeReport:
    """What was done so far.

    Args:
        practice: As it is now.
        tally: Its runs.
        reflected: What came of each epoch.
        stopped: Why it ended early.
        prices: For the cost.
        trials: Of an epoch that is not reflected on yet.
        edit_trials: Likewise.
    """
    all_runs = tally.sum()
    return PracticeReport(
        name=practice.name,
        rollouts=all_runs.runs,
        failed=all_runs.failed,
        epochs=epochs_of(tally),
        reflections=[r.report for r in reflected],
        trials=[*(t for r in reflected for t in r.trials), *trials],
        edit_trials=[*(t for r in reflected for t in r.edit_trials), *edit_trials],
        usage=reduce(add, (r.report.usage for r in reflected), tally.usage),
        seconds=practice.seconds,
        stopped=stopped,
        is_finished=practice.finished,
        prices=prices,
    )


def _reports_left(ledger: Ledger, practice: Practice) -> list[ReflectionReport]:
    """Reflections of an epoch that broke off after they were committed."""
    noted = {i for epoch in _epochs(practice) for i in epoch["reflections"]}
    return [report for report in ledger.practice_reports(practice.id) if report.id not in noted]


def _epochs(practice: Practice) -> Any:
    return practice.body.get("epochs", [])
