"""Paired differences: known values of other programs, honest intervals, one unit per task."""

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.errors import InvalidInput
from langchain_reflect.uplift.paired import (
    GRADED,
    YES_NO,
    compare,
    exact_conditional,
    mcnemar,
    mean_interval,
    paired_interval,
    sign_flip,
    tango,
)

DIFFERENCES = st.lists(st.floats(-1, 1), min_size=1, max_size=40)
COUNTS = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30)).filter(any)


@pytest.mark.parametrize(
    ("wins", "losses", "p"),
    [(6, 0, 0.03125), (10, 2, 0.03857421875), (25, 7, 0.0021024015732), (0, 0, 1.0), (3, 3, 1.0), (120, 90, 0.0451140878648)],
)
def test_mcnemars_p_is_that_of_statsmodels(wins, losses, p):
    assert mcnemar(wins, losses) == pytest.approx(p)
    assert mcnemar(losses, wins) == mcnemar(wins, losses)


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ((6, 0, 6), 0.219331422589, 1.0),
        ((10, 2, 30), 0.045604321315, 0.468465577167),
        ((40, 20, 160), 0.030864532357, 0.218064244895),
        ((1, 5, 12), -0.639080492677, 0.075532948975),
    ],
)
def test_the_score_interval_is_that_of_a_likelihood_maximised_numerically(counts, low, high):
    assert tango(*counts) == pytest.approx((low, high), abs=1e-7)


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [((6, 0, 6), 0.081483747120, 1.0), ((10, 2, 30), 0.012689801051, 0.383309979632), ((1, 5, 12), -0.495789255486, 0.141234578998)],
)
def test_the_conditional_interval_is_clopper_and_pearsons(counts, low, high):
    assert exact_conditional(*counts) == pytest.approx((low, high))


@pytest.mark.parametrize(
    ("sums", "p"),
    [
        ([0.5, 0.2, -0.1, 0.3, 0.4, -0.05], 0.125),
        ([0.5, 0.2, -0.1, 0.3, 0.4, -0.05, 0.7, 0.6, 0.1, 0.2, -0.3, 0.25], 0.02392578125),
    ],
)
def test_the_sign_flip_p_is_that_of_scipys_permutation_test(sums, p):
    assert sign_flip(sums) == pytest.approx(p)


def test_many_units_are_flipped_at_random_to_nearly_the_same_p():
    sums = [0.71, -0.67, 0.23, -0.07, -0.04, 0.04, -0.51, 0.03, -0.16, 1.1, 0.17, -0.01, 0.02, -0.1, -0.22, -0.02, 0.24, 0.03, 0.39, 0.04]
    sums += [0.11, 0.56, 0.26, -0.05, 0.05, 0.26, 0.68, 0.02, 0.03, 0.4]
    assert sign_flip(sums) == pytest.approx(0.0744, abs=0.006)
    assert sign_flip(sums) == sign_flip(list(sums))


@given(st.integers(0, 9), st.integers(0, 9))
def test_flipping_signs_of_wins_and_losses_is_mcnemars_test(wins, losses):
    assert sign_flip([1.0] * wins + [-1.0] * losses) == pytest.approx(mcnemar(wins, losses), abs=0.02)


@given(COUNTS)
def test_an_interval_that_excludes_zero_never_contradicts_the_test(counts):
    wins, losses, even = counts
    found = compare([1.0] * wins + [-1.0] * losses + [0.0] * even)
    assert found.method == YES_NO
    assert (found.wins, found.losses, found.units) == (wins, losses, sum(counts))
    if found.low > 0 or found.high < 0:
        assert found.p <= 0.05


@pytest.mark.parametrize("tasks", [6, 12, 20])
@pytest.mark.parametrize(("win", "loss"), [(0.0, 0.0), (0.1, 0.1), (0.3, 0.3), (0.5, 0.0), (0.8, 0.0), (0.6, 0.2), (0.5, 0.5), (0.2, 0.05)])
def test_the_interval_of_yes_and_no_covers_the_truth(tasks, win, loss):
    covered = 0.0
    for wins, losses in product(range(tasks + 1), repeat=2):
        even = tasks - wins - losses
        if even < 0:
            continue
        chance = math.comb(tasks, wins) * math.comb(tasks - wins, losses) * win**wins * loss**losses * (1 - win - loss) ** even
        if chance > 1e-9:
            found = compare([1.0] * wins + [-1.0] * losses + [0.0] * even)
            covered += chance * (found.low - 1e-9 <= win - loss <= found.high + 1e-9)
    assert covered >= 0.94


@given(DIFFERENCES)
def test_any_interval_lies_within_the_possible_and_holds_the_mean(differences):
    found = compare(differences)
    assert -1.0 <= found.low <= found.mean + 1e-9
    assert found.mean - 1e-9 <= found.high <= 1.0
    assert 0.0 < found.p <= 1.0


@given(DIFFERENCES)
def test_the_formula_mirrors(differences):
    low, high = paired_interval(differences)
    assert -1.0 <= low <= high <= 1.0
    assert paired_interval([-d for d in differences]) == pytest.approx((-high, -low))


def test_few_tasks_that_agree_are_no_certainty():
    assert compare([1.0]).low < 0.0
    assert 0.0 < compare([1.0] * 6).low < 0.2
    assert compare([1.0] * 200).low > 0.95
    assert paired_interval([1.0] * 6)[0] < 0.9


def test_graded_rewards_are_bootstrapped():
    found = compare([0.5, 0.2, -0.1, 0.3, 0.4, -0.05, 0.7, 0.6, 0.1, 0.2, -0.3, 0.25])
    assert found.method == GRADED
    bootstrapped_by_scipy = (0.0708, 0.3875)  # without the win and the loss that are added here
    assert found.low < bootstrapped_by_scipy[0]
    assert found.high > bootstrapped_by_scipy[1]


def test_tasks_of_one_cluster_are_one_unit():
    differences = [1.0] * 5 + [0.0] * 5 + [1.0] * 5
    alone, together = compare(differences), compare(differences, ["a"] * 5 + ["b"] * 5 + ["c"] * 5)
    assert alone.mean == together.mean
    assert (alone.units, together.units) == (15, 3)
    assert alone.p < 0.01 < together.p
    assert together.high - together.low > alone.high - alone.low


def test_clusters_of_one_task_change_nothing():
    differences = [0.5, 0.25, -0.5, 0.0]
    assert compare(differences, list("abcd")) == compare(differences)


def test_clusters_may_differ_in_size():
    found = compare([1.0, 1.0, 1.0, 0.0], ["a", "a", "a", "b"])
    assert found.mean == 0.75
    assert found.low < 0.0


def test_the_interval_of_an_arm_is_jeffreys():
    assert mean_interval([1.0] * 7 + [0.0] * 13) == pytest.approx((0.1723, 0.5678), abs=0.01)
    assert mean_interval([1.0] * 5)[1] == 1.0


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InvalidInput, match="at least one"):
        compare([])
    with pytest.raises(InvalidInput, match="1 clusters for 2 tasks"):
        compare([0.0, 1.0], ["a"])
