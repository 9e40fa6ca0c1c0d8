"""Write a ledger of today's schema as SQL text, to be kept as a fixture that every later release must be able to open.

    python scripts/golden_ledger.py tests/unit_tests/ledger/golden

The file is named after the newest migration. Make one with each release that has a new migration, and never change an old one.
"""

import sqlite3
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np

from langchain_reflect import Ledger
from langchain_reflect.ledger.claims import Closing
from langchain_reflect.ledger.migrations import MIGRATIONS
from langchain_reflect.types import Episode, Exposure, Lesson, PracticeRun, ReflectionReport, Revision, RolloutGroup, Step, Usage

START = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)
SPACE = ("acme", "support")


def episode(number: int, **more: object) -> Episode:
    """One that differs from the others."""
    at = START + timedelta(minutes=number)
    step = Step(kind="model", name="m", output={"content": f"answer {number}", "tool_calls": []}, usage=Usage(calls=1, tokens_in=9))
    given = {"namespace": SPACE, "steps": (step,), "result": {"n": number}, "metadata": {"ticket": f"T-{number}"}, **more}
    return Episode(id=UUID(int=number), task=f"Task {number} ü", started_at=at, ended_at=at, **given)


def fill(ledger: Ledger) -> None:
    """One of everything."""
    drawn = {"revision": 1, "probability": 0.75, "policy": "holdout=0.1 placebo=0 doses=2:1", "dose": 2}
    for number in range(1, 4):
        shown = Exposure(episode_id=UUID(int=number), lesson_id="L-000000000001", shown=number > 1, unit=f"thread-{number}", **drawn)
        ledger.save_episode(episode(number, task_key="same", shown=("L-000000000001",) if number > 1 else ()), [shown])
        ledger.record_outcome(UUID(int=number), reward=number / 4, source="verifier", observed_at=START, namespace=SPACE)
    ledger.record_outcome(UUID(int=1), feedback="It was late.", source="zendesk", key="e-1", observed_at=START, namespace=SPACE)
    ledger.save_episode(episode(4, thread_id="t", run_ids=(UUID(int=44),), status="interrupted"))
    ledger.record_outcome(UUID(int=44), reward=1.0, observed_at=START, namespace=SPACE)
    ledger.record_outcome(UUID(int=99), reward=0.5, source="early", observed_at=START)
    lesson = Lesson(
        id="L-000000000001", namespace=SPACE, when="a flight moves", do="check the fare first", evidence=(UUID(int=1),), tasks=("Task 1 ü",)
    )
    reworded = lesson.model_copy(update={"revision": 2, "do": "check the fare class first"})
    ledger.append_revisions([Revision(lesson=lesson, kind="add", actor="R-1", at=START)])
    ledger.append_revisions([Revision(lesson=reworded, kind="revise", actor="dana", reason="sharper", at=START)])
    ledger.put_vectors("e", {text: np.eye(1, 4, dtype=np.float32)[0] for text in (lesson.key_text(), reworded.key_text(), *lesson.tasks)})
    closing = Closing(
        report=ReflectionReport(id="R-1", groups=1, usage=Usage(calls=2)),
        namespace=SPACE,
        seen=ledger.rollouts(episodes=[UUID(int=1), UUID(int=2)]),
        replies={"said": []},
    )
    ledger.append_revisions([], closing=closing)
    waiting = tuple(ledger.rollouts(episodes=[UUID(int=3)]))
    ledger.plan([RolloutGroup(key="key:same", namespace=SPACE, graph="agent", task=waiting[0].episode.task, rollouts=waiting)])
    ledger.steer("paused", SPACE, "agent", by="dana", reason="it hurts")
    ledger.steer("doses", SPACE, by="credit", body={1: 0.5, 2: 0.5})
    ledger.revoke_source("rumour", reason="unreliable", namespace=SPACE)
    practice = ledger.begin_practice("nightly", digest="d", namespace=SPACE)
    ledger.reserve(practice, treated=[UUID(int=5)], controls=[UUID(int=6)])
    run = PracticeRun(key="0/0/0/treated", epoch=0, arm="treated", family="f", episode_id=UUID(int=5), reward=0.5, usage=Usage(calls=1))
    ledger.keep_practice_run(practice, run, seconds=1.5)


def main() -> None:
    """Write the file."""
    target = Path(sys.argv[1]) / f"{list(MIGRATIONS)[-1]}.sql"
    with tempfile.TemporaryDirectory() as folder:
        with Ledger(folder) as ledger:
            fill(ledger)
        connection = sqlite3.connect(Path(folder) / "ledger.db")
        lines = [f"PRAGMA application_id={connection.execute('PRAGMA application_id').fetchone()[0]};", *connection.iterdump()]
        connection.close()
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(target)


if __name__ == "__main__":
    main()
