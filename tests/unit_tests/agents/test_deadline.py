import asyncio
import subprocess
import sys
import threading
import time

import pytest

from langchain_reflect.agents.deadline import DaemonCalls, Late


def fail():
    raise KeyError("no")


def test_a_call_gives_its_result_or_its_error():
    calls = DaemonCalls()
    assert calls.run(lambda: 42, 10) == 42
    with pytest.raises(KeyError):
        calls.run(fail, 10)


async def test_also_asynchronously():
    calls = DaemonCalls()
    assert await calls.arun(lambda: 42, 10) == 42
    assert await calls.arun(lambda: time.sleep(0.05) or 42, 10) == 42
    with pytest.raises(KeyError):
        await calls.arun(fail, 10)


def test_a_call_that_raises_a_timeout_itself_is_not_late():
    def give_up():
        raise TimeoutError("the database")

    with pytest.raises(TimeoutError, match="the database") as raised:
        DaemonCalls().run(give_up, 10)
    assert not isinstance(raised.value, Late)


def test_threads_are_bounded_and_used_again():
    calls = DaemonCalls(limit=3)
    before = threading.active_count()
    results = []
    waiting = [threading.Thread(target=lambda n=n: results.append(calls.run(lambda: time.sleep(0.01) or n, 20))) for n in range(20)]
    for thread in waiting:
        thread.start()
    assert threading.active_count() <= before + 20 + 3
    for thread in waiting:
        thread.join()
    assert sorted(results) == list(range(20))
    assert threading.active_count() <= before + 3


def test_when_all_hang_calls_are_late_at_once_until_one_comes_back():
    calls, go = DaemonCalls(limit=1), threading.Event()
    with pytest.raises(Late):
        calls.run(lambda: go.wait(20), 0.01)
    started = time.monotonic()
    with pytest.raises(Late, match="hang"):
        calls.run(lambda: 1, 10)
    assert time.monotonic() - started < 5
    go.set()
    for _ in range(100):
        try:
            assert calls.run(lambda: 1, 10) == 1
            break
        except Late:
            time.sleep(0.02)
    else:
        pytest.fail("the thread came back and was not used")


async def test_a_cancelled_waiter_leaves_the_threads_usable():
    calls = DaemonCalls(limit=1)
    task = asyncio.create_task(calls.arun(lambda: time.sleep(0.1), 10))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await calls.arun(lambda: 1, 10) == 1


SCRIPT = """
import time
from langchain_reflect.agents.deadline import DaemonCalls, Late
try:
    DaemonCalls().run(lambda: time.sleep(600), 0.05)
except Late:
    print("late")
"""


def test_a_call_that_hangs_does_not_keep_the_process_from_ending():
    done = subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=60, capture_output=True, text=True)
    assert done.stdout == "late\n"
