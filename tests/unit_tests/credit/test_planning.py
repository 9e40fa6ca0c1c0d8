"""How many more runs it takes."""

import dataclasses

import numpy as np

from langchain_reflect.credit.comparing import Runs, figures
from langchain_reflect.credit.planning import MANY, more_runs
from tests.unit_tests.credit.worlds import columns


def undecided(count=100, *, p=0.75):
    episodes = columns(count, reward=np.arange(count) % 2)
    runs = Runs(np.zeros(count, np.int64), np.arange(count), np.arange(count) // 2 % 4 > 0, np.full(count, p))
    return figures(episodes, runs, np.full(count, 0.5))


def wait(found, mean, deviation=0.0):
    return more_runs(found, np.array([mean]), np.array([deviation]))[0]


def test_a_large_effect_is_found_soon_and_a_small_one_late():
    found = undecided()
    assert 50 < wait(found, 0.4) < wait(found, 0.2) < 1000 < wait(found, 0.08)


def test_what_makes_hardly_a_difference_is_not_waited_for():
    assert wait(undecided(), 0.01) is None
    assert wait(undecided(), 0.0) is None
    assert wait(undecided(), 0.025) is None or wait(undecided(), 0.025) <= MANY


def test_what_is_not_known_may_be_large():
    assert wait(undecided(), 0.0, 0.15) < 2000


def test_withholding_less_takes_longer():
    assert wait(undecided(p=0.95), 0.2) > 2 * wait(undecided(p=0.75), 0.2)


def test_what_is_decided_needs_nothing():
    found = dataclasses.replace(undecided(), raised=np.array([3.1]))
    assert wait(found, 0.2) == 0


def test_evidence_that_is_there_shortens_the_wait():
    found = undecided()
    assert wait(dataclasses.replace(found, raised=np.array([2.5])), 0.2) < wait(dataclasses.replace(found, raised=np.array([0.0])), 0.2)
