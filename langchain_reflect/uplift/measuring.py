"""The same held-out tasks without lessons, with neutral text in their place, and with lessons: plan -> runs -> report."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import numpy as np
from langchain_core.runnables import Runnable

from langchain_reflect.errors import InvalidInput
from langchain_reflect.learner import Learner
from langchain_reflect.runs import Job, PracticeTask, Prepare, Run, Runner, TaskLike, progress_of, seeds, wrapped_by
from langchain_reflect.types import SERVABLE, Arm, Lesson
from langchain_reflect.uplift.leaks import Leak, check_leak, leaking, sources_of
from langchain_reflect.uplift.power import detectable_effect
from langchain_reflect.uplift.report import Cell, Cluster, UpliftReport, can_show, report_of
from langchain_reflect.verifiers import Verifier

logger = logging.getLogger(__name__)

ARMS: Final[dict[str, Arm]] = {"bare": "holdout", "placebo": "placebo", "lessons": "treated"}
LESSON: Final = "lesson:"
"""Begins the name of an arm with a single lesson."""
DEFAULT: Final = ("bare", "placebo", "lessons")
_COARSE: Final = 0.3
"""A measurement that can only show larger effects than this is not worth much, and it is said."""


def measure_uplift(
    agent: Runnable[Any, Any],
    held_out: Sequence[TaskLike],
    verifier: Verifier,
    *,
    learner: Learner,
    arms: Sequence[str] = DEFAULT,
    repeats: int = 1,
    concurrency: int = 2,
    leak: Leak = "task",
    cluster: Cluster = "task",
    seed: int = 0,
    progress: bool = True,
    prepare: Prepare | None = None,
) -> UpliftReport:
    """Run held-out tasks in each arm, paired by task and seed; nothing of it is recorded.

    Before the first run it is told (in the log, the bar and the report) what difference so many tasks can show. Lessons that came from a
    held-out task are kept out and counted. Ctrl-C ends it with what is complete until then.

    Args:
        agent: A graph or another Runnable; wrapped by the learner if it is not.
        held_out: Tasks that were not practised on.
        verifier: Judges each run. A run for which it gives only words does not count, nor does the same task in the other arms.
        learner: Its lessons are measured.
        arms: `bare`: no lessons. `placebo`: neutral text of the same form. `lessons`: what recall finds, without chance. `lesson:L-…`: that
            lesson alone in every run, whatever its status, so that a proposed one can be tried before it is approved.
        repeats: Runs of each task in each arm.
        concurrency: Most runs at a time.
        leak: When a lesson has seen a held-out task: `task`, if it came from this very task; `group`, also if it came from the task's
            rollout group, see `leaks`.
        cluster: What is taken for independent: `task`, or `family` if the tasks of one family go well or badly together.
        seed: Seeds of the runs are drawn from it.
        progress: Whether to show a bar, on a terminal.
        prepare: `prepare(task, seed)` gives the config of each run; the seed is the same in all arms.

    Raises:
        InvalidInput: An argument cannot be meant, every lesson has seen a held-out task, or no run was given a reward.
    """
    plan = _Plan(held_out, learner, arms, repeats=repeats, leak=leak, cluster=cluster, seed=seed)
    made: dict[UUID, Run] = {}
    interrupted = False
    with progress_of(len(plan.jobs), plan.label, show=progress) as advance:

        def keep(run: Run) -> None:
            made[run.job.id] = run
            advance()

        try:
            Runner(wrapped_by(learner, agent), verifier, concurrency, prepare).run(plan.jobs, keep)
        except KeyboardInterrupt:
            if not plan.has_whole(made):
                raise
            interrupted = True
    return plan.report(made, interrupted=interrupted)


async def ameasure_uplift(
    agent: Runnable[Any, Any],
    held_out: Sequence[TaskLike],
    verifier: Verifier,
    *,
    learner: Learner,
    arms: Sequence[str] = DEFAULT,
    repeats: int = 1,
    concurrency: int = 2,
    leak: Leak = "task",
    cluster: Cluster = "task",
    seed: int = 0,
    progress: bool = True,
    prepare: Prepare | None = None,
) -> UpliftReport:
    """Async `measure_uplift`, with the agent's `ainvoke`. A cancelled task is cancelled."""
    plan = await asyncio.to_thread(_Plan, held_out, learner, arms, repeats=repeats, leak=leak, cluster=cluster, seed=seed)
    wrapped = await asyncio.to_thread(wrapped_by, learner, agent)
    with progress_of(len(plan.jobs), plan.label, show=progress) as advance:
        made = await Runner(wrapped, verifier, concurrency, prepare).arun(plan.jobs, lambda _: advance())
    return plan.report({run.job.id: run for run in made})


class _Plan:
    """Which runs to make, and what they say."""

    def __init__(
        self, held_out: Sequence[TaskLike], learner: Learner, arms: Sequence[str], *, repeats: int, leak: Leak, cluster: Cluster, seed: int
    ) -> None:
        _check(held_out, arms, repeats, cluster)
        check_leak(leak)
        learner.recorder.flush()
        learner.warm_up(only_if_used=True)  # the first run must not find no lessons because the embedder is still loading
        self.tasks = [PracticeTask.of(task) for task in held_out]
        self.names = _names(self.tasks)
        self.arms, self.repeats, self.leak, self.cluster, self.seed = tuple(arms), repeats, leak, cluster, seed
        served = learner.ledger.lessons(statuses=SERVABLE)
        single = {arm: _lesson(learner, arm) for arm in self.arms if arm.startswith(LESSON)}
        self.excluded = _seen({lesson.id: lesson for lesson in (*served, *single.values())}, self.tasks, learner, leak)
        _check_left(self.arms, served, single, self.excluded)
        self.excluded = {lesson.id: self.excluded[lesson.id] for lesson in served if lesson.id in self.excluded}
        self.lessons = len(served) - len(self.excluded)
        self.detectable = detectable_effect(len(self.tasks), repeats)
        self.label = f"uplift ({can_show(self.detectable)})"
        coarse = self.detectable is None or self.detectable > _COARSE
        logger.log(
            logging.WARNING if coarse else logging.INFO, "%d held-out tasks x %d: %s", len(self.tasks), repeats, can_show(self.detectable)
        )
        drawn = iter(seeds(seed, len(self.tasks) * repeats))
        cells = [(task, repeat, next(drawn)) for task in range(len(self.tasks)) for repeat in range(repeats)]
        hidden = frozenset(lesson.id for lesson in served)
        self.cells = [(task, repeat, arm) for task, repeat, _ in cells for arm in self.arms]
        self.jobs = [self._job(self.tasks[task], at, arm, single.get(arm), hidden) for task, _, at in cells for arm in self.arms]

    def _job(self, task: PracticeTask, seed: int, arm: str, lesson: Lesson | None, served: frozenset[str]) -> Job:
        if lesson is not None:
            return Job(task=task, seed=seed, arm="treated", lessons=(lesson,), record=False, without=served - {lesson.id})
        return Job(task=task, seed=seed, arm=ARMS[arm], record=False, without=frozenset(self.excluded))

    def has_whole(self, made: dict[UUID, Run]) -> bool:
        """Whether some task has a reward in every arm."""
        rewarded = [job.id in made and made[job.id].verdict.reward is not None for job in self.jobs]
        return bool(np.array(rewarded).reshape(-1, len(self.arms)).all(axis=1).any())

    def report(self, made: dict[UUID, Run], *, interrupted: bool = False) -> UpliftReport:
        """What the runs say."""
        done = [(cell, made[job.id]) for cell, job in zip(self.cells, self.jobs, strict=True) if job.id in made]
        return report_of(
            [self._cell(cell, run) for cell, run in done],
            self.arms,
            lessons=self.lessons,
            cluster=self.cluster,
            excluded=self.excluded,
            leak=self.leak,
            detectable=self.detectable,
            seed=self.seed,
            interrupted=interrupted,
        )

    def _cell(self, cell: tuple[int, int, str], run: Run) -> Cell:
        at, repeat, arm = cell
        task = self.tasks[at]
        return Cell(
            task=self.names[at],
            family=task.family,
            repeat=repeat,
            arm=arm,
            reward=run.verdict.reward,
            feedback=run.verdict.feedback,
            failed=run.error is not None,
            shown=len(run.shown),
            note=run.note,
            tokens=run.usage.tokens_in + run.usage.tokens_out,
            seconds=round(run.seconds, 4),
        )


def _names(tasks: Sequence[PracticeTask]) -> list[str]:
    """Key or text of each task; one that stands twice in the list is told apart by its place."""
    names: dict[str, None] = {}
    for place, task in enumerate(tasks, 1):
        name = task.key or task.text
        names[name if name not in names else f"{name} ({place})"] = None
    return list(names)


def _seen(lessons: dict[str, Lesson], tasks: Sequence[PracticeTask], learner: Learner, leak: Leak) -> dict[str, str]:
    sources = sources_of(learner.ledger, list(lessons.values()))
    masked = [PracticeTask(learner.redact(task.text), key=task.key, family=task.family) for task in tasks]  # as episodes keep them
    given = [*tasks, *(PracticeTask.of(task) for task in masked)]
    return leaking(sources, given, leak=leak, similar=learner.reflection.similar, embed=learner.embedder.embed_documents)


def _lesson(learner: Learner, arm: str) -> Lesson:
    found = learner.ledger.lessons(ids=[arm.removeprefix(LESSON)])
    if not found:
        raise InvalidInput(f"arms hold {arm!r}, and there is no such lesson; `reflect lessons list` shows their ids")
    return found[0]


def _check(held_out: Sequence[TaskLike], arms: Sequence[str], repeats: int, cluster: str) -> None:
    if not held_out or isinstance(held_out, str):
        raise InvalidInput(f"held_out={held_out!r}; expected a list with at least one task")
    known = not isinstance(arms, str) and all(arm in ARMS or arm.startswith(LESSON) for arm in arms)
    if not arms or not known or len(set(arms)) < len(arms):
        raise InvalidInput(f"arms={arms!r}; expected some of {tuple(ARMS)!r} and 'lesson:L-…', each once")
    if repeats < 1:
        raise InvalidInput(f"repeats={repeats!r}; expected 1 or more")
    if cluster not in ("task", "family"):
        raise InvalidInput(f"cluster={cluster!r}; expected 'task' or 'family'")


def _check_left(arms: Sequence[str], served: Sequence[Lesson], single: dict[str, Lesson], seen: dict[str, str]) -> None:
    """Something must be left to measure."""
    for arm, lesson in single.items():
        if lesson.id in seen:
            raise InvalidInput(f"{arm!r} has seen the held-out task {seen[lesson.id]!r}; hold out tasks that it did not come from")
    if "lessons" in arms and served and all(lesson.id in seen for lesson in served):
        seen_by_one = seen[served[0].id]
        raise InvalidInput(
            f"all {len(served)} lessons have seen held-out tasks, such as {seen_by_one!r}; hold out tasks that were not practised on"
        )
