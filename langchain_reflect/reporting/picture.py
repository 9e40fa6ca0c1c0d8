"""A report as a picture."""

from collections.abc import Iterator
from pathlib import Path

from langchain_reflect.charts import Bar, forest_png
from langchain_reflect.errors import InvalidInput
from langchain_reflect.reporting.nouns import Effect, Report, SpaceFigures
from langchain_reflect.reporting.text import plain
from langchain_reflect.reporting.wording import span

_MOST = 60


def save_png(report: Report, path: str | Path) -> Path:
    """Draw store uplift and lessons below each other, each with its interval.

    Args:
        report: The figures; what has no interval yet is left out, and so are lessons beyond the first sixty.
        path: Where the picture goes.

    Returns:
        The path.

    Raises:
        MissingExtra: Matplotlib is not installed.
        InvalidInput: Nothing has an interval yet.
    """
    named = [each for space in report.spaces for each in _named(space)]
    named += [(f"{lesson.lesson_id} {_short(lesson.do)}", lesson.effect) for lesson in report.lessons[:_MOST]]
    bars = [bar for label, effect in named if (bar := _bar(label, effect)) is not None]
    if not bars:
        raise InvalidInput("nothing can be drawn yet: no effect has an interval; `print(report)` says what is missing")
    return forest_png(bars, path, title=title_of(report), x_label="points (0.01 of the mean reward),\n95 % interval")


def title_of(report: Report) -> str:
    """What is drawn, and the time that it tells of."""
    periods = [space.period for space in report.spaces if space.period is not None]
    if not periods:
        return "What lessons are worth"
    return f"What lessons are worth, runs of {span(min(p.began for p in periods), max(p.ended for p in periods))} (UTC)"


def _named(space: SpaceFigures) -> Iterator[tuple[str, Effect]]:
    where = f"{space.graph} in {'/'.join(space.namespace)}"
    yield f"{where}, all lessons", space.uplift
    if space.since_resume is not None:
        yield f"{where}, since it was resumed", space.since_resume.effect


def _bar(label: str, effect: Effect) -> Bar | None:
    if effect.value is None or effect.low is None or effect.high is None:
        return None
    label = plain(label).replace("$", r"\$")  # a dollar would begin a formula
    return Bar(label, 100 * effect.value, 100 * effect.low, 100 * effect.high)


def _short(text: str, width: int = 40) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"
