"""`practice` and its async twin, from the first rollout to the report."""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal
from uuid import uuid4

from langchain_core.runnables import Runnable
from typing_extensions import TypedDict, Unpack

from langchain_reflect.errors import InvalidInput
from langchain_reflect.learner import Learner
from langchain_reflect.practising.budget import Budget, BudgetSpent, Prices
from langchain_reflect.practising.gate import ReplayGate, can_keep, proves_little
from langchain_reflect.practising.memory import LEASE, Memory
from langchain_reflect.practising.plan import TREATED, Plan
from langchain_reflect.practising.reading import report_of
from langchain_reflect.practising.report import INTERRUPTED, PracticeReport, epochs_of
from langchain_reflect.reflection.policy import Gate
from langchain_reflect.runs import Job, PracticeTask, Prepare, Run, Runner, TaskLike, progress_of, wants_async, wrapped_by
from langchain_reflect.settings import refuse_unknown
from langchain_reflect.types import ReflectionReport
from langchain_reflect.types.counting import count, every
from langchain_reflect.verifiers import Verifier

logger = logging.getLogger(__name__)


class PracticeOptions(TypedDict, total=False):
    """What `practice` and `apractice` take beside agent, tasks, verifier and learner."""

    rollouts: int
    """Runs of each task in an epoch; default 4."""
    epochs: int
    """How often; from the second on, the runs have the lessons of those before. Default 1."""
    concurrency: int
    """Most runs at a time; default 2."""
    validation: Sequence[TaskLike] | None
    """Tasks on which drafts are tried before they are kept; of the same families as `tasks`, and none of them."""
    gate: Gate | Literal["auto"] | None
    """`auto`, the default: a `ReplayGate` if there are validation tasks. None: drafts are kept untried."""
    repeats: int
    """Runs of each validation task in a trial of the gate; default 1."""
    name: str | None
    """Under which the practice is kept in the ledger: the same call again goes on where it ended, or returns the report of one that is
    finished. None: each call is a practice of its own."""
    fresh: bool
    """Begin anew under the name; what was recorded and learned stays."""
    control: float
    """Share of the rollouts that have a twin without lessons, with the same task and seed. Nobody learns from twins."""
    placebo: float
    """Likewise, with neutral text in place of lessons."""
    budget: Budget | None
    """What may be spent; then it ends before the next run."""
    patience: int | None
    """Ends after so many epochs without a better mean reward than before; None, the default: never for that."""
    prices: Prices | None
    """For the cost in the report."""
    progress: bool
    """Whether to show a bar, on a terminal; default True."""
    seed: int
    """Seeds of the runs are drawn from it, another for each; a run's own is in its metadata under `reflect_seed`."""
    prepare: Prepare | None
    """`prepare(task, seed)` gives the config of each run."""


def practice(
    agent: Runnable[Any, Any], tasks: Sequence[TaskLike], verifier: Verifier, *, learner: Learner, **options: Unpack[PracticeOptions]
) -> PracticeReport:
    """Run each task several times, judge the runs, reflect on them; once per epoch.

    A run in which the agent raises counts as a failure, with the error as feedback. An epoch in which all rewards are 1 is the last. Ctrl-C
    ends the practice with the report so far. Until it is finished, its rollouts are left alone by every other reflection.

    Args:
        agent: A graph or another Runnable; wrapped by the learner if it is not.
        tasks: What to practise on: `PracticeTask`s, inputs of the graph, or plain texts.
        verifier: Judges each run, see `verifiers`. Its feedback is what lessons are made of.
        learner: Keeps the episodes and reflects; needs a model.
        **options: See `PracticeOptions`.

    Raises:
        ModelMissing: The learner has no model.
        InvalidInput: An argument cannot be meant, a verdict cannot be read, or every run of an epoch failed.
        ClaimLost: Another process goes on with the practice of this name.
        Exception: Whatever the verifier raises; the runs before that are kept, and a practice with a name can go on.
    """
    work = _begin(_Given(wrapped_by(learner, agent), tasks, verifier, learner, options))
    with work.ending():
        for number in work.due():
            with work.epoch(number) as (jobs, keep):
                work.runner.each(jobs, keep)
            work.close_epoch(number, _apart(work.reflect))
    return work.report()


async def apractice(
    agent: Runnable[Any, Any], tasks: Sequence[TaskLike], verifier: Verifier, *, learner: Learner, **options: Unpack[PracticeOptions]
) -> PracticeReport:
    """Async `practice`, with the agent's `ainvoke`.

    A task that is cancelled (also by Ctrl-C under `asyncio.run`) is cancelled, and so are runs that are under way. What was finished until
    then stays: the report so far is logged as a warning, `practice_report` returns it, and a practice with a name goes on from there.
    """
    wrapped = await asyncio.to_thread(wrapped_by, learner, agent)
    given = _Given(wrapped, tasks, verifier, learner, options, asyncio.get_running_loop())
    work = await asyncio.to_thread(_begin, given)
    with work.ending():
        for number in work.due():
            with work.epoch(number) as (jobs, keep):
                await work.runner.aeach(jobs, keep)
            work.close_epoch(number, await asyncio.to_thread(work.reflect))
    return work.report()


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


@dataclass(frozen=True, slots=True)
class _Given:
    """The arguments."""

    agent: Runnable[Any, Any]
    tasks: Sequence[TaskLike]
    verifier: Verifier
    learner: Learner
    options: PracticeOptions
    loop: asyncio.AbstractEventLoop | None = None


@dataclass(eq=False)
class _Practice:
    """The parts of one practice."""

    learner: Learner
    runner: Runner
    plan: Plan
    memory: Memory
    gate: Gate | None
    epochs: int
    budget: Budget
    patience: int | None
    prices: Prices | None
    progress: bool
    is_named: bool
    stopped: str | None = None
    is_finished: bool = False
    errors: list[BaseException] = field(default_factory=list)
    """The first that the agent raised in an epoch."""
    abstained: int = 0
    """Runs of an epoch of which the verifier said nothing."""

    def due(self) -> Iterator[int]:
        """Numbers of the epochs that are not reflected on, until one is the last for another reason."""
        while (number := len(self.memory.reflected)) < self.epochs:
            if number and (why := self._enough()):
                self.stopped, self.is_finished = why, True
                return
            yield number
        self.is_finished = True

    def _enough(self) -> str | None:
        """Why no further epoch is needed."""
        means = [epoch.mean for epoch in epochs_of(self.memory.tally)]
        last = self.memory.tally.sum(self.memory.tally.epochs[-1], TREATED) if means else None
        if last is not None and last.judged == last.runs and last.mean == 1.0:
            return "all rewards are 1"
        best = means.index(max(means)) if means else 0
        if self.patience is not None and len(means) - 1 - best >= self.patience:
            return f"no gain for {len(means) - 1 - best} epochs"
        return None

    def check_budget(self) -> None:
        """Raise `BudgetSpent` if nothing more may begin."""
        if why := self.budget.spent_by(self.memory.usage, self.memory.seconds):
            raise BudgetSpent(why)

    @contextmanager
    def epoch(self, number: int) -> Iterator[tuple[list[Job], Callable[[Run], None]]]:
        """The runs of an epoch that are due, and what to do with each as it ends."""
        jobs = self.memory.due(number)
        self.errors, self.abstained = [], 0
        if isinstance(self.gate, ReplayGate):
            self.gate.epoch, self.gate.trials, self.gate.edit_trials = number, [], []
        with progress_of(len(jobs), f"epoch {number + 1} of {self.epochs}", show=self.progress) as advance:

            def keep(run: Run) -> None:
                self.memory.keep(run)
                self.errors += [run.error] if run.error is not None and not self.errors else []
                self.abstained += run.verdict.abstained
                advance()

            yield jobs, keep
        self._check_some_ran(number)

    def _check_some_ran(self, number: int) -> None:
        """An epoch in which nothing ran, or nothing was judged, teaches nothing but that."""
        own = self.memory.tally.sum(number)
        if own.runs and own.failed == own.runs:
            self.memory.drop(number)
            error = next(iter(self.errors), None)
            is_async_only = self.runner.loop is None and wants_async(error)
            way_out = "an agent that is only async needs `langchain_reflect.apractice`" if is_async_only else "make it run first"
            raise InvalidInput(f"{every(own.runs, 'run')} of the agent failed, such as with {error!r}; {way_out}") from error
        if own.runs and own.runs == self.abstained:
            self.memory.drop(number)
            raise InvalidInput(f"the verifier abstained from {every(own.runs, 'run')}; does it forget to return its judgement?")

    def reflect(self) -> ReflectionReport:
        """Reflect on all that is due of this practice."""
        self.check_budget()
        return self.learner.reflect(episodes=self.memory.treated, gate=self.gate)

    def close_epoch(self, number: int, report: ReflectionReport) -> None:
        """Note an epoch that was reflected on; if the gate was stopped, it is not, and the rest is taken up another time."""
        if report.interrupted:
            self.check_budget()
            raise InterruptedError(f"the gate of epoch {number + 1} was interrupted")
        self.memory.close_epoch(report, self.gate)

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Whatever ends the practice, the ledger knows how far it came."""
        try:
            with self.learner.hold_reflection(), self.memory.alive(), self._noted():
                yield
        except asyncio.CancelledError:
            name, rest = self.memory.practice.name, "; the same call goes on" if self.is_named else ""
            said = "the practice %r was cancelled%s; `practice_report(%r, learner=...)` returns this again:\n%s"
            logger.warning(said, name, rest, name, self.report())
            raise
        finally:
            self.progress = False

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except BudgetSpent as spent:
            self.stopped = str(spent)
        except KeyboardInterrupt:
            self.stopped = INTERRUPTED
        except asyncio.CancelledError:
            self.stopped = INTERRUPTED
            raise
        except BaseException as error:
            self.stopped = f"{type(error).__name__}: {error}"[:200]
            raise
        finally:
            if not self.is_finished:
                self.runner.stopped.set()
            self.memory.end(stopped=self.stopped, is_finished=self.is_finished)

    def report(self) -> PracticeReport:
        """What was done so far."""
        memory, gate = self.memory, self.gate
        is_open = len(memory.reflected) < len(memory.tally.epochs)
        unnoted = gate if is_open and isinstance(gate, ReplayGate) else None
        return report_of(
            memory.practice,
            memory.tally,
            memory.reflected,
            stopped=self.stopped,
            prices=self.prices,
            trials=unnoted.trials if unnoted else (),
            edit_trials=unnoted.edit_trials if unnoted else (),
        )


def _begin(given: _Given) -> _Practice:
    options, learner = given.options, given.learner
    _check(options, given.tasks)
    assert learner.model is not None  # raises ModelMissing before anything is spent
    tasks, validation = [[PracticeTask.of(t) for t in some] for some in (given.tasks, options.get("validation") or ())]
    plan = Plan(tasks, options.get("rollouts", 4), options.get("seed", 0), options.get("control", 0.0), options.get("placebo", 0.0))
    wanted = options.get("gate", "auto")
    replays = wanted == "auto" and bool(validation)
    if wanted == "auto" and options.get("validation") is not None and not validation:
        raise InvalidInput("validation=[] cannot try anything; give some tasks, or pass gate=None to keep drafts untried")
    if replays:
        _check_split(tasks, validation)
        _tell_what_can_pass(tasks, validation)
    runner = Runner(given.agent, given.verifier, options.get("concurrency", 2), options.get("prepare"), given.loop)
    name = options.get("name")
    begun = learner.ledger.begin_practice(
        f"practice-{uuid4().hex[:12]}" if name is None else name,
        digest=plan.digest(validation, f"replay {options.get('repeats', 1)}" if replays else "other" if callable(wanted) else "none"),
        fresh=options.get("fresh", False),
        lease=LEASE if name is None else None,
    )
    memory = Memory(learner, plan, begun)
    replay = partial(ReplayGate, runner, validation, memory.family_of, k=_most(learner), repeats=options.get("repeats", 1))
    work = _Practice(
        learner=learner,
        runner=runner,
        plan=plan,
        memory=memory,
        gate=replay(seed=plan.seed, notes=memory) if replays else None if wanted == "auto" else wanted,
        epochs=options.get("epochs", 1),
        budget=options.get("budget") or Budget(),
        patience=options.get("patience"),
        prices=options.get("prices"),
        progress=options.get("progress", True),
        is_named=name is not None,
    )
    runner.allow = work.check_budget
    return work


def _most(learner: Learner) -> int:
    """Most lessons in a prompt."""
    k = learner.settings.k
    return k if isinstance(k, int) else 3


def _check(options: PracticeOptions, tasks: Sequence[TaskLike]) -> None:
    if not tasks or isinstance(tasks, str):
        raise InvalidInput(f"tasks={tasks!r}; expected a list with at least one task")
    refuse_unknown(practice, options, PracticeOptions)
    name = options.get("name")
    if name is not None and not name.strip():
        raise InvalidInput(f"name={name!r}; expected a text, or None for a practice of its own")
    patience = options.get("patience")
    counts = {"rollouts": options.get("rollouts", 4), "epochs": options.get("epochs", 1), "repeats": options.get("repeats", 1)}
    for what, value in (counts | ({} if patience is None else {"patience": patience})).items():
        if value < 1:
            raise InvalidInput(f"{what}={value!r}; expected 1 or more")


def _tell_what_can_pass(tasks: Sequence[PracticeTask], validation: Sequence[PracticeTask]) -> None:
    """Before anything is spent: how much a draft has to win, in the family with the fewest validation tasks."""
    by_family = {family: sum(t.family == family for t in validation) for family in {t.family for t in tasks}}
    family, fewest = min(by_family.items(), key=lambda pair: (pair[1], str(pair[0])))
    level = logging.WARNING if proves_little(fewest) else logging.INFO
    of = "" if family is None else f" of the family {family!r}"
    logger.log(level, "%s%s: %s", count(fewest, "validation task"), of, can_keep(fewest))


def _check_split(tasks: Sequence[PracticeTask], validation: Sequence[PracticeTask]) -> None:
    """Validation only tells something if it has the families of the tasks and none of the tasks."""
    missing = {t.family for t in tasks} - {t.family for t in validation}
    if missing:
        raise InvalidInput(f"validation has no task of the families {sorted(map(str, missing))!r}; add some, or pass gate=None")
    both = {t.text for t in tasks} & {t.text for t in validation}
    if both:
        raise InvalidInput(f"validation shares tasks with those to practise on, such as {min(both)!r}; split them")
