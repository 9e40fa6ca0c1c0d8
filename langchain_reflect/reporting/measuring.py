"""From the ledger to the figures of a report."""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

import numpy as np

from langchain_reflect.credit import Race, Trial, Uplift, difficulty, race, shrunken, trials, uplift
from langchain_reflect.credit.columns import HOLDOUT, PLACEBO, TREATED, Bools, Floats
from langchain_reflect.errors import LessonNotFound
from langchain_reflect.evidence import Evidence, gather
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.authors import CREDIT
from langchain_reflect.reporting.nouns import (
    ArmFigures,
    DoseFigures,
    Effect,
    LessonFigures,
    PartFigures,
    Report,
    SpaceFigures,
)
from langchain_reflect.types import SERVABLE, Fingerprint, Lesson, Namespace, Review, Usage

_BUCKETS: Final = 6
"""Most parts of the time that are told apart."""
_LEAST: Final = 20
"""Fewest judged runs of such a part."""
_ALL: Final = 1_000_000
_AGENTS: Final = 5
"""Most versions of the agent that are told apart."""
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
    races = race(evidence.only(compared).episodes, baseline[compared])
    placebos = {each.space: each for each in uplift(episodes, baseline, against=PLACEBO)}
    for number, (space, graph) in sorted(enumerate(evidence.spaces), key=lambda each: each[1]):
        mine = episodes.space == number
        if not mine.any():
            continue
        arms = tuple(_arms(evidence, mine))
        held = steered[number]
        whole = _effect(found.get(number))
        yield SpaceFigures(
            namespace=space,
            graph=graph,
            uplift=whole,
            placebo=_effect(placebos.get(number)) if any(arm.name == "placebo" for arm in arms) else None,
            arms=arms,
            uneven=number in found and bool(found[number].uneven),
            judge_only=int(np.count_nonzero(mine & ~episodes.trusted)),
            over_time=tuple(_over_time(evidence, baseline, mine)),
            agents=tuple(_agents(evidence, baseline, mine)),
            doses=tuple(_doses(evidence, mine, races.get(number))),
            paused=held.reason or "no reason given" if held.paused else "",
            paused_since=held.since if held.paused else None,
            tokens_per_run=_tokens(evidence, mine),
            holdout_cost=_cost(arms, whole),
        )


def _arms(evidence: Evidence, mine: Bools) -> Iterator[ArmFigures]:
    episodes = evidence.episodes
    for name, code in _ARMS.items():
        runs = mine & (episodes.arm == code)
        judged = episodes.reward[runs & episodes.trusted & ~np.isnan(episodes.reward)]
        if runs.any():
            yield ArmFigures(name=name, runs=int(runs.sum()), judged=len(judged), mean=_mean(judged))


def _over_time(evidence: Evidence, baseline: Floats, mine: Bools) -> Iterator[PartFigures]:
    """Parts of the time with about as many judged runs each, as many as can tell something."""
    episodes = evidence.episodes
    judged = mine & ~np.isnan(episodes.reward) & episodes.trusted & (episodes.arm >= 0)
    count = min(_BUCKETS, int(judged.sum()) // _LEAST)
    if count < 2:  # noqa: PLR2004 - one part is the whole
        return
    edges = np.quantile(episodes.started[judged], np.linspace(0, 1, count + 1))
    for n, (low, high) in enumerate(pairwise(edges.tolist())):
        within = (episodes.started >= low) & ((episodes.started < high) | (n == count - 1))
        if (judged & within).any():
            yield PartFigures(label=f"{_day(low)} to {_day(high)}", effect=_part(evidence, baseline, mine & within))


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


def _agents(evidence: Evidence, baseline: Floats, mine: Bools) -> Iterator[PartFigures]:
    numbers, counts = np.unique(evidence.episodes.agent[mine], return_counts=True)
    if len(numbers) < 2:  # noqa: PLR2004 - one version is the whole
        return
    for number in numbers[np.argsort(-counts, kind="stable")][:_AGENTS].tolist():
        label = "agent not known" if number < 0 else _name(evidence.agents[number])
        yield PartFigures(label=label, effect=_part(evidence, baseline, mine & (evidence.episodes.agent == number)))


def _name(agent: Fingerprint) -> str:
    parts = [f"{name} {value[:6]}" for name in ("prompt", "tools", "graph") if (value := getattr(agent, name))]
    return " ".join([agent.model or "model not known", *parts])


def _part(evidence: Evidence, baseline: Floats, kept: Bools) -> Effect:
    found = uplift(evidence.only(kept).episodes, baseline[kept])
    return _effect(found[0] if found else None)


def _doses(evidence: Evidence, mine: Bools, found: Race | None) -> Iterator[DoseFigures]:
    episodes = evidence.episodes
    treated = mine & (episodes.arm == TREATED)
    doses = np.unique(episodes.dose[treated]).tolist()
    if len(doses) < 2:  # noqa: PLR2004 - nothing to compare
        return
    for dose in doses:
        rewards = episodes.reward[treated & (episodes.dose == dose) & episodes.trusted & ~np.isnan(episodes.reward)]
        chance = None if found is None else float(found.chances.get(dose, 0.0))
        yield DoseFigures(dose=dose, runs=len(rewards), mean=_mean(rewards), chance=chance, is_in=chance is None or chance > 0)


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
                effect=_effect(trial),
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


def _effect(found: Trial | Uplift | None) -> Effect:
    if found is None:
        return Effect()
    is_known = math.isfinite(found.effect)
    return Effect(
        value=found.effect if is_known else None,
        low=found.low if is_known else None,
        high=found.high if is_known else None,
        shown=found.shown,
        withheld=found.withheld,
        verdict=found.verdict,
        more=found.more,
    )


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


def _mean(rewards: Floats) -> float | None:
    return float(rewards.mean()) if len(rewards) else None


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
