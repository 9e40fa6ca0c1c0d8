"""A report as a picture."""

from pathlib import Path

from langchain_reflect.charts import Bar, forest_png
from langchain_reflect.errors import InvalidInput
from langchain_reflect.reporting.nouns import Effect, Report
from langchain_reflect.reporting.text import plain

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
    named = [(f"{space.graph} in {'/'.join(space.namespace)}", space.uplift) for space in report.spaces]
    named += [(f"{lesson.lesson_id} {_short(lesson.do)}", lesson.effect) for lesson in report.lessons[:_MOST]]
    bars = [bar for label, effect in named if (bar := _bar(label, effect)) is not None]
    if not bars:
        raise InvalidInput("nothing can be drawn yet: no effect has an interval; `print(report)` says what is missing")
    return forest_png(bars, path, title="What lessons are worth", x_label="effect on the mean reward, 95 % interval")


def _bar(label: str, effect: Effect) -> Bar | None:
    if effect.value is None or effect.low is None or effect.high is None:
        return None
    return Bar(plain(label).replace("$", r"\$"), effect.value, effect.low, effect.high)  # a dollar would begin a formula


def _short(text: str, width: int = 40) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"
