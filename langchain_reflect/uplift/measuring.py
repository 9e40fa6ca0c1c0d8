"""The same held-out tasks without lessons, with neutral text in their place, and with lessons: plan -> runs -> report."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral
from typing import Any, Final, TypeGuard
from uuid import UUID

import numpy as np
from langchain_core.runnables import Runnable
from typing_extensions import TypedDict, Unpack

from langchain_reflect.errors import InvalidInput
from langchain_reflect.learner import Learner
from langchain_reflect.runs import Job, PracticeTask, Prepare, Run, Runner, TaskLike, progress_of, seeds, wants_async, wrapped_by
from langchain_reflect.settings import refuse_unknown
from langchain_reflect.types import SERVABLE, Arm, Lesson
from langchain_reflect.types.counting import count, every
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


class UpliftOptions(TypedDict, total=False):
    """What `measure_uplift` and `ameasure_uplift` take beside agent, tasks, verifier and learner."""

    arms: Sequence[str]
    """`bare`: no lessons. `placebo`: neutral text of the same form. `lessons`: what recall finds, without chance. `lesson:L-…`: that lesson
    alone in every run, whatever its status, so that a proposed one can be tried before it is approved. Default: the first three."""
    repeats: int
    """Runs of each task in each arm; default 1."""
    concurrency: int
    """Most runs at a time; default 2."""
    leak: Leak
    """When a lesson has seen a held-out task: `group`, the default, if it came from the rollout group that the task would be in; `task`,
    only if it came from this very task. See `leaks`."""
    cluster: Cluster
    """What is taken for independent: `task`, the default, or `family` if the tasks of one family go well or badly together."""
    seed: int
    """Seeds of the runs are drawn from it; default 0."""
    progress: bool
    """Whether to show a bar, on a terminal; default True."""
    prepare: Prepare | None
    """`prepare(task, seed)` gives the config of each run; the seed is the same in all arms."""


def measure_uplift(
    agent: Runnable[Any, Any], held_out: Sequence[TaskLike], verifier: Verifier, *, learner: Learner, **options: Unpack[UpliftOptions]
) -> UpliftReport:
    """Run held-out tasks in each arm, paired by task and seed; nothing of it is recorded.

    Before the first run it is told (in the log, the bar and the report) what difference so many tasks can show. Lessons that have seen a
    held-out task are kept out and counted. Ctrl-C ends it with what is complete until then.

    Args:
        agent: A graph or another Runnable; wrapped by the learner if it is not.
        held_out: Tasks that were not practised on.
        verifier: Judges each run. A run for which it gives only words does not count, nor does the same task in the other arms.
        learner: Its lessons are measured.
        **options: See `UpliftOptions`.

    Raises:
        InvalidInput: An argument cannot be meant, every lesson has seen a held-out task, no run was given a reward, or the agent is only
            async.
    """
    plan = _Plan(held_out, learner, options)
    runner = plan.runner(wrapped_by(learner, agent), verifier)
    interrupted = False
    with plan.keeping() as keep:
        try:
            runner.run(plan.jobs, keep)
        except KeyboardInterrupt:
            if not plan.has_whole():
                raise
            interrupted = True
    plan.check_can_be_sync()
    return plan.report(interrupted=interrupted)


async def ameasure_uplift(
    agent: Runnable[Any, Any], held_out: Sequence[TaskLike], verifier: Verifier, *, learner: Learner, **options: Unpack[UpliftOptions]
) -> UpliftReport:
    """Async `measure_uplift`, with the agent's `ainvoke`.

    A task that is cancelled (also by Ctrl-C under `asyncio.run`) is cancelled, and so are runs that are under way. What is complete until
    then is logged as a warning, because nothing else keeps it.
    """
    plan = await asyncio.to_thread(_Plan, held_out, learner, options)
    runner = plan.runner(await asyncio.to_thread(wrapped_by, learner, agent), verifier)
    with plan.keeping() as keep:
        try:
            await runner.arun(plan.jobs, keep)
        except asyncio.CancelledError:
            if plan.has_whole():
                logger.warning("the measurement was cancelled:\n%s", plan.report(interrupted=True))
            raise
    return plan.report()


class _Plan:
    """Which runs to make, and what they say."""

    def __init__(self, held_out: Sequence[TaskLike], learner: Learner, options: UpliftOptions) -> None:
        _check(held_out, options)
        self.options = options
        self.arms, self.repeats = tuple(options.get("arms", DEFAULT)), options.get("repeats", 1)
        self.leak, self.cluster, self.seed = options.get("leak", "group"), options.get("cluster", "task"), options.get("seed", 0)
        check_leak(self.leak)
        learner.recorder.flush()
        learner.warm_up(only_if_used=True)  # the first run must not find no lessons because the embedder is still loading
        self.tasks = [PracticeTask.of(task) for task in held_out]
        self.names = _names(self.tasks)
        served = learner.ledger.lessons(statuses=SERVABLE)
        single = {arm: _lesson(learner, arm) for arm in self.arms if arm.startswith(LESSON)}
        self.excluded, itself = _seen({lesson.id: lesson for lesson in (*served, *single.values())}, self.tasks, learner, self.leak)
        _check_left(self.arms, served, single, self.excluded, itself, leak=self.leak)
        self.excluded = {lesson.id: self.excluded[lesson.id] for lesson in served if lesson.id in self.excluded}
        self.lessons = len(served) - len(self.excluded)
        self.detectable = detectable_effect(len(self.tasks), self.repeats)
        self.label = f"uplift ({can_show(self.detectable)})"
        coarse = self.detectable is None or self.detectable > _COARSE
        level = logging.WARNING if coarse else logging.INFO
        logger.log(level, "%s x %d: %s", count(len(self.tasks), "held-out task"), self.repeats, can_show(self.detectable))
        drawn = iter(seeds(self.seed, len(self.tasks) * self.repeats))
        cells = [(task, repeat, next(drawn)) for task in range(len(self.tasks)) for repeat in range(self.repeats)]
        hidden = frozenset(lesson.id for lesson in served)
        self.cells = [(task, repeat, arm) for task, repeat, _ in cells for arm in self.arms]
        self.jobs = [self._job(self.tasks[task], at, arm, single.get(arm), hidden) for task, _, at in cells for arm in self.arms]
        self.made: dict[UUID, Run] = {}

    def runner(self, agent: Runnable[Any, Any], verifier: Verifier) -> Runner:
        """What makes the runs."""
        return Runner(agent, verifier, self.options.get("concurrency", 2), self.options.get("prepare"))

    @contextmanager
    def keeping(self) -> Iterator[Callable[[Run], None]]:
        """Keeps each run as it ends, with a bar."""
        with progress_of(len(self.jobs), self.label, show=self.options.get("progress", True)) as advance:

            def keep(run: Run) -> None:
                self.made[run.job.id] = run
                advance()

            yield keep

    def _job(self, task: PracticeTask, seed: int, arm: str, lesson: Lesson | None, served: frozenset[str]) -> Job:
        if lesson is not None:
            return Job(task=task, seed=seed, arm="treated", lessons=(lesson,), record=False, without=served - {lesson.id})
        return Job(task=task, seed=seed, arm=ARMS[arm], record=False, without=frozenset(self.excluded))

    def has_whole(self) -> bool:
        """Whether some task has a reward in every arm."""
        rewarded = [job.id in self.made and self.made[job.id].verdict.reward is not None for job in self.jobs]
        return bool(np.array(rewarded).reshape(-1, len(self.arms)).all(axis=1).any())

    def check_can_be_sync(self) -> None:
        """An agent that is only async fails in every run, which says nothing of lessons."""
        errors = [run.error for run in self.made.values()]
        if errors and all(map(wants_async, errors)):
            told = f"{every(len(errors), 'run')} of the agent failed, such as with {errors[0]!r}"
            raise InvalidInput(f"{told}; an agent that is only async needs `langchain_reflect.ameasure_uplift`") from errors[0]

    def report(self, *, interrupted: bool = False) -> UpliftReport:
        """What the runs say."""
        done = [(cell, self.made[job.id]) for cell, job in zip(self.cells, self.jobs, strict=True) if job.id in self.made]
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


def _seen(lessons: dict[str, Lesson], tasks: Sequence[PracticeTask], learner: Learner, leak: Leak) -> tuple[dict[str, str], dict[str, str]]:
    """Lessons that must not be measured, and those that have seen a held-out task itself, each with the task."""
    sources = sources_of(learner.ledger, list(lessons.values()))
    masked = [PracticeTask(learner.redact(task.text), key=task.key, family=task.family) for task in tasks]  # as episodes keep them
    given = [*tasks, *(PracticeTask.of(task) for task in masked)]
    similar, embed = learner.reflection.similar, learner.embedder.embed_documents
    itself = leaking(sources, given, leak="task", similar=similar, embed=embed)
    return itself if leak == "task" else leaking(sources, given, leak=leak, similar=similar, embed=embed), itself


def _lesson(learner: Learner, arm: str) -> Lesson:
    found = learner.ledger.lessons(ids=[arm.removeprefix(LESSON)])
    if not found:
        raise InvalidInput(f"arms hold {arm!r}, and there is no such lesson; `reflect lessons list` shows their ids")
    return found[0]


def _check(held_out: Sequence[TaskLike], options: UpliftOptions) -> None:
    refuse_unknown(measure_uplift, options, UpliftOptions)
    if not held_out or isinstance(held_out, str):
        raise InvalidInput(f"held_out={held_out!r}; expected a list with at least one task")
    arms, repeats, cluster = options.get("arms", DEFAULT), options.get("repeats", 1), options.get("cluster", "task")
    if not _are_arms(arms):
        raise InvalidInput(f"arms={arms!r}; expected some of {tuple(ARMS)!r} and 'lesson:L-…', each once")
    if not _is_whole(repeats) or repeats < 1:
        raise InvalidInput(f"repeats={repeats!r}; expected a whole number, 1 or more")
    if not _is_whole(seed := options.get("seed", 0)):
        raise InvalidInput(f"seed={seed!r}; expected a whole number")
    if cluster not in ("task", "family"):
        raise InvalidInput(f"cluster={cluster!r}; expected 'task' or 'family'")


def _are_arms(arms: object) -> bool:
    if not isinstance(arms, Sequence) or isinstance(arms, str) or not arms:
        return False
    known = all(isinstance(arm, str) and (arm in ARMS or arm.startswith(LESSON)) for arm in arms)
    return known and len(set(arms)) == len(arms)


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _check_left(
    arms: Sequence[str], served: Sequence[Lesson], single: dict[str, Lesson], seen: dict[str, str], itself: dict[str, str], *, leak: Leak
) -> None:
    """Something must be left to measure."""
    for arm, lesson in single.items():
        if lesson.id in seen:
            how = "has seen" if lesson.id in itself else "came from tasks of the same group as"
            told = f"{arm!r} {how} the held-out task {seen[lesson.id]!r}"
            raise InvalidInput(f"{told} (leak={leak!r}); {_way_out([lesson], itself, 'hold out tasks that it did not come from')}")
    if "lessons" in arms and served and all(lesson.id in seen for lesson in served):
        all_of_them = f"all {len(served)} lessons" if len(served) > 1 else "the only lesson"
        ways = {
            "saw held-out tasks": any(lesson.id in itself for lesson in served),
            "came from tasks of the same group": any(lesson.id not in itself for lesson in served),
        }
        told = f"{all_of_them} {' or '.join(way for way, is_so in ways.items() if is_so)}, such as {seen[served[0].id]!r}"
        raise InvalidInput(f"{told} (leak={leak!r}); {_way_out(served, itself, 'hold out tasks that were not practised on')}")


def _way_out(lessons: Sequence[Lesson], itself: dict[str, str], usual: str) -> str:
    """The looser guard is only named where it leaves something."""
    left = sum(lesson.id not in itself for lesson in lessons)
    if not left:
        return usual
    leaves = "" if len(lessons) == 1 else f" (it leaves {left} of them)"
    return f'{usual}, or pass leak="task" if you want to measure lessons for tasks of the same kind{leaves}'
