"""The race of doses."""

import numpy as np
import pytest

from langchain_reflect.credit import difficulty, race
from langchain_reflect.credit.columns import HOLDOUT, OTHER, TREATED, Episodes
from tests.unit_tests.credit.worlds import columns


def runs(count, effects, *, seed=0, holdout=0.1, **given):
    chance = np.random.default_rng(seed)
    arm = np.where(chance.random(count) < holdout, HOLDOUT, TREATED)
    doses = sorted(effects)
    dose = np.where(arm == TREATED, np.array(doses)[chance.integers(0, len(doses), count)], 0)
    lift = np.array([effects.get(each, 0.0) for each in range(4)])[dose]
    odds = np.array([1 / len(doses) if each in doses else 0.0 for each in range(4)])
    known = {
        "arm": arm,
        "dose": dose,
        "control": np.full(count, holdout),
        "treated": np.full(count, 1 - holdout),
        "draws": np.tile(odds, (count, 1)),
        "reward": (chance.random(count) < 0.4 + lift).astype(float),
    }
    return columns(count, **{**known, **given})


def raced(episodes):
    return race(episodes, difficulty(episodes))


def test_at_first_all_doses_are_drawn_alike():
    found = raced(runs(20, {1: 0.0, 2: 0.0, 3: 0.0}))[0]
    assert found.alive == (0, 1, 2, 3)
    assert found.chances == pytest.approx({1: 1 / 3, 2: 1 / 3, 3: 1 / 3})
    assert sum(found.runs.values()) == 20


def test_the_best_dose_is_left():
    found = raced(runs(3000, {1: 0.0, 2: 0.3, 3: -0.2}))[0]
    assert (found.alive, found.chances) == ((2,), {1: 0.0, 2: 1.0, 3: 0.0})


def test_a_dose_that_does_harm_drops_out_although_nothing_else_is_better():
    found = raced(runs(3000, {1: 0.0, 2: 0.0, 3: -0.35}))[0]
    assert 3 not in found.alive
    assert found.chances == {1: 0.5, 2: 0.5, 3: 0.0}


def test_if_all_do_harm_the_least_bad_one_stays():
    found = raced(runs(4000, {1: -0.38, 2: -0.2, 3: -0.38}, holdout=0.3))[0]
    assert found.alive == (0,)
    assert found.chances == {1: 0.0, 2: 1.0, 3: 0.0}


def test_what_dropped_out_stays_out_though_it_is_drawn_no_longer():
    before = runs(3000, {1: 0.0, 2: 0.3, 3: 0.3})
    after = runs(3000, {2: 0.3, 3: 0.3}, seed=1)
    names = set(Episodes.__slots__) - {"id", "unit"}
    both = {name: np.concatenate([getattr(each, name) for each in (before, after)]) for name in names}
    whole = Episodes(**both, id=np.arange(6000), unit=np.arange(6000))
    assert 1 not in raced(before)[0].alive
    assert raced(whole)[0].chances[1] == 0.0


def test_one_dose_runs_alone():
    assert raced(runs(100, {2: 0.0}))[0].chances == {2: 1.0}


def test_without_lessons_there_is_no_race():
    assert raced(columns(10, arm=np.full(10, HOLDOUT), treated=np.zeros(10), control=np.ones(10))) == {}
    assert raced(columns(10, arm=np.full(10, OTHER))) == {}
    alone = {"dose": np.zeros(10, int), "draws": np.zeros((10, 1)), "treated": np.zeros(10), "control": np.ones(10)}
    assert raced(columns(10, arm=np.full(10, HOLDOUT), **alone)) == {}


def test_judge_models_drop_nothing_out():
    episodes = runs(3000, {1: 0.0, 2: 0.3, 3: -0.2}, trusted=np.zeros(3000, np.bool_))
    assert raced(episodes)[0].alive == (0, 1, 2, 3)
