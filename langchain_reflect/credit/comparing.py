"""Figures of many comparisons at once: what was shown against what was not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from langchain_reflect.credit.betting import DECIDED, Observed, evidence, interval, lowered, observe, raised
from langchain_reflect.credit.columns import Bools, Episodes, Floats, Ints

Verdict = Literal["helps", "hurts", "undecided"]
_GUESSED: Final = 0.25
"""Largest variance that a reward in [0, 1] can have; each arm counts one run of it, so that an arm of one run is not believed to be
exact."""


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs that take part in comparisons, judged or not; one row per run and comparison."""

    number: Ints
    """Which comparison."""
    episode: Ints
    """Row of the run in `Episodes`."""
    shown: Bools
    chance: Floats
    """Of being shown."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One entry for each comparison, ascending by its number."""

    number: Ints
    shown: Ints
    withheld: Ints
    pending_shown: Ints
    pending_withheld: Ints
    judge_only: Ints
    mean_shown: Floats
    mean_withheld: Floats
    effect: Floats
    error: Floats
    low: Floats
    high: Floats
    raised: Floats
    lowered: Floats
    weight: Floats
    """Mean of `p(1 - p)` over the units, judged or not."""
    variance: Floats
    """Mean of `m(1 - m)` over the judged units; 0.25 if there are none."""


def figures(episodes: Episodes, runs: Runs, baseline: Floats) -> Figures:
    """Compute all that is told of each comparison.

    A unit (a conversation, say) counts once in each, however many runs it has. Units that only a judge model judged are counted apart.

    Args:
        episodes: Columns.
        runs: Which of them take part in what.
        baseline: Of each episode; from `difficulty`.
    """
    random = (runs.chance > 0) & (runs.chance < 1)
    runs = Runs(runs.number[random], runs.episode[random], runs.shown[random], runs.chance[random])
    numbers, place = np.unique(runs.number, return_inverse=True)
    counts = _counts(episodes, runs, place, len(numbers))
    judged = (~np.isnan(episodes.reward) & episodes.trusted)[runs.episode]
    observed = observed_of(episodes, runs, baseline, judged)
    at = np.searchsorted(numbers, observed.number)
    up, down = raised(observed, np.zeros(len(observed.number))), lowered(observed)
    low, high = interval(observed)
    mean_shown, mean_withheld, effect, error, variance = _estimates(observed)
    weight = np.bincount(place, runs.chance * (1 - runs.chance), len(numbers)) / np.maximum(np.bincount(place, minlength=len(numbers)), 1)

    def all_of(values: Floats, otherwise: float) -> Floats:
        full = np.full(len(numbers), otherwise)
        full[at] = values
        return full

    return Figures(
        number=numbers,
        shown=counts[:, 1, 2],
        withheld=counts[:, 0, 2],
        pending_shown=counts[:, 1, 0],
        pending_withheld=counts[:, 0, 0],
        judge_only=counts[:, :, 1].sum(axis=1),
        mean_shown=all_of(mean_shown, np.nan),
        mean_withheld=all_of(mean_withheld, np.nan),
        effect=all_of(np.clip(effect, low, high), np.nan),
        error=all_of(error, np.inf),
        low=all_of(low, -1.0),
        high=all_of(high, 1.0),
        raised=all_of(up, 0.0),
        lowered=all_of(down, 0.0),
        weight=weight,
        variance=all_of(variance, 0.25),
    )


def rows_of(found: Figures, more: Sequence[int | None], **others: Sequence[Any]) -> list[dict[str, Any]]:
    """Fields of a `Trial` or an `Uplift` for each comparison.

    Args:
        found: The comparisons.
        more: Units that are missing for a verdict.
        others: Further fields.
    """
    columns = {name: getattr(found, name).tolist() for name in Figures.__slots__ if name not in {"number", "weight", "variance"}}
    columns["verdict"] = [_verdict(up, down) for up, down in zip(columns["raised"], columns["lowered"], strict=True)]
    columns.update(others, more=more)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def observed_of(episodes: Episodes, runs: Runs, baseline: Floats, judged: Bools) -> Observed:
    """The judged among these runs, in the order that evidence is counted in.

    Args:
        episodes: Columns.
        runs: Which of them take part in what.
        baseline: Of each episode.
        judged: Which of `runs` count.
    """
    row = runs.episode[judged]
    return observe(
        number=runs.number[judged],
        unit=episodes.unit[row],
        shown=runs.shown[judged],
        chance=runs.chance[judged],
        reward=episodes.reward[row],
        baseline=baseline[row],
        rank=_ranks(episodes, episodes.at)[row],
    )


def _verdict(raised: float, lowered: float) -> Verdict:
    """What the logs of the evidence say; that something does harm by now counts for more than that it helped once."""
    if lowered >= np.log(DECIDED):
        return "hurts"
    return "helps" if raised >= np.log(DECIDED) else "undecided"


def uneven(episodes: Episodes, runs: Runs) -> Bools:
    """Whether being judged depends on being shown, for each comparison, ascending by number; by bets, with "was judged" for a reward.

    Valid at any one look. As runs that are pending now may be judged later, looking again and again is not covered by the proof; simulated,
    it raises no more false alarms than the 5 % that one look is allowed.

    Args:
        episodes: Columns.
        runs: Which of them take part in what.
    """
    numbers, place = np.unique(runs.number, return_inverse=True)
    judged = (~np.isnan(episodes.reward) & episodes.trusted)[runs.episode].astype(np.float64)
    share = np.bincount(place, judged, len(numbers)) / np.maximum(np.bincount(place, minlength=len(numbers)), 1)
    observed = observe(
        number=runs.number,
        unit=episodes.unit[runs.episode],
        shown=runs.shown,
        chance=runs.chance,
        reward=judged,
        baseline=np.clip(share, 0.02, 0.98)[place],
        rank=_ranks(episodes, episodes.started)[runs.episode],
    )
    up, down = evidence(observed)
    return np.asarray(np.maximum(up, down) >= np.log(2 * DECIDED))


def _ranks(episodes: Episodes, times: Floats) -> Ints:
    """Place of each episode by a time, and by its id where times are equal."""
    rank = np.empty(len(times), np.int64)
    rank[np.lexsort((episodes.id, times))] = np.arange(len(times))
    return rank


def _counts(episodes: Episodes, runs: Runs, place: Ints, size: int) -> Ints:
    """Units of each comparison, by whether shown, by what judged them: 0 nobody, 1 a judge model, 2 somebody else."""
    rewarded = ~np.isnan(episodes.reward)
    state = np.where(rewarded & episodes.trusted, 2, np.where(rewarded, 1, 0))[runs.episode]
    unit = np.unique(episodes.unit[runs.episode], return_inverse=True)[1]
    units = np.unique(place * (unit.max(initial=0) + 1) + unit, return_inverse=True)[1]
    best = np.zeros((units.max(initial=-1) + 1,), np.int64)
    np.maximum.at(best, units, state)
    shown = np.zeros(len(best), np.int64)
    np.maximum.at(shown, units, runs.shown.astype(np.int64))
    of = np.zeros(len(best), np.int64)
    of[units] = place
    return np.bincount((of * 2 + shown) * 3 + best, minlength=size * 6).reshape(size, 2, 3)


def _estimates(observed: Observed) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Mean reward shown and withheld, effect, its standard error, and mean of `m(1 - m)`.

    The effect is the difference of the weighted means of `Y - m`, a run that is shown weighing `1 - p` and one that is not `p`, so that
    runs of different probabilities (25 % while on trial, 5 % later) are compared like with like.
    """
    shown, p = observed.shown, observed.chance
    rest = observed.reward - observed.baseline
    sides = []
    for is_in, weight in ((shown, 1 - p), (1 - shown, p)):
        each = observed.per_unit(is_in * weight)
        total = observed.total(each)
        safe = np.where(total > 0, total, np.nan)
        plain = observed.total(observed.per_unit(is_in))
        mean = observed.total(observed.per_unit(is_in * observed.reward)) / np.where(plain > 0, plain, np.nan)
        moved = observed.total(observed.per_unit(is_in * weight * rest)) / safe
        off = observed.per_unit(is_in * weight * (rest - observed.spread(moved)))
        largest = np.maximum.reduceat(each, observed.first) if len(observed.first) else total
        sides.append((mean, moved, (observed.total(off**2) + _GUESSED * largest**2) / safe**2))
    (mean_shown, up, up_error), (mean_withheld, down, down_error) = sides
    error = np.sqrt(up_error + down_error)
    m = observed.per_unit(observed.baseline * (1 - observed.baseline))
    variance = observed.total(m) / np.diff(observed.first, append=len(observed.start))
    return mean_shown, mean_withheld, up - down, np.where(np.isnan(error), np.inf, error), variance
