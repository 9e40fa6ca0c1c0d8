import pytest

from langchain_reflect.agents.breaker import Breaker


@pytest.fixture
def time():
    return [0.0]


@pytest.fixture
def breaker(time):
    return Breaker(failures=3, pause=30.0, clock=lambda: time[0])


def test_it_opens_after_failures_in_a_row_only(breaker):
    assert [breaker.failed(), breaker.failed()] == [False, False]
    breaker.succeeded()
    assert [breaker.failed(), breaker.failed(), breaker.allows()] == [False, False, True]
    assert breaker.failed()
    assert not breaker.allows()


def test_it_lets_one_try_through_in_each_pause(breaker, time):
    for _ in range(3):
        breaker.failed()
    time[0] = 31.0
    assert [breaker.allows(), breaker.allows()] == [True, False]
    time[0] = 62.0
    assert [breaker.allows(), breaker.allows()] == [True, False]


def test_a_try_that_succeeds_closes_it(breaker, time):
    for _ in range(3):
        breaker.failed()
    time[0] = 31.0
    assert breaker.allows()
    assert breaker.succeeded()
    assert [breaker.allows(), breaker.allows()] == [True, True]
    assert not breaker.succeeded()
