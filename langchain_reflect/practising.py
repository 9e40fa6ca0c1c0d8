"""Practice: run tasks that code can judge several times, reflect on the tries, and keep what proves itself.

The module is not named after its function, because a module of that name would hide it in the package.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial, reduce
from operator import add
from typing import Any, Final, Literal
from uuid import UUID

from langchain_core.runnables import Runnable

from langchain_reflect.errors import InvalidInput
from langchain_reflect.learner import Learner
from langchain_reflect.reflection.policy import Gate, GateVerdict
from langchain_reflect.runs import Job, PracticeTask, Prepare, Run, Runner, TaskLike, progress_of, seeds, wrapped_by
from langchain_reflect.types import LessonDraft, ReflectionReport, RolloutGroup, Usage
from langchain_reflect.verifiers import Verifier

__all__ = ["PracticeReport", "PracticeTask", "ReplayGate", "Trial", "apractice", "practice"]

_MARGIN: Final = 0.05
_KEY: Final = "practice"
"""Key of the outcomes, so that a verifier of the learner's own does not contend with them."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a gate found about the drafts of one group."""

    group: str
    """Key of the group."""
    drafts: tuple[LessonDraft, ...]
    scores: tuple[float, ...]
    """Mean reward with each draft, in their order."""
    baseline: float
    """Mean reward of the same runs without any of them."""
    best: int | None
    """Index of the draft that was kept."""
    runs: int
    """Runs that were made for it."""


@dataclass(kw_only=True)
class PracticeReport:
    """What a practice did and what it cost."""

    rollouts: int = 0
    """Judged runs on the tasks, without those of the gate."""
    failed: int = 0
    """Rollouts in which the agent raised; their reward is 0."""
    curve: list[float] = field(default_factory=list)
    """Mean reward of each epoch, before the reflection that follows it."""
    reflections: list[ReflectionReport] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    """Of the agent in rollouts and gate, and of reflection."""
    seconds: float = 0.0
    interrupted: bool = False
    """Whether Ctrl-C ended it early; what it lists has been kept."""

    @property
    def lessons(self) -> list[str]:
        """Ids of the lessons that were added."""
        return [e.lesson_id for r in self.reflections for e in r.applied if e.edit.kind == "add" and e.lesson_id is not None]

    @property
    def gate_runs(self) -> int:
        """Runs that were made to try drafts."""
        return sum(trial.runs for trial in self.trials)

    def __str__(self) -> str:
        """A few lines for people."""
        lines = [
            f"{self.rollouts} rollouts ({self.failed} failed) and {self.gate_runs} trial runs in {self.seconds:.1f} s"
            + (", interrupted" if self.interrupted else ""),
            f"mean reward by epoch: {', '.join(f'{mean:.2f}' for mean in self.curve) or 'none'}",
            *(f"reflection: {report}" for report in self.reflections),
            *(f"error: {error}" for report in self.reflections for error in report.errors),
            *(f"tried {len(t.drafts)} drafts of {t.group!r}: {_scores(t)}" for t in self.trials),
            f"{len(self.lessons)} lessons added; {self.usage.calls} calls, {self.usage.tokens_in}+{self.usage.tokens_out} tokens",
        ]
        return "\n".join(lines)


@dataclass(eq=False)
class ReplayGate:
    """Tries each draft on validation tasks of its group's family, against the same runs without it.

    A draft stands before the lessons that the agent would get anyway, so it has to add something to them.

    Args:
        runner: Makes the runs; none of them is recorded.
        tasks: The validation tasks.
        family_of: The family of a rollout's episode.
        k: Most lessons in a prompt.
        margin: What the best draft has to gain in mean reward; with few runs it has to gain more than one run can by chance.
        repeats: Runs of each task.
        seed: The seeds of the runs are drawn from it.
    """

    runner: Runner
    tasks: Sequence[PracticeTask]
    family_of: Callable[[UUID], str | None]
    k: int = 2
    margin: float = _MARGIN
    repeats: int = 1
    seed: int = 0
    trials: list[Trial] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    def __call__(self, group: RolloutGroup, drafts: Sequence[LessonDraft]) -> GateVerdict:
        """The best draft if it beats the baseline, else none."""
        tasks = self._tasks_for(group)
        pairs = [(task, seed) for task in tasks for seed in seeds(self.seed, self.repeats)]
        bare = self.runner.run_from_thread([Job(task=t, seed=s, arm="treated", record=False) for t, s in pairs])
        jobs = [
            Job(task=t, seed=s, lessons=(draft, *run.shown)[: self.k], record=False)
            for draft in drafts
            for (t, s), run in zip(pairs, bare, strict=True)
        ]
        made = self.runner.run_from_thread(jobs)
        scores = [_mean(made[at : at + len(pairs)]) for at in range(0, len(made), len(pairs))]
        baseline = _mean(bare)
        top = max(range(len(scores)), key=scores.__getitem__)
        best = top if scores[top] >= baseline + self._needed(len(pairs)) else None
        self.runs += [*bare, *made]
        self.trials.append(Trial(group.key, tuple(drafts), tuple(scores), baseline, best, len(bare) + len(made)))
        return GateVerdict(best=best, scores=scores, baseline=baseline)

    def _needed(self, runs: int) -> float:
        """What the best draft has to gain: the margin, and more than one run's worth, because one run may change by chance."""
        return max(self.margin, min(1.0, 1.5 / runs))

    def _tasks_for(self, group: RolloutGroup) -> list[PracticeTask]:
        families = {self.family_of(r.episode.id) for r in group.rollouts}
        found = [task for task in self.tasks if task.family in families]
        if not found:
            raise InvalidInput(f"no validation task of the families {sorted(map(str, families))!r}; give some, or gate=None")
        return found


@dataclass(eq=False)
class _Practice:
    """The parts of one practice, and its report as it grows."""

    learner: Learner
    runner: Runner
    tasks: Sequence[PracticeTask]
    rollouts: int
    seed: int
    gate: Gate | None
    report: PracticeReport = field(default_factory=PracticeReport)
    family: dict[UUID, str | None] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @contextmanager
    def epoch(self, number: int, epochs: int, *, progress: bool) -> Iterator[tuple[list[Job], Callable[[Run], None]]]:
        """The runs of an epoch, and what to do with each as it ends."""
        drawn = iter(seeds(self.seed + number, len(self.tasks) * self.rollouts))
        jobs = [Job(task=task, seed=next(drawn)) for task in self.tasks for _ in range(self.rollouts)]
        self.family.update({job.id: job.task.family for job in jobs})
        runs: list[Run] = []
        try:
            with progress_of(len(jobs), f"epoch {number + 1} of {epochs}", show=progress) as advance:

                def keep(run: Run) -> None:
                    self.keep(run)
                    runs.append(run)
                    advance()

                yield jobs, keep
        finally:
            self.report.curve += [_mean(runs)] if runs else []
        _check_some_ran(runs)

    def keep(self, run: Run) -> None:
        """Record the outcome of a rollout as it ends, so that an interruption loses none."""
        verdict = run.verdict
        self.learner.ledger.record_outcome(
            run.job.id,
            reward=verdict.reward,
            feedback=verdict.feedback,
            source="verifier",
            key=_KEY,
            detail=verdict.detail,
            namespace=self.learner.namespace_of(run.job.id),
        )
        self.report.rollouts += 1
        self.report.failed += run.error is not None
        self.report.usage += run.usage

    def finished(self) -> PracticeReport:
        """The report, with what was spent."""
        if isinstance(self.gate, ReplayGate):
            self.report.trials = self.gate.trials
            self.report.usage = reduce(add, (run.usage for run in self.gate.runs), self.report.usage)
        self.report.usage = reduce(add, (r.usage for r in self.report.reflections), self.report.usage)
        self.report.seconds = time.monotonic() - self.started
        return self.report


def practice(
    agent: Runnable[Any, Any],
    tasks: Sequence[TaskLike],
    verifier: Verifier,
    *,
    learner: Learner,
    rollouts: int = 4,
    epochs: int = 1,
    concurrency: int = 2,
    validation: Sequence[TaskLike] | None = None,
    gate: Gate | Literal["auto"] | None = "auto",
    progress: bool = True,
    seed: int = 0,
    prepare: Prepare | None = None,
) -> PracticeReport:
    """Run each task several times, judge the runs, reflect on them; once per epoch.

    A run in which the agent raises counts as a failure, with the error as feedback. Ctrl-C ends the practice with the report so far.

    Args:
        agent: A graph or another Runnable; wrapped by the learner if it is not.
        tasks: What to practise on: `PracticeTask`s, inputs of the graph, or plain texts.
        verifier: Judges each run, see `verifiers`. Its feedback is what lessons are made of.
        learner: Keeps the episodes and reflects; needs a model.
        rollouts: Runs of each task in an epoch.
        epochs: How often; from the second on, the runs have the lessons of those before.
        concurrency: Most runs at a time.
        validation: Tasks on which drafts are tried before they are kept; of the same families as `tasks`, and none of them.
        gate: `auto`: a `ReplayGate` if there are validation tasks. None: drafts are kept untried.
        progress: Whether to show a bar, on a terminal.
        seed: Seeds of the runs are drawn from it; a run's own is in its metadata under `reflect_seed`.
        prepare: `prepare(task, seed)` gives the config of each run.

    Raises:
        ModelMissing: The learner has no model.
        InvalidInput: An argument cannot be meant, a verdict cannot be read, or every run of an epoch failed.
    """
    runner = Runner(wrapped_by(learner, agent), verifier, concurrency, prepare)
    work = _begin(runner, tasks, learner, validation, gate, rollouts=rollouts, epochs=epochs, seed=seed)
    try:
        with learner.hold_reflection():
            for number in range(epochs):
                with work.epoch(number, epochs, progress=progress) as (jobs, keep):
                    runner.run(jobs, keep)
                work.report.reflections.append(_apart(partial(learner.reflect, episodes=list(work.family), gate=work.gate)))
    except KeyboardInterrupt:
        runner.stopped.set()
        work.report.interrupted = True
    return work.finished()


def _apart(reflect: Callable[[], ReflectionReport]) -> ReflectionReport:
    """Reflect on a daemon thread, so that Ctrl-C need not wait for all the runs that gates still want to make."""
    done: queue.SimpleQueue[ReflectionReport | BaseException] = queue.SimpleQueue()

    def work() -> None:
        try:
            done.put(reflect())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            done.put(error)

    threading.Thread(target=copy_context().run, args=(work,), name="reflect-practice", daemon=True).start()
    result = done.get()
    if isinstance(result, BaseException):
        raise result
    return result


async def apractice(
    agent: Runnable[Any, Any],
    tasks: Sequence[TaskLike],
    verifier: Verifier,
    *,
    learner: Learner,
    rollouts: int = 4,
    epochs: int = 1,
    concurrency: int = 2,
    validation: Sequence[TaskLike] | None = None,
    gate: Gate | Literal["auto"] | None = "auto",
    progress: bool = True,
    seed: int = 0,
    prepare: Prepare | None = None,
) -> PracticeReport:
    """Async `practice`, with the agent's `ainvoke`. A cancelled task is cancelled; what was recorded until then stays."""
    runner = Runner(wrapped_by(learner, agent), verifier, concurrency, prepare, asyncio.get_running_loop())
    work = _begin(runner, tasks, learner, validation, gate, rollouts=rollouts, epochs=epochs, seed=seed)
    with learner.hold_reflection():
        for number in range(epochs):
            with work.epoch(number, epochs, progress=progress) as (jobs, keep):
                await runner.arun(jobs, keep)
            work.report.reflections.append(await learner.areflect(episodes=list(work.family), gate=work.gate))
    return work.finished()


def _begin(
    runner: Runner,
    tasks: Sequence[TaskLike],
    learner: Learner,
    validation: Sequence[TaskLike] | None,
    gate: Gate | Literal["auto"] | None,
    *,
    rollouts: int,
    epochs: int,
    seed: int,
) -> _Practice:
    _check(tasks, rollouts=rollouts, epochs=epochs)
    assert learner.model is not None  # raises ModelMissing before anything is spent
    own, tried = [PracticeTask.of(t) for t in tasks], [PracticeTask.of(t) for t in validation or ()]
    work = _Practice(learner, runner, own, rollouts, seed, None if gate == "auto" else gate)
    if gate == "auto" and tried:
        _check_split(own, tried)
        work.gate = ReplayGate(runner, tried, work.family.get, k=learner.settings.k, seed=seed)
    return work


def _check_some_ran(runs: Sequence[Run]) -> None:
    """An epoch in which nothing ran teaches nothing but that."""
    errors = [run.error for run in runs if run.error is not None]
    if errors and len(errors) == len(runs):
        raise InvalidInput(f"all {len(errors)} runs of the agent failed, such as with {errors[0]!r}; make it run first") from errors[0]


def _check(tasks: Sequence[TaskLike], **counts: int) -> None:
    if not tasks or isinstance(tasks, str):
        raise InvalidInput(f"tasks={tasks!r}; expected a list with at least one task")
    for name, value in counts.items():
        if value < 1:
            raise InvalidInput(f"{name}={value!r}; expected 1 or more")


def _check_split(tasks: Sequence[PracticeTask], validation: Sequence[PracticeTask]) -> None:
    """Validation only tells something if it has the families of the tasks and none of the tasks."""
    missing = {t.family for t in tasks} - {t.family for t in validation}
    if missing:
        raise InvalidInput(f"validation has no task of the families {sorted(map(str, missing))!r}; add some, or pass gate=None")
    both = {t.text for t in tasks} & {t.text for t in validation}
    if both:
        raise InvalidInput(f"validation shares tasks with those to practise on, such as {min(both)!r}; split them")


def _mean(runs: Sequence[Run]) -> float:
    return sum(run.reward for run in runs) / len(runs) if runs else 0.0


def _scores(trial: Trial) -> str:
    scores = ", ".join(f"{score:.2f}" for score in trial.scores)
    return f"{scores} against {trial.baseline:.2f}; {'none kept' if trial.best is None else f'kept number {trial.best + 1}'}"
