"""Evidence about lessons looked at after each run, where conversations go on and users come again, for `credit.py`.

Such a unit has one coin, and what its runs tell changes what the unit counts after its coin is known. `betting.paths` looks at whole units
only, so what somebody sees who looks in between is computed here.
"""

import dataclasses

import numpy as np
from credit_streams import Stream

from langchain_reflect.credit import difficulty
from langchain_reflect.credit.betting import ANEW, BETS, FIRST, RETURNING, Observed, factors, lowered, mirrored, raised
from langchain_reflect.credit.columns import Episodes, Floats
from langchain_reflect.credit.comparing import Runs, observed_of


def after_each_run(made: Stream) -> tuple[Floats, Floats, Floats]:
    """Log of the evidence that a store's only lesson raises the reward, and that it lowers it, and what is added to both by caution.

    Args:
        made: Each run is judged before the next one begins.

    Returns:
        Three tables of shape (draws, runs): what is known after each run.
    """
    shape, baseline = made.reward.shape, difficulty(made.episodes)
    alone = _observed(made, dataclasses.replace(made.episodes, unit=np.arange(made.reward.size)), baseline)
    whole = _observed(made, made.episodes, baseline)
    visits = _Visits(made.episodes.unit.reshape(shape))
    caution = np.log(RETURNING) * np.logical_or.accumulate(visits.number > 0, axis=1)
    nothing = np.zeros(shape[0])
    up = _mixed([np.cumsum(visits.growth(each.reshape(shape)), axis=1) for each in factors(alone, nothing)])
    down = _mixed([_anew(visits, visits.growth(each.reshape(shape))) for each in factors(mirrored(alone), nothing)])
    np.testing.assert_allclose((up + caution)[:, -1], raised(whole, nothing))
    np.testing.assert_allclose((down + caution)[:, -1], lowered(whole))
    return up, down, caution


def _observed(made: Stream, episodes: Episodes, baseline: Floats) -> Observed:
    told = made.exposures
    runs = Runs(told.trial, told.episode, told.shown, told.probability)
    return observed_of(episodes, runs, baseline, np.ones(len(told.episode), bool))


class _Visits:
    """Which visit of its unit each run is."""

    def __init__(self, unit: np.ndarray) -> None:
        self._order = np.argsort(unit, axis=1, kind="stable")
        ordered = np.take_along_axis(unit, self._order, axis=1)
        new = np.diff(ordered, axis=1, prepend=-1) != 0
        place = np.broadcast_to(np.arange(unit.shape[1]), unit.shape)
        self._start = np.maximum.accumulate(np.where(new, place, 0), axis=1)
        self._count = place - self._start + 1
        self.number = self._back(self._count - 1)
        """From 0 on."""
        coming = np.cumsum(self.number == 0, axis=1) - 1
        leader = np.take_along_axis(self._order, self._start, axis=1)
        self.place = self._back(np.take_along_axis(coming, leader, axis=1))
        """Of the unit, by when it came first."""

    def growth(self, factor: Floats) -> Floats:
        """By how much each run changes the log of its unit's factor, which is the mean of those of its runs so far."""
        summed = np.cumsum(np.take_along_axis(factor, self._order, axis=1), axis=1)
        before = np.concatenate([np.zeros((len(summed), 1)), summed], axis=1)
        logs = np.log((summed - np.take_along_axis(before, self._start, axis=1)) / self._count)
        earlier = np.concatenate([np.zeros((len(logs), 1)), logs[:, :-1]], axis=1)
        return self._back(logs - np.where(self._count > 1, earlier, 0.0))

    def _back(self, ordered: np.ndarray) -> np.ndarray:
        values = np.empty_like(ordered)
        np.put_along_axis(values, self._order, ordered, axis=1)
        return values


def _anew(visits: _Visits, growth: Floats) -> Floats:
    """Log of the capital of those who begin every `ANEW` units, as in `betting.lowered`."""
    block = visits.place // ANEW
    begun = np.maximum.accumulate(block, axis=1)
    total = np.full(growth.shape, -np.inf)
    for beginner in range(block.max() + 1):
        share = FIRST if beginner == 0 else (1 - FIRST) / (beginner * (beginner + 1))
        capital = np.log(share) + np.cumsum(np.where(block >= beginner, growth, 0.0), axis=1)
        total = np.logaddexp(total, np.where(begun >= beginner, capital, -np.inf))
    return total


def _mixed(logs: list[Floats]) -> Floats:
    return np.logaddexp.reduce([each + np.log(part) for each, part in zip(logs, BETS.values(), strict=True)])
