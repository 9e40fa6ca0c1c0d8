"""Trials of single lessons."""

import dataclasses
import math

import numpy as np
import pytest

from langchain_reflect.credit import DECIDED, difficulty, trials
from langchain_reflect.credit.columns import HOLDOUT, OTHER, TREATED
from langchain_reflect.errors import InvalidInput
from tests.unit_tests.credit.worlds import columns, exposed, world


def tried(episodes, exposures):
    return trials(episodes, exposures, difficulty(episodes))


def runs(count, lift, *, seed=0, base=0.4, **given):
    chance = np.random.default_rng(seed)
    shown = chance.random(count) < 0.75
    episodes = columns(count, reward=(chance.random(count) < base + lift * shown).astype(float), **given)
    return episodes, exposed(episodes, shown)


@pytest.mark.parametrize(("lift", "verdict"), [(0.4, "helps"), (-0.35, "hurts"), (0.0, "undecided")])
def test_the_verdict_is_what_is_true(lift, verdict):
    (found,) = tried(*runs(400, lift))
    assert found.verdict == verdict
    assert found.low <= lift <= found.high
    assert (found.more == 0) == (verdict != "undecided")


def test_a_unit_counts_once():
    episodes, exposures = runs(40, 0.4, unit=np.arange(40) // 4)
    shown = np.repeat(exposures.shown[::4], 4)
    (found,) = tried(episodes, dataclasses.replace(exposures, shown=shown))
    assert found.shown + found.withheld == 10


def test_what_is_not_judged_is_pending_and_changes_nothing_else():
    episodes, exposures = runs(100, 0.3)
    gone = np.arange(100) % 3 == 0
    less = dataclasses.replace(episodes, reward=np.where(gone, np.nan, episodes.reward), at=np.where(gone, np.nan, episodes.at))
    (found,) = tried(less, exposures)
    assert (found.pending_shown, found.pending_withheld) == (int((gone & exposures.shown).sum()), int((gone & ~exposures.shown).sum()))
    assert (found.shown, found.withheld) == (int((~gone & exposures.shown).sum()), int((~gone & ~exposures.shown).sum()))


def test_judge_models_alone_never_decide():
    episodes, exposures = runs(1000, 0.5, trusted=np.zeros(1000, np.bool_))
    (found,) = tried(episodes, exposures)
    assert (found.raised, found.lowered, found.verdict, found.judge_only) == (0.0, 0.0, "undecided", 1000)
    assert (found.shown, found.pending_shown, math.isnan(found.effect), found.low, found.high) == (0, 0, True, -1.0, 1.0)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_without_chance_there_is_no_trial(probability):
    episodes, exposures = runs(50, 0.4)
    assert tried(episodes, dataclasses.replace(exposures, probability=np.full(50, probability))) == []


def test_forced_runs_do_not_count():
    episodes, exposures = runs(50, 0.4, arm=np.full(50, OTHER))
    assert tried(episodes, exposures) == []
    episodes, exposures = runs(50, 0.4, arm=np.where(np.arange(50) < 20, OTHER, TREATED))
    assert tried(episodes, exposures)[0].shown + tried(episodes, exposures)[0].withheld == 30


def test_one_judged_run_is_no_knowledge():
    episodes, exposures = runs(1, 0.4)
    (found,) = tried(episodes, exposures)
    assert (math.isnan(found.effect), found.error, found.verdict) == (True, math.inf, "undecided")
    assert found.more > 100
    assert -1 <= found.low < 0 < found.high <= 1


def test_two_runs_are_hardly_more():
    episodes = columns(2, reward=[1.0, 0.0])
    (found,) = tried(episodes, exposed(episodes, [True, False]))
    assert found.effect > 0.5
    assert found.error > 0.5


@pytest.mark.parametrize("seed", range(3))
def test_a_lesson_that_is_seldom_withheld_needs_about_four_times_as_many_runs(seed):
    """Withheld 5 % as active lessons are, and 25 % as those on trial: the evidence grows with p (1 - p)."""
    chance, more = np.random.default_rng(seed), {}
    for probability in (0.75, 0.95):
        episodes = columns(30, reward=(chance.random(30) < 0.5).astype(float))
        (found,) = tried(episodes, exposed(episodes, chance.random(30) < probability, probability=probability))
        more[probability] = found.more
    assert 2 < more[0.95] / more[0.75] < 6


def test_a_lesson_is_at_home_where_it_is_used_most():
    episodes = columns(10, space=[3] * 4 + [5] * 6)
    (found,) = tried(episodes, exposed(episodes, np.arange(10) % 2))
    assert found.space == 5


def test_withholding_less_later_does_not_mislead():
    """Tasks grow easier while the lesson is withheld less: who mixes the runs believes that it helps."""
    chance = np.random.default_rng(4)
    late = np.arange(4000) >= 2000
    probability = np.where(late, 0.95, 0.5)
    shown = chance.random(4000) < probability
    reward = (chance.random(4000) < np.where(late, 0.9, 0.3)).astype(float)
    episodes = columns(4000, reward=reward)
    (found,) = tried(episodes, exposed(episodes, shown, probability=probability))
    assert reward[shown].mean() - reward[~shown].mean() > 0.2
    assert abs(found.effect) < 0.05
    assert found.verdict == "undecided"


def test_hard_tasks_are_no_harm():
    """The lesson fits hard tasks only; a success rate would retire it."""
    chance = np.random.default_rng(6)
    shown = chance.random(800) < 0.75
    episodes = columns(800, reward=(chance.random(800) < 0.1 + 0.2 * shown).astype(float))
    (found,) = tried(episodes, exposed(episodes, shown))
    assert found.verdict == "helps"


def test_looking_again_and_again_is_safe():
    """300 useless lessons, looked at after each of 300 runs."""
    from langchain_reflect.credit.betting import paths
    from langchain_reflect.credit.comparing import Runs, observed_of

    chance = np.random.default_rng(7)
    count = 300 * 300
    store = np.repeat(np.arange(300), 300)
    episodes = columns(count, space=store, group=store, reward=(chance.random(count) < 0.5).astype(float))
    runs = Runs(store, np.arange(count), chance.random(count) < 0.75, np.full(count, 0.75))
    observed = observed_of(episodes, runs, difficulty(episodes), np.ones(count, np.bool_))
    for path in paths(observed):
        wrong = np.unique(np.repeat(observed.number, 300)[path >= math.log(DECIDED)])
        assert len(wrong) / 300 < 0.09


def test_arms_without_lessons_are_no_trial():
    episodes, exposures = world(3, 200)
    held = np.isin(episodes.arm[exposures.episode], [HOLDOUT])
    assert not held.any()
    assert [found.trial for found in tried(episodes, exposures)] == [4, 9]


def test_an_exposure_of_an_unknown_episode_is_refused():
    episodes, exposures = runs(5, 0.0)
    with pytest.raises(InvalidInput, match="expected a row of the 5 episodes"):
        tried(episodes, dataclasses.replace(exposures, episode=np.arange(5) + 1))


def test_probabilities_out_of_range_are_refused():
    episodes, exposures = runs(5, 0.0)
    with pytest.raises(InvalidInput, match=r"probability is 1\.5"):
        tried(episodes, dataclasses.replace(exposures, probability=np.full(5, 1.5)))
