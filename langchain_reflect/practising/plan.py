"""Which runs a practice makes, with which seeds. Pure: the same arguments give the same plan in every process."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

import numpy as np

from langchain_reflect.errors import InvalidInput
from langchain_reflect.runs import Job, PracticeTask, seed_of
from langchain_reflect.types import Arm

Part = Literal["rollouts", "gate", "twins"]
_PART: Final[dict[Part, int]] = {"rollouts": 0, "gate": 1, "twins": 2}
"""First step of each path, so that no seed of one part is drawn for another."""
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]+")
TREATED: Final = "treated"


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of the plan."""

    epoch: int
    task: int
    """Index of the task."""
    rollout: int
    arm: Arm

    @property
    def key(self) -> str:
        """Its name in the ledger."""
        return f"{self.epoch}/{self.task}/{self.rollout}/{self.arm}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is practised.

    Raises:
        InvalidInput: A number is out of range.
    """

    tasks: Sequence[PracticeTask]
    rollouts: int
    seed: int
    control: float = 0.0
    placebo: float = 0.0

    def __post_init__(self) -> None:
        for name in ("control", "placebo"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InvalidInput(f"{name}={getattr(self, name)!r}; expected a share of the rollouts, 0 to 1")

    @property
    def has_twins(self) -> bool:
        """Whether some rollouts have twins without lessons."""
        return self.control > 0 or self.placebo > 0

    def cells(self, epoch: int) -> list[Cell]:
        """The runs of an epoch: each task's rollouts, and beside some of them their twins without lessons, or with neutral text.

        Args:
            epoch: Its number, from 0.
        """
        return list(self._cells(epoch))

    def _cells(self, epoch: int) -> Iterator[Cell]:
        order = self._order(epoch) if self.has_twins else []
        bare, placebo = set(order[: _count(self.control, len(order))]), set(order[: _count(self.placebo, len(order))])
        for task in range(len(self.tasks)):
            for rollout in range(self.rollouts):
                yield Cell(epoch, task, rollout, TREATED)
                if (task, rollout) in bare:
                    yield Cell(epoch, task, rollout, "holdout")
                if (task, rollout) in placebo:
                    yield Cell(epoch, task, rollout, "placebo")

    def _order(self, epoch: int) -> list[tuple[int, int]]:
        """The order in which rollouts get twins: every task has one before a task has two."""
        drawn = np.random.default_rng(seed_of(self.seed, _PART["twins"], epoch))
        rollouts = [drawn.permutation(self.rollouts) for _ in self.tasks]
        return [(int(task), int(rollouts[task][turn])) for turn in range(self.rollouts) for task in drawn.permutation(len(self.tasks))]

    def job(self, cell: Cell, episode_id: UUID) -> Job:
        """The run of a cell. A twin has the seed of its rollout.

        Args:
            cell: Of this plan.
            episode_id: Of its episode.
        """
        seed = seed_of(self.seed, _PART["rollouts"], cell.epoch, cell.task, cell.rollout)
        arm: Arm | None = cell.arm if self.has_twins else None  # without twins chance draws the arms, as in any run
        return Job(task=self.tasks[cell.task], seed=seed, arm=arm, id=episode_id)

    def digest(self, validation: Sequence[PracticeTask], gate: str) -> str:
        """Identifies what is practised, but for the agent, the verifier and the number of epochs.

        Args:
            validation: The tasks of the gate.
            gate: What kind of gate.
        """
        numbers = [self.rollouts, self.seed, self.control, self.placebo, gate]
        said = [numbers, [_said(t) for t in self.tasks], [_said(t) for t in validation]]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def gate_seed(seed: int, group: str, epoch: int, task: int, repeat: int) -> int:
    """Seed of a pair of runs by which a gate compares.

    Args:
        seed: Of the practice.
        group: Key of the group whose drafts are tried.
        epoch: Of the practice.
        task: Index of the validation task.
        repeat: Number of its run.
    """
    named = int.from_bytes(hashlib.sha256(group.encode("utf-8", "replace")).digest()[:4], "big")
    return seed_of(seed, _PART["gate"], epoch, named, task, repeat)


def _count(share: float, of: int) -> int:
    return max(1, round(share * of)) if share > 0 else 0


def _said(task: PracticeTask) -> list[str | None]:
    """What tells a task apart, without addresses in memory, which differ in each process."""
    return [_ADDRESS.sub("", task.text), task.key, task.family, _ADDRESS.sub("", str(task.reference))]
