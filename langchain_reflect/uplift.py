"""Uplift: the same held-out tasks without lessons, with neutral text in their place, and with lessons."""

import asyncio
import json
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
from langchain_core.runnables import Runnable

from langchain_reflect.errors import EpisodeNotFound, InvalidInput
from langchain_reflect.learner import Learner
from langchain_reflect.runs import Job, PracticeTask, Prepare, Run, Runner, TaskLike, progress_of, seeds, wrapped_by
from langchain_reflect.types import SERVABLE, Arm
from langchain_reflect.verifiers import Verifier

__all__ = ["ArmResult", "Difference", "UpliftReport", "ameasure_uplift", "measure_uplift"]

UpliftArm = Literal["bare", "placebo", "lessons"]
ARMS: Final[dict[UpliftArm, Arm]] = {"bare": "holdout", "placebo": "placebo", "lessons": "treated"}
_Z95: Final = 1.959964


@dataclass(frozen=True, slots=True)
class ArmResult:
    """How one arm did."""

    arm: UpliftArm
    mean: float
    """Mean reward over the tasks."""
    families: dict[str, float]
    """Mean reward by family; empty if no task names one."""
    with_lessons: float
    """Share of runs in which lessons really were in a prompt."""
    failed: int
    """Runs in which the agent raised; their reward is 0."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One arm against another, paired by task."""

    arm: UpliftArm
    against: UpliftArm
    mean: float
    """Mean reward of `arm` minus that of `against`."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end."""
    wins: int
    """Tasks on which `arm` was better."""
    losses: int
    """Tasks on which it was worse."""


@dataclass(frozen=True, slots=True)
class UpliftReport:
    """What lessons are worth on tasks they did not come from."""

    tasks: int
    repeats: int
    excluded: int
    """Held-out tasks that were left out because a lesson came from them."""
    lessons: int
    """Lessons that could be shown."""
    arms: tuple[ArmResult, ...]
    differences: tuple[Difference, ...]
    """Each later arm against each earlier one."""
    rows: tuple[dict[str, Any], ...]
    """Every run: task, family, repeat, arm, reward, feedback."""
    seed: int

    def difference(self, arm: UpliftArm, against: UpliftArm) -> Difference:
        """One arm against another.

        Args:
            arm: The one.
            against: The other; it stands before `arm` in the order in which they were asked for.

        Raises:
            InvalidInput: They were not measured in this order.
        """
        found = next((d for d in self.differences if (d.arm, d.against) == (arm, against)), None)
        if found is None:
            measured = [f"{d.arm} against {d.against}" for d in self.differences]
            raise InvalidInput(f"{arm!r} against {against!r} was not measured; expected one of {measured!r}")
        return found

    def __str__(self) -> str:
        """A table for people."""
        families = sorted({f for arm in self.arms for f in arm.families})
        head = ["arm", "reward", *families, "with lessons", "failed"]
        rows = [[a.arm, _two(a.mean), *(_two(a.families[f]) for f in families), f"{a.with_lessons:.0%}", str(a.failed)] for a in self.arms]
        left_out = f", {self.excluded} left out because lessons came from them" if self.excluded else ""
        return "\n".join(
            [
                f"{self.tasks} held-out tasks x {self.repeats}{left_out}; {self.lessons} lessons",
                *_table([head, *rows]),
                *(
                    f"{d.arm} - {d.against}: {d.mean:+.2f} (95 % interval {d.low:+.2f} to {d.high:+.2f}), "
                    f"better on {d.wins} tasks, worse on {d.losses}"
                    for d in self.differences
                ),
            ]
        )

    def to_json(self, *, indent: int | None = None) -> str:
        """The whole report, with every run.

        Args:
            indent: As of `json.dumps`.
        """
        return json.dumps(asdict(self), indent=indent, ensure_ascii=False)


def measure_uplift(
    agent: Runnable[Any, Any],
    held_out: Sequence[TaskLike],
    verifier: Verifier,
    *,
    learner: Learner,
    arms: Sequence[UpliftArm] = ("bare", "placebo", "lessons"),
    repeats: int = 1,
    concurrency: int = 2,
    seed: int = 0,
    progress: bool = True,
    prepare: Prepare | None = None,
) -> UpliftReport:
    """Run held-out tasks in each arm, paired by task and repeat; nothing of it is recorded.

    Tasks from which a lesson came are left out.

    Args:
        agent: A graph or another Runnable; wrapped by the learner if it is not.
        held_out: Tasks that were not practised on.
        verifier: Judges each run.
        learner: Its lessons are measured.
        arms: `bare`: no lessons. `placebo`: neutral text of the same form. `lessons`: what recall finds, without chance.
        repeats: Runs of each task in each arm.
        concurrency: Most runs at a time.
        seed: Seeds of the runs are drawn from it.
        progress: Whether to show a bar, on a terminal.
        prepare: `prepare(task, seed)` gives the config of each run; the seed is the same in all arms.

    Raises:
        InvalidInput: An argument cannot be meant, or no task is left.
    """
    plan = _Plan(held_out, learner, arms, repeats, seed)
    with progress_of(len(plan.jobs), "uplift", show=progress) as advance:
        made = Runner(wrapped_by(learner, agent), verifier, concurrency, prepare).run(plan.jobs, lambda _: advance())
    return plan.report(made)


async def ameasure_uplift(
    agent: Runnable[Any, Any],
    held_out: Sequence[TaskLike],
    verifier: Verifier,
    *,
    learner: Learner,
    arms: Sequence[UpliftArm] = ("bare", "placebo", "lessons"),
    repeats: int = 1,
    concurrency: int = 2,
    seed: int = 0,
    progress: bool = True,
    prepare: Prepare | None = None,
) -> UpliftReport:
    """Async `measure_uplift`, with the agent's `ainvoke`."""
    plan = await asyncio.to_thread(_Plan, held_out, learner, arms, repeats, seed)
    wrapped = await asyncio.to_thread(wrapped_by, learner, agent)
    with progress_of(len(plan.jobs), "uplift", show=progress) as advance:
        made = await Runner(wrapped, verifier, concurrency, prepare).arun(plan.jobs, lambda _: advance())
    return plan.report(made)


def paired_interval(differences: Sequence[float]) -> tuple[float, float]:
    """95 % interval of a mean difference between two arms.

    Half a win, half a loss and an even pair are added, so that a handful of tasks that all agree is not taken for certainty
    (resampling six wins out of six would claim exactly 1). Tasks are treated as independent draws.

    Args:
        differences: One per task, in [-1, 1].

    Returns:
        Lower and upper end, within [-1, 1].

    Source: Wald interval after adding 1/2 to each cell of the paired table, Agresti and Min, Simple improved confidence intervals for
    comparing matched proportions, Statistics in Medicine 24 (2005); here for rewards between 0 and 1 as well.
    """
    given = np.asarray(differences, dtype=float)
    count = given.size + 2
    mean = float(given.sum()) / count
    spread = math.sqrt(max(0.0, (float((given**2).sum()) + 1.0) / count - mean**2) / count)
    return max(-1.0, mean - _Z95 * spread), min(1.0, mean + _Z95 * spread)


class _Plan:
    """Which runs to make, and what they say."""

    def __init__(self, held_out: Sequence[TaskLike], learner: Learner, arms: Sequence[UpliftArm], repeats: int, seed: int) -> None:
        _check(held_out, arms, repeats)
        learner.recorder.flush()
        learner.warm_up(only_if_used=True)  # the first run must not find no lessons because the embedder is still loading
        given = [PracticeTask.of(task) for task in held_out]
        known = _source_texts(learner)
        self.tasks = [task for task in given if _plain(task.text) not in known]
        if not self.tasks:
            raise InvalidInput(f"lessons came from all {len(given)} held-out tasks; hold out tasks that were not practised on")
        self.excluded = len(given) - len(self.tasks)
        self.lessons = len(learner.ledger.lessons(statuses=SERVABLE))
        self.arms, self.repeats, self.seed = tuple(arms), repeats, seed
        drawn = iter(seeds(seed, len(self.tasks) * repeats))
        cells = [(task, repeat, next(drawn)) for task in range(len(self.tasks)) for repeat in range(repeats)]
        self.cells = [(task, repeat, arm) for task, repeat, _ in cells for arm in self.arms]
        self.jobs = [Job(task=self.tasks[task], seed=drawn, arm=ARMS[arm], record=False) for task, _, drawn in cells for arm in self.arms]

    def report(self, runs: Sequence[Run]) -> UpliftReport:
        """What the runs say, in the order of the jobs."""
        cube = np.array([run.reward for run in runs]).reshape(len(self.tasks), self.repeats, len(self.arms))
        by_task = cube.mean(axis=1)
        order = [(later, earlier) for later in range(len(self.arms)) for earlier in range(later)]
        return UpliftReport(
            tasks=len(self.tasks),
            repeats=self.repeats,
            excluded=self.excluded,
            lessons=self.lessons,
            arms=tuple(self._arm(at, runs, by_task[:, at]) for at in range(len(self.arms))),
            differences=tuple(self._difference(a, b, by_task[:, a] - by_task[:, b]) for a, b in order),
            rows=tuple(self._row(cell, run) for cell, run in zip(self.cells, runs, strict=True)),
            seed=self.seed,
        )

    def _arm(self, at: int, runs: Sequence[Run], rewards: "np.ndarray[Any, Any]") -> ArmResult:
        own = [run for run, (_, _, arm) in zip(runs, self.cells, strict=True) if arm == self.arms[at]]
        families: dict[str, list[float]] = {}
        for task, reward in zip(self.tasks, rewards, strict=True):
            if task.family is not None:
                families.setdefault(task.family, []).append(float(reward))
        return ArmResult(
            arm=self.arms[at],
            mean=float(rewards.mean()),
            families={name: sum(values) / len(values) for name, values in families.items()},
            with_lessons=sum(bool(run.shown) for run in own) / len(own),
            failed=sum(run.error is not None for run in own),
        )

    def _difference(self, arm: int, against: int, differences: "np.ndarray[Any, Any]") -> Difference:
        low, high = paired_interval(differences.tolist())
        wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
        return Difference(self.arms[arm], self.arms[against], float(differences.mean()), low, high, wins, losses)

    def _row(self, cell: tuple[int, int, UpliftArm], run: Run) -> dict[str, Any]:
        at, repeat, arm = cell
        task = self.tasks[at]
        known = {"task": task.key or task.text, "family": task.family, "repeat": repeat, "arm": arm}
        return {**known, "reward": run.reward, "feedback": run.verdict.feedback}


def _check(held_out: Sequence[TaskLike], arms: Sequence[str], repeats: int) -> None:
    if not held_out or isinstance(held_out, str):
        raise InvalidInput(f"held_out={held_out!r}; expected a list with at least one task")
    if not arms or len(set(arms)) < len(arms) or not set(arms) <= set(ARMS):
        raise InvalidInput(f"arms={arms!r}; expected some of {tuple(ARMS)!r}, each once")
    if repeats < 1:
        raise InvalidInput(f"repeats={repeats!r}; expected 1 or more")


def _source_texts(learner: Learner) -> set[str]:
    """Texts of the tasks that lessons came from, or that they show as examples."""
    texts: set[str] = set()
    for lesson in learner.ledger.lessons(statuses=SERVABLE):
        texts |= {*lesson.tasks, *(e.input for e in lesson.examples)}
        for episode in lesson.evidence:
            with suppress(EpisodeNotFound):
                texts.add(learner.ledger.episode(episode, namespace=lesson.namespace).task)
    return {_plain(text) for text in texts}


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _two(value: float) -> str:
    return f"{value:.2f}"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
