"""What is known is a function of the set of events, however they came in."""

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_reflect.credit import difficulty, race, shrunken, trials, uplift
from langchain_reflect.credit.columns import PLACEBO, Episodes, Exposures
from tests.unit_tests.credit.worlds import reordered, world

WORLDS = st.builds(
    world,
    st.integers(0, 10**6),
    st.integers(0, 120),
    spaces=st.integers(1, 3),
    users=st.sampled_from([0, 5, 30]),
    missing=st.sampled_from([0.0, 0.4]),
)


def everything(episodes: Episodes, exposures: Exposures) -> tuple:
    baseline = difficulty(episodes)
    single, whole = trials(episodes, exposures, baseline), uplift(episodes, baseline)
    placebo = uplift(episodes, baseline, against=PLACEBO)
    return str(single), str(whole), str(placebo), str(shrunken(single, whole)), str(race(episodes, baseline))


@settings(max_examples=60, deadline=None)
@given(made=WORLDS, seed=st.integers(0, 10**6))
def test_the_order_in_which_events_are_read_does_not_show(made, seed):
    assert everything(*reordered(*made, seed)) == everything(*made)


@settings(max_examples=30, deadline=None)
@given(made=WORLDS, seed=st.integers(0, 10**6))
def test_a_correction_leaves_what_would_be_known_had_it_come_at_once(made, seed):
    episodes, exposures = made
    chance = np.random.default_rng(seed)
    wrong = dataclasses.replace(episodes, reward=np.where(chance.random(len(episodes.id)) < 0.3, 0.0, episodes.reward))
    wrong = dataclasses.replace(wrong, at=np.where(np.isnan(wrong.at), 1.0, wrong.at))
    first = everything(episodes, exposures)
    everything(wrong, exposures)
    assert everything(*reordered(episodes, exposures, seed)) == first


@settings(max_examples=30, deadline=None)
@given(made=WORLDS, seed=st.integers(0, 10**6))
def test_what_was_taken_back_counts_as_if_it_had_never_been_judged(made, seed):
    episodes, exposures = made
    gone = np.random.default_rng(seed).random(len(episodes.id)) < 0.3
    without = dataclasses.replace(episodes, reward=np.where(gone, np.nan, episodes.reward), at=np.where(gone, np.nan, episodes.at))
    kept_time = dataclasses.replace(without, at=episodes.at)
    assert everything(kept_time, exposures) == everything(without, exposures)


def test_other_spaces_and_other_trials_do_not_show():
    episodes, exposures = world(1, 300, spaces=3)
    baseline = difficulty(episodes)
    mine = exposures.trial == 9
    alone = Exposures(**{name: getattr(exposures, name)[mine] for name in Exposures.__slots__})
    both = {trial.trial: trial for trial in trials(episodes, exposures, baseline)}
    assert dataclasses.replace(trials(episodes, alone, baseline)[0], more=None) == dataclasses.replace(both[9], more=None)
    one = episodes.space == 1
    part = Episodes(**{name: getattr(episodes, name)[one] for name in Episodes.__slots__})
    whole = {each.space: each for each in uplift(episodes, baseline)}
    assert uplift(part, baseline[one]) == [whole[1]]
    assert race(part, baseline[one])[1] == race(episodes, baseline)[1]
