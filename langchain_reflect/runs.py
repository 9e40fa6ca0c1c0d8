"""Many runs of an agent on tasks, a few at a time, each judged as it ends: what practice and measurements are made of.

Sync runs go on daemon threads, each in a copy of the caller's context, so that Ctrl-C ends at once instead of waiting for runs that hang.
"""

import asyncio
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    """

    agent: Runnable[Any, Any]
    verifier: Verifier
    concurrency: int = 2
    prepare: Prepare | None = None
    loop: asyncio.AbstractEventLoop | None = None
    stopped: threading.Event = field(default_factory=threading.Event)

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
            Exception: Whatever the verifier or `prepare` raises; runs not yet begun are left out.
        """
        batch = _Batch(jobs)
        for _ in range(min(self.concurrency, len(jobs))):
            threading.Thread(target=copy_context().run, args=(self._work, batch), daemon=True, name="reflect-run").start()
        runs: dict[int, Run] = {}
        try:
            while len(runs) < len(jobs):
                at, run = batch.next_done()
                runs[at] = run
                if on_run is not None:
                    on_run(run)
        except KeyboardInterrupt:
            self.stopped.set()
            raise
        finally:
            batch.stopped.set()
        return [runs[at] for at in range(len(jobs))]

    async def arun(self, jobs: Sequence[Job], on_run: Callable[[Run], None] | None = None) -> list[Run]:
        """Async `run`, with the agent's `ainvoke`."""

        async def one(job: Job) -> Run:
            var_child_runnable_config.set(None)  # as in `_work`; each task has its own context
            async with self._aslots:
                run = await self._aone(job)
            if on_run is not None:
                on_run(run)
            return run

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(job)) for job in jobs]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None  # the first says it; the others were cancelled or say the same
        return [task.result() for task in tasks]

    def run_from_thread(self, jobs: Sequence[Job]) -> list[Run]:
        """The runs, made where the agent lives: here, or in the event loop that this thread works for."""
        if self.loop is None:
            return self.run(jobs)
        return asyncio.run_coroutine_threadsafe(self.arun(jobs), self.loop).result()

    def _work(self, batch: "_Batch") -> None:
        var_child_runnable_config.set(None)  # a gate is called inside the reflection graph; its runs are no part of that
        while (at := batch.next_due()) is not None:
            try:
                with self._slots:
                    self._go_on(batch)
                    batch.done.put((at, self._one(batch.jobs[at])))
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                batch.done.put((at, error))

    def _go_on(self, batch: "_Batch") -> None:
        if self.stopped.is_set() or batch.stopped.is_set():
            raise InterruptedError("the runs were stopped")

    def _one(self, job: Job) -> Run:
        meter, output, error = Meter(), None, None
        with collect_episodes() as episodes, forced(arm=job.arm, lessons=job.lessons, record=job.record):
            try:
                output = self.agent.invoke(job.task.inputs, self._config(job, meter))
            except Exception as raised:  # noqa: BLE001 - an agent that fails is an outcome
                error = raised
        verdict = _failed(error) if error else judge(self.verifier, inputs=job.task.inputs, outputs=output, reference=job.task.reference)
        return _made(job, verdict, error, meter, episodes)

    async def _aone(self, job: Job) -> Run:
        meter, output, error = Meter(), None, None
        with collect_episodes() as episodes, forced(arm=job.arm, lessons=job.lessons, record=job.record):
            try:
                output = await self.agent.ainvoke(job.task.inputs, self._config(job, meter))
            except Exception as raised:  # noqa: BLE001 - as in `_one`
                error = raised
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
        self.stopped = threading.Event()
        self.done: queue.SimpleQueue[tuple[int, Run | BaseException]] = queue.SimpleQueue()
        self._due: queue.SimpleQueue[int] = queue.SimpleQueue()
        for at in range(len(jobs)):
            self._due.put(at)

    def next_due(self) -> int | None:
        """Number of a job that nobody has begun."""
        try:
            return self._due.get_nowait()
        except queue.Empty:
            return None

    def next_done(self) -> tuple[int, Run]:
        """Wait for a run; raises what it raised."""
        at, result = self.done.get()
        if isinstance(result, BaseException):
            raise result
        return at, result


class Meter(BaseCallbackHandler):
    """Counts model calls and their tokens."""

    run_inline = True

    def __init__(self) -> None:
        self.usage = Usage()
        self._lock = threading.Lock()

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
    return Run(job, verdict, error, meter.usage, shown, note)
