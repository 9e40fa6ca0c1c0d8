"""Many runs of an agent on tasks, a few at a time, each judged as it ends: what practice and measurements are made of.

Sync runs go on daemon threads, each in a copy of the caller's context, so that Ctrl-C ends at once instead of waiting for runs that hang.
"""

import asyncio
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Final
from uuid import UUID

import numpy as np
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs, var_child_runnable_config

from langchain_reflect.agents.episodes import TASK_KEY, OpenEpisode, collect_episodes, new_id
from langchain_reflect.agents.forced import forced
from langchain_reflect.agents.view import is_reflected
from langchain_reflect.errors import InvalidInput, TaskNotFound
from langchain_reflect.learner import Learner
from langchain_reflect.recording.task import task_of
from langchain_reflect.types import Arm, LessonText, Usage
from langchain_reflect.verifiers import Verdict, Verifier, ajudge, judge

SEED_KEY: Final = "reflect_seed"
"""Key of a run's metadata that holds its seed, equal for runs that are to be compared; a model that can be seeded may read it."""


_PATIENCE: Final = 30.0
"""Seconds that recall may take in runs for which nobody waits; a late recall would look like a lesson that does not help."""


@dataclass(frozen=True, slots=True)
class PracticeTask:
    """Something to run the agent on."""

    inputs: Any
    """The graph's input; a plain string becomes `{"messages": [("user", text)]}`."""
    reference: Any = None
    """The right answer, for the verifier."""
    key: str | None = None
    """Stable name of this task; its rollouts are compared with one another. Default: tasks are told apart by their text."""
    family: str | None = None
    """Kind of task; all rollouts of one family are compared with one another."""

    @classmethod
    def of(cls, given: "TaskLike") -> "PracticeTask":
        """A task from any accepted form."""
        task = given if isinstance(given, PracticeTask) else cls(given)
        return cls({"messages": [("user", task.inputs)]}, task.reference, task.key, task.family) if isinstance(task.inputs, str) else task

    @property
    def group(self) -> str | None:
        """What its rollouts are grouped by, if it is named."""
        return self.family or self.key

    @property
    def text(self) -> str:
        """The task's text, or its input as it is where no text can be read."""
        try:
            return task_of(self.inputs)
        except TaskNotFound:
            return str(self.inputs)


TaskLike = PracticeTask | str | Mapping[str, Any]
Prepare = Callable[[PracticeTask, int], RunnableConfig]
"""`prepare(task, seed)` gives the config of one run, for example a sampling seed or a thread of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run to be made."""

    task: PracticeTask
    seed: int
    arm: Arm | None = None
    lessons: tuple[LessonText, ...] | None = None
    """As in `forced`."""
    record: bool = True
    without: frozenset[str] = frozenset()
    """As in `forced`."""
    id: UUID = field(default_factory=new_id)


@dataclass(frozen=True, slots=True)
class Run:
    """A run that was made."""

    job: Job
    verdict: Verdict
    error: Exception | None = None
    """What the agent raised; the reward is 0 then."""
    usage: Usage = field(default_factory=Usage)
    shown: tuple[LessonText, ...] = ()
    """Lessons that were in its prompts."""
    note: str = ""
    """Why there were none."""
    seconds: float = 0.0
    """How long the agent took."""
    episodes: tuple[UUID, ...] = ()
    """Ids of the episodes that it opened, also of wrapped graphs inside the agent."""

    @property
    def reward(self) -> float:
        """The reward; 0 where the verifier gave only words."""
        return self.verdict.reward or 0.0


@dataclass(eq=False)
class Runner:
    """Makes runs of one agent. All that share it share its bound.

    Args:
        agent: A wrapped agent.
        verifier: Judges each run.
        concurrency: Most runs at a time.
        prepare: Gives each run's config.
        loop: Where runs of an async agent go when they are asked for from a thread; None: the agent is called synchronously.
        allow: Asked before each run begins; raises if it may not.
    """

    agent: Runnable[Any, Any]
    verifier: Verifier
    concurrency: int = 2
    prepare: Prepare | None = None
    loop: asyncio.AbstractEventLoop | None = None
    stopped: threading.Event = field(default_factory=threading.Event)
    allow: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise InvalidInput(f"concurrency={self.concurrency!r}; expected 1 or more")
        self._slots = threading.BoundedSemaphore(self.concurrency)

    @cached_property
    def _aslots(self) -> asyncio.Semaphore:
        return asyncio.Semaphore(self.concurrency)

    def run(self, jobs: Sequence[Job], on_run: Callable[[Run], None] | None = None) -> list[Run]:
        """Make all runs; results in the order of the jobs.

        Args:
            jobs: What to run.
            on_run: Told of each run, in the caller's thread, in the order they end.

        Raises:
            Exception: As `each`.
        """
        runs: dict[int, Run] = {}
        self.each(jobs, on_run, runs)
        return [runs[at] for at in range(len(jobs))]

    def each(self, jobs: Sequence[Job], on_run: Callable[[Run], None] | None = None, made: dict[int, Run] | None = None) -> None:
        """Make all runs and keep none of them, however many there are.

        Args:
            jobs: What to run.
            on_run: As for `run`.
            made: Filled with the runs by the index of their job.

        Raises:
            Exception: Whatever the verifier, `prepare` or `allow` raises. Runs that have begun are finished first, and told of; those not
                yet begun are left out.
            KeyboardInterrupt: At once; runs that have begun go on beside, and nobody is told of them.
        """
        batch = _Batch(jobs)
        for _ in range(min(self.concurrency, len(jobs))):
            threading.Thread(target=copy_context().run, args=(self._work, batch), daemon=True, name="reflect-run").start()
        failed: BaseException | None = None
        try:
            while batch.is_open(failed is None):
                at, result = batch.done.get()
                if isinstance(result, KeyboardInterrupt):
                    raise result
                if isinstance(result, BaseException):
                    failed = failed or result
                    batch.stop()
                elif made is not None:
                    made[at] = result
                if on_run is not None and not isinstance(result, BaseException):
                    on_run(result)
                batch.told.release()
        except KeyboardInterrupt:
            self.stopped.set()
            raise
        finally:
            batch.stop()
            batch.told.release(self.concurrency)
        if failed is not None:
            raise failed

    async def arun(self, jobs: Sequence[Job], on_run: Callable[[Run], None] | None = None) -> list[Run]:
        """Async `run`, with the agent's `ainvoke`. `on_run` is called in a thread, for one run at a time."""
        runs: dict[int, Run] = {}
        await self.aeach(jobs, on_run, runs)
        return [runs[at] for at in range(len(jobs))]

    async def aeach(self, jobs: Sequence[Job], on_run: Callable[[Run], None] | None = None, made: dict[int, Run] | None = None) -> None:
        """Async `each`. If the caller is cancelled, so are the runs that have begun."""
        batch, failures, turn = _Batch(jobs), list[BaseException](), asyncio.Lock()

        async def one(at: int) -> None:
            run = await self._aone(jobs[at])
            if made is not None:
                made[at] = run
            if on_run is not None:
                async with turn:
                    await asyncio.to_thread(on_run, run)

        async def work() -> None:
            var_child_runnable_config.set(None)  # as in `_work`; each task has its own context
            while (at := batch.next_due()) is not None:
                try:
                    async with self._aslots:
                        self._go_on(batch)
                        await asyncio.create_task(one(at))  # in a context of its own
                except Exception as error:  # noqa: BLE001 - raised when the others have ended
                    failures.append(error)
                    batch.stop()

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self.concurrency, len(jobs))):
                group.create_task(work())
        if failures:
            raise failures[0]

    def run_from_thread(self, jobs: Sequence[Job], on_run: Callable[[Run], None] | None = None) -> list[Run]:
        """The runs, made where the agent lives: here, or in the event loop that this thread works for.

        Raises:
            InterruptedError: The loop was closed.
        """
        if self.loop is None:
            return self.run(jobs, on_run)
        work = self.arun(jobs, on_run)
        try:
            return asyncio.run_coroutine_threadsafe(work, self.loop).result()
        except (CancelledError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not self.loop.is_closed():
                raise
            work.close()
            raise InterruptedError("the event loop of the runs was closed") from error

    def _work(self, batch: "_Batch") -> None:
        var_child_runnable_config.set(None)  # a gate is called inside the reflection graph; its runs are no part of that
        while (at := batch.next_due()) is not None:
            try:
                with self._slots:
                    self._go_on(batch)
                    result: Run | BaseException = copy_context().run(self._one, batch.jobs[at])
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                result = error
            batch.done.put((at, result))
            batch.told.acquire()  # so that no run begins before those that ended have been kept

    def _go_on(self, batch: "_Batch") -> None:
        if self.stopped.is_set() or batch.is_stopped:
            raise InterruptedError("the runs were stopped")
        if self.allow is not None:
            self.allow()

    def _one(self, job: Job) -> Run:
        meter, output, error = Meter(), None, None
        with collect_episodes() as episodes, forced(arm=job.arm, lessons=job.lessons, record=job.record, without=job.without):
            try:
                output = self.agent.invoke(job.task.inputs, self._config(job, meter))
            except Exception as raised:  # noqa: BLE001 - an agent that fails is an outcome
                error = raised
        meter.stop()
        verdict = _failed(error) if error else judge(self.verifier, inputs=job.task.inputs, outputs=output, reference=job.task.reference)
        return _made(job, verdict, error, meter, episodes)

    async def _aone(self, job: Job) -> Run:
        meter, output, error = Meter(), None, None
        with collect_episodes() as episodes, forced(arm=job.arm, lessons=job.lessons, record=job.record, without=job.without):
            try:
                output = await self.agent.ainvoke(job.task.inputs, self._config(job, meter))
            except Exception as raised:  # noqa: BLE001 - as in `_one`
                error = raised
        meter.stop()
        if error:
            return _made(job, _failed(error), error, meter, episodes)
        verdict = await ajudge(self.verifier, inputs=job.task.inputs, outputs=output, reference=job.task.reference)
        return _made(job, verdict, None, meter, episodes)

    def _config(self, job: Job, meter: "Meter") -> RunnableConfig:
        named = {TASK_KEY: job.task.group} if job.task.group else {}
        ours: RunnableConfig = {
            "metadata": {SEED_KEY: job.seed, **named},
            "callbacks": [meter],
            "configurable": {"thread_id": str(job.id)},  # a graph with a checkpointer needs one, and no run may see another's thread
        }
        return {**merge_configs(ours, self.prepare(job.task, job.seed) if self.prepare else None), "run_id": job.id}


class _Batch:
    """Jobs that are due, and what became of them."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = jobs
        self.is_stopped = False
        self.done: queue.SimpleQueue[tuple[int, Run | BaseException]] = queue.SimpleQueue()
        self.told = threading.Semaphore(0)
        """Released for each run that its maker may forget."""
        self._lock = threading.Lock()
        self._begun = 0
        self._awaited = 0

    def next_due(self) -> int | None:
        """Index of a job that nobody has begun; each that is given out comes back in `done` once."""
        with self._lock:
            if self.is_stopped or self._begun == len(self.jobs):
                return None
            self._begun += 1
            return self._begun - 1

    def stop(self) -> None:
        """Give out no more jobs."""
        with self._lock:
            self.is_stopped = True

    def is_open(self, complete: bool) -> bool:  # noqa: FBT001 - private, and read at one place
        """Whether something will come: any of the jobs, or if the batch is not to become complete, one of those that were begun."""
        with self._lock:
            left = (len(self.jobs) if complete else self._begun) - self._awaited
            self._awaited += left > 0
            return left > 0


class Meter(BaseCallbackHandler):
    """Counts model calls and their tokens, and the seconds until it is stopped."""

    run_inline = True

    def __init__(self) -> None:
        self.usage = Usage()
        self.seconds = 0.0
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Take the time."""
        self.seconds = time.monotonic() - self._began

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """Add one call."""
        messages = [g.message for some in response.generations for g in some if isinstance(g, ChatGeneration)]
        known = [m.usage_metadata for m in messages if isinstance(m, AIMessage) and m.usage_metadata]
        spent = Usage(calls=1, tokens_in=sum(u["input_tokens"] for u in known), tokens_out=sum(u["output_tokens"] for u in known))
        with self._lock:
            self.usage += spent


def wrapped_by(learner: Learner, agent: Runnable[Any, Any]) -> Runnable[Any, Any]:
    """The agent, wrapped by the learner if it is not wrapped already.

    Args:
        learner: Whose lessons it gets.
        agent: A graph or another Runnable.
    """
    return agent if is_reflected(agent) else learner.wrap(agent, deadline=_PATIENCE)


def seeds(seed: int, count: int) -> list[int]:
    """Seeds of runs, drawn from one seed.

    Args:
        seed: The one.
        count: How many.
    """
    return [int(s) for s in np.random.default_rng(seed).integers(2**31, size=count)]


def seed_of(seed: int, *path: int) -> int:
    """Seed of one run of many: runs whose paths differ are independent of each other, whatever their number.

    Args:
        seed: That all are drawn from.
        path: Which run, such as epoch, task and rollout; none of them negative.

    Returns:
        0 to 2**31 - 1, as most models take it.
    """
    drawn = np.random.SeedSequence(abs(seed), spawn_key=(int(seed < 0), *path))
    return int(drawn.generate_state(1)[0] >> 1)


@contextmanager
def progress_of(total: int, label: str, *, show: bool) -> Iterator[Callable[[], None]]:
    """A bar on standard error while runs are made; nothing where that is no terminal.

    Args:
        total: Number of runs.
        label: What is being done.
        show: False: no bar at all.

    Yields:
        To be called after each run.
    """
    if not (show and sys.stderr.isatty()):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        yield partial(progress.advance, progress.add_task(label, total=total))


def _failed(error: Exception) -> Verdict:
    return Verdict(0.0, f"the run failed: {type(error).__name__}: {error}")


def _made(job: Job, verdict: Verdict, error: Exception | None, meter: Meter, episodes: Sequence[OpenEpisode]) -> Run:
    own = next((e for e in episodes if e.id == job.id), None)
    shown = own.shown.texts if own is not None and own.placed else ()
    note = "no episode was opened" if own is None else own.shown.note
    return Run(job, verdict, error, meter.usage, shown, note, meter.seconds, tuple(e.id for e in episodes))
