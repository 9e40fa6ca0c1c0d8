"""A process with a wrapped graph can always end, loses nothing when it ends normally, and may fork."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from langchain_reflect import Ledger

pytestmark = pytest.mark.slow

HEAD = """
import os, sys, threading, time
from langgraph.graph import START, MessagesState, StateGraph
from langchain_reflect import Learner
from langchain_reflect.index.exact import ExactIndex
from langchain_core.embeddings import DeterministicFakeEmbedding

def stuck(*_, **__):
    time.sleep(3600)

graph = StateGraph(MessagesState).add_node("node", lambda s: {}).add_edge(START, "node").compile(name="small")
asked = {"messages": [("user", "hello")]}
learner = Learner(sys.argv[1], index=ExactIndex(), embeddings=DeterministicFakeEmbedding(size=8), deadline=0.2, reflect="manual")
learner.lessons.add(when="greeted", do="greet back", status="active")
learner.recorder._exit_timeout = 1.0
agent = learner.wrap(graph)
"""
STUCK = {
    "recall": "learner.recaller.recall = stuck",
    "embedder": "type(learner.embedder).embed_query = stuck",
    "ledger": "learner.ledger.save_episodes = stuck",
    "renderer": "learner.recaller._forms = stuck",
}


def run(folder: Path, code: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", HEAD + code, str(folder)], check=False, capture_output=True, text=True, timeout=timeout)


@pytest.mark.parametrize("part", STUCK)
@pytest.mark.parametrize("end", ["pass", "sys.exit(0)"])
def test_a_process_ends_whatever_hangs(tmp_path, part, end):
    started = time.monotonic()
    done = run(tmp_path, f"{STUCK[part]}\nagent.invoke(asked)\nprint('ran', flush=True)\n{end}\n")
    assert (done.returncode, done.stdout) == (0, "ran\n"), done.stderr
    assert time.monotonic() - started < 40


def test_a_process_ends_by_an_interrupt_from_the_keyboard_too(tmp_path):
    listen = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)  # a parent in the background ignores it\n"
    code = f"{listen}{STUCK['ledger']}\nagent.invoke(asked)\nprint('ran', flush=True)\ntime.sleep(3600)\n"
    process = subprocess.Popen([sys.executable, "-c", HEAD + code, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ran\n"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=40)
    finally:
        process.kill()
    assert process.returncode in (-signal.SIGINT, 130)


def test_what_is_queued_is_written_as_the_process_ends(tmp_path):
    done = run(tmp_path, "for _ in range(50):\n    agent.invoke(asked)\n")
    assert done.returncode == 0, done.stderr
    with Ledger(tmp_path) as ledger:
        assert ledger.counts()["episodes"] == 50


FORKS = """
agent.invoke(asked)
children = []
for n in range(4):
    pid = os.fork()
    if pid == 0:
        for _ in range(5):
            agent.invoke(asked, {"metadata": {"child": n}})
        done = learner.flush(20)
        os._exit(0 if learner.recorder.dropped == 0 else 1)
    children.append(pid)
for _ in range(5):
    agent.invoke(asked, {"metadata": {"child": "none"}})
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
learner.flush(20)
print(codes)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forks_record_their_own_runs_and_nobody_elses(tmp_path):
    done = run(tmp_path, FORKS, timeout=120)
    assert done.stdout == "[0, 0, 0, 0]\n", done.stdout + done.stderr
    with Ledger(tmp_path) as ledger:
        assert ledger.counts()["episodes"] == 1 + 5 * 5
        assert [len(ledger.episodes(metadata={"child": n})) for n in range(4)] == [5] * 4


LATE = """
import sys, time
from langgraph.graph import START, MessagesState, StateGraph
from langchain_reflect import Learner
from tests.unit_tests.words import Words

class Slow(Words):
    delay = 0.0

    def embed_query(self, text):
        time.sleep(self.delay)
        return super().embed_query(text)

graph = StateGraph(MessagesState).add_node("node", lambda s: {}).add_edge(START, "node").compile(name="small")
learner = Learner(sys.argv[1], embeddings=Slow(), deadline=0.05, verifier=lambda *, inputs, outputs: 1.0)
learner.lessons.add(when="greeted", do="greet back", status="active")
Slow.delay = 0.3
learner.wrap(graph).invoke({"messages": [("user", "hello")]})
"""


@pytest.mark.parametrize("end", ["", "time.sleep(0.2)\n"])
def test_a_script_that_ends_while_recall_is_late_warns_of_nothing_else(tmp_path, end):
    done = subprocess.run([sys.executable, "-c", LATE + end, str(tmp_path)], check=False, capture_output=True, text=True, timeout=60)
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (0, 1), done.stderr
    assert lines[0].startswith("recall took longer than deadline=0.05 s")
