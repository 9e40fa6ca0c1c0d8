"""Figures of parts of the runs: a time, a version of the agent, a dose, what came since lessons were switched on again. Pure."""

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

import numpy as np

from langchain_reflect.credit import Race, Trial, Uplift, uplift
from langchain_reflect.credit.columns import HOLDOUT, OTHER, TREATED, Bools, Floats, Ints
from langchain_reflect.evidence import Evidence
from langchain_reflect.recording.fingerprint import UNNAMED
from langchain_reflect.reporting.nouns import PART_LEAST, DoseFigures, Effect, PartFigures, Period
from langchain_reflect.reporting.wording import span
from langchain_reflect.types import Fingerprint
from langchain_reflect.types.counting import count

_BUCKETS: Final = 6
"""Most parts of the time that are told apart."""
_AGENTS: Final = 5
"""Most versions of the agent that are told apart."""


def effect_of(found: Trial | Uplift | None) -> Effect:
    """What was computed, as it is told."""
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


def mean_of(rewards: Floats) -> float | None:
    """Mean reward; None without any."""
    return float(rewards.mean()) if len(rewards) else None


def period_of(evidence: Evidence, mine: Bools) -> Period | None:
    """When the first and the last of these runs began, of those in which chance decided; None if it did in none."""
    started = evidence.episodes.started[mine & (evidence.episodes.arm != OTHER)]
    return Period(began=_time(started.min()), ended=_time(started.max())) if len(started) else None


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)


def since_resumed(evidence: Evidence, baseline: Floats, mine: Bools, at: datetime | None) -> PartFigures | None:
    """What counts since lessons were switched on again; None if they never were off."""
    if at is None:
        return None
    kept = mine & (evidence.episodes.started >= at.timestamp())
    return _part(evidence, baseline, kept, f"runs since {at:%Y-%m-%d %H:%M}, when lessons were resumed")


def by_time(evidence: Evidence, baseline: Floats, mine: Bools) -> Iterator[PartFigures]:
    """Parts of the time with enough judged units of both arms each: `_BUCKETS` alike ones, neighbours merged until they have them."""
    episodes = evidence.episodes
    judged = mine & ~np.isnan(episodes.reward) & episodes.trusted & (episodes.treated > 0) & (episodes.control > 0)
    rows = np.flatnonzero(judged & ((episodes.arm == TREATED) | (episodes.arm == HOLDOUT)))
    rows = rows[np.lexsort((episodes.id[rows], episodes.started[rows]))]
    parts: list[Ints] = []
    open_part = rows[:0]
    for bucket in np.array_split(rows, _BUCKETS):
        open_part = np.concatenate([open_part, bucket])
        if _is_enough(evidence, open_part):
            parts, open_part = [*parts, open_part], rows[:0]
    if len(parts) < 2:  # noqa: PLR2004 - one part is the whole
        return
    parts[-1] = np.concatenate([parts[-1], open_part])
    for part in parts:
        kept = np.zeros(len(mine), np.bool_)
        kept[part] = True
        yield _part(evidence, baseline, kept, span(*map(_time, episodes.started[part[[0, -1]]]), minutes=True))


def _is_enough(evidence: Evidence, rows: Ints) -> bool:
    unit, arm = evidence.episodes.unit[rows], evidence.episodes.arm[rows]
    return all(len(np.unique(unit[arm == code])) >= PART_LEAST for code in (TREATED, HOLDOUT))


def unnamed_graphs(evidence: Evidence, mine: Bools, graph: str) -> Iterator[str]:
    """The graphs without a name, as far as structure and tools tell them apart, those of most runs first; none if this one has a name."""
    if graph not in UNNAMED:
        return
    episodes = evidence.episodes
    numbers, counts = np.unique(episodes.agent[mine], return_counts=True)
    runs: dict[str, int] = {}
    for number, number_of_runs in zip(numbers.tolist(), counts.tolist(), strict=True):
        agent = evidence.agents[number] if number >= 0 else Fingerprint()
        known = [f"{name} {value[:6]}" for name, value in (("graph", agent.graph), ("tools", agent.tools)) if value]
        kind = " ".join(known) or "not known"
        runs[kind] = runs.get(kind, 0) + number_of_runs
    yield from (f"{kind} ({count(some, 'run')})" for kind, some in sorted(runs.items(), key=lambda each: (-each[1], each[0])))


def by_agent(evidence: Evidence, baseline: Floats, mine: Bools) -> Iterator[PartFigures]:
    """Each of the `_AGENTS` versions with most runs, if there are several."""
    numbers, counts = np.unique(evidence.episodes.agent[mine], return_counts=True)
    if len(numbers) < 2:  # noqa: PLR2004 - one version is the whole
        return
    for number in numbers[np.argsort(-counts, kind="stable")][:_AGENTS].tolist():
        label = "agent not known" if number < 0 else _name(evidence.agents[number])
        yield _part(evidence, baseline, mine & (evidence.episodes.agent == number), label)


def _name(agent: Fingerprint) -> str:
    parts = [f"{name} {value[:6]}" for name in ("prompt", "tools", "graph") if (value := getattr(agent, name))]
    return " ".join([agent.model or "model not known", *parts])


def _part(evidence: Evidence, baseline: Floats, kept: Bools, label: str) -> PartFigures:
    found = uplift(evidence.only(kept).episodes, baseline[kept])
    return PartFigures(label=label, effect=effect_of(found[0] if found else None), period=period_of(evidence, kept))


def by_dose(evidence: Evidence, mine: Bools, found: Race | None, worths: Mapping[int, Effect]) -> Iterator[DoseFigures]:
    """Each dose, if there are several.

    Args:
        evidence: Has the runs.
        mine: Runs that count in the comparison.
        found: The race; None: chance did not choose among doses.
        worths: Of each dose against runs without lessons.
    """
    episodes = evidence.episodes
    treated = mine & (episodes.arm == TREATED)
    doses = np.unique(episodes.dose[treated]).tolist()
    if len(doses) < 2:  # noqa: PLR2004 - nothing to compare
        return
    for dose in doses:
        rewards = episodes.reward[treated & (episodes.dose == dose) & episodes.trusted & ~np.isnan(episodes.reward)]
        chance = None if found is None else float(found.chances.get(dose, 0.0))
        told = {"dose": dose, "runs": len(rewards), "mean": mean_of(rewards), "effect": worths[dose]}
        yield DoseFigures(**told, chance=chance, is_in=chance is None or chance > 0)


def periods_of_trials(evidence: Evidence) -> dict[int, Period]:
    """When the first and the last run began that each wording fitted."""
    trial, started = evidence.exposures.trial, evidence.episodes.started[evidence.exposures.episode]
    order = np.lexsort((started, trial))
    numbers, first, runs = np.unique(trial[order], return_index=True, return_counts=True)
    ends = zip(numbers.tolist(), started[order[first]].tolist(), started[order[first + runs - 1]].tolist(), strict=True)
    return {number: Period(began=_time(low), ended=_time(high)) for number, low, high in ends}
