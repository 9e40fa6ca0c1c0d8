"""The finished runs of a practice, summed up as they come. Pure; a thousand tasks cost a number each."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from langchain_reflect.practising.plan import TREATED
from langchain_reflect.types import Arm, PracticeRun, Usage

GATE: Final = "gate/"
"""How the keys of a gate's runs begin."""


@dataclass(slots=True)
class Sum:
    """Of the rewards of some runs."""

    runs: int = 0
    failed: int = 0
    judged: int = 0
    rewards: float = 0.0

    @property
    def mean(self) -> float | None:
        """Mean reward; None if none of the runs has one."""
        return self.rewards / self.judged if self.judged else None

    def add(self, run: PracticeRun) -> None:
        """Count a run."""
        self.runs += 1
        self.failed += run.failed
        if run.reward is not None:
            self.judged += 1
            self.rewards += run.reward

    def __add__(self, other: "Sum") -> "Sum":
        """Both together."""
        return Sum(self.runs + other.runs, self.failed + other.failed, self.judged + other.judged, self.rewards + other.rewards)


@dataclass(slots=True)
class Tally:
    """All runs so far."""

    sums: dict[tuple[int, Arm, str | None], Sum] = field(default_factory=lambda: defaultdict(Sum))
    """By epoch, arm and family."""
    rewards: dict[str, float] = field(default_factory=dict)
    """Of each rollout and twin that has one, by key."""
    usage: Usage = field(default_factory=Usage)
    """Of the agent, in rollouts and gate."""
    gate_runs: int = 0

    def add(self, run: PracticeRun) -> None:
        """Count a finished run.

        Args:
            run: A rollout, a twin, or a run of a gate.
        """
        self.usage += run.usage
        if run.key.startswith(GATE):
            self.gate_runs += 1
            return
        self.sums[run.epoch, run.arm, run.family].add(run)
        if run.reward is not None:
            self.rewards[run.key] = run.reward

    def drop(self, epoch: int) -> None:
        """Forget the rollouts of an epoch; what they cost stays.

        Args:
            epoch: Its number.
        """
        for key in [k for k in self.sums if k[0] == epoch]:
            del self.sums[key]
        for name in [k for k in self.rewards if k.startswith(f"{epoch}/")]:
            del self.rewards[name]

    @property
    def epochs(self) -> list[int]:
        """Numbers of the epochs that have treated runs."""
        return sorted({epoch for epoch, arm, _ in self.sums if arm == TREATED})

    def sum(self, epoch: int | None = None, arm: Arm | None = None, family: str | None = None) -> Sum:
        """Of the runs that match all that is given."""
        fits = ((epoch, 0), (arm, 1), (family, 2))
        return sum((s for key, s in self.sums.items() if all(want is None or key[at] == want for want, at in fits)), Sum())

    def families(self, epoch: int) -> list[str]:
        """The families of an epoch's tasks, in order."""
        return sorted({family for of, _, family in self.sums if of == epoch and family is not None})

    def differences(self, epoch: int, arm: Arm) -> list[float]:
        """Reward of each rollout minus that of its twin, averaged over the pairs of each task.

        Args:
            epoch: Of the runs.
            arm: Of the twins.
        """
        pairs: dict[str, list[float]] = defaultdict(list)
        for key, reward in self.rewards.items():
            of, task, rollout, its_arm = key.split("/")
            treated = self.rewards.get(f"{of}/{task}/{rollout}/{TREATED}")
            if of == str(epoch) and its_arm == arm and treated is not None:
                pairs[task].append(treated - reward)
        return [sum(some) / len(some) for some in pairs.values()]
