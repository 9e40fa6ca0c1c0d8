"""Would the general lesson still be recalled for the tasks of the lessons that it takes the place of? Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from langchain_reflect.index.base import Vector, Vectors
from langchain_reflect.types import Lesson


@dataclass(frozen=True, slots=True)
class Cover:
    """The tasks that a general lesson keeps, and those for which they are not enough."""

    tasks: tuple[str, ...]
    missed: tuple[tuple[str, str], ...] = ()
    """Lesson and task, where recall would no longer find it."""


def cover(general: Vector, sources: Sequence[Lesson], vectors: Mapping[str, Vector], *, floor: float, most: int) -> Cover:
    """Choose the tasks that a general lesson keeps, so that it is recalled for as many tasks of its sources as can be.

    Each source keeps at least one of its tasks, if `most` allows. Then the task that brings back most others is chosen, greedily; what room
    is left goes to the tasks that are farthest from what is kept.

    Args:
        general: Vector of what the general lesson says, of length 1.
        sources: The lessons that it takes the place of.
        vectors: By task; each of length 1.
        floor: Least cosine for which a lesson is recalled.
        most: Most tasks that it keeps.
    """
    tasks = sorted({task for source in sources for task in source.tasks})
    if not tasks:
        return Cover(())
    choice = _Choice(general, np.stack([vectors[task] for task in tasks]), [{tasks.index(t) for t in s.tasks} for s in sources], floor)
    while len(choice.kept) < min(most, len(tasks)):
        choice.take(choice.best())
    recalled = {task for task, best in zip(tasks, choice.nearest, strict=True) if best >= floor}
    missed = tuple((source.id, task) for source in sources for task in source.tasks if task not in recalled)
    return Cover(tuple(tasks[i] for i in choice.kept), missed)


class _Choice:
    """What is kept so far, and how near it comes to every task."""

    def __init__(self, general: Vector, tasks: Vectors, owned: Sequence[set[int]], floor: float) -> None:
        self.kept: list[int] = []
        self.nearest: Vector = tasks @ general
        self._alike: Vectors = tasks @ tasks.T
        self._waiting = [own for own in owned if own]
        self._floor = floor

    def best(self) -> int:
        """The task to keep next: one of a source that has none yet, as long as there is one."""
        free = set(range(len(self.nearest))) - set(self.kept)
        wanted = free & {i for own in self._waiting for i in own} or free
        return max(sorted(wanted), key=self._worth)

    def take(self, task: int) -> None:
        """Keep a task."""
        self.kept.append(task)
        self.nearest = np.maximum(self.nearest, self._alike[task])
        self._waiting = [own for own in self._waiting if task not in own]

    def _worth(self, task: int) -> tuple[int, int, float]:
        brought = (self.nearest < self._floor) & (self._alike[task] >= self._floor)
        return int(brought.sum()), sum(task in own for own in self._waiting), -float(self.nearest[task])
