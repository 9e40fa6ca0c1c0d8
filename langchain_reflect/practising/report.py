"""What a practice did and what it cost."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from typing import Any, Final

from langchain_reflect.practising.budget import Prices
from langchain_reflect.practising.gate import EditTrial, Trial
from langchain_reflect.practising.plan import TREATED
from langchain_reflect.practising.tally import Tally
from langchain_reflect.types import Arm, EditKind, ReflectionReport, Usage
from langchain_reflect.types.counting import count
from langchain_reflect.uplift.paired import compare

INTERRUPTED: Final = "interrupted"


@dataclass(frozen=True, slots=True)
class Twins:
    """The rollouts that have a twin in another arm, against these twins: the same tasks and seeds."""

    arm: Arm
    runs: int
    """Twins that were run."""
    mean: float
    """Their mean reward."""
    gain: float
    """Mean reward of the rollouts with lessons minus that of their twins, over tasks."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end."""
    tasks: int
    """Tasks with a pair; each is one observation."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One point of the learning curve."""

    number: int
    """From 0; lessons of an epoch are there from the next one on."""
    runs: int
    """Rollouts, without twins."""
    failed: int
    """Rollouts in which the agent raised."""
    mean: float
    """Their mean reward, before the reflection that follows."""
    families: dict[str, float] = field(default_factory=dict)
    """Likewise by family; empty if no task names one."""
    twins: tuple[Twins, ...] = ()


@dataclass(kw_only=True)
class PracticeReport:
    """What a practice did, in all processes that worked on it, and what it cost."""

    name: str = ""
    """Under which it is kept in the ledger."""
    rollouts: int = 0
    """Judged runs on the tasks with their twins, without those of the gate."""
    failed: int = 0
    """Rollouts in which the agent raised; their reward is 0."""
    epochs: list[Epoch] = field(default_factory=list)
    reflections: list[ReflectionReport] = field(default_factory=list)
    """One for each epoch that was reflected on."""
    trials: list[Trial] = field(default_factory=list)
    """What the gate found about drafts."""
    edit_trials: list[EditTrial] = field(default_factory=list)
    """What it found about changes of lessons that were there."""
    usage: Usage = field(default_factory=Usage)
    """Of the agent in rollouts and gate, and of reflection."""
    seconds: float = 0.0
    stopped: str | None = None
    """Why it ended before all epochs were done; None: they are."""
    is_finished: bool = False
    """Whether the same call would find nothing left to do."""
    prices: Prices | None = None

    @property
    def curve(self) -> list[float]:
        """Mean reward of each epoch, before the reflection that follows it."""
        return [epoch.mean for epoch in self.epochs]

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended it early; what it lists has been kept."""
        return self.stopped == INTERRUPTED

    @property
    def lessons(self) -> list[str]:
        """Ids of the lessons that were added."""
        return self._changed("add")

    @property
    def revised(self) -> list[str]:
        """Ids of lessons that were reworded."""
        return self._changed("revise")

    @property
    def merged(self) -> list[str]:
        """Ids of lessons that took in others, or further support."""
        return self._changed("merge")

    @property
    def retired(self) -> list[str]:
        """Ids of lessons that were retired."""
        return self._changed("retire")

    @property
    def rejected(self) -> int:
        """Drafts and changes of lessons that the gate did not let through."""
        drafts = sum(len(t.scores) - (t.best is not None) for t in self.trials)
        return drafts + sum(not t.kept for t in self.edit_trials)

    @property
    def gate_runs(self) -> int:
        """Runs that were made to try drafts and changes."""
        return sum(t.runs for t in self.trials) + sum(t.runs for t in self.edit_trials)

    @property
    def cost(self) -> float | None:
        """In money, if prices were given."""
        return None if self.prices is None else self.prices.of(self.usage)

    def _changed(self, kind: EditKind) -> list[str]:
        found = [e.lesson_id for r in self.reflections for e in r.applied if e.edit.kind == kind and e.lesson_id is not None]
        return list(dict.fromkeys(found))

    def __str__(self) -> str:
        """A few lines for people."""
        cost = "" if self.cost is None or self.prices is None else f", {self.cost:.4f} {self.prices.currency}"
        changes = {"added": self.lessons, "revised": self.revised, "merged": self.merged, "retired": self.retired}
        more = [f"{len(ids)} {what}" for what, ids in changes.items() if ids and what != "added"]
        spent = f"{count(self.usage.calls, 'call')}, {self.usage.tokens_in}+{self.usage.tokens_out} tokens{cost}"
        added = count(len(self.lessons), "lesson")
        lines = [
            f"{count(self.rollouts, 'rollout')} ({self.failed} failed) and {count(self.gate_runs, 'trial run')} in {self.seconds:.1f} s"
            + ("" if self.stopped is None else f", {_ended(self.stopped)}"),
            f"mean reward by epoch: {', '.join(f'{mean:.2f}' for mean in self.curve) or 'none'}",
            *(line for epoch in self.epochs for line in _about(epoch)),
            *(f"reflection: {report}" for report in self.reflections),
            *(f"error: {error}" for report in self.reflections for error in report.errors),
            *(str(trial) for trial in (*self.trials, *self.edit_trials)),
            f"{', '.join([f'{added} added', *more])}, {self.rejected} rejected by the gate; {spent}",
        ]
        return "\n".join(lines)

    def to_json(self, *, indent: int | None = None) -> str:
        """The whole report.

        Args:
            indent: As of `json.dumps`.
        """
        whole: dict[str, Any] = {
            "name": self.name,
            "rollouts": self.rollouts,
            "failed": self.failed,
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "lessons": {"added": self.lessons, "revised": self.revised, "merged": self.merged, "retired": self.retired},
            "rejected": self.rejected,
            "reflections": [report.model_dump(mode="json") for report in self.reflections],
            "trials": [trial.to_dict() for trial in self.trials],
            "edit_trials": [trial.to_dict() for trial in self.edit_trials],
            "gate_runs": self.gate_runs,
            "usage": self.usage.model_dump(),
            "cost": self.cost,
            "seconds": round(self.seconds, 3),
            "stopped": self.stopped,
            "finished": self.is_finished,
        }
        return json.dumps(whole, indent=indent, ensure_ascii=False)

    def _repr_html_(self) -> str:
        """For notebooks: the learning curve as a table, and the lines of the text."""
        families = sorted({name for epoch in self.epochs for name in epoch.families})
        arms = list(dict.fromkeys(t.arm for epoch in self.epochs for t in epoch.twins))
        head = ["epoch", "rollouts", "reward", *families, *(f"gain over {_ARM[arm]}" for arm in arms)]
        rows = [_cells(epoch, families, arms) for epoch in self.epochs]
        table = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
        title = f"practice {self.name}" + ("" if self.stopped is None else f": {_ended(self.stopped)}")
        return (
            f"<div><b>{escape(title)}</b><table><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>{table}</table>"
            f"<pre>{escape(str(self))}</pre></div>"
        )


_ARM: Final[dict[Arm, str]] = {"holdout": "no lessons", "placebo": "placebo", "treated": "lessons", "paused": "paused"}


def epochs_of(tally: Tally) -> list[Epoch]:
    """The learning curve.

    Args:
        tally: Of all runs.
    """
    return [_epoch(tally, number) for number in tally.epochs]


def _epoch(tally: Tally, number: int) -> Epoch:
    own = tally.sum(number, TREATED)
    families = {name: mean for name in tally.families(number) if (mean := tally.sum(number, TREATED, name).mean) is not None}
    twins = (_twins(tally, number, arm) for arm in ("holdout", "placebo"))
    return Epoch(number, own.runs, own.failed, own.mean or 0.0, families, tuple(t for t in twins if t is not None))


def _twins(tally: Tally, number: int, arm: Arm) -> Twins | None:
    own, differences = tally.sum(number, arm), tally.differences(number, arm)
    if not differences:
        return None
    found = compare(differences)
    return Twins(arm, own.runs, own.mean or 0.0, found.mean, found.low, found.high, len(differences))


def _ended(stopped: str) -> str:
    return stopped if stopped == INTERRUPTED else f"stopped early: {stopped}"


def _about(epoch: Epoch) -> list[str]:
    families = ", ".join(f"{name} {mean:.2f}" for name, mean in epoch.families.items())
    return [
        *([f"epoch {epoch.number + 1} by family: {families}"] if len(epoch.families) > 1 else []),
        *(
            f"epoch {epoch.number + 1} against {_ARM[t.arm]}: {t.gain:+.2f} "
            f"(95 % interval {t.low:+.2f} to {t.high:+.2f}, {count(t.tasks, 'task')}; without {t.mean:.2f})"
            for t in epoch.twins
        ),
    ]


def _cells(epoch: Epoch, families: Sequence[str], arms: Sequence[Arm]) -> list[str]:
    twins = {t.arm: f"{t.gain:+.2f} ({t.low:+.2f} to {t.high:+.2f})" for t in epoch.twins}
    means = [f"{epoch.families[name]:.2f}" if name in epoch.families else "" for name in families]
    return [str(epoch.number + 1), str(epoch.runs), f"{epoch.mean:.2f}", *means, *(twins.get(arm, "") for arm in arms)]
