"""From the ledger to the figures of a report."""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np

from langchain_reflect.credit import Trial, Uplift, difficulty, race, shrunken, trials, uplift
from langchain_reflect.credit.columns import HOLDOUT, PLACEBO, TREATED, Bools, Floats
from langchain_reflect.errors import LessonNotFound
from langchain_reflect.evidence import Evidence, gather
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.authors import CREDIT
from langchain_reflect.reporting.nouns import ArmFigures, Effect, LessonFigures, Report, SpaceFigures
from langchain_reflect.reporting.parts import (
    by_agent,
    by_dose,
    by_time,
    effect_of,
    mean_of,
    period_of,
    periods_of_trials,
    since_resumed,
    unnamed_graphs,
)
from langchain_reflect.types import SERVABLE, Lesson, Namespace, Review, Usage

_ALL: Final = 1_000_000
_ARMS: Final = {"treated": TREATED, "holdout": HOLDOUT, "placebo": PLACEBO}
_FIRST: Final = {"hurts": 0, "helps": 1, "undecided": 2}


def report(
    ledger: Ledger,
    *,
    namespace: Namespace | None = None,
    graph: str | None = None,
    since: datetime | None = None,
    lessons: Sequence[str] = (),
) -> Report:
    """The figures. Nothing is changed.

    Args:
        ledger: Has the evidence.
        namespace: Only this one; default all.
        graph: Only runs of this one; default all.
        since: Only runs that began at this time or later; default all.
        lessons: Only these among single lessons; default all that fitted some run.

    Raises:
        LessonNotFound: One of `lessons` is unknown.
    """
    known = {lesson.id: lesson for lesson in ledger.lessons(namespace=namespace)}
    if unknown := [lesson_id for lesson_id in lessons if lesson_id not in known]:
        raise LessonNotFound(f"no lesson {unknown[0]!r}; `reflect lessons` lists them")
    evidence = gather(ledger.trial_rows(namespace=namespace, graph=graph)).since(since)
    baseline = difficulty(evidence.episodes)
    found = uplift(evidence.episodes, baseline)
    single = trials(evidence.episodes, evidence.exposures, baseline)
    asked = {lesson_id: r for r in ledger.reviews(namespace=namespace) if r.actor == CREDIT for lesson_id in r.lessons}
    spaces = tuple(_spaces(ledger, evidence, baseline, {each.space: each for each in found}))
    usage = _usage(ledger, namespace)
    tried = {evidence.wordings[trial.trial].lesson_id for trial in single}
    return Report(
        namespace=namespace,
        graph=graph,
        since=since,
        spaces=spaces,
        lessons=tuple(_lessons(evidence, list(zip(single, shrunken(single, found), strict=True)), known, asked, lessons)),
        untried=sum(lesson.status in SERVABLE and lesson.id not in tried for lesson in known.values()),
        reflection=usage,
        tokens_per_point=_price(spaces, usage),
    )


def _spaces(ledger: Ledger, evidence: Evidence, baseline: Floats, found: dict[int, Uplift]) -> Iterator[SpaceFigures]:
    episodes = evidence.episodes
    steered = [ledger.steering(space, graph) for space, graph in evidence.spaces]
    compared = evidence.since_each([held.doses_since for held in steered])
    racing, expected = evidence.only(compared).episodes, baseline[compared]
    races = race(racing, expected)
    drawn = np.unique(racing.dose[racing.arm == TREATED]).tolist()
    worths = {dose: {each.space: each for each in uplift(racing, expected, dose=dose)} for dose in drawn if len(drawn) > 1}
    placebos = {each.space: each for each in uplift(episodes, baseline, against=PLACEBO)}
    for number, (space, graph) in sorted(enumerate(evidence.spaces), key=lambda each: each[1]):
        mine = episodes.space == number
        if not mine.any():
            continue
        arms = tuple(_arms(evidence, mine))
        held = steered[number]
        whole = effect_of(found.get(number))
        worth = {dose: effect_of(each.get(number)) for dose, each in worths.items()}
        yield SpaceFigures(
            namespace=space,
            graph=graph,
            period=period_of(evidence, mine),
            uplift=whole,
            since_resume=since_resumed(evidence, baseline, mine, held.resumed_at),
            placebo=effect_of(placebos.get(number)) if any(arm.name == "placebo" for arm in arms) else None,
            arms=arms,
            uneven=number in found and bool(found[number].uneven),
            judge_only=int(np.count_nonzero(mine & ~episodes.trusted)),
            over_time=tuple(by_time(evidence, baseline, mine)),
            agents=tuple(by_agent(evidence, baseline, mine)),
            doses=tuple(by_dose(evidence, mine & compared, races.get(number), worth)),
            doses_since=held.doses_since,
            unnamed=tuple(unnamed_graphs(evidence, mine, graph)),
            paused=held.reason or "no reason given" if held.paused else "",
            paused_since=held.since if held.paused else None,
            paused_by=held.by if held.paused else "",
            tokens_per_run=_tokens(evidence, mine),
            holdout_cost=_cost(arms, whole),
        )


def _arms(evidence: Evidence, mine: Bools) -> Iterator[ArmFigures]:
    episodes = evidence.episodes
    for name, code in _ARMS.items():
        runs = mine & (episodes.arm == code)
        judged = episodes.reward[runs & episodes.trusted & ~np.isnan(episodes.reward)]
        if runs.any():
            yield ArmFigures(name=name, runs=int(runs.sum()), judged=len(judged), mean=mean_of(judged))


def _tokens(evidence: Evidence, mine: Bools) -> float | None:
    """Mean tokens of what was shown in a treated run."""
    treated = mine & (evidence.episodes.arm == TREATED)
    if not treated.any():
        return None
    shown = evidence.exposures.shown & treated[evidence.exposures.episode]
    return float(evidence.exposures.tokens[shown].sum() / treated.sum())


def _cost(arms: Sequence[ArmFigures], whole: Effect) -> float | None:
    without = sum(arm.runs for arm in arms if arm.name != "treated")
    return None if whole.value is None else round(max(whole.value, 0.0) * without, 4)


def _lessons(
    evidence: Evidence,
    single: Sequence[tuple[Trial, float]],
    known: Mapping[str, Lesson],
    asked: Mapping[str, Review],
    wanted: Sequence[str],
) -> list[LessonFigures]:
    """Of the present wordings; each trial comes with its shrunken effect."""
    figures = []
    periods = periods_of_trials(evidence)
    for trial, guess in single:
        wording = evidence.wordings[trial.trial]
        lesson = known.get(wording.lesson_id)
        if lesson is None or not wording.is_current or (wanted and lesson.id not in wanted):
            continue
        review = asked.get(lesson.id)
        figures.append(
            LessonFigures(
                lesson_id=lesson.id,
                namespace=lesson.namespace,
                status=lesson.status,
                when=lesson.when,
                do=lesson.do,
                period=periods.get(trial.trial),
                effect=effect_of(trial),
                shrunken=_number(guess),
                pending=trial.pending_shown + trial.pending_withheld,
                asked=None if review is None else review.id,
            )
        )
    return sorted(figures, key=_place)


def _place(lesson: LessonFigures) -> tuple[Any, ...]:
    """Lessons that hurt first, then those that help, then the others; the narrowest interval first."""
    effect = lesson.effect
    width = math.inf if effect.low is None or effect.high is None else effect.high - effect.low
    return _FIRST[effect.verdict], width, lesson.lesson_id


def _usage(ledger: Ledger, namespace: Namespace | None) -> Usage:
    return sum((each.usage for each in ledger.reflections(_ALL, namespace=namespace)), Usage())


def _price(spaces: Sequence[SpaceFigures], usage: Usage) -> float | None:
    """Tokens for each point of reward gained over one run, by all runs with lessons together; None unless there is a credible gain."""
    gain = spent = 0.0
    for space in spaces:
        runs = sum(arm.runs for arm in space.arms if arm.name == "treated")
        spent += (space.tokens_per_run or 0.0) * runs
        gain += 100 * max(space.uplift.value or 0.0, 0.0) * runs if space.uplift.verdict == "helps" else 0.0
    return (spent + usage.tokens_in + usage.tokens_out) / gain if gain > 0 else None


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
