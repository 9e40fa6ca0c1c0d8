"""A general lesson against the lessons that it would take the place of: the same runs with either, paired by task and seed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from langchain_core.runnables import Runnable

from langchain_reflect.errors import InvalidInput
from langchain_reflect.learner import Learner
from langchain_reflect.lessons.shelf import vectors_of
from langchain_reflect.recall.among import recalled_among
from langchain_reflect.reflection.merging import MergeVerdict
from langchain_reflect.runs import Job, PracticeTask, Prepare, Run, Runner, TaskLike, seeds, wrapped_by
from langchain_reflect.types import Lesson, LessonText, Namespace
from langchain_reflect.verifiers import Verifier

_ROUNDING = 1e-9


@dataclass(eq=False)
class MergeReplay:
    """A gate for `consolidate`; made by `replay_gate`.

    Args:
        runner: Makes the runs; none of them is recorded.
        learner: Its embedder and settings tell which of the sources a task would get.
        tasks: What to run.
        repeats: Runs of each task, on either side.
        margin: What the general lesson may lose in mean reward.
        seed: The seeds of the runs are drawn from it.
    """

    runner: Runner
    learner: Learner
    tasks: Sequence[PracticeTask]
    repeats: int = 1
    margin: float = 0.0
    seed: int = 0
    runs: list[Run] = field(default_factory=list)
    """All runs that were made, with what they cost."""

    def __call__(self, general: LessonText, sources: Sequence[Lesson], namespace: Namespace) -> MergeVerdict:
        """Keep the general lesson if the runs with it are as good as those with its sources, or if none of the tasks is about them."""
        _ = namespace  # the lessons are given, so nothing is recalled from it
        shown = {task.text: self._recalled(task, sources) for task in self.tasks}
        pairs = [(task, seed) for task in self.tasks if shown[task.text] for seed in seeds(self.seed, self.repeats)]
        if not pairs:
            return MergeVerdict(keep=True)
        jobs = [Job(task=t, seed=s, lessons=shown[t.text], record=False) for t, s in pairs]
        jobs += [Job(task=t, seed=s, lessons=(general,), record=False) for t, s in pairs]
        made = self.runner.run_from_thread(jobs)
        self.runs += made
        rewards = np.array([run.reward for run in made]).reshape(2, len(pairs))
        before, after = (float(mean) for mean in rewards.mean(axis=1))
        return MergeVerdict(keep=after >= before - self.margin - _ROUNDING, general=after, sources=before, runs=len(made))

    def _recalled(self, task: PracticeTask, sources: Sequence[Lesson]) -> tuple[LessonText, ...]:
        """The sources that recall would show for a task, if there were no other lessons."""
        embedder, floors, policy = self.learner.embedder, self.learner.lessons.floors, self.learner.policy
        vectors = vectors_of(self.learner.ledger, embedder, [t for s in sources for t in (s.key_text(), *s.tasks)])
        found = recalled_among(sources, task.text, embedder.embed_query(task.text), vectors, floors=floors, policy=policy)
        return tuple(lesson.text for lesson in found)


def replay_gate(
    agent: Runnable[Any, Any],
    tasks: Sequence[TaskLike],
    verifier: Verifier,
    *,
    learner: Learner,
    repeats: int = 1,
    margin: float = 0.0,
    concurrency: int = 2,
    seed: int = 0,
    prepare: Prepare | None = None,
    loop: asyncio.AbstractEventLoop | None = None,
) -> MergeReplay:
    """A gate for `learner.consolidate(gate=...)`: a general lesson is kept only if the agent does not lose by it.

    Args:
        agent: A graph or another Runnable; wrapped by the learner if it is not.
        tasks: What to run, as for `practice`. A cluster is tried on those for which its lessons would be recalled.
        verifier: Judges each run.
        learner: Whose lessons they are.
        repeats: Runs of each task, on either side.
        margin: What the general lesson may lose in mean reward, 0 to 1.
        concurrency: Most runs at a time.
        seed: The seeds of the runs are drawn from it; both sides get the same.
        prepare: `prepare(task, seed)` gives the config of each run.
        loop: Where an async agent lives, if `aconsolidate` is awaited there; None: the agent is called synchronously.

    Raises:
        InvalidInput: There is no task, or a number is out of range.
    """
    if not tasks or isinstance(tasks, str):
        raise InvalidInput(f"tasks={tasks!r}; expected a list with at least one task")
    if repeats < 1:
        raise InvalidInput(f"repeats={repeats!r}; expected 1 or more")
    if not 0.0 <= margin <= 1.0:
        raise InvalidInput(f"margin={margin!r}; expected 0 to 1")
    runner = Runner(wrapped_by(learner, agent), verifier, concurrency, prepare, loop)
    return MergeReplay(runner, learner, [PracticeTask.of(t) for t in tasks], repeats, margin, seed)
