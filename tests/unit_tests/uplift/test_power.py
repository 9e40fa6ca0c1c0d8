"""What a measurement can show is known before it is made."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_reflect.errors import InvalidInput
from langchain_reflect.uplift.paired import compare
from langchain_reflect.uplift.power import _exact_power, detectable_effect, shown_by, tasks_needed


@pytest.mark.parametrize(
    ("tasks", "effect", "uneven", "power"),
    [
        (12, 0.5, 0.5, 0.6127929687500),
        (36, 0.3, 0.4, 0.8130785033433),
        (100, 0.18, 0.4, 0.7910393463029),
        (100, 0.18, 0.3, 0.9042520548552),
    ],
)
def test_power_is_that_of_summing_scipys_binomials(tasks, effect, uneven, power):
    assert _exact_power(tasks, effect, uneven) == pytest.approx(power)


def test_five_tasks_can_show_nothing_and_six_nearly_nothing():
    assert detectable_effect(5) is None
    assert detectable_effect(6) > 0.9


def test_more_tasks_and_more_repeats_show_smaller_effects():
    assert detectable_effect(200) < detectable_effect(50) < detectable_effect(20)
    assert detectable_effect(50, 3) < detectable_effect(50)
    assert detectable_effect(50, 3, alike=1.0) == detectable_effect(50)
    assert detectable_effect(50, discordance=0.1) < detectable_effect(50)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.05, 1.0), st.integers(1, 4))
def test_as_many_tasks_as_are_needed_show_the_effect_and_fewer_do_not(effect, repeats):
    tasks = tasks_needed(effect, repeats)
    assert detectable_effect(tasks, repeats) <= effect + 0.001
    assert tasks == 1 or (detectable_effect(tasks - 1, repeats) or 2.0) > effect - 0.001


def test_afterwards_the_figures_are_of_the_tasks_that_came_out_differently():
    assert shown_by(compare([1.0] * 5 + [0.0]), 6) == (detectable_effect(6), 8)
    assert shown_by(compare([1.0] * 5 + [0.0] * 3), 8) == (detectable_effect(8), 11)
    assert shown_by(compare([1.0, -1.0] * 5 + [0.0] * 30), 40) == (detectable_effect(40, discordance=11 / 42), None)


def test_five_units_show_nothing_however_alike_they_are():
    assert shown_by(compare([0.5] * 5), 5) == (None, 6)
    assert shown_by(compare([0.5, 0.5, 0.5, 0.4] * 5, list("abcd") * 5), 20)[0] is None
    assert shown_by(compare([0.5] * 20), 20)[0] < 0.5


def test_formula_and_exact_power_meet():
    assert detectable_effect(200) == pytest.approx(detectable_effect(201), abs=0.01)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: detectable_effect(0), "tasks=0"),
        (lambda: detectable_effect(5, 0), "repeats=0"),
        (lambda: detectable_effect(5, discordance=1.5), "discordance=1.5"),
        (lambda: tasks_needed(0.0), "effect=0.0"),
        (lambda: tasks_needed(0.0001), "more than 1,000,000 tasks"),
        (lambda: tasks_needed(2.0), "effect=2.0"),
    ],
)
def test_numbers_that_cannot_be_meant_are_refused(call, says):
    with pytest.raises(InvalidInput, match=says):
        call()
