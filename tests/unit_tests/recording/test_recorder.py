import logging
import os
import subprocess
import sys
import threading
import time
from uuid import uuid4

import pytest

from langchain_reflect import Ledger
from langchain_reflect.errors import InvalidInput
from langchain_reflect.recording.recorder import Recorder
from langchain_reflect.types import Episode


def an_episode(**more):
    return Episode(id=uuid4(), task="t", **more)


class Held:
    """A ledger that waits until it is let go."""

    def __init__(self):
        self.go = threading.Event()
        self.saved = []

    def save_episodes(self, batch):
        self.go.wait(10)
        self.saved += [episode.id for episode, _ in batch]


def test_what_is_saved_is_in_the_ledger_after_a_flush(ledger):
    episodes = [an_episode() for _ in range(200)]
    with Recorder(ledger) as recorder:
        for episode in episodes:
            recorder.save(episode)
        assert recorder.flush()
        assert ledger.counts()["episodes"] == 200
        assert recorder.written == 200


def test_saving_never_waits_for_the_ledger():
    held = Held()
    recorder = Recorder(held)
    started = time.monotonic()
    for _ in range(100):
        recorder.save(an_episode())
    assert time.monotonic() - started < 1
    assert not recorder.flush(0.01)
    held.go.set()
    assert recorder.close()
    assert len(held.saved) == 100


def test_a_full_queue_drops_counts_and_logs(caplog):
    held = Held()
    recorder = Recorder(held, limit=2)
    for _ in range(10):
        recorder.save(an_episode())
    assert recorder.dropped >= 7
    assert "not recorded" in caplog.text
    assert len(caplog.records) <= 4
    held.go.set()
    recorder.close()
    assert len(held.saved) + recorder.dropped == 10


def test_after_closing_episodes_are_dropped(ledger):
    recorder = Recorder(ledger)
    recorder.close()
    recorder.save(an_episode())
    assert recorder.dropped == 1


def test_one_bad_episode_takes_no_other_with_it(caplog):
    saved = []

    class Picky:
        def save_episodes(self, batch):
            if any(episode.task == "bad" for episode, _ in batch):
                raise ValueError("bad")
            saved.extend(batch)

    with Recorder(Picky()) as recorder:
        for task in ("a", "bad", "b"):
            recorder.save(Episode(id=uuid4(), task=task))
    assert [episode.task for episode, _ in saved] == ["a", "b"]
    assert recorder.dropped == 1


def test_a_busy_ledger_is_tried_again():
    calls = []

    class Busy:
        def save_episodes(self, batch):
            calls.append(batch)
            if len(calls) == 1:
                raise OSError("busy")

    with Recorder(Busy()) as recorder:
        recorder.save(an_episode())
    assert (recorder.written, recorder.dropped) == (1, 0)


def test_an_episode_that_cannot_be_made_is_dropped(ledger, caplog):
    with Recorder(ledger) as recorder:
        recorder.submit(lambda: 1 / 0)
        recorder.save(an_episode())
    assert (recorder.written, recorder.dropped) == (1, 1)


def test_what_follows_comes_after_the_write_and_may_fail(ledger, caplog):
    seen = []
    episode = an_episode()
    with Recorder(ledger) as recorder:
        recorder.submit(lambda: (episode, ()), lambda e: seen.append(ledger.episode(e.id).id))
        recorder.submit(lambda: (an_episode(), ()), lambda _: 1 / 0)
        recorder.flush()
    assert seen == [episode.id]
    assert "what follows an episode failed" in caplog.text


def test_a_ledger_that_hangs_does_not_keep_close_waiting(caplog):
    held = Held()
    recorder = Recorder(held)
    recorder.save(an_episode())
    with caplog.at_level(logging.WARNING):
        assert not recorder.close(0.05)
    held.go.set()


def test_a_limit_below_one_is_refused(ledger):
    with pytest.raises(InvalidInput, match="limit 0"):
        Recorder(ledger, limit=0)


SCRIPT = """
import sys, uuid
from langchain_reflect import Episode, Ledger
from langchain_reflect.recording.recorder import Recorder
recorder = Recorder(Ledger(sys.argv[1]))
for _ in range(50):
    recorder.save(Episode(id=uuid.uuid4(), task="t"))
"""


def test_what_is_queued_is_written_at_exit(tmp_path):
    place = tmp_path / "ledger.db"
    subprocess.run([sys.executable, "-c", SCRIPT, str(place)], check=True, timeout=60)
    with Ledger(place) as ledger:
        assert ledger.counts()["episodes"] == 50


FORK = """
import os, sys, uuid
from langchain_reflect import Episode, Ledger
from langchain_reflect.recording.recorder import Recorder
recorder = Recorder(Ledger(sys.argv[1]))
recorder.save(Episode(id=uuid.uuid4(), task="parent"))
recorder.flush()
if (child := os.fork()) == 0:
    recorder.save(Episode(id=uuid.uuid4(), task="child"))
    os._exit(0 if recorder.flush(10) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_writes_too(tmp_path):
    place = tmp_path / "ledger.db"
    subprocess.run([sys.executable, "-c", FORK, str(place)], check=True, timeout=60)
    with Ledger(place) as ledger:
        assert {e.task for e in ledger.episodes()} == {"parent", "child"}
