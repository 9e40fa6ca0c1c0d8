"""How much reward was to be expected of a run."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_reflect.credit import difficulty
from langchain_reflect.credit.hardness import ALIKE, ANY, RECENT
from langchain_reflect.errors import InvalidInput
from tests.unit_tests.credit.worlds import columns, world


def slowly(episodes):
    """The definition, run by run."""
    time = np.where(np.isnan(episodes.at), np.inf, episodes.at)
    order = np.lexsort((episodes.id, time))
    found = np.empty(len(order))
    for n, row in enumerate(order):
        earlier = [e for e in order[:n] if episodes.trusted[e] and not np.isnan(episodes.reward[e])]

        def sums(key, earlier=earlier, row=row):
            alike = [e for e in earlier if key[e] == key[row]][-RECENT:]
            others = [e for e in alike if episodes.unit[e] != episodes.unit[row]]
            return sum(episodes.reward[e] for e in others), len(others)

        (of_space, many), (of_group, few) = sums(episodes.space), sums(episodes.group)
        overall = (of_space + ANY / 2) / (many + ANY)
        found[row] = np.clip((of_group + ALIKE * overall) / (few + ALIKE), 0.02, 0.98)
    return found


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 260), users=st.sampled_from([0, 3, 40]), spaces=st.integers(1, 2))
def test_it_is_the_mean_of_what_was_judged_before(seed, count, users, spaces):
    episodes, _ = world(seed, count, users=users, spaces=spaces)
    assert difficulty(episodes) == pytest.approx(slowly(episodes), abs=1e-9)


def test_nothing_known_is_half():
    assert difficulty(columns(1)).tolist() == [0.5]


def test_own_rewards_never_count():
    episodes = columns(40, unit=np.zeros(40, np.int64), reward=np.ones(40))
    assert difficulty(episodes).tolist() == [0.5] * 40


def test_a_later_reward_does_not_change_an_earlier_baseline():
    episodes, _ = world(2, 100, missing=0.0)
    last = np.lexsort((episodes.id, episodes.at))[-20:]
    reward = episodes.reward.copy()
    reward[last] = 1 - reward[last]
    before = np.setdiff1d(np.arange(100), last)
    assert difficulty(dataclasses.replace(episodes, reward=reward))[before].tolist() == difficulty(episodes)[before].tolist()


def test_judge_models_do_not_count():
    episodes = columns(50, reward=np.ones(50), trusted=np.zeros(50, np.bool_))
    assert set(difficulty(episodes).tolist()) == {0.5}


def test_easy_tasks_are_told_from_hard_ones():
    group = np.arange(200) % 2
    baseline = difficulty(columns(200, group=group, reward=group.astype(float)))
    assert (baseline[-2] < 0.1, baseline[-1] > 0.9) == (True, True)


def test_it_follows_a_change():
    reward = np.repeat([0.0, 1.0], 300)
    baseline = difficulty(columns(600, reward=reward))
    assert baseline[299] < 0.05
    assert baseline[-1] > 0.95


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("reward", 1.2, "reward is 1.2"),
        ("reward", -0.1, "in \\[0, 1\\]"),
        ("reward", np.inf, "reward is inf"),
        ("control", np.nan, "control is nan"),
    ],
)
def test_values_out_of_range_are_refused(column, value, told):
    wrong = np.full(3, 0.5)
    wrong[1] = value
    with pytest.raises(InvalidInput, match=told):
        difficulty(columns(3, **{column: wrong}))


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(InvalidInput, match="differ in length"):
        difficulty(dataclasses.replace(columns(3), unit=np.arange(2)))


def test_a_reward_without_a_time_is_refused():
    with pytest.raises(InvalidInput, match="no time"):
        difficulty(dataclasses.replace(columns(3), at=np.full(3, np.nan)))
