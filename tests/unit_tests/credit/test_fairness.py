"""That the evidence is a fair game, by enumeration: every way in which the coins can fall, weighted by its probability.

What each run would get is fixed, shown or not (the assumption that is bet against), and as odd as hypothesis can make it. So the sums are
exact, and no simulation has to be believed.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_reflect.credit import betting, difficulty, trials, uplift
from langchain_reflect.credit.betting import RETURNING, evidence, lowered_path, observe, paths
from langchain_reflect.credit.columns import HOLDOUT, PLACEBO, TREATED, Episodes
from langchain_reflect.credit.comparing import Runs, observed_of
from tests.unit_tests.credit.worlds import columns, exposed

SEEDS = st.integers(0, 2**32 - 1)
EDGES = np.array([0.02, 0.1, 0.5, 0.9, 0.98])
LEVELS = (1.1, 1.5, 2.0, 4.0, 10.0)


@pytest.fixture(autouse=True)
def _many_begin_anew(monkeypatch):
    """As after hundreds of units."""
    monkeypatch.setattr(betting, "ANEW", 2)


def falls(count: int) -> np.ndarray:
    """All ways in which coins can fall; shape (2 ** count, count)."""
    return np.array(list(itertools.product([0, 1], repeat=count)))


def by_history(fall: np.ndarray, draw) -> np.ndarray:
    """For each run a value that may depend on all coins before its own, and on nothing else."""
    values = np.empty(fall.shape)
    for n in range(fall.shape[1]):
        _, before = np.unique(fall[:, :n], axis=0, return_inverse=True) if n else (None, np.zeros(len(fall), int))
        values[:, n] = draw(before.max() + 1)[before]
    return values


def games(seed: int, count: int) -> tuple[np.ndarray, betting.Observed]:
    """Probability of each history, and what is observed in it. Tasks, rewards, baselines and chances may all answer to what came before."""
    chance = np.random.default_rng(seed)
    fall = falls(count)
    p = by_history(fall, lambda size: np.where(chance.random(size) < 0.5, chance.choice(EDGES, size), chance.uniform(0.02, 0.98, size)))
    m = by_history(fall, lambda size: np.where(chance.random(size) < 0.5, chance.choice(EDGES, size), chance.uniform(0.02, 0.98, size)))
    y = by_history(fall, lambda size: np.where(chance.random(size) < 0.7, chance.integers(0, 2, size), chance.random(size)))
    observed = observe(
        number=np.repeat(np.arange(len(fall)), count),
        unit=np.arange(fall.size),
        shown=fall.ravel() == 1,
        chance=p.ravel(),
        reward=y.ravel(),
        baseline=m.ravel(),
        rank=np.arange(fall.size),
    )
    return np.where(fall == 1, p, 1 - p), observed


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_after_every_history_the_next_coin_leaves_the_capital_as_it_is_on_average(seed):
    count = 7
    odds, observed = games(seed, count)
    for path in paths(observed):
        capital = np.exp(path).reshape(odds.shape)
        before = np.concatenate([np.ones((len(odds), 1)), capital[:, :-1]], axis=1)
        for n in range(count):
            _, history = np.unique(falls(count)[:, :n], axis=0, return_inverse=True) if n else (None, np.zeros(len(odds), int))
            rest = odds[:, n:].prod(axis=1)
            assert np.bincount(history, rest * capital[:, n]) == pytest.approx(np.bincount(history, rest * before[:, n]))


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_those_who_begin_anew_bring_their_share_and_gain_nothing_on_average(seed):
    count = 7
    odds, observed = games(seed, count)
    capital = np.exp(lowered_path(observed)).reshape(odds.shape)
    share = np.exp(betting._shares(np.arange(count) // 2))
    brought = np.cumsum(np.where(np.arange(count) % 2 == 0, share, 0.0))
    assert odds.prod(axis=1) @ capital == pytest.approx(brought)
    assert brought[-1] < 1


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_no_level_is_ever_reached_more_often_than_its_inverse_says(seed):
    odds, observed = games(seed, 9)
    weight = odds.prod(axis=1)
    for path in (*paths(observed), lowered_path(observed)):
        best = np.exp(path).reshape(odds.shape).max(axis=1)
        for level in LEVELS:
            assert weight @ (best >= level) <= 1 / level + 1e-9


def copies(seed: int, fall: np.ndarray, of: np.ndarray, **given) -> Episodes:
    """The same runs once for each way in which the coins can fall, each time in a space of its own; `of` has the unit of each run.

    Rewards, kinds of tasks, and when or whether each run is judged are drawn without looking at the coins; failures may well be told first.
    """
    chance = np.random.default_rng(seed)
    copy, count = len(fall), len(of)
    reward = np.where(chance.random(count) < 0.7, chance.integers(0, 2, count), chance.random(count))
    at = np.where(chance.random() < 0.5, np.arange(count) + 5 * (reward > 0.5), chance.integers(0, count, count)).astype(float)
    reward[chance.random(count) < 0.15] = np.nan
    space = np.repeat(np.arange(copy), count)
    known = {
        "space": space,
        "unit": space * count + np.tile(of, copy),
        "group": space * 3 + np.tile(chance.integers(0, 3, count), copy),
        "reward": np.tile(reward, copy),
        "at": np.tile(at, copy),
        "started": np.tile(np.arange(count, dtype=float), copy),
    }
    return columns(copy * count, **{**known, **given})


def told_until(episodes: Episodes, time: float) -> Episodes:
    known = {name: getattr(episodes, name) for name in Episodes.__slots__}
    return columns(len(episodes.id), **{**known, "reward": np.where(episodes.at <= time, episodes.reward, np.nan)})


def looks(episodes: Episodes) -> list[Episodes]:
    """What is known after each time at which something is told."""
    return [told_until(episodes, time) for time in np.unique(episodes.at[~np.isnan(episodes.at)])]


def on_average(found, weight, *, side: str) -> float:
    """Of all copies; what is not known of one is a capital of 1."""
    capital = np.ones(len(weight))
    for each in found:
        capital[each.space] = np.exp(getattr(each, side))
    return float(weight @ capital)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, count=st.integers(1, 7))
def test_a_trial_is_fair_however_late_outcomes_come_and_whatever_the_delay_tells_of_them(seed, count):
    fall = falls(count)
    p = np.random.default_rng(seed + 1).choice([0.5, 0.75, 0.95], count)
    weight = np.where(fall == 1, p, 1 - p).prod(axis=1)
    episodes = copies(seed, fall, np.arange(count))
    exposures = exposed(episodes, fall.ravel() == 1, probability=np.tile(p, len(fall)), trial=episodes.space)
    best = np.zeros((2, len(fall)))
    for told in looks(episodes):
        found = trials(told, exposures, difficulty(told))
        assert on_average(found, weight, side="raised") == pytest.approx(1)
        assert on_average(found, weight, side="lowered") <= 1 + 1e-9
        best = np.maximum(best, np.exp([[each.raised for each in found], [each.lowered for each in found]]))
    for level in LEVELS:
        assert (weight @ (best >= level).T <= 1 / level + 1e-9).all()


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, units=st.integers(1, 5))
def test_at_each_look_a_trial_of_units_that_come_again_is_fair(seed, units):
    fall = falls(units)
    of = np.concatenate([np.arange(units), np.random.default_rng(seed).integers(0, units, 5)])
    weight = np.where(fall == 1, 0.75, 0.25).prod(axis=1)
    episodes = copies(seed, fall, of)
    exposures = exposed(episodes, (fall[:, of] == 1).ravel(), trial=episodes.space)
    for told in looks(episodes):
        found = trials(told, exposures, difficulty(told))
        judged = of[~np.isnan(told.reward[: len(of)])]
        expected = 1 if len(np.unique(judged)) == len(judged) else RETURNING
        assert on_average(found, weight, side="raised") == pytest.approx(expected)
        assert on_average(found, weight, side="lowered") <= expected + 1e-9


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_a_useless_lesson_is_fairly_judged_beside_one_that_changes_rewards_and_delays(seed):
    """The other lesson's coins are thrown too, in all ways."""
    count = 4
    both = falls(2 * count)
    mine, other = both[:, :count], both[:, count:]
    weight = np.where(mine == 1, 0.75, 0.25).prod(axis=1) * np.where(other == 1, 0.75, 0.25).prod(axis=1)
    chance = np.random.default_rng(seed)
    either, late = chance.random((2, count)), chance.integers(0, 6, (2, count))
    reward, at = (np.where(other == 1, each[1], each[0]).ravel() for each in (either, late))
    episodes = copies(seed, both, np.arange(count), reward=reward, at=at.astype(float))
    exposures = exposed(episodes, mine.ravel() == 1, trial=episodes.space)
    for told in looks(episodes):
        found = trials(told, exposures, difficulty(told))
        assert on_average(found, weight, side="raised") == pytest.approx(1)
        assert on_average(found, weight, side="lowered") <= 1 + 1e-9


@pytest.mark.parametrize("against", [HOLDOUT, PLACEBO])
@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_lessons_that_do_nothing_are_fairly_compared_with_runs_without(against, seed):
    """Three arms; the third one may get what it likes."""
    count = 5
    arm = np.array(list(itertools.product([TREATED, HOLDOUT, PLACEBO], repeat=count)))
    third = PLACEBO if against == HOLDOUT else HOLDOUT
    weight = np.select([arm == TREATED, arm == HOLDOUT], [0.7, 0.2], 0.1).prod(axis=1)
    chance = np.random.default_rng(seed)
    reward = np.where(arm == third, chance.random(count), chance.random(count)).ravel()
    shares = {"control": np.full(arm.size, 0.2), "treated": np.full(arm.size, 0.7)}
    episodes = copies(seed, arm, np.arange(count), arm=arm.ravel(), reward=reward, **shares)
    for told in looks(episodes):
        found = uplift(told, difficulty(told), against=against)
        assert on_average(found, weight, side="raised") == pytest.approx(1)
        assert on_average(found, weight, side="lowered") <= 1 + 1e-9


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, count=st.integers(1, 7), effect=st.sampled_from([-0.4, -0.1, 0.2, 0.5]))
def test_the_true_effect_is_a_fair_bet_although_it_shows_in_the_baselines_of_later_runs(seed, count, effect):
    """So a run's own reward may have no part in its baseline: it would tell of the coin."""
    fall = falls(count)
    weight = np.where(fall == 1, 0.75, 0.25).prod(axis=1)
    chance = np.random.default_rng(seed)
    reward = (chance.uniform(max(0, -effect), min(1, 1 - effect), count) + effect * fall).ravel()
    at = np.tile(chance.permutation(count).astype(float), len(fall))
    episodes = copies(seed, fall, np.arange(count), reward=reward, at=at)
    runs = Runs(episodes.space, np.arange(fall.size), fall.ravel() == 1, np.full(fall.size, 0.75))
    for side in evidence(observed_of(episodes, runs, difficulty(episodes), np.ones(fall.size, bool)), effect):
        assert weight @ np.exp(side) == pytest.approx(1)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_one_dose_is_fairly_compared_with_runs_without_whatever_another_dose_does(seed):
    count = 5
    dose = np.array(list(itertools.product([0, 1, 2], repeat=count)))
    weight = np.select([dose == 0, dose == 1], [0.2, 0.32], 0.48).prod(axis=1)
    chance = np.random.default_rng(seed)
    reward = np.where(dose == 2, chance.random(count), chance.random(count)).ravel()
    shares = {"control": np.full(dose.size, 0.2), "treated": np.full(dose.size, 0.8), "draws": np.tile([0, 0.4, 0.6], (dose.size, 1))}
    arm = np.where(dose == 0, HOLDOUT, TREATED).ravel()
    episodes = copies(seed, dose, np.arange(count), arm=arm, dose=dose.ravel(), reward=reward, **shares)
    for told in looks(episodes):
        found = uplift(told, difficulty(told), dose=1)
        assert on_average(found, weight, side="raised") == pytest.approx(1)
        assert on_average(found, weight, side="lowered") <= 1 + 1e-9
