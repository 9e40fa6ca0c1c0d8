import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_reflect.recall.assignment import arm_of, dose_of, draw, is_withheld

NAMESPACE = ("acme", "support")


@given(st.lists(st.text()))
def test_a_draw_is_repeatable_and_in_range(key):
    assert draw(*key) == draw(*key)
    assert 0.0 <= draw(*key) < 1.0


@pytest.mark.parametrize("probability", [0.05, 0.1, 0.25, 0.5])
def test_frequencies_are_near_the_probabilities(probability):
    held = sum(arm_of(NAMESPACE, f"run-{n}", holdout=probability) == "holdout" for n in range(20_000)) / 20_000
    withheld = sum(is_withheld(NAMESPACE, f"run-{n}", "L-a", probability=probability) for n in range(20_000)) / 20_000
    assert held == pytest.approx(probability, abs=0.015)
    assert withheld == pytest.approx(probability, abs=0.015)


def test_zero_is_never_and_one_is_always():
    assert {arm_of(NAMESPACE, str(n), holdout=0.0) for n in range(500)} == {"treated"}
    assert {arm_of(NAMESPACE, str(n), holdout=1.0) for n in range(500)} == {"holdout"}


def test_arm_and_lessons_are_drawn_independently():
    units = [str(n) for n in range(20_000)]
    held = [arm_of(NAMESPACE, unit, holdout=0.5) == "holdout" for unit in units]
    first = [is_withheld(NAMESPACE, unit, "L-a", probability=0.5) for unit in units]
    second = [is_withheld(NAMESPACE, unit, "L-b", probability=0.5) for unit in units]
    for one, other in [(held, first), (first, second), (held, second)]:
        assert sum(a == b for a, b in zip(one, other, strict=True)) / len(units) == pytest.approx(0.5, abs=0.015)


def test_salt_and_namespace_change_the_assignment():
    def arms(namespace, salt):
        return [arm_of(namespace, str(n), salt=salt, holdout=0.5) for n in range(100)]

    assert arms(NAMESPACE, "") == arms(NAMESPACE, "")
    assert arms(NAMESPACE, "") != arms(NAMESPACE, "2")
    assert arms(NAMESPACE, "") != arms(("acme",), "")


def test_parts_of_a_key_do_not_run_into_each_other():
    assert draw(("a", "b"), "c") != draw(("a",), "bc")
    assert draw("ab", "c") != draw("a", "bc")


def test_three_arms_have_their_shares_and_a_placebo_takes_only_treated_units():
    units = [str(n) for n in range(20_000)]
    without = [arm_of(NAMESPACE, unit, holdout=0.2) for unit in units]
    arms = [arm_of(NAMESPACE, unit, holdout=0.2, placebo=0.3) for unit in units]
    assert [arms.count(arm) / len(units) for arm in ("holdout", "placebo")] == pytest.approx([0.2, 0.3], abs=0.015)
    assert all((a == "holdout") == (b == "holdout") for a, b in zip(arms, without, strict=True))


@given(st.dictionaries(st.integers(1, 3), st.floats(0.05, 1.0), min_size=1))
@settings(max_examples=10)
def test_doses_have_their_shares(given_shares):
    doses = {dose: share / sum(given_shares.values()) for dose, share in given_shares.items()}
    drawn = [dose_of(NAMESPACE, str(n), doses=doses) for n in range(5_000)]
    assert [drawn.count(dose) / len(drawn) for dose in doses] == pytest.approx(list(doses.values()), abs=0.03)


def test_dose_arm_and_lessons_are_drawn_independently():
    units = [str(n) for n in range(20_000)]
    dose = [dose_of(NAMESPACE, unit, doses={1: 0.5, 2: 0.5}) == 1 for unit in units]
    arm = [arm_of(NAMESPACE, unit, holdout=0.25, placebo=0.25) != "treated" for unit in units]
    lesson = [is_withheld(NAMESPACE, unit, "L-a", probability=0.5) for unit in units]
    for one, other in [(dose, arm), (dose, lesson)]:
        assert sum(a == b for a, b in zip(one, other, strict=True)) / len(units) == pytest.approx(0.5, abs=0.015)


def test_a_promotion_moves_units_only_from_withheld_to_shown():
    for n in range(2_000):
        candidate, active = (is_withheld(NAMESPACE, str(n), "L-a", probability=p) for p in (0.25, 0.05))
        assert candidate or not active


def test_another_process_draws_the_same():
    code = "from langchain_reflect.recall.assignment import *; print([arm_of(('a',), str(n), holdout=.5) for n in range(50)])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}).stdout
    assert out.strip() == str([arm_of(("a",), str(n), holdout=0.5) for n in range(50)])
