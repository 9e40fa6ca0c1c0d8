"""What a practice knows of itself, kept in the ledger as it happens, so that it goes on after a crash where it ended."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import reduce
from operator import add
from typing import Any, Final
from uuid import UUID

from langchain_reflect.agents.episodes import new_id
from langchain_reflect.errors import ClaimLost, ReflectError
from langchain_reflect.learner import Learner
from langchain_reflect.ledger.outcomes import OutcomeFields
from langchain_reflect.practising.gate import ReplayGate
from langchain_reflect.practising.plan import TREATED, Cell, Plan
from langchain_reflect.practising.reading import Reflected, reflected_in
from langchain_reflect.practising.tally import GATE, Tally
from langchain_reflect.reflection.policy import Gate
from langchain_reflect.runs import Job, Run
from langchain_reflect.types import LessonText, Practice, PracticeRun, ReflectionReport, Usage

logger = logging.getLogger(__name__)
LEASE: Final = timedelta(minutes=10)
"""How long the rollouts of a practice without a name are left to it after its process was last heard of."""
KEY: Final = "practice"
"""Key of the outcomes, so that a verifier of the learner's own does not contend with them."""


class Memory:
    """One practice in the ledger.

    Args:
        learner: Whose ledger.
        plan: What is practised.
        practice: As it was begun.
    """

    def __init__(self, learner: Learner, plan: Plan, practice: Practice) -> None:
        self.learner, self.plan, self.practice = learner, plan, practice
        self.tally = Tally()
        self.reflected: list[Reflected] = []
        self._started, self._before = time.monotonic(), practice.seconds
        self._lock = threading.Lock()
        self._done: set[str] = set()
        self._gate: dict[str, PracticeRun] = {}
        self._cells: dict[UUID, Cell] = {}
        self._family: dict[UUID, str | None] = {}
        self._read()

    def _read(self) -> None:
        ledger = self.learner.ledger
        for run in ledger.practice_runs(self.practice.id):
            self._count(run)
        self.reflected = reflected_in(ledger, self.practice)
        if self.practice.fence > 1:  # whoever worked on it before is dead, or cannot finish any more
            ledger.reclaim_practice(self.practice)

    @property
    def seconds(self) -> float:
        """How long it has run, in all processes."""
        return self._before + time.monotonic() - self._started

    @property
    def usage(self) -> Usage:
        """What was spent so far, by agent and reflections."""
        return reduce(add, (r.report.usage for r in self.reflected), self.tally.usage)

    @property
    def treated(self) -> list[UUID]:
        """Episodes that may be learned from."""
        return list(self._family)

    def family_of(self, episode_id: UUID) -> str | None:
        """Family of the task of a treated rollout."""
        return self._family.get(episode_id)

    # Rollouts

    def due(self, epoch: int) -> list[Job]:
        """The runs of an epoch that are not finished. Their episodes are kept for this practice before they begin."""
        cells = [cell for cell in self.plan.cells(epoch) if cell.key not in self._done]
        jobs = [self.plan.job(cell, new_id()) for cell in cells]
        arms = {job.id: cell.arm for job, cell in zip(jobs, cells, strict=True)}
        treated = [i for i, arm in arms.items() if arm == TREATED]
        self.learner.ledger.reserve(self.practice, treated=treated, controls=[i for i in arms if arms[i] != TREATED])
        self._cells = dict(zip(arms, cells, strict=True))
        return jobs

    def keep(self, run: Run) -> None:
        """Note a finished rollout with its outcome, so that an interruption loses none."""
        cell, job, ledger = self._cells[run.job.id], run.job, self.learner.ledger
        self.learner.recorder.flush()  # a run that counts has its episode
        if cell.arm != TREATED:
            ledger.reserve(self.practice, controls=run.episodes)
        kept = PracticeRun(
            key=cell.key,
            epoch=cell.epoch,
            arm=cell.arm,
            family=job.task.family,
            episode_id=job.id,
            reward=run.verdict.reward,
            failed=run.error is not None,
            usage=run.usage,
        )
        ledger.keep_practice_run(self.practice, kept, self._outcome(run), seconds=self.seconds)
        self._count(kept)

    def _outcome(self, run: Run) -> OutcomeFields | None:
        verdict = run.verdict
        if verdict.abstained:
            return None
        return {
            "reward": verdict.reward,
            "feedback": verdict.feedback,
            "source": verdict.source,
            "key": KEY,
            "detail": verdict.detail,
            "namespace": self.learner.namespace_of(run.job.id),
        }

    def drop(self, epoch: int) -> None:
        """Forget the runs of an epoch, so that they are made again."""
        self.learner.ledger.undo_practice_epoch(self.practice, epoch)
        self.tally.drop(epoch)
        self._done = {key for key in self._done if not key.startswith(f"{epoch}/")}

    def _count(self, run: PracticeRun) -> None:
        with self._lock:
            self.tally.add(run)
            if run.key.startswith(GATE):
                self._gate[run.key] = run
                return
            self._done.add(run.key)
            if run.arm == TREATED and run.episode_id is not None:
                self._family[run.episode_id] = run.family

    # The gate's notes

    def known(self, key: str) -> PracticeRun | None:
        """A gate's run that was finished before."""
        return self._gate.get(key)

    def note(self, run: PracticeRun) -> None:
        """Remember a gate's run.

        Raises:
            InterruptedError: Somebody else goes on with the practice, so the gate says nothing about its group, and the group stays due.
        """
        try:
            self.learner.ledger.keep_practice_run(self.practice, run, seconds=self.seconds)
        except ClaimLost as lost:
            raise InterruptedError(str(lost)) from lost
        self._count(run)

    def lessons(self, ids: Sequence[str]) -> Sequence[LessonText] | None:
        """Lessons by id; None if one is not there any more."""
        found = {lesson.id: lesson for lesson in self.learner.ledger.lessons(ids=ids)} if ids else {}
        return [found[i] for i in ids] if all(i in found for i in ids) else None

    # Reflections

    def close_epoch(self, report: ReflectionReport, gate: Gate | None) -> None:
        """Note what the reflection after an epoch led to, with what processes before this one had committed of it."""
        ledger, body = self.learner.ledger, self.practice.body
        epochs: Any = body.get("epochs", [])
        noted = {i for epoch in epochs for i in epoch["reflections"]}
        made = [r for r in ledger.practice_reports(self.practice.id) if r.id not in noted]
        whole = reduce(add, made) if made else report
        trials, edits = ([*gate.trials], [*gate.edit_trials]) if isinstance(gate, ReplayGate) else ([], [])
        self.reflected.append(Reflected(whole, trials, edits))
        epoch = {"reflections": [r.id for r in made], "trials": [t.to_dict() for t in trials], "edit_trials": [t.to_dict() for t in edits]}
        self._write(body={**body, "epochs": [*epochs, epoch]})

    @contextmanager
    def alive(self) -> Iterator[None]:
        """While the block runs, the ledger hears of a practice without a name, so that its rollouts are left to it."""
        ended = threading.Event()
        if self.practice.lease is not None:
            every = self.practice.lease.total_seconds() / 3
            threading.Thread(target=self._beat, args=(ended, every), name="reflect-practice-lease", daemon=True).start()
        try:
            yield
        finally:
            ended.set()

    def _beat(self, ended: threading.Event, every: float) -> None:
        while not ended.wait(every):
            try:
                self.learner.ledger.renew_practice(self.practice)
            except ClaimLost:
                return  # the next write of the practice says so
            except ReflectError as error:
                logger.warning("the lease of the practice %r could not be prolonged: %s", self.practice.name, error)

    def end(self, *, stopped: str | None, is_finished: bool) -> None:
        """Note how it ended. What nobody will go on with is left to other reflections."""
        self._write(body={**self.practice.body, "stopped": stopped}, is_finished=is_finished)
        if is_finished or self.practice.lease is not None:
            self.learner.ledger.release_practice(self.practice.name, namespace=self.practice.namespace)

    def _write(self, *, body: dict[str, Any], is_finished: bool = False) -> None:
        changed = {"body": body, "seconds": self.seconds, "finished": is_finished}
        self.practice = self.practice.model_copy(update=changed)
        self.learner.ledger.note_practice(self.practice)
