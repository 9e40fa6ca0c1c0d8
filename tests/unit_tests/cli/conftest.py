"""Running the command line as a user does: arguments in, text and exit code out."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from langchain_reflect import Episode, Ledger
from langchain_reflect.cli import main
from langchain_reflect.ledger.claims import Claim, Closing, Ending
from langchain_reflect.types import Job, Lesson, ReflectionReport, Revision, RolloutGroup, Step

EPISODE = UUID("00000000-0000-7000-8000-000000000001")


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def run(monkeypatch, capsys):
    """`run("status")` is `reflect status`."""

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["reflect", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "160")
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Ran(int(ended.value.code or 0), printed.out, printed.err)

    return run


def park(ledger: Ledger) -> Job:
    """Park all that is judged as one group."""
    rollouts = tuple(ledger.rollouts())
    group = RolloutGroup(
        key="text:x", namespace=rollouts[0].episode.namespace, graph="counter", task="x", rollouts=rollouts, reason="feedback"
    )
    ledger.plan([group])
    (job,) = ledger.claim("a test")
    ending = Ending(Claim(job.id, job.fence), "parked", rollouts, "no usable answer")
    ledger.append_revisions([], closing=Closing(ReflectionReport(id="R-1", groups=1), group.namespace, [ending]))
    return ledger.jobs()[0]


@pytest.fixture
def home(tmp_path: Path, ledger: Ledger) -> Path:
    """A folder whose ledger holds one episode and two lessons."""
    step = Step(kind="model", name="fake", output={"content": "two", "tool_calls": []})
    ledger.save_episode(
        Episode(id=EPISODE, graph="counter", task="How many r are in strawberry?", steps=(step,), metadata={"ticket": "T-1"})
    )
    kept = Lesson(id="L-1", when="letters are to be counted", do="write them with commas between", status="active", evidence=(EPISODE,))
    gone = Lesson(id="L-2", when="always", do="guess", status="retired")
    ledger.append_revisions([Revision(lesson=lesson, kind="add", actor="human") for lesson in (kept, gone)])
    return tmp_path / "reflect"
