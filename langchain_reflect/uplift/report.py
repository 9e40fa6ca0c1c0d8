"""What a measurement of uplift found: made from its runs, told as a table, as JSON, as HTML and as a picture."""

import html
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from langchain_reflect.charts import Bar, uplift_png
from langchain_reflect.errors import InvalidInput
from langchain_reflect.uplift.leaks import Leak
from langchain_reflect.uplift.paired import compare, mean_interval
from langchain_reflect.uplift.power import shown_by

Cluster = Literal["task", "family"]
"""What is taken for independent: tasks, or whole families of them."""
_SAME: Final = 0.05
"""Differences below it are called none, if the interval leaves no larger ones."""
_COLUMNS: Final = 8
"""Most families that have columns of their own."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of a measurement."""

    task: str
    """Its key, or its text; the same for no two tasks."""
    family: str | None
    repeat: int
    arm: str
    reward: float | None
    """None: the verifier gave only words."""
    feedback: str | None = None
    failed: bool = False
    """Whether the agent raised; the reward is 0 then."""
    shown: int = 0
    """Lessons that were in its prompts."""
    note: str = ""
    """Why there were none."""
    tokens: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ArmResult:
    """How one arm did."""

    arm: str
    mean: float
    """Mean reward over the tasks."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end."""
    runs: int
    """Runs that count."""
    families: dict[str, float]
    """Mean reward by family; empty if no task names one."""
    with_lessons: float
    """Share of runs in which lessons really were in a prompt."""
    failed: int
    """Runs in which the agent raised; their reward is 0."""
    tokens: float
    """Tokens per run, in and out; 0 where the model does not tell."""
    seconds: float
    """Seconds per run."""
    note: str = ""
    """The commonest reason why a run had no lessons."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One arm against another, paired by task."""

    arm: str
    against: str
    mean: float
    """Mean reward of `arm` minus that of `against`."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end."""
    p: float
    """Probability of a difference at least as large if the arms did not differ."""
    wins: int
    """Tasks on which `arm` was better."""
    losses: int
    """Tasks on which it was worse."""
    tasks: int
    shows: float | None
    """The smallest true difference that so many tasks that come out like these show with 80 % power; None: not even 1."""
    needed: int | None
    """Tasks like these that show a difference as large as `mean` with 80 % power; None: `mean` is hardly a difference."""
    method: str
    family: str | None = None
    """None: all of them."""

    @property
    def verdict(self) -> str:
        """What follows, in words."""
        if self.low > 0:
            return "better"
        if self.high < 0:
            return "worse"
        if max(-self.low, self.high) <= _SAME:
            return "no difference above 5 points"
        return f"not enough data yet ({self._more()})"

    def _more(self) -> str:
        if self.needed is not None and self.needed > self.tasks:
            return f"about {self.needed:,} tasks would show one of this size"
        if self.needed is not None:
            return "so many tasks show one of this size in four measurements of five; run more"
        if self.shows is None:
            return "too few tasks to show any difference reliably"
        return f"as these tasks came out, they show differences from {_points(self.shows)} points"

    def __str__(self) -> str:
        """One line for people."""
        of = f" ({self.family})" if self.family is not None else ""
        return (
            f"{self.arm} - {self.against}{of}: {self.mean:+.2f} (95 % interval {self.low:+.2f} to {self.high:+.2f}, p {_p(self.p)}), "
            f"better on {self.wins} tasks, worse on {self.losses}: {self.verdict}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UpliftReport:
    """What lessons are worth on tasks they did not come from."""

    tasks: int
    """Held-out tasks that count."""
    repeats: int
    lessons: int
    """Lessons that could be shown."""
    excluded: Mapping[str, str] = field(default_factory=dict)
    """Lessons that were kept out because they have seen a held-out task, or others of its group: its text by the lesson's id."""
    leak: Leak = "group"
    """What counted as having seen one, see `leaks`."""
    incomplete: int = 0
    """Tasks and repeats that do not count, because not every arm was run and given a reward."""
    detectable: float | None = None
    """Smallest true difference that could be expected to show, as told before the start; None: not even 1."""
    arms: tuple[ArmResult, ...]
    differences: tuple[Difference, ...]
    """Each later arm against each earlier one."""
    families: tuple[Difference, ...] = ()
    """The same within each family; with several families some look good by chance."""
    rows: tuple[dict[str, Any], ...]
    """Every run, also of those that do not count: task, family, repeat, arm, reward, feedback and what it cost."""
    seed: int = 0
    interrupted: bool = False
    """Whether Ctrl-C ended it early."""

    def difference(self, arm: str, against: str) -> Difference:
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
        return "\n".join([*self._head(), *_table(self._rows()), *map(str, self.differences)])

    def _repr_html_(self) -> str:
        """The same for notebooks."""
        head, *rows = self._rows()
        table = f"<tr>{''.join(f'<th>{html.escape(cell)}</th>' for cell in head)}</tr>" + "".join(
            f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows
        )
        lines = "".join(f"<li>{html.escape(str(d))}</li>" for d in (*self.differences, *self.families))
        return f"<p>{'<br>'.join(map(html.escape, self._head()))}</p><table>{table}</table><ul>{lines}</ul>"

    def to_json(self, *, indent: int | None = None) -> str:
        """The whole report, with every run.

        Args:
            indent: As of `json.dumps`.
        """
        return json.dumps(asdict(self), indent=indent, ensure_ascii=False)

    def save_png(self, path: str | Path) -> Path:
        """Draw the mean reward of each arm and the paired differences, with their intervals.

        Args:
            path: Where the picture goes; its folder is made.

        Returns:
            The path.

        Raises:
            MissingExtra: Matplotlib is not installed.
        """
        arms = [Bar(a.arm, a.mean, a.low, a.high) for a in self.arms]
        differences = [Bar(f"{d.arm} - {d.against}", d.mean, d.low, d.high) for d in self.differences]
        return uplift_png(arms, differences, path, title=f"{self.tasks} held-out tasks x {self.repeats}")

    def _head(self) -> list[str]:
        lines = [f"{self.tasks} held-out tasks x {self.repeats}; {self.lessons} lessons; {can_show(self.detectable)}"]
        if self.interrupted:
            lines.append("interrupted: only what was complete until then counts")
        if self.incomplete:
            lines.append(f"{self.incomplete} tasks or repeats do not count, because an arm was not run or got no reward")
        if self.excluded:
            seen = "have seen a held-out task" + (", or came from tasks of the same group" if self.leak == "group" else "")
            lines.append(f"{len(self.excluded)} lessons were kept out, because they {seen} (leak={self.leak!r})")
        lines += [f"{a.arm}: no lesson was ever shown ({a.note or 'no reason known'})" for a in self.arms if _is_empty(a)]
        return lines + [f"method: {method}" for method in dict.fromkeys(d.method for d in self.differences)]

    def _rows(self) -> list[list[str]]:
        families = sorted({f for arm in self.arms for f in arm.families})
        families = families if len(families) <= _COLUMNS else []
        head = ["arm", "reward", "95 % interval", *families, "runs", "with lessons", "failed", "tokens", "seconds"]
        return [head, *(_row(arm, families) for arm in self.arms)]


def report_of(
    cells: Sequence[Cell],
    arms: Sequence[str],
    *,
    lessons: int,
    cluster: Cluster = "task",
    **known: Any,
) -> UpliftReport:
    """What runs say.

    A task's repeat counts if every arm has a reward for it, so that all arms are judged by the same runs.

    Args:
        cells: The runs, in any order.
        arms: In the order in which they are told.
        lessons: How many could be shown.
        cluster: What is taken for independent.
        **known: Further fields of the report.

    Raises:
        InvalidInput: Nothing counts.
    """
    begun: dict[tuple[str, int], dict[str, Cell]] = {}
    for cell in cells:
        begun.setdefault((cell.task, cell.repeat), {})[cell.arm] = cell
    counted = {at: row for at, row in begun.items() if all(arm in row and row[arm].reward is not None for arm in arms)}
    if not counted:
        raise InvalidInput("no task has a reward in every arm; give a verifier that returns rewards, not only words")
    sheet = _Sheet(list(counted.values()), tuple(arms), cluster)
    return UpliftReport(
        tasks=len(sheet.families),
        repeats=1 + max(repeat for _, repeat in begun),
        lessons=lessons,
        incomplete=len(begun) - len(counted),
        arms=tuple(sheet.arm(arm) for arm in arms),
        differences=tuple(sheet.difference(*pair) for pair in _pairs(arms)),
        families=tuple(sheet.difference(*pair, family) for family in sheet.names() for pair in _pairs(arms)),
        rows=tuple(asdict(cell) for cell in cells),
        **known,
    )


def can_show(detectable: float | None) -> str:
    """What so many tasks can show, in words.

    Args:
        detectable: As of `detectable_effect`.
    """
    if detectable is None:
        return "too few tasks to show any difference reliably"
    return f"differences from {_points(detectable)} points can be expected to show"


@dataclass(frozen=True)
class _Sheet:
    """The runs that count, by task and repeat."""

    rows: Sequence[Mapping[str, Cell]]
    arms: tuple[str, ...]
    cluster: Cluster

    @property
    def families(self) -> dict[str, str | None]:
        """The family of each task, in the order of the tasks."""
        return {cell.task: cell.family for row in self.rows for cell in [row[self.arms[0]]]}

    def names(self) -> list[str]:
        """The families."""
        return sorted({family for family in self.families.values() if family is not None})

    def means(self, arm: str) -> dict[str, float]:
        """Mean reward by task."""
        rewards: dict[str, list[float]] = {}
        for row in self.rows:
            rewards.setdefault(row[arm].task, []).append(row[arm].reward or 0.0)
        return {task: sum(some) / len(some) for task, some in rewards.items()}

    def arm(self, arm: str) -> ArmResult:
        means, own = self.means(arm), [row[arm] for row in self.rows]
        low, high = mean_interval(list(means.values()), self._clusters(list(means)))
        notes = Counter(cell.note for cell in own if not cell.shown and cell.note)
        return ArmResult(
            arm=arm,
            mean=_mean(list(means.values())),
            low=low,
            high=high,
            runs=len(own),
            families={name: _mean([means[task] for task, family in self.families.items() if family == name]) for name in self.names()},
            with_lessons=sum(cell.shown > 0 for cell in own) / len(own),
            failed=sum(cell.failed for cell in own),
            tokens=_mean([float(cell.tokens) for cell in own]),
            seconds=_mean([cell.seconds for cell in own]),
            note=notes.most_common(1)[0][0] if notes else "",
        )

    def difference(self, arm: str, against: str, family: str | None = None) -> Difference:
        ours, theirs = self.means(arm), self.means(against)
        tasks = [task for task, own in self.families.items() if family in (None, own)]
        found = compare([ours[task] - theirs[task] for task in tasks], self._clusters(tasks) if family is None else None)
        shows, needed = shown_by(found, len(tasks))
        return Difference(
            arm=arm,
            against=against,
            mean=found.mean,
            low=found.low,
            high=found.high,
            p=found.p,
            wins=found.wins,
            losses=found.losses,
            tasks=len(tasks),
            shows=shows,
            needed=needed,
            method=found.method,
            family=family,
        )

    def _clusters(self, tasks: Sequence[str]) -> list[str] | None:
        """Tasks without a family stand for themselves."""
        return [self.families[task] or task for task in tasks] if self.cluster == "family" else None


def _pairs(arms: Sequence[str]) -> list[tuple[str, str]]:
    return [(later, earlier) for at, later in enumerate(arms) for earlier in arms[:at]]


def _is_empty(arm: ArmResult) -> bool:
    """Whether an arm that was to have lessons had none."""
    return arm.arm not in ("bare", "placebo") and arm.with_lessons == 0


def _row(arm: ArmResult, families: Sequence[str]) -> list[str]:
    return [
        arm.arm,
        f"{arm.mean:.2f}",
        f"{arm.low:.2f} to {arm.high:.2f}",
        *(f"{arm.families[family]:.2f}" for family in families),
        str(arm.runs),
        f"{arm.with_lessons:.0%}",
        str(arm.failed),
        f"{arm.tokens:,.0f}" if arm.tokens else "-",
        f"{arm.seconds:.2f}",
    ]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _points(difference: float) -> str:
    return f"{100 * difference:.0f}"


def _p(value: float) -> str:
    return f"= {value:.3f}" if value >= 0.001 else "< 0.001"  # noqa: PLR2004 - shown with three digits


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
