"""How much reward was to be expected of a run, whatever it was shown: runs of easy tasks succeed without any lesson."""

from typing import Final

import numpy as np

from langchain_reflect.credit.checking import check_episodes
from langchain_reflect.credit.columns import Bools, Episodes, Floats, Ints

ALIKE: Final = 10.0
"""Runs of other groups that weigh as much as one of the same group."""
ANY: Final = 4.0
"""Runs that weigh as much as knowing nothing (0.5)."""
RECENT: Final = 100
"""Runs after which an earlier one is forgotten, since tasks and agents change."""
_LEAST: Final = 0.02
"""No baseline is nearer to 0 or 1."""
_UNIT: Final = 2.0**36
"""Rewards are added as whole numbers, so that the order of adding does not show."""


def difficulty(episodes: Episodes) -> Floats:
    """Baseline of each episode: the reward that earlier runs of the same group got, shrunk to that of its space, shrunk to 0.5.

    Only rewards from others than judge models count, of the last `RECENT` runs that were judged earlier (equal times: smaller id) and
    belong to another unit. So nobody's own coin has a part in the baseline, which is all that the evidence needs to be valid; a good
    baseline only makes it come sooner.

    Args:
        episodes: In any order.

    Raises:
        InvalidInput: A column has values that cannot be meant.

    Source: adjustment by a prediction that is fixed before the coin, as in CUPED (Deng, Xu, Kohavi, Walker, WSDM 2013) and in doubly robust
    off-policy estimates (Dudík, Langford, Li, ICML 2011).
    """
    check_episodes(episodes)
    order = np.lexsort((episodes.id, np.where(np.isnan(episodes.at), np.inf, episodes.at)))
    known = (~np.isnan(episodes.reward) & episodes.trusted)[order]
    whole = np.rint(np.where(known, episodes.reward[order], 0.0) * _UNIT).astype(np.int64)
    unit = np.unique(episodes.unit, return_inverse=True)[1][order]
    space_sum, space_count = _recent(episodes.space[order], unit, whole, known)
    group_sum, group_count = _recent(episodes.group[order], unit, whole, known)
    overall = (space_sum + ANY * 0.5) / (space_count + ANY)
    baseline = np.empty(len(order))
    baseline[order] = (group_sum + ALIKE * overall) / (group_count + ALIKE)
    return np.clip(baseline, _LEAST, 1 - _LEAST)


def _recent(key: Ints, unit: Ints, whole: Ints, known: Bools) -> tuple[Floats, Floats]:
    """Sum and count of the last `RECENT` known rewards before each row with the same key, without those of its own unit.

    Args:
        key: Of each row, in order of time; as are all columns.
        unit: Numbered from 0.
        whole: Rewards as whole numbers.
        known: Whether the row has a reward that counts.
    """
    code = np.unique(key, return_inverse=True)[1]
    order = np.argsort(code, kind="stable")
    place = np.empty(len(code), np.int64)
    place[order] = _before(code[order], known[order].astype(np.int64))
    sums, counts = _windows(code, place, whole, known)
    owner = np.unique(code * (unit.max(initial=0) + 1) + unit, return_inverse=True)[1]
    if owner.max(initial=-1) + 1 < len(owner):
        own_sums, own_counts = _windows(owner, place, whole, known)
        sums, counts = sums - own_sums, counts - own_counts
    return sums / _UNIT, counts.astype(np.float64)


def _before(code: Ints, values: Ints) -> Ints:
    """Sum of the values of earlier rows of the same code; rows are sorted by code."""
    added = np.concatenate([[0], np.cumsum(values)])
    return np.asarray(added[:-1] - added[np.searchsorted(code, code)])


def _windows(code: Ints, place: Ints, whole: Ints, known: Bools) -> tuple[Ints, Ints]:
    """Sum and count over the earlier rows of the same code whose place is at most `RECENT` smaller."""
    order = np.argsort(code, kind="stable")
    key = code[order] * (len(code) + RECENT + 1) + place[order] + RECENT
    begin = np.searchsorted(key, key - RECENT)
    both = []
    for values in (whole, known.astype(np.int64)):
        added = np.concatenate([[0], np.cumsum(values[order])])
        found = np.empty(len(code), np.int64)
        found[order] = added[:-1] - added[begin]
        both.append(found)
    return both[0], both[1]
