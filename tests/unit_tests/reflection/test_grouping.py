from datetime import timedelta
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_reflect.reflection.grouping import ready_groups, select
from langchain_reflect.reflection.policy import ReflectionPolicy

POLICY = ReflectionPolicy()


@pytest.fixture
def groups(rollout):
    """Ready groups shortly after the last rollout, or later."""

    def run(*rollouts, vectors=None, later=timedelta(0), policy=POLICY):
        now = max(r.episode.started_at for r in rollouts) + later
        return ready_groups(rollouts, vectors=vectors, policy=policy, now=now)

    return run


def test_three_that_differ_are_a_contrast(rollout, groups):
    (group,) = groups(rollout(1, 0.0), rollout(2, 1.0), rollout(3, 0.0))
    assert (group.reason, group.key, len(group.rollouts)) == ("contrast", "key:naming", 3)


def test_two_that_differ_wait_until_they_are_old(rollout, groups):
    pair = rollout(1, 0.0), rollout(2, 1.0)
    assert groups(*pair) == []
    assert [g.reason for g in groups(*pair, later=timedelta(days=2))] == ["age"]


def test_two_alike_never_get_old_enough(rollout, groups):
    assert groups(rollout(1, 0.0), rollout(2, 0.0), later=timedelta(days=99)) == []


def test_one_correction_is_enough(rollout, groups):
    assert [g.reason for g in groups(rollout(1, 0.0, "ask first"))] == ["feedback"]
    assert [g.reason for g in groups(rollout(1, None, "ask first"))] == ["feedback"]


def test_three_failures_alike_are_ready(rollout, groups):
    assert [g.reason for g in groups(*(rollout(n, 0.0) for n in range(3)))] == ["failures"]


def test_equal_successes_are_skipped_even_if_praised(rollout, groups):
    assert groups(*(rollout(n, 1.0, "well done") for n in range(5)), later=timedelta(days=9)) == []


def test_rollouts_without_judgement_are_passed_over(rollout, groups):
    (group,) = groups(rollout(1, 0.0, "no"), rollout(2, None), rollout(3, 0.0, status="running"))
    assert [r.episode.id for r in group.rollouts] == [UUID(int=1)]


def test_namespaces_and_graphs_are_never_mixed(rollout, groups):
    mine, theirs = rollout(1, 0.0), rollout(2, 1.0, namespace=("b",))
    other = rollout(3, 1.0, graph="other")
    assert groups(mine, theirs, other, later=timedelta(days=9)) == []


def test_without_key_near_tasks_form_a_group(rollout, groups):
    near = [rollout(n, float(n == 1), key=None, task=f"task {n}") for n in (1, 2, 3)]
    far = rollout(4, 0.0, "no", key=None, task="something else")
    vectors = {UUID(int=n): np.array([1, 0.1 * n], np.float32) / np.hypot(1, 0.1 * n) for n in (1, 2, 3)}
    vectors[UUID(int=4)] = np.array([0, 1], np.float32)

    found = groups(*near, far, vectors=vectors)
    assert [(g.reason, len(g.rollouts)) for g in found] == [("contrast", 3), ("feedback", 1)]
    assert found[0].key == "like:task 1"


def test_without_vectors_only_equal_texts_form_a_group(rollout, groups):
    same = [rollout(n, float(n == 1), key=None, task="Count\n the  rows" if n == 1 else "Count the rows") for n in (1, 2, 3)]
    assert [g.key for g in groups(*same)] == ["text:Count the rows"]


def test_selection_is_best_two_worst_two_and_the_median(rollout):
    rollouts = [rollout(n, n / 10) for n in range(9)]
    assert [r.reward for r in select(rollouts, 5)] == [0.8, 0.7, 0.4, 0.1, 0.0]


def test_a_rollout_with_feedback_only_counts_as_a_failure(rollout):
    assert [r.episode.id.int for r in select([rollout(1, None, "why"), rollout(2, 0.0), rollout(3, 1.0)], 2)] == [3, 1]


REWARDS = st.lists(st.tuples(st.none() | st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from(["a", "b", None])), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(REWARDS, st.randoms())
def test_order_of_input_never_matters(rollout, given, random):
    made = [rollout(n, reward, None if reward else "no", key=key, task=f"task {n % 2}") for n, (reward, key) in enumerate(given)]
    shuffled = random.sample(made, len(made))
    now = rollout(99, None).episode.started_at
    assert ready_groups(shuffled, policy=POLICY, now=now) == ready_groups(made, policy=POLICY, now=now)
    assert select(shuffled, 5) == select(made, 5)
