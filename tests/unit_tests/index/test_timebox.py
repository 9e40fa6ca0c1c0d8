import threading
import time

import pytest

from langchain_reflect.index.timebox import TimeBox


def test_a_call_gives_its_result_or_its_error():
    box = TimeBox()
    assert box.run(lambda: 3, 5) == 3
    with pytest.raises(ZeroDivisionError):
        box.run(lambda: 1 / 0, 5)


def test_a_call_that_hangs_is_given_up_in_time():
    forever = threading.Event()
    begun = time.monotonic()
    with pytest.raises(TimeoutError, match=r"0\.05 s"):
        TimeBox().run(forever.wait, 0.05)
    assert time.monotonic() - begun < 1
    forever.set()


def test_while_too_many_hang_further_calls_are_refused_at_once():
    box, forever = TimeBox(most=2), threading.Event()
    for _ in range(2):
        with pytest.raises(TimeoutError, match="no answer"):
            box.run(forever.wait, 0.02)
    with pytest.raises(TimeoutError, match="2 earlier calls"):
        box.run(lambda: 3, 5)
    forever.set()
    deadline = time.monotonic() + 5
    while box._hanging and time.monotonic() < deadline:
        time.sleep(0.01)
    assert box.run(lambda: 3, 5) == 3
