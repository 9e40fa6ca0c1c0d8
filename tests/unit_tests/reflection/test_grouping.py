from datetime import timedelta
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_reflect.reflection.clustering import clusters
from langchain_reflect.reflection.grouping import ready_groups, select
from langchain_reflect.reflection.policy import ReflectionPolicy
from langchain_reflect.types import Fingerprint
from tests.unit_tests.reflection.conftest import START

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


def test_among_equals_corrected_rollouts_are_shown(rollout):
    failures = [rollout(n, 0.0, "ask first" if n in (3, 4) else None) for n in range(2, 8)]
    shown = select([rollout(0, 1.0), rollout(1, 1.0), *failures], 4)
    assert [r.episode.id.int for r in shown] == [0, 1, 3, 4]


def known(rollout):
    return rollout.model_copy(update={"news": "none"})


def test_a_rollout_with_news_is_shown_before_what_is_known(rollout):
    seen = [known(rollout(n, float(n < 3), "no" if n == 5 else None)) for n in range(6)]
    assert rollout(9, 0.0) in select([*seen, rollout(9, 0.0)], 5)


def test_one_more_success_is_no_news(rollout, groups):
    seen = [known(rollout(n, float(n == 1))) for n in range(4)]
    assert groups(*seen) == []
    assert groups(*seen, rollout(8, 1.0), rollout(9, 0.9)) == []
    assert [len(g.rollouts) for g in groups(*seen, rollout(8, 1.0), rollout(9, 0.0))] == [6]
    assert [g.reason for g in groups(*seen, rollout(9, 1.0, "but too slow"))] == ["contrast"]


def test_a_first_success_after_failures_is_news(rollout, groups):
    assert [g.reason for g in groups(*(known(rollout(n, 0.0)) for n in range(4)), rollout(9, 1.0))] == ["contrast"]


def test_failures_alike_are_reflected_on_once(rollout, groups):
    seen = [known(rollout(n, 0.0)) for n in range(3)]
    assert groups(*seen, rollout(9, 0.0)) == []
    assert [g.reason for g in groups(*seen, rollout(9, 0.0, shown=("L-1",)))] == ["failures"], "the lesson did not help"
    assert [g.reason for g in groups(*seen, rollout(9, 0.0, "ask first"))] == ["feedback"]


def test_a_changed_judgement_reopens_its_group(rollout, groups):
    seen = [known(rollout(n, float(n < 3))) for n in range(6)]
    changed = rollout(9, 1.0).model_copy(update={"news": "changed"})
    assert [len(g.rollouts) for g in groups(*seen, changed)] == [7]


def test_of_what_is_known_only_some_come_along(rollout, groups):
    seen = [known(rollout(n, float(n % 2))) for n in range(99)]
    (group,) = groups(*seen, rollout(100, 0.0))
    assert len(group.rollouts) == POLICY.siblings + 1
    assert {r.reward for r in group.rollouts} == {0.0, 1.0}
    assert group.rollouts[-1].episode.id.int == 100


def test_the_group_with_the_oldest_news_comes_first(rollout, groups):
    reopened = [known(rollout(1, 0.0, key="old")), rollout(9, 0.0, "no", key="old")]
    assert [g.key for g in groups(*reopened, rollout(5, 0.0, "no", key="new"))] == ["key:new", "key:old"]


# Versions of the agent


def of(rollout, model):
    episode = rollout.episode.model_copy(update={"fingerprint": Fingerprint(model=model)})
    return rollout.model_copy(update={"episode": episode})


def test_one_version_that_can_be_compared_with_itself_is(rollout, groups):
    mine = [of(rollout(n, float(n == 1)), "a") for n in (1, 2, 3)]
    theirs = [of(rollout(n, 0.0), "b") for n in (4, 5)]
    (group,) = groups(*mine, *theirs)
    assert (group.reason, {r.episode.fingerprint.model for r in group.rollouts}) == ("contrast", {"a"})


def test_what_is_left_joins_the_task_once_the_first_group_is_done(rollout, groups):
    done = [known(of(rollout(n, float(n == 1)), "a")) for n in (1, 2, 3)]
    left = [of(rollout(n, 0.0), "b") for n in (4, 5)]
    (group,) = groups(*done, *left)
    assert len(group.rollouts) == 5
    assert groups(*done, *(known(r) for r in left)) == [], "and then it is done too"


def test_what_is_left_is_a_group_if_it_is_ready_by_itself(rollout, groups):
    mine = [of(rollout(n, float(n == 1)), "a") for n in (1, 2, 3)]
    left = [of(rollout(4, 0.0, "ask first"), "b"), of(rollout(5, 0.0), "c")]
    assert [(g.reason, len(g.rollouts)) for g in groups(*mine, *left)] == [("contrast", 3), ("feedback", 2)]


def test_versions_are_mixed_where_none_has_enough(rollout, groups):
    few = [of(rollout(1, 1.0), "a"), of(rollout(2, 0.0), "b"), of(rollout(3, 0.0), "c")]
    assert [len(g.rollouts) for g in groups(*few)] == [3]
    assert groups(*few, policy=ReflectionPolicy(mix="never"), later=timedelta(days=9)) == []


def test_mixing_may_be_all_or_nothing(rollout, groups):
    mine = [of(rollout(n, float(n == 1)), "a") for n in (1, 2, 3)]
    theirs = [of(rollout(n, float(n == 4)), "b") for n in (4, 5, 6)]
    assert [len(g.rollouts) for g in groups(*mine, *theirs, policy=ReflectionPolicy(mix="always"))] == [6]
    assert [len(g.rollouts) for g in groups(*mine, *theirs, policy=ReflectionPolicy(mix="never"))] == [3, 3]
    assert [len(g.rollouts) for g in groups(*mine, *theirs)] == [3, 3]


# What holds for any rollouts

MADE = st.lists(
    st.tuples(
        st.none() | st.sampled_from([0.0, 0.04, 0.5, 1.0]),
        st.sampled_from([None, "no"]),
        st.sampled_from(["a", "b", None]),
        st.sampled_from([None, Fingerprint(), Fingerprint(model="m"), Fingerprint(model="m", prompt="p"), Fingerprint(model="n")]),
        st.sampled_from(["new", "changed", "none"]),
        st.integers(0, 2),
    ),
    max_size=14,
)
POLICIES = st.sampled_from([ReflectionPolicy(mix=mix, siblings=3) for mix in ("prefer_same", "never", "always")])
TASKS = np.array([[1, 0], [0.9, 0.43589], [0, 1]], np.float32)
NOW = START + timedelta(hours=30)
anything = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def built(rollout, made):
    """Rollouts and the vectors of their tasks."""
    rollouts = [
        rollout(n, reward, feedback, key=key, task=f"task {task}", fingerprint=agent).model_copy(update={"news": news})
        for n, (reward, feedback, key, agent, news, task) in enumerate(made)
    ]
    return rollouts, {r.episode.id: TASKS[int(r.episode.task[-1])] for r in rollouts}


def found(rollouts, vectors, policy):
    return ready_groups(rollouts, vectors=vectors, policy=policy, now=NOW)


@anything
@given(MADE, POLICIES, st.randoms())
def test_order_of_input_never_matters(rollout, made, policy, random):
    rollouts, vectors = built(rollout, made)
    shuffled = random.sample(rollouts, len(rollouts))
    assert found(shuffled, vectors, policy) == found(rollouts, vectors, policy)
    assert clusters(shuffled, vectors, policy.similar) == clusters(rollouts, vectors, policy.similar)
    assert select(shuffled, 5) == select(rollouts, 5)


@anything
@given(MADE, POLICIES)
def test_no_group_is_without_signal_or_news_and_no_rollout_is_in_two(rollout, made, policy):
    rollouts, vectors = built(rollout, made)
    groups = found(rollouts, vectors, policy)
    for group in groups:
        rewards = [r.reward for r in group.rollouts if r.reward is not None]
        differ = bool(rewards) and max(rewards) - min(rewards) >= policy.spread
        assert differ or any(r.feedback for r in group.rollouts) or max(rewards) < policy.success
        assert any(r.news != "none" for r in group.rollouts)
        assert {(r.episode.namespace, r.episode.graph, r.episode.task_key) for r in group.rollouts} == {
            (group.namespace, group.graph, group.rollouts[0].episode.task_key)
        }
    members = [r.episode.id for g in groups for r in g.rollouts]
    assert len(members) == len(set(members))


@anything
@given(MADE)
def test_every_rollout_is_in_exactly_one_cluster(rollout, made):
    rollouts, vectors = built(rollout, made)
    parts = clusters([*rollouts, *rollouts], vectors, 0.8)
    assert sorted(r.episode.id for c in parts for r in c.rollouts) == [r.episode.id for r in rollouts]


@anything
@given(MADE, POLICIES)
def test_what_was_reflected_on_leads_to_no_other_group(rollout, made, policy):
    """Rounds of reflection end, and none of them sees the same news twice."""
    rollouts, vectors = built(rollout, made)
    for _ in range(len(rollouts) + 1):
        groups = found(rollouts, vectors, policy)
        assert found([*rollouts, *rollouts], vectors, policy) == groups
        done = {r.episode.id for g in groups for r in g.rollouts}
        rollouts = [r.model_copy(update={"news": "none"}) if r.episode.id in done else r for r in rollouts]
    assert groups == []


@anything
@given(MADE, st.integers(2, 7))
def test_a_selection_has_both_ends_and_keeps_to_its_size(rollout, made, size):
    rollouts, _ = built(rollout, made)
    shown = select(rollouts, size)
    assert len(shown) == min(size, len(rollouts))
    assert len({r.episode.id for r in shown}) == len(shown)
    rewards = [-1.0 if r.reward is None else r.reward for r in rollouts]
    seen = [-1.0 if r.reward is None else r.reward for r in shown]
    assert seen == sorted(seen, reverse=True)
    assert not rollouts or (seen[0], seen[-1]) == (max(rewards), min(rewards))


@anything
@given(MADE, st.sampled_from([0.0, 1.0]))
def test_a_group_that_grows_keeps_its_key(rollout, made, reward):
    rollouts, vectors = built(rollout, made)
    policy = ReflectionPolicy(mix="always")
    before = clusters(rollouts, vectors, policy.similar)
    newest = rollout(99, reward, key=None, task="task 0")
    after = clusters([*rollouts, newest], {**vectors, newest.episode.id: TASKS[0]}, policy.similar)
    assert {c.key for c in before} <= {c.key for c in after}
    for old in before:
        assert old.rollouts in [new.rollouts[: len(old.rollouts)] for new in after if new.key == old.key]
