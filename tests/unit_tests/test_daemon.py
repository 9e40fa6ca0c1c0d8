"""Work beside the agent: asked for at any time, done by one thread, ended with the process."""

import gc
import subprocess
import sys
import threading
import time
import weakref

import pytest

from langchain_reflect.daemon import Daemon, Rest


class Counting(Daemon):
    """Counts how often it worked."""

    def __init__(self, *rests: Rest, pause: float = 0.001):
        super().__init__("reflect-test", pause=pause, exit_timeout=1.0)
        self.works = 0
        self.rests = list(rests)
        self.go_on = threading.Event()
        self.go_on.set()

    def _work(self) -> Rest:
        self.works += 1
        self.go_on.wait(10)
        return self.rests.pop(0) if self.rests else Rest()


def test_what_waits_is_begun_by_a_flush_but_not_while_it_is_quiet():
    daemon = Counting(Rest(pause=60), Rest(quiet=60))
    daemon.poke()
    assert daemon.flush(10)
    daemon.poke()
    assert not daemon.flush(10), "the second work failed"
    assert daemon.works == 2
    daemon.poke()
    assert not daemon.flush(0.1)
    assert daemon.works == 2


def test_it_begins_again_by_itself_when_it_said_so():
    daemon = Counting(Rest(again=0.05))
    daemon.poke()
    until = time.monotonic() + 5
    while daemon.works < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert daemon.works == 2
    assert daemon.close(5)


class Failing(Counting):
    """Lets an exception through once, after somebody has asked for more."""

    def _work(self) -> Rest:
        rest = super()._work()
        if self.works == 1:
            self.poke()
            raise RuntimeError("broken")
        return rest


def test_what_was_asked_for_during_work_that_broke_is_done_by_another_thread(monkeypatch):
    broke = []
    monkeypatch.setattr(threading, "excepthook", broke.append)
    daemon = Failing()
    daemon.go_on.clear()
    daemon.poke()
    while not daemon.works:
        time.sleep(0.001)
    thread = daemon._thread
    threading.Timer(0.05, daemon.go_on.set).start()
    assert daemon.flush(5), "a flush does not wait for a thread that has ended"
    assert daemon.works == 2
    thread.join(5)
    assert [str(each.exc_value) for each in broke] == ["broken"], "it is reported all the same"
    daemon.poke()
    assert daemon.close(5)
    assert daemon.works == 3


def test_pokes_during_work_are_one_more_work():
    daemon = Counting()
    daemon.go_on.clear()
    daemon.poke()
    while not daemon.works:
        time.sleep(0.001)
    for _ in range(5):
        daemon.poke()
    daemon.go_on.set()
    assert daemon.close(5)
    assert daemon.works == 2


def test_a_hold_waits_for_work_that_goes_on_and_lets_none_begin():
    daemon = Counting()
    daemon.go_on.clear()
    daemon.poke()
    while not daemon.works:
        time.sleep(0.001)
    threading.Timer(0.1, daemon.go_on.set).start()
    with daemon.held():
        assert daemon.go_on.is_set()
        daemon.poke()
        daemon.work_here()
        assert (daemon.works, daemon.is_held, daemon.flush(0.05)) == (1, True, False)
    assert daemon.flush(5)
    assert daemon.works == 2


def test_what_was_due_when_it_was_closed_does_not_pass_for_done():
    daemon = Counting()
    with daemon.held():
        daemon.poke()
        assert not daemon.close(0.05)
    assert not daemon.flush(5)
    assert daemon.works == 0


def test_one_that_nobody_has_poked_is_not_kept_alive():
    daemon = weakref.ref(Counting())
    gc.collect()
    assert daemon() is None


HEAD = """
import atexit, os, sys, threading, time
from langchain_reflect.daemon import Daemon, Rest

class Saying(Daemon):
    def _work(self):
        time.sleep(0.2)
        print("worked", flush=True)
        return Rest()

daemon = Saying("reflect-test", pause=0.0, exit_timeout=float(sys.argv[1]), late="it was late")
"""
FORK = """
daemon.poke()
time.sleep(0.1)  # it works now
pid = os.fork()
if pid == 0:
    began = time.monotonic()
    assert daemon.flush(10) and time.monotonic() - began < 0.1, "nothing is due in the child"
    daemon.poke()
    os._exit(0 if daemon.flush(10) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
HELD = """
def holds():
    with daemon.held():
        held.set()
        time.sleep(60)

held = threading.Event()
threading.Thread(target=holds, daemon=True).start()
held.wait()
with daemon.held():
    pid = os.fork()
if pid == 0:
    assert not daemon.is_held
    daemon.poke()
    os._exit(0 if daemon.flush(10) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), daemon.is_held, flush=True)
"""


@pytest.mark.parametrize(
    ("code", "timeout", "said", "warned"),
    [
        pytest.param("daemon.poke()", "5", ["worked"], "", id="the end waits for the work"),
        pytest.param("daemon.poke()", "0.01", [], "it was late\n", id="but not longer than it may"),
        pytest.param("atexit.register(daemon.poke)", "5", [], "", id="what is asked for after the end is left"),
        pytest.param(FORK, "5", ["0", "worked", "worked"], "", id="a forked child has its own thread"),
        pytest.param(HELD, "5", ["0", "True", "worked"], "", id="what holds it off in the parent does not in a forked child"),
    ],
)
def test_at_the_end_of_a_process(code, timeout, said, warned):
    done = subprocess.run([sys.executable, "-c", HEAD + code, timeout], check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, sorted(done.stdout.split()), done.stderr) == (0, said, warned)
