"""Which dose (how many lessons a run may be shown at most) is best: doses drop out of the race once another one is credibly better.

Successive elimination (Even-Dar, Mannor, Mansour, JMLR 2006) with the evidence of `betting` in place of fixed-size confidence bounds, so
that looking at any time is allowed (as in Howard and Ramdas, "Sequential estimation of quantiles with applications to A/B testing and
best-arm identification", Bernoulli 2022). Each pair of doses is compared on the runs that got one of the two, with the probability of each
given that it was one of the two. A dose drops out once the evidence that some other one is better reaches `DECIDED` times the number of its
rivals: then the best one drops out in at most one race of twenty (Bonferroni over its rivals). Those that are left are drawn equally often.

Dose 0 is the holdout. It always keeps its runs, since without them nobody knows what lessons are worth; it takes part in the comparisons,
so that a dose that does harm drops out. If every dose does, the least bad one stays, and the switch that stops showing lessons decides.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from langchain_reflect.credit.betting import DECIDED, evidence
from langchain_reflect.credit.checking import check_episodes
from langchain_reflect.credit.columns import HOLDOUT, TREATED, Bools, Episodes, Floats, Ints
from langchain_reflect.credit.comparing import Runs, observed_of


@dataclass(frozen=True, slots=True)
class Race:
    """State of the race in one space."""

    space: int
    alive: tuple[int, ...]
    """Doses that no other one is credibly better than; 0 is the holdout."""
    chances: dict[int, float]
    """Probability of each dose for a run that gets lessons; 0 for those that dropped out."""
    runs: dict[int, int]
    """Judged runs of each dose."""


def race(episodes: Episodes, baseline: Floats) -> dict[int, Race]:
    """Compare the doses of each space.

    Args:
        episodes: Columns, in any order.
        baseline: Of each episode; from `difficulty`.

    Raises:
        InvalidInput: A column has values that cannot be meant.
    """
    check_episodes(episodes)
    entry = _entry(episodes)
    spaces, place = np.unique(episodes.space[entry.row], return_inverse=True)
    offered = np.zeros((len(spaces), entry.odds.shape[1]), np.bool_)
    np.logical_or.at(offered, place, entry.odds > 0)
    judged = (~np.isnan(episodes.reward) & episodes.trusted)[entry.row]
    entry, place = entry.only(judged), place[judged]
    runs = np.zeros(offered.shape, np.int64)
    np.add.at(runs, (place, entry.dose), 1)
    rest = np.zeros(offered.shape)
    order = np.lexsort((episodes.id[entry.row], place))
    np.add.at(rest, (place[order], entry.dose[order]), (episodes.reward - baseline)[entry.row[order]])
    out = _dropped(episodes, baseline, entry, place, offered)
    found = {}
    for number, space in enumerate(spaces.tolist()):
        doses = np.flatnonzero(offered[number]).tolist()
        if doses != [0]:
            found[space] = _race(space, doses, set(np.flatnonzero(out[number]).tolist()), runs[number], rest[number])
    return found


@dataclass(frozen=True, slots=True)
class _Entry:
    """Runs that got some dose by chance."""

    row: Ints
    dose: Ints
    odds: Floats
    """Probability of each dose; shape (runs, doses)."""

    def only(self, kept: Bools) -> "_Entry":
        return _Entry(self.row[kept], self.dose[kept], self.odds[kept])


def _entry(episodes: Episodes) -> _Entry:
    row = np.flatnonzero((episodes.arm == HOLDOUT) | (episodes.arm == TREATED))
    odds = episodes.treated[row, None] * episodes.draws[row]
    odds[:, 0] = episodes.control[row]
    return _Entry(row, np.where(episodes.arm[row] == HOLDOUT, 0, episodes.dose[row]), odds)


def _dropped(episodes: Episodes, baseline: Floats, entry: _Entry, place: Ints, offered: Bools) -> Bools:
    """Which doses another one is credibly better than, by space."""
    pairs = list(combinations(range(offered.shape[1]), 2))
    out = np.zeros(offered.shape, np.bool_)
    if not pairs:
        return out
    parts = []
    for pair, (few, many) in enumerate(pairs):
        mine = ((entry.dose == few) | (entry.dose == many)) & (entry.odds[:, few] > 0) & (entry.odds[:, many] > 0)
        chance = entry.odds[mine, many] / (entry.odds[mine, few] + entry.odds[mine, many])
        parts.append(Runs(place[mine] * len(pairs) + pair, entry.row[mine], entry.dose[mine] == many, chance))
    runs = Runs(*(np.concatenate([getattr(part, name) for part in parts]) for name in Runs.__slots__))
    observed = observed_of(episodes, runs, baseline, np.ones(len(runs.number), np.bool_))
    limits = np.log(DECIDED * np.maximum(offered.sum(axis=1) - 1, 1))
    for number, up, down in zip(observed.number.tolist(), *evidence(observed), strict=True):
        space, pair = divmod(number, len(pairs))
        if max(up, down) >= limits[space]:
            out[space, pairs[pair][0 if up > down else 1]] = True
    return out


def _race(space: int, doses: list[int], out: set[int], runs: Ints, rest: Floats) -> Race:
    some = [dose for dose in doses if dose > 0]
    left = [dose for dose in some if dose not in out]
    if not left:
        left = [max(some, key=lambda dose: (float(rest[dose]) / max(int(runs[dose]), 1), -dose))]
    return Race(
        space=space,
        alive=tuple(dose for dose in doses if dose not in out),
        chances={dose: (1 / len(left) if dose in left else 0.0) for dose in some},
        runs={dose: int(runs[dose]) for dose in doses},
    )
