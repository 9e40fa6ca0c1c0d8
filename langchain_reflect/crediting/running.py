"""One look at the evidence: read, compute, and carry out what follows.

The state is computed anew from the ledger each time, so outcomes that come late, are corrected, taken back, or reported twice give what
they would have given in any other order. What follows is written as ordinary edits of the lesson book by the actor `credit`, all of a
namespace in one transaction, and only if nobody changed the lesson since the evidence was read. So several processes may look at once.
"""

import logging
import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import numpy as np
from pydantic import JsonValue

from langchain_reflect.credit import Trial, difficulty, race, trials, uplift
from langchain_reflect.credit.columns import Floats
from langchain_reflect.crediting.deciding import Decision, Hindsight, decisions, interval_text, until_decided
from langchain_reflect.crediting.terms import ALL_GRAPHS, CreditReport, Decided, Paused
from langchain_reflect.crediting.utilities import keep_utilities
from langchain_reflect.errors import BookChanged
from langchain_reflect.evidence import Evidence, gather
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.authors import CREDIT
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.reporting.wording import size
from langchain_reflect.types import Namespace, Steering, now

logger = logging.getLogger("langchain_reflect")
_TRIES: Final = 5
_ROUNDING: Final = 0.005


def credit(ledger: Ledger, book: LessonBook, *, namespace: Namespace | None = None) -> CreditReport:
    """Look at the evidence and carry out what follows from it.

    Args:
        ledger: Has the evidence.
        book: Whose lessons it is about.
        namespace: Only this one; default all.

    Raises:
        LedgerError: The ledger failed; what was decided before stays, and the next look finds the rest.
    """
    began, at = time.perf_counter(), now()  # decisions bear the time of what they rest on, not of what came in since, see `_taken_back`
    evidence = gather(ledger.trial_rows(namespace=namespace))
    baseline = difficulty(evidence.episodes)
    known = {trial.trial: trial for trial in trials(evidence.episodes, evidence.exposures, baseline)}
    decided = _carried_out(ledger, book, _decisions(evidence, known, baseline), at)
    held = [_held(ledger, space, graph) for space, graph in evidence.spaces]
    newly = _pause(ledger, evidence, baseline, held)
    doses = _race(ledger, evidence, baseline, held)
    keep_utilities(ledger, evidence, known, whole=namespace is None)
    return CreditReport(
        lessons=sum(wording.is_current for wording in evidence.wordings),
        exposures=len(evidence.exposures.trial),
        judged=int(np.count_nonzero(~np.isnan(evidence.episodes.reward))),
        decided=tuple(decided),
        paused=tuple(all_paused(ledger, namespace)),
        newly_paused=tuple(newly),
        doses=doses,
        seconds=time.perf_counter() - began,
    )


def all_paused(ledger: Ledger, namespace: Namespace | None = None) -> list[Paused]:
    """The graphs that get no lessons now.

    Args:
        ledger: That was steered.
        namespace: Only this one; default all.
    """
    held = ledger.paused().items()
    return [Paused(namespace=s, graph=g or ALL_GRAPHS, reason=h.reason) for (s, g), h in held if namespace in (None, s)]


def _decisions(evidence: Evidence, known: Mapping[int, Trial], baseline: Floats) -> list[Decision]:
    def then(number: int) -> Hindsight:
        kept, units = until_decided(evidence, number)
        some = evidence.only(kept)
        earlier = trials(some.episodes, some.exposures, baseline[kept])
        return Hindsight(next((trial for trial in earlier if trial.trial == number), None), units)

    return decisions(evidence.wordings, known, then)


def _carried_out(ledger: Ledger, book: LessonBook, made: Sequence[Decision], at: datetime) -> list[Decided]:
    by_space: dict[Namespace, list[Decision]] = defaultdict(list)
    for decision in made:
        by_space[decision.wording.namespace].append(decision)
    done: list[Decided] = []
    for space, some in sorted(by_space.items()):
        done += _committed(ledger, book, space, [d for d in some if d.turn != "asked"], at)
        done += _asked(ledger, book, space, [d for d in some if d.turn == "asked"])
    return done


def _committed(ledger: Ledger, book: LessonBook, space: Namespace, made: Sequence[Decision], at: datetime) -> list[Decided]:
    """Write the decisions about lessons that nobody changed since they were read."""
    for _ in range(_TRIES):
        version = ledger.lessons_version()
        left = _unchanged(ledger, space, made)
        if not left:
            return []
        try:
            applied = book.commit([d.edit for d in left], namespace=space, actor=CREDIT, at=at, since=version)
        except BookChanged:
            continue
        done = [_told(d) for d, edit in zip(left, applied, strict=True) if edit.applied]
        for each in done:
            logger.log(logging.INFO if each.turn == "promoted" else logging.WARNING, "lesson %s", each)
        return done
    logger.warning("the lessons of %r change all the time, so what their evidence calls for waits for the next look", space)
    return []


def _asked(ledger: Ledger, book: LessonBook, space: Namespace, made: Sequence[Decision]) -> list[Decided]:
    """Ask a person about lessons that a person stands behind, each question once; what is still open is told again."""
    done = []
    for decision in _unchanged(ledger, space, made):
        question = book.ask(decision.edit, namespace=space, actor=CREDIT)
        if question.review is None or question.review.state != "open":
            continue
        told = _told(decision, question.review.id)
        if question.is_new:
            logger.warning("a lesson that %s stands behind does harm: %s", decision.wording.approved_by or decision.wording.writer, told)
        done.append(told)
    return done


def _unchanged(ledger: Ledger, space: Namespace, made: Sequence[Decision]) -> list[Decision]:
    ids = [d.wording.lesson_id for d in made]
    heads = {lesson.id: lesson.revision for lesson in ledger.lessons(namespace=space, ids=ids)} if ids else {}
    return [d for d in made if heads.get(d.wording.lesson_id) == d.wording.revision]


def _told(decision: Decision, review_id: str | None = None) -> Decided:
    wording = decision.wording
    status = wording.status if review_id else decision.status
    told = {"lesson_id": wording.lesson_id, "namespace": wording.namespace, "turn": decision.turn, "status": status}
    return Decided(**told, reason=decision.reason, review_id=review_id)


def _held(ledger: Ledger, space: Namespace, graph: str) -> tuple[int, Steering]:
    """What holds for a graph, and the number of the newest entry about its namespace that this knows."""
    newest = ledger.steering_log(namespace=space, limit=1)
    return (newest[0].number if newest else 0), ledger.steering(space, graph)


def _pause(ledger: Ledger, evidence: Evidence, baseline: Floats, held: Sequence[tuple[int, Steering]]) -> list[Paused]:
    """Stop showing lessons where they credibly do harm, by the runs since somebody resumed."""
    since = np.array([steering.resumed_at.timestamp() if steering.resumed_at else -math.inf for _, steering in held], np.float64)
    newly = []
    for found in uplift(evidence.episodes, baseline, since=since):
        number, steering = held[found.space]
        if steering.paused or found.verdict != "hurts":
            continue
        space, graph = evidence.spaces[found.space]
        reason = f"runs with lessons score {size(-found.effect)} points lower ({interval_text(-found.high, -found.low)}) than runs without"
        if found.effect >= 0:
            reason = "runs with lessons score lower than runs without of late, although they did not before"
        entry = ledger.steer("paused", space, graph, by=CREDIT, reason=reason, after=number)
        if entry.kind == "paused" and entry.graph == graph:
            newly.append(Paused(namespace=space, graph=graph, reason=reason))
            logger.warning("%s", newly[-1])
    return newly


def _race(ledger: Ledger, evidence: Evidence, baseline: Floats, held: Sequence[tuple[int, Steering]]) -> dict[str, dict[str, JsonValue]]:
    """Draw the doses of graphs with `k="auto"` as their comparison says."""
    changed: dict[str, dict[str, JsonValue]] = {}
    kept = evidence.since_each([steering.doses_since for _, steering in held])
    for number, found in race(evidence.only(kept).episodes, baseline[kept]).items():
        newest, steering = held[number]
        chances = evidence.chances[number]
        is_auto = steering.doses is not None or (chances is not None and len(chances.doses) > 1)
        wanted = {dose: round(share, 3) for dose, share in sorted(found.chances.items()) if share > 0}
        present = steering.doses or (None if chances is None else chances.doses)
        if not is_auto or not wanted or (present is not None and _alike(wanted, present)):
            continue
        space, graph = evidence.spaces[number]
        reason = f"doses left in the race: {', '.join(map(str, wanted))}"
        entry = ledger.steer("doses", space, graph, by=CREDIT, reason=reason, body=wanted, after=newest)
        if entry.kind == "doses":
            changed[f"{'/'.join(space)} {graph}"] = {str(dose): share for dose, share in wanted.items()}
    return changed


def _alike(one: Mapping[int, float], other: Mapping[int, float]) -> bool:
    """Whether doses are drawn alike, but for rounding."""
    total, among = sum(one.values()), sum(other.values())
    return all(abs(one.get(dose, 0.0) / total - other.get(dose, 0.0) / among) < _ROUNDING for dose in {*one, *other})
