"""What single lessons are probably worth."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.credit import shrunken
from langchain_reflect.credit.shrinking import shrink


@dataclass
class Known:
    effect: float
    error: float
    space: int = 0


UNKNOWN = Known(math.nan, math.inf)


def test_nothing_known_is_nothing():
    assert shrunken([], []) == []
    assert shrunken([UNKNOWN], []) == [0.0]


def test_a_new_lesson_is_worth_what_the_others_are():
    old = [Known(0.2, 0.02) for _ in range(10)]
    assert shrunken([*old, UNKNOWN], [])[-1] == pytest.approx(0.2, abs=0.05)


def test_a_new_store_is_worth_what_all_its_lessons_are_together():
    (found,) = shrunken([UNKNOWN], [Known(0.2, 0.02)])
    assert 0.05 < found < 0.2


def test_what_is_well_known_stays():
    assert shrunken([Known(0.3, 0.005), Known(0.0, 0.3)], [])[0] == pytest.approx(0.3, abs=0.01)


def test_what_is_hardly_known_moves():
    vague, clear = shrunken([Known(0.9, 0.5), *(Known(0.0, 0.05) for _ in range(20))], [])[:2]
    assert abs(vague) < 0.1
    assert abs(clear) < 0.02


def test_stores_do_not_mix():
    mine = [Known(0.3, 0.02), Known(0.25, 0.02)]
    others = [Known(-0.5, 0.02, space=1) for _ in range(5)]
    assert shrunken([*mine, *others], [])[:2] == shrunken(mine, [])


@given(known=st.lists(st.tuples(st.floats(-1, 1), st.floats(0.01, 2)), min_size=1, max_size=12))
def test_every_value_lies_between_what_was_measured_and_what_was_expected(known):
    effects, errors = (np.array(each) for each in zip(*known, strict=True))
    values, deviations = shrink(effects, errors)
    assert np.isfinite(values).all()
    assert (deviations > 0).all()
    assert (values >= min(0.0, effects.min()) - 1e-9).all()
    assert (values <= max(0.0, effects.max()) + 1e-9).all()


def test_shrinking_makes_estimates_better():
    """1,000 lessons with effects around 0.1, each measured badly."""
    chance = np.random.default_rng(9)
    true = chance.normal(0.1, 0.08, 1000)
    measured = chance.normal(true, 0.15)
    values, deviations = shrink(measured, np.full(1000, 0.15))
    assert np.mean((values - true) ** 2) < 0.35 * np.mean((measured - true) ** 2)
    assert np.mean(np.abs(values - true) < 1.96 * deviations) == pytest.approx(0.95, abs=0.03)
