"""Trials of single lessons: each wording of each lesson is one, and each run that it fits takes part, shown or withheld by chance."""

from dataclasses import dataclass

import numpy as np

from langchain_reflect.credit.checking import check_episodes, check_exposures
from langchain_reflect.credit.columns import OTHER, Episodes, Exposures, Floats, Ints
from langchain_reflect.credit.comparing import Figures, Runs, Verdict, figures, rows_of, uneven
from langchain_reflect.credit.planning import more_runs
from langchain_reflect.credit.shrinking import shrink


@dataclass(frozen=True, slots=True)
class Trial:
    """What is known of one wording of one lesson."""

    trial: int
    space: int
    """In which it was on trial most often."""
    shown: int
    """Units (runs, conversations or users, as the policy says) with a judged run in which it was shown."""
    withheld: int
    pending_shown: int
    """Units of which nobody has judged a run yet."""
    pending_withheld: int
    judge_only: int
    """Units that only a judge model judged; they decide nothing."""
    effect: float
    """By how much showing it changes the reward; NaN: not known."""
    error: float
    """Standard error of it; infinite: not known."""
    low: float
    """Lowest effect that is not refuted; see `interval`."""
    high: float
    raised: float
    """Log of the evidence that it raises the reward."""
    lowered: float
    """Log of the evidence that it lowers the reward."""
    mean_shown: float
    """Mean reward; NaN: none."""
    mean_withheld: float
    uneven: bool
    """Runs are judged credibly more often if it is shown, or if it is not, so the comparison may mislead."""
    verdict: Verdict
    more: int | None
    """Units that are missing for a verdict, about; None: too many to wait for."""


def trials(episodes: Episodes, exposures: Exposures, baseline: Floats) -> list[Trial]:
    """All trials in which chance had a part, ascending by number.

    Args:
        episodes: Columns, in any order.
        exposures: Columns, in any order.
        baseline: Of each episode; from `difficulty`.

    Raises:
        InvalidInput: A column has values that cannot be meant.
    """
    check_episodes(episodes)
    check_exposures(exposures, episodes)
    kept = episodes.arm[exposures.episode] != OTHER
    kept &= (exposures.probability > 0) & (exposures.probability < 1)
    runs = Runs(exposures.trial[kept], exposures.episode[kept], exposures.shown[kept], exposures.probability[kept])
    found = figures(episodes, runs, baseline)
    spaces = _spaces(runs.number, episodes.space[runs.episode])
    numbers = found.number.tolist()
    others = {"trial": numbers, "space": spaces.tolist(), "uneven": uneven(episodes, runs).tolist()}
    return [Trial(**row) for row in rows_of(found, _more(found, spaces), **others)]


def _spaces(number: Ints, space: Ints) -> Ints:
    """The space in which each comparison has most runs; where two have as many, the smaller number."""
    numbers, place = np.unique(number, return_inverse=True)
    spaces, which = np.unique(space, return_inverse=True)
    pairs, counts = np.unique(place * max(len(spaces), 1) + which, return_counts=True)
    of, into = np.divmod(pairs, max(len(spaces), 1))
    order = np.lexsort((-into, counts, of))
    most = np.zeros(len(numbers), np.int64)
    most[of[order]] = spaces[into[order]]
    return most


def _more(found: Figures, spaces: Ints) -> list[int | None]:
    """Units that are missing for a verdict, each effect being drawn towards those of the same space."""
    mean, deviation = np.zeros(len(spaces)), np.zeros(len(spaces))
    order = np.argsort(spaces, kind="stable")
    edges = np.flatnonzero(np.diff(spaces[order])) + 1
    for rows in np.split(order, edges) if len(order) else []:
        mean[rows], deviation[rows] = shrink(found.effect[rows], found.error[rows])
    return more_runs(found, mean, deviation)
