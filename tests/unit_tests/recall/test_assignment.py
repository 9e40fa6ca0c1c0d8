import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.recall.assignment import arm_of, draw, is_withheld

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
