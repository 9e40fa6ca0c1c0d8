"""Which runs are made, and with which seeds: pure, repeatable, and without an overlap."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.practising.plan import Plan, gate_seed
from langchain_reflect.runs import PracticeTask, seed_of
from tests.unit_tests.naming_agent import VERBS, naming

TASKS = [PracticeTask.of(naming(verb)) for verb in VERBS]
ID = UUID(int=1)
OTHERS = [Plan(TASKS[:-1], 2, 0), Plan(TASKS, 3, 0), Plan(TASKS, 2, 1), Plan(TASKS, 2, 0, 0.5), Plan(TASKS, 2, 0, 0, 0.5)]


def seeds_of(plan, epochs=5):
    return [plan.job(cell, ID).seed for epoch in range(epochs) for cell in plan.cells(epoch)]


def test_no_two_epochs_share_a_seed_nor_do_practices_with_neighbouring_seeds():
    first, second = seeds_of(Plan(TASKS, 4, seed=0)), seeds_of(Plan(TASKS, 4, seed=1))
    gates = [gate_seed(0, group, epoch, task, 0) for group in ("a", "b") for epoch in range(5) for task in range(8)]
    assert len({*first, *second, *gates}) == len(first) + len(second) + len(gates)


def test_a_rollouts_seed_does_not_depend_on_how_many_there_are():
    few, many = Plan(TASKS[:2], 2, seed=3), Plan(TASKS, 6, seed=3)
    known = {(c.task, c.rollout): many.job(c, ID).seed for c in many.cells(1)}
    assert all(known[c.task, c.rollout] == few.job(c, ID).seed for c in few.cells(1))


@given(st.integers(-(2**40), 2**40), st.lists(st.integers(0, 10_000), max_size=4))
def test_seeds_are_what_models_take(seed, path):
    assert 0 <= seed_of(seed, *path) < 2**31
    assert seed_of(seed, *path) == seed_of(seed, *path)


@given(st.integers(1, 6), st.integers(1, 8), st.floats(0, 1), st.floats(0, 1), st.integers(0, 3))
def test_twins_have_the_task_and_seed_of_their_rollout(rollouts, tasks, control, placebo, epoch):
    plan = Plan(TASKS[:tasks], rollouts, 7, control, placebo)
    cells = plan.cells(epoch)
    seed = {(c.task, c.rollout): plan.job(c, ID).seed for c in cells if c.arm == "treated"}
    twins = [c for c in cells if c.arm != "treated"]
    assert len(seed) == rollouts * tasks
    assert len({c.key for c in cells}) == len(cells)
    assert all(plan.job(c, ID).seed == seed[c.task, c.rollout] for c in twins)
    for arm, share in (("holdout", control), ("placebo", placebo)):
        assert sum(c.arm == arm for c in twins) == (max(1, round(share * rollouts * tasks)) if share else 0)


def test_every_task_has_a_twin_before_one_has_two():
    cells = Plan(TASKS, 4, 0, control=0.25).cells(0)
    assert sorted(c.task for c in cells if c.arm == "holdout") == list(range(8))


def test_without_twins_chance_draws_the_arms_as_in_any_run():
    assert {Plan(TASKS, 1, 0).job(c, ID).arm for c in Plan(TASKS, 1, 0).cells(0)} == {None}
    assert {c.arm for c in Plan(TASKS, 1, 0, placebo=0.5).cells(0)} == {"treated", "placebo"}


@pytest.mark.parametrize("other", OTHERS)
def test_other_plans_have_other_digests(other):
    plan = Plan(TASKS, 2, 0)
    assert plan.digest([], "none") == Plan(list(TASKS), 2, 0).digest([], "none")
    assert len({plan.digest([], "none"), plan.digest(TASKS, "none"), plan.digest([], "other"), other.digest([], "none")}) == 4


def test_a_digest_does_not_depend_on_where_objects_lie_in_memory():
    tasks = [PracticeTask({"question": object()}, reference=object()) for _ in range(2)]
    assert Plan(tasks[:1], 1, 0).digest([], "") == Plan(tasks[1:], 1, 0).digest([], "")
