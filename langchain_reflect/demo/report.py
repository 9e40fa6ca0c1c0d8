"""What the demo shows: one line per family as it learns, then the table, the lessons, the curve, the cost and the places."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from shlex import quote
from shutil import which
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from langchain_reflect.charts import learning_curve_text
from langchain_reflect.uplift import Difference, UpliftReport

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
        folder = str(result.path)
        files = ", ".join(("ledger.db", "chroma/", "uplift.json", *(["learning-curve.png"] if result.picture else [])))
        self.console.print(f"[bold]On disk[/] in {escape(folder)}: {files}", highlight=False)
        self.console.print("Look around:", highlight=False)
        reflect, named = f"{quote(command())} --path {quote(folder)}", f"--namespace {quote('/'.join(result.namespace))}"
        told = [f"{reflect} status", f"{reflect} lessons list {named}"]
        told += [f"{reflect} lessons show {lesson.id} {named}" for lesson in result.lessons[:1]]
        for line in told:
            self.console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)  # to be copied in one piece


def command() -> str:
    """How `reflect` is called from here: by its name where the shell finds it, else by where it is installed."""
    beside = Path(sys.executable).with_name("reflect")
    if which("reflect") is not None or not beside.exists():
        return "reflect"
    here = Path.cwd()
    return f"./{beside.relative_to(here)}" if beside.is_relative_to(here) else str(beside)


def uplift_table(report: UpliftReport, titles: dict[str, str], *, simulated: bool = False) -> Table:
    """Mean rewards on held-out tasks by family and arm, with the paired difference and its 95 % interval.

    Args:
        report: Measured with the arms bare, placebo and lessons, in this order.
        titles: What to call each family.
        simulated: Whether to say that no language model answered.
    """
    title = "Held-out tasks, mean reward" + (" (SIMULATED model)" if simulated else "")
    table = Table(title=title, title_justify="left")
    table.add_column("kind of task")
    for head in ("tasks", "bare", "placebo", "lessons", "lessons - bare", "95 % interval"):
        table.add_column(head, justify="right")
    gains = {d.family: d for d in report.families if (d.arm, d.against) == ("lessons", "bare")}
    for family in dict.fromkeys(row["family"] for row in report.rows if row["family"] in gains):
        table.add_row(titles.get(family, family), *_cells([arm.families[family] for arm in report.arms], gains[family]))
    table.add_section()
    table.add_row("all", *_cells([arm.mean for arm in report.arms], report.difference("lessons", "bare")), style="bold")
    return table


def _cells(means: Sequence[float], gain: Difference) -> list[str]:
    return [str(gain.tasks), *(f"{mean:.2f}" for mean in means), f"{gain.mean:+.2f}", f"{gain.low:+.2f} to {gain.high:+.2f}"]


def _trial(trial: "Trial") -> str:
    scores = ", ".join(f"{score:.2f}" for score in trial.scores)
    verdict = "[yellow]none kept[/]" if trial.best is None else f"[green]kept:[/] {escape(trial.drafts[trial.best].do)}"
    drafts = "1 draft" if len(trial.drafts) == 1 else f"{len(trial.drafts)} drafts"
    return f"{drafts} tried on other tasks: {scores} against {trial.baseline:.2f} without; {verdict}"
