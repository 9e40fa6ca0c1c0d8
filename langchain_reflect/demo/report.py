"""What the demo shows: one line per family as it learns, then the table, the lessons, the curve, the cost and the places."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from langchain_reflect.charts import learning_curve_text
from langchain_reflect.uplift import UpliftReport, paired_interval

if TYPE_CHECKING:
    from langchain_reflect.demo.flow import DemoResult
    from langchain_reflect.demo.source import DemoModel
    from langchain_reflect.demo.world import Family, World
    from langchain_reflect.practising import PracticeReport, Trial
    from langchain_reflect.types import Lesson


class Screen:
    """Writes to a console.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self.console = console

    @contextmanager
    def busy(self, text: str) -> Iterator[Callable[[], None]]:
        """A sign of life while something lasts.

        Args:
            text: What is being done.

        Yields:
            To be called as each run begins.
        """
        runs = count(1)
        with self.console.status(escape(text)) as status:
            yield lambda: status.update(f"{escape(text)} (run {next(runs)})")

    def note(self, text: str) -> None:
        """One line aside."""
        self.console.print(f"[dim]{escape(text)}[/]")

    def opening(self, model: "DemoModel", world: "World", earlier: int) -> None:
        """What is going to happen."""
        kind = "[yellow]SIMULATED, no language model[/]" if model.simulated else "acts and reflects"
        self.console.print(
            f"[bold]An agent meets house rules it cannot know.[/] Model: [cyan]{escape(model.label)}[/] ({kind}), seed {world.seed}."
        )
        begins = f"It begins with {earlier} lessons of earlier runs (--fresh forgets)." if earlier else "It begins without lessons."
        self.console.print(
            f"{begins} Each kind of task: rollouts -> verdicts -> reflection drafts lessons -> trials keep the best, or none.\n"
        )

    def practised(self, family: "Family", report: "PracticeReport") -> None:
        """What a family's practice gave."""
        reward = report.curve[-1] if report.curve else 0.0
        self.console.print(f"[bold]{escape(family.title)}[/]: {report.rollouts} rollouts, mean reward {reward:.2f}")
        for trial in report.trials:
            self.console.print(f"  {_trial(trial)}")
        if not report.trials:
            self.console.print("  nothing to correct")
        for error in (error for r in report.reflections for error in r.errors):
            self.console.print(f"  [red]{escape(error[:200])}[/]")

    def closing(self, result: "DemoResult", world: "World") -> None:
        """The results."""
        self.console.print()
        self.console.print(uplift_table(result.uplift, {name: f.title for name, f in world.families.items()}, simulated=result.simulated))
        for line in str(result.uplift).splitlines()[-len(result.uplift.differences) :]:
            self.console.print(f"  {line}", highlight=False)
        self.console.print(f"\n[bold]Lessons[/] ({len(result.lessons)})")
        for lesson in result.lessons:
            self._lesson(lesson)
        self.console.print(
            f"\n[bold]Learning curve[/] {learning_curve_text(result.curve)}  [dim](rollouts, validation, held out; per run)[/]"
        )
        self._cost(result)
        self._places(result)

    def _lesson(self, lesson: "Lesson") -> None:
        self.console.print(f"  [cyan]{lesson.id}[/] {lesson.status}, from {len(lesson.evidence)} judged runs", highlight=False)
        self.console.print(f"    when: {escape(lesson.when)}\n    do:   {escape(lesson.do)}", highlight=False)
        for example in lesson.examples:
            self.console.print(f"    [dim]e.g. {escape(example.input)} -> {escape(example.output)}[/]", highlight=False)

    def _cost(self, result: "DemoResult") -> None:
        runs = sum(p.rollouts + p.gate_runs for p in result.practices.values()) + len(result.uplift.rows)
        spent = result.usage
        self.console.print(
            f"[bold]Cost[/] {spent.calls} model calls ({runs} runs of the agent, {spent.calls - runs} of reflection), "
            f"{spent.tokens_in:,} + {spent.tokens_out:,} tokens, {result.seconds:.0f} s ({result.cpu_seconds:.0f} s of CPU)",
            highlight=False,
        )

    def _places(self, result: "DemoResult") -> None:
        folder = escape(str(result.path))
        files = ", ".join(("ledger.db", "chroma/", "uplift.json", *(["learning-curve.png"] if result.picture else [])))
        self.console.print(f"[bold]On disk[/] in {folder}: {files}", highlight=False)
        self.console.print(
            f"Look around: reflect --path {folder} status; reflect --path {folder} lessons list", highlight=False, soft_wrap=True
        )


def uplift_table(report: UpliftReport, titles: dict[str, str], *, simulated: bool = False) -> Table:
    """Mean rewards on held-out tasks by family and arm, with the paired difference and its 95 % interval.

    Args:
        report: Measured with the arms bare, placebo and lessons, in any order.
        titles: What to call each family.
        simulated: Whether to say that no language model answered.
    """
    title = "Held-out tasks, mean reward" + (" (SIMULATED model)" if simulated else "")
    table = Table(title=title, title_justify="left")
    table.add_column("kind of task")
    for head in ("tasks", "bare", "placebo", "lessons", "lessons - bare", "95 % interval"):
        table.add_column(head, justify="right")
    for family in dict.fromkeys(row["family"] for row in report.rows):
        table.add_row(titles.get(family, family), *_cells([row for row in report.rows if row["family"] == family]))
    table.add_section()
    table.add_row("all", *_cells(report.rows), style="bold")
    return table


def _cells(rows: Sequence[dict[str, Any]]) -> list[str]:
    by_arm: dict[str, dict[tuple[str, int], float]] = {"bare": {}, "placebo": {}, "lessons": {}}
    for row in rows:
        by_arm[row["arm"]][row["task"], row["repeat"]] = row["reward"]
    bare, lessons = by_arm["bare"], by_arm["lessons"]
    differences = [lessons[key] - bare[key] for key in bare]
    low, high = paired_interval(differences)
    means = [f"{sum(arm.values()) / len(arm):.2f}" for arm in by_arm.values()]
    return [str(len(bare)), *means, f"{sum(differences) / len(differences):+.2f}", f"{low:+.2f} to {high:+.2f}"]


def _trial(trial: "Trial") -> str:
    scores = ", ".join(f"{score:.2f}" for score in trial.scores)
    verdict = "[yellow]none kept[/]" if trial.best is None else f"[green]kept:[/] {escape(trial.drafts[trial.best].do)}"
    drafts = "1 draft" if len(trial.drafts) == 1 else f"{len(trial.drafts)} drafts"
    return f"{drafts} tried on other tasks: {scores} against {trial.baseline:.2f} without; {verdict}"
