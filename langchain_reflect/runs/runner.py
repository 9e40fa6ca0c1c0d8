"""Makes the runs of one agent, a few at a time, and has each judged as it ends.

Sync runs go on daemon threads, each in a copy of the caller's context, so that Ctrl-C ends at once instead of waiting for runs that hang.
"""

import asyncio
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs, var_child_runnable_config

from langchain_reflect.agents.episodes import TASK_KEY, OpenEpisode, collect_episodes
from langchain_reflect.agents.forced import forced
from langchain_reflect.agents.view import is_reflected
from langchain_reflect.errors import InvalidInput
from langchain_reflect.learner import Learner
from langchain_reflect.runs.batch import Batch
from langchain_reflect.runs.jobs import Job, Prepare, Run
from langchain_reflect.runs.meter import Meter
from langchain_reflect.runs.seeds import SEED_KEY
from langchain_reflect.verifiers import Verdict, Verifier, ajudge, judge

_ONLY_ASYNC: Final = re.compile(r"(?<!a)synchronous|\bsync\b|\bainvoke\b", re.IGNORECASE)
_PATIENCE: Final = 30.0
"""Seconds that recall may take in runs for which nobody waits; a late recall would look like a lesson that does not help."""


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
        batch = Batch(jobs)
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
        """Async `each`. If the caller is cancelled, so are the runs that have begun; a run that was cancelled by itself has failed."""
        batch, failures, turn = Batch(jobs), list[BaseException](), asyncio.Lock()

        async def one(at: int, worker: asyncio.Task[Any]) -> None:
            run = await self._aone(jobs[at], worker)
            if made is not None:
                made[at] = run
            if on_run is not None:
                async with turn:
                    await asyncio.to_thread(on_run, run)

        async def work() -> None:
            var_child_runnable_config.set(None)  # as in `_work`; each task has its own context
            worker = asyncio.current_task()
            assert worker is not None
            while (at := batch.next_due()) is not None:
                try:
                    async with self._aslots:
                        self._go_on(batch)
                        await asyncio.create_task(one(at, worker))  # in a context of its own
                except (Exception, asyncio.CancelledError) as error:  # raised when the others have ended
                    if isinstance(error, asyncio.CancelledError) and worker.cancelling():
                        raise
                    failures.append(error)  # a task group would take a `CancelledError` that nobody asked for as an end like any other
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

    def _work(self, batch: Batch) -> None:
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

    def _go_on(self, batch: Batch) -> None:
        if self.stopped.is_set() or batch.is_stopped:
            raise InterruptedError("the runs were stopped")
        if self.allow is not None:
            self.allow()

    def _one(self, job: Job) -> Run:
        meter, output, error = Meter(), None, None
        with collect_episodes() as episodes, forced(arm=job.arm, lessons=job.lessons, record=job.record, without=job.without):
            try:
                output = self.agent.invoke(job.task.inputs, self._config(job, meter))
            except (Exception, asyncio.CancelledError) as raised:  # noqa: BLE001 - an agent that fails is an outcome; nobody cancels a thread
                error = raised
        meter.stop()
        verdict = _failed(error) if error else judge(self.verifier, inputs=job.task.inputs, outputs=output, reference=job.task.reference)
        return _made(job, verdict, error, meter, episodes)

    async def _aone(self, job: Job, worker: asyncio.Task[Any]) -> Run:
        meter, output, error = Meter(), None, None
        with collect_episodes() as episodes, forced(arm=job.arm, lessons=job.lessons, record=job.record, without=job.without):
            try:
                output = await self.agent.ainvoke(job.task.inputs, self._config(job, meter))
            except (Exception, asyncio.CancelledError) as raised:  # as in `_one`
                if isinstance(raised, asyncio.CancelledError) and worker.cancelling():
                    raise
                error = raised
        meter.stop()
        if error:
            return _made(job, _failed(error), error, meter, episodes)
        verdict = await ajudge(self.verifier, inputs=job.task.inputs, outputs=output, reference=job.task.reference)
        return _made(job, verdict, None, meter, episodes)

    def _config(self, job: Job, meter: Meter) -> RunnableConfig:
        named = {TASK_KEY: job.task.group} if job.task.group else {}
        ours: RunnableConfig = {
            "metadata": {SEED_KEY: job.seed, **named},
            "callbacks": [meter],
            "configurable": {"thread_id": str(job.id)},  # a graph with a checkpointer needs one, and no run may see another's thread
        }
        return {**merge_configs(ours, self.prepare(job.task, job.seed) if self.prepare else None), "run_id": job.id}


def wrapped_by(learner: Learner, agent: Runnable[Any, Any]) -> Runnable[Any, Any]:
    """The agent, wrapped by the learner if it is not wrapped already.

    Args:
        learner: Whose lessons it gets.
        agent: A graph or another Runnable.
    """
    return agent if is_reflected(agent) else learner.wrap(agent, deadline=_PATIENCE)


def wants_async(error: BaseException | None) -> bool:
    """Whether an agent failed because it, or a part of it, was called synchronously and is only async.

    LangChain and LangGraph have no error of its own for that; all they raise names the other way.
    """
    return isinstance(error, TypeError | NotImplementedError) and _ONLY_ASYNC.search(str(error)) is not None


def _failed(error: BaseException) -> Verdict:
    return Verdict(0.0, f"the run failed: {type(error).__name__}: {error}".removesuffix(": "))


def _made(job: Job, verdict: Verdict, error: BaseException | None, meter: Meter, episodes: Sequence[OpenEpisode]) -> Run:
    own = next((e for e in episodes if e.id == job.id), None)
    shown = own.shown.texts if own is not None and own.placed else ()
    note = "no episode was opened" if own is None else own.shown.note
    return Run(job, verdict, error, meter.usage, shown, note, meter.seconds, tuple(e.id for e in episodes))
