"""Evidence, and intervals that follow from it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_reflect.credit.betting import (
    BETS,
    DECIDED,
    MOST,
    RETURNING,
    evidence,
    interval,
    lowered,
    lowered_path,
    observe,
    paths,
    raised,
)

REWARDS = st.floats(0, 1)
CHANCES = st.floats(0.02, 0.98)
ENDS = st.sampled_from([0.02, 0.1, 0.5, 0.9, 0.98])


def one(shown, chance, reward, baseline, *, unit=None, number=None, rank=None):
    count = len(reward)
    return observe(
        number=np.zeros(count, np.int64) if number is None else np.asarray(number),
        unit=np.arange(count) if unit is None else np.asarray(unit),
        shown=np.asarray(shown, np.bool_),
        chance=np.broadcast_to(np.asarray(chance, float), count),
        reward=np.asarray(reward, float),
        baseline=np.broadcast_to(np.asarray(baseline, float), count),
        rank=np.arange(count) if rank is None else np.asarray(rank),
    )


def capital(observed, effect=0.0):
    return tuple(math.exp(side[0]) for side in evidence(observed, effect))


@given(p=CHANCES, m=ENDS, y=REWARDS)
def test_one_coin_that_makes_no_difference_leaves_the_capital_as_it_was_on_average(p, m, y):
    shown, withheld = capital(one([1], p, [y], m)), capital(one([0], p, [y], m))
    for up in (0, 1):
        assert p * shown[up] + (1 - p) * withheld[up] == pytest.approx(1)


@given(p=CHANCES, m=ENDS, low=REWARDS, high=REWARDS)
def test_a_bet_on_the_wrong_side_loses_on_average(p, m, low, high):
    low, high = sorted((low, high))
    helps = [p * a + (1 - p) * b for a, b in zip(capital(one([1], p, [high], m)), capital(one([0], p, [low], m)), strict=True)]
    assert helps[1] <= 1 + 1e-9 <= helps[0] + 2e-9


@given(p=CHANCES, m=ENDS, y=REWARDS, effect=st.floats(-1, 1), bit=st.booleans())
def test_the_capital_is_never_lost_whatever_is_assumed(p, m, y, effect, bit):
    up, down = capital(one([bit], p, [y], m), effect)
    assert min(up, down) >= 1 - MOST - 1e-9


@given(p=CHANCES, m=ENDS, y=st.floats(0, 1), effect=st.floats(-0.5, 0.5))
def test_assuming_the_true_effect_is_a_fair_bet(p, m, y, effect):
    withheld = min(max(y, -effect), 1 - effect) if -1 <= effect <= 1 else y
    shown = withheld + effect
    told = capital(one([1], p, [shown], m), effect), capital(one([0], p, [withheld], m), effect)
    for side in (0, 1):
        assert p * told[0][side] + (1 - p) * told[1][side] == pytest.approx(1)


@given(p=CHANCES, m=ENDS, rewards=st.lists(REWARDS, min_size=1, max_size=5))
def test_runs_of_one_unit_are_one_fair_bet_however_many(p, m, rewards):
    unit = [7] * len(rewards)
    shown = capital(one([1] * len(rewards), p, rewards, m, unit=unit))
    withheld = capital(one([0] * len(rewards), p, rewards, m, unit=unit))
    assert p * shown[0] + (1 - p) * withheld[0] == pytest.approx(1 if len(rewards) == 1 else RETURNING)
    assert shown[0] <= capital(one([1], p, [max(rewards)], m))[0] + 1e-9


def test_the_mixture_is_what_its_parts_say():
    observed = one([1, 0, 1], 0.75, [1.0, 0.0, 1.0], 0.5)
    x = np.array([0.125, 0.375, 0.125])
    worst = max(0.25 * 0.5, 0.75 * 0.5)
    expected = sum(part * np.prod(1 + min(bet / 0.25, MOST / worst) * x) for bet, part in BETS.items())
    assert capital(observed)[0] == pytest.approx(expected)
    assert sum(BETS.values()) == pytest.approx(1)


def test_runs_without_chance_tell_nothing():
    observed = one([1, 0, 1], [1.0, 0.0, 0.75], [0.0, 1.0, 1.0], 0.5)
    assert capital(observed) == pytest.approx(capital(one([1], 0.75, [1.0], 0.5)))


def test_nothing_observed_is_no_comparison():
    observed = one([], 0.5, [], 0.5)
    found = (*evidence(observed), *interval(observed), *paths(observed), lowered(observed), lowered_path(observed))
    assert [len(each) for each in found] == [0] * 8


def test_the_path_ends_where_the_evidence_stands():
    chance = np.random.default_rng(3)
    number = np.sort(chance.integers(0, 5, 200))
    observed = one(chance.random(200) < 0.75, 0.75, chance.random(200), 0.4, number=number, unit=chance.integers(0, 60, 200))
    ends = np.append(observed.first[1:], len(observed.start)) - 1
    for path, stands in zip(paths(observed, 0.1), evidence(observed, 0.1), strict=True):
        assert path[ends] == pytest.approx(stands)


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), units=st.integers(1, 300))
def test_those_who_begin_anew_end_where_their_path_ends(seed, units):
    chance = np.random.default_rng(seed)
    number = np.sort(chance.integers(0, 4, 500))
    observed = one(chance.random(500) < 0.75, 0.75, chance.random(500), 0.4, number=number, unit=chance.integers(0, units, 500))
    ends = np.append(observed.first[1:], len(observed.start)) - 1
    assert lowered_path(observed)[ends] == pytest.approx(lowered(observed))


def test_what_used_to_help_and_hurts_now_is_found_out_soon():
    chance = np.random.default_rng(8)
    shown, part = chance.random(1600) < 0.75, np.where(np.arange(1600) < 1000, 0.3, -0.3)
    observed = one(shown, 0.75, (chance.random(1600) < 0.5 + part * shown).astype(float), 0.5)
    since_first = np.flatnonzero(paths(observed)[1] >= math.log(DECIDED))
    anew = np.flatnonzero(lowered_path(observed) >= math.log(DECIDED))
    assert 1000 < anew[0] < 1500
    assert len(since_first) == 0


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 400), p=st.sampled_from([0.5, 0.75, 0.9]), lift=st.floats(-0.4, 0.4))
def test_the_interval_excludes_zero_exactly_if_it_is_decided(seed, count, p, lift):
    chance = np.random.default_rng(seed)
    shown = chance.random(count) < p
    observed = one(shown, p, (chance.random(count) < 0.5 + lift * shown).astype(float), 0.5)
    (up,), (down,) = evidence(observed)
    (low,), (high,) = interval(observed)
    assert (low >= 0, high <= 0) == (up >= math.log(DECIDED), down >= math.log(DECIDED))
    assert -1 <= low <= high <= 1


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), p=st.sampled_from([0.5, 0.75, 0.9, 0.95]), base=st.sampled_from([0.1, 0.5, 0.9]))
def test_what_is_outside_the_interval_is_refuted_and_what_is_inside_is_not(seed, p, base):
    chance = np.random.default_rng(seed)
    shown = chance.random(300) < p
    observed = one(shown, p, (chance.random(300) < base).astype(float), base)
    (low,), (_high,) = interval(observed)
    assumed = np.linspace(-1, 1, 81)
    refuted = np.array([raised(observed, np.array([each]))[0] >= math.log(DECIDED) for each in assumed])
    assert refuted[assumed < low - 0.002].all()
    assert not refuted[assumed > low + 0.002].any()


def test_an_effect_that_is_there_is_found():
    chance = np.random.default_rng(5)
    shown = chance.random(1000) < 0.75
    observed = one(shown, 0.75, (chance.random(1000) < 0.4 + 0.2 * shown).astype(float), 0.55)
    (up,), (down,) = evidence(observed)
    (low,), (high,) = interval(observed)
    assert up > math.log(DECIDED) > down
    assert 0 < low < 0.2 < high < 0.4
