"""What all lessons are worth together."""

import math

import numpy as np
import pytest

from langchain_reflect.credit import difficulty, uplift
from langchain_reflect.credit.columns import HOLDOUT, OTHER, PLACEBO, TREATED
from langchain_reflect.errors import InvalidInput
from tests.unit_tests.credit.worlds import columns


def runs(count, effects, *, seed=0, base=0.5, **given):
    """Arms by chance; effects by arm."""
    chance = np.random.default_rng(seed)
    arm = chance.choice([TREATED, HOLDOUT, PLACEBO], count, p=[0.7, 0.2, 0.1])
    lift = np.array([effects.get(code, 0.0) for code in (HOLDOUT, TREATED, PLACEBO)])[arm]
    known = {"arm": arm, "reward": (chance.random(count) < base + lift).astype(float)}
    return columns(count, treated=np.full(count, 0.7), control=np.full(count, 0.2), **{**known, **given})


def lifted(episodes, **given):
    return uplift(episodes, difficulty(episodes), **given)


def test_lessons_that_help_are_found_and_the_interval_holds_the_truth():
    (found,) = lifted(runs(2000, {TREATED: 0.2}))
    assert (found.verdict, found.more, found.uneven) == ("helps", 0, False)
    assert 0 < found.low < 0.2 < found.high < 0.4
    assert found.mean_shown - found.mean_withheld == pytest.approx(0.2, abs=0.08)


def test_lessons_that_hurt_are_found():
    (found,) = lifted(runs(2000, {TREATED: -0.2}))
    assert (found.verdict, found.lowered > found.raised) == ("hurts", True)


def test_placebo_is_compared_with_placebo():
    episodes = runs(3000, {TREATED: 0.3, PLACEBO: 0.3}, base=0.3)
    (bare,), (placebo,) = lifted(episodes), lifted(episodes, against=PLACEBO)
    assert bare.verdict == "helps"
    assert placebo.verdict == "undecided"
    assert placebo.withheld == int((episodes.arm == PLACEBO).sum())


def test_any_dose_counts_as_treated():
    (found,) = lifted(runs(500, {}, dose=np.arange(500) % 3 + 1, draws=np.tile([0, 0.3, 0.3, 0.4], (500, 1))))
    assert found.shown + found.withheld == int(np.isin(runs(500, {}).arm, [TREATED, HOLDOUT]).sum())


def test_each_dose_is_compared_with_runs_without_lessons():
    chance = np.random.default_rng(3)
    arm = chance.choice([TREATED, HOLDOUT], 3000, p=[0.8, 0.2])
    dose = chance.choice([1, 2, 3], 3000)
    lift = np.where(arm == TREATED, np.array([0, 0.2, 0.0, -0.2])[dose], 0.0)
    drawn = {"control": np.full(3000, 0.2), "treated": np.full(3000, 0.8), "draws": np.tile([0, 1 / 3, 1 / 3, 1 / 3], (3000, 1))}
    episodes = columns(3000, arm=arm, dose=dose, reward=(chance.random(3000) < 0.5 + lift).astype(float), **drawn)
    found = {number: lifted(episodes, dose=number)[0] for number in (1, 2, 3)}
    assert [each.verdict for each in found.values()] == ["helps", "undecided", "hurts"]
    assert all(each.low < truth < each.high for each, truth in zip(found.values(), (0.2, 0.0, -0.2), strict=True))
    assert {each.withheld for each in found.values()} == {int((arm == HOLDOUT).sum())}
    assert sum(each.shown for each in found.values()) == int((arm == TREATED).sum())


def test_a_dose_that_no_policy_drew_is_compared_with_nothing():
    assert lifted(columns(50, arm=np.where(np.arange(50) % 2, TREATED, HOLDOUT)), dose=1) == []


def test_what_came_before_it_was_resumed_does_not_count():
    episodes = runs(1000, {TREATED: -0.4})
    (all_of_it,) = lifted(episodes, since=np.array([-math.inf]))
    assert all_of_it.verdict == "hurts"
    (later,) = lifted(episodes, since=np.array([950.0]))
    assert later.shown + later.withheld < 50
    assert later.verdict == "undecided"
    assert lifted(episodes, since=np.array([5000.0])) == []


def test_without_a_holdout_nothing_is_compared():
    assert lifted(columns(50, control=np.zeros(50), treated=np.ones(50))) == []
    assert lifted(columns(50, arm=np.full(50, OTHER))) == []


def test_rounding_makes_no_placebo():
    assert lifted(columns(50, control=np.full(50, 0.1), treated=np.full(50, 1 - 0.1)), against=PLACEBO) == []


def test_missing_outcomes_that_depend_on_the_arm_are_flagged():
    chance = np.random.default_rng(8)
    episodes = runs(1500, {})
    even = chance.random(1500) < 0.2
    uneven = chance.random(1500) < np.where(episodes.arm == TREATED, 0.3, 0.02)
    for gone, flagged in ((even, False), (uneven, True)):
        (found,) = lifted(runs(1500, {}, reward=np.where(gone, np.nan, episodes.reward)))
        assert found.uneven is flagged
        assert found.pending_shown == int((gone & (episodes.arm == TREATED)).sum())


def test_an_arm_nobody_was_in_is_not_guessed():
    episodes = columns(30, reward=np.ones(30))
    (found,) = lifted(episodes)
    assert (found.shown, found.withheld, math.isnan(found.effect), math.isnan(found.mean_withheld)) == (30, 0, True, True)
    assert (found.verdict, found.error) == ("undecided", math.inf)


def test_an_arm_with_lessons_is_no_comparison():
    with pytest.raises(InvalidInput, match="expected HOLDOUT"):
        lifted(columns(3), against=TREATED)
