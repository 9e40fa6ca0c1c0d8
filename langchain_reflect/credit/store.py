"""What all lessons of a store are worth together: runs that could be shown lessons against runs that were not, by chance."""

from dataclasses import dataclass

import numpy as np

from langchain_reflect.credit.checking import check_episodes
from langchain_reflect.credit.columns import HOLDOUT, PLACEBO, TREATED, Episodes, Floats
from langchain_reflect.credit.comparing import Runs, Verdict, figures, rows_of, uneven
from langchain_reflect.credit.planning import more_runs
from langchain_reflect.credit.shrinking import shrink
from langchain_reflect.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Uplift:
    """What is known of the lessons of one namespace and graph."""

    space: int
    shown: int
    """Units (runs, conversations or users, as the policy says) with lessons of which a run was judged."""
    withheld: int
    """Those without."""
    pending_shown: int
    """Units of which nobody has judged a run yet."""
    pending_withheld: int
    judge_only: int
    """Units that only a judge model judged; they decide nothing."""
    mean_shown: float
    """Mean reward; NaN: none."""
    mean_withheld: float
    uneven: bool
    """Runs of one arm are judged credibly more often than those of the other, so the comparison may mislead."""
    effect: float
    """By how much lessons change the reward; NaN: not known."""
    error: float
    """Standard error of it; infinite: not known."""
    low: float
    """Lowest effect that is not refuted; see `interval`."""
    high: float
    raised: float
    """Log of the evidence that lessons raise the reward."""
    lowered: float
    """Log of the evidence that they lower it."""
    verdict: Verdict
    more: int | None
    """Units that are missing for a verdict, about; None: too many to wait for."""


def uplift(
    episodes: Episodes, baseline: Floats, *, against: int = HOLDOUT, since: Floats | None = None, dose: int | None = None
) -> list[Uplift]:
    """Runs with lessons against runs without, for each space that has runs of both kinds by chance; ascending by space.

    Args:
        episodes: Columns, in any order.
        baseline: Of each episode; from `difficulty`.
        against: `HOLDOUT` or `PLACEBO`.
        since: For each space, the time from which on runs count; default all.
        dose: Only runs with lessons that drew this one, 1 or more, against runs without; default whatever the dose.

    Raises:
        InvalidInput: `against` is no arm without lessons, or a column has values that cannot be meant.
    """
    check_episodes(episodes)
    if against not in {HOLDOUT, PLACEBO}:
        raise InvalidInput(f"against={against!r}; expected HOLDOUT ({HOLDOUT}) or PLACEBO ({PLACEBO})")
    runs = _arms(episodes, against, since, dose)
    found = figures(episodes, runs, baseline)
    likely = [shrink(found.effect[n : n + 1], found.error[n : n + 1]) for n in range(len(found.number))]
    mean, deviation = (np.array([float(each[n][0]) for each in likely]) for n in range(2))
    told = rows_of(found, more_runs(found, mean, deviation), space=found.number.tolist(), uneven=uneven(episodes, runs).tolist())
    return [Uplift(**row) for row in told]


def _arms(episodes: Episodes, against: int, since: Floats | None, dose: int | None) -> Runs:
    other = episodes.control if against == HOLDOUT else np.clip(1 - episodes.control - episodes.treated, 0, 1)
    treated, mine = episodes.treated, episodes.arm == TREATED
    if dose is not None:
        treated, mine = treated * episodes.draws[:, dose], mine & (episodes.dose == dose)
    both = treated + other
    kept = mine | (episodes.arm == against)
    kept &= (treated > 0) & (other > 1e-9)  # noqa: PLR2004 - what is left of 1 by rounding is no arm
    if since is not None:
        kept &= episodes.started >= since[episodes.space]
    row = np.flatnonzero(kept)
    return Runs(episodes.space[row], row, episodes.arm[row] == TREATED, (treated / np.where(both > 0, both, 1))[row])
