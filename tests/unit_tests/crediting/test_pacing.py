"""Looks at the evidence beside the agent."""

import logging
import threading
import time
from itertools import pairwise

import pytest

from langchain_reflect.crediting.pacing import BackgroundCredit


def test_pokes_that_come_together_are_one_look():
    looks = []
    background = BackgroundCredit(lambda: looks.append(1), pause=0.2)
    for _ in range(50):
        background.poke()
    assert background.flush(10)
    assert background.close(10)
    assert len(looks) == 1


def test_flush_looks_at_once():
    looks = []
    background = BackgroundCredit(lambda: looks.append(1), pause=60)
    background.poke()
    assert background.flush(10)
    assert looks == [1]
    assert background.flush(0)
    background.close(10)
    assert looks == [1]


def test_looks_take_less_than_a_twentieth_of_the_time():
    times = []

    def look():
        times.append(time.monotonic())
        time.sleep(0.02)

    background = BackgroundCredit(look, pause=0.001)
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        background.poke()
        time.sleep(0.005)
    background.close(10)
    between = [later - earlier for earlier, later in pairwise(times[:-1])]  # the last one is the flush of `close`
    assert len(times) >= 3
    assert min(between) >= 0.02 * 20


def test_a_look_that_is_affordable_is_made_in_the_same_thread():
    seen = []
    background = BackgroundCredit(lambda: seen.append(threading.current_thread()))
    background.look_if_affordable(apart=30)
    background.look_if_affordable(apart=30)
    assert seen == [threading.current_thread()]
    time.sleep(0.1)
    background.look_if_affordable(apart=0.05)
    assert len(seen) == 2


def test_a_look_that_fails_is_logged_and_the_next_one_is_made(caplog: pytest.LogCaptureFixture):
    looks = []

    def look():
        looks.append(1)
        if len(looks) == 1:
            raise RuntimeError("the ledger is away")

    background = BackgroundCredit(look, pause=0.001)
    with caplog.at_level(logging.ERROR):
        background.poke()
        background.flush(10)
    assert "the ledger is away" in caplog.text
    background.poke()
    background.close(10)
    assert looks == [1, 1]


def test_while_it_is_held_nothing_is_looked_at():
    looks = []
    background = BackgroundCredit(lambda: looks.append(1), pause=0.001)
    with background.held():
        background.poke()
        background.look_if_affordable(apart=0)
        assert not background.flush(0.2)
        assert looks == []
    assert background.close(10)
    assert looks == [1]


def test_what_comes_after_the_end_is_not_looked_at():
    looks = []
    background = BackgroundCredit(lambda: looks.append(1))
    background.close()
    background.poke()
    background.look_if_affordable()
    assert background.flush(5)
    assert looks == []
