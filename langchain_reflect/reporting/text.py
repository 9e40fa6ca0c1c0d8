"""A report for the terminal. Pure."""

import unicodedata
from collections.abc import Iterator
from typing import Final

from langchain_reflect.reporting.nouns import Effect, Report, SpaceFigures
from langchain_reflect.reporting.wording import NOTHING, arm_line, costs, effect_line, headline, lesson_line, points, remarks

_WIDTH: Final = 41
_MOST: Final = 40
"""Lessons that are shown; JSON and HTML have all."""


def text_of(report: Report) -> str:
    """A report as text, store uplift first.

    Args:
        report: The figures.
    """
    if not report.spaces:
        return NOTHING + (f" {report.untried} lessons wait to be tried." if report.untried else "")
    lines = [line for space in report.spaces for line in _space(space)]
    lines += _lessons(report)
    if found := costs(report):
        lines += ["Cost", *(f"  {line}" for line in found)]
    return "\n".join(plain(line) for line in lines).rstrip()


def _space(space: SpaceFigures) -> Iterator[str]:
    yield headline(space)
    for remark in remarks(space):
        yield f"  ! {remark}"
    for arm in space.arms:
        yield f"  {arm_line(arm)}"
    if space.placebo is not None:
        yield f"  against neutral text: {effect_line(space.placebo)}"
    for part in (*space.over_time, *space.agents):
        yield f"  {part.label}: {effect_line(part.effect)}"
    for dose in space.doses:
        mean = "no outcome yet" if dose.mean is None else f"mean reward {dose.mean:.2f}"
        drawn = "" if dose.chance is None else f", drawn with {dose.chance:.2f}" if dose.is_in else ", out of the race"
        yield f"  at most {dose.dose} lesson{'' if dose.dose == 1 else 's'}: {mean} ({dose.runs} judged{drawn})"
    yield ""


def _lessons(report: Report) -> Iterator[str]:
    if not report.lessons:
        return
    scale = max((abs(end) for each in report.lessons for end in (each.effect.low, each.effect.high) if end is not None), default=0.0)
    yield "Lessons"
    if scale:
        edge = f"{scale * 100:.0f}"
        yield f"  {f'−{edge}':<{_WIDTH // 2}}0{f'+{edge}':>{_WIDTH // 2}} points"
    for lesson in report.lessons[:_MOST]:
        bar = forest_bar(lesson.effect, scale) if scale else ""
        yield f"  {bar} {lesson.lesson_id} {lesson.status}: {lesson_line(lesson)}"
        likely = "" if lesson.shrunken is None else f" (likely {points(lesson.shrunken)})"
        yield f"  {' ' * len(bar)} {_short(lesson.when)} -> {_short(lesson.do)}{likely}"
    if len(report.lessons) > _MOST:
        yield f"  and {len(report.lessons) - _MOST} more; --json and --html show all"
    if report.untried:
        yield f"  {report.untried} served lessons fitted no run yet"
    yield ""


def forest_bar(effect: Effect, scale: float, width: int = _WIDTH) -> str:
    """An interval as a bar around zero: `      ─────●──┼──       `.

    Args:
        effect: With its interval.
        scale: The value at either edge, above 0.
        width: Characters, an odd number.
    """
    middle = width // 2

    def place(value: float) -> int:
        return middle + round(max(-1.0, min(1.0, value / scale)) * middle)

    cells = [" "] * width
    cells[middle] = "│"
    if effect.value is not None and effect.low is not None and effect.high is not None:
        for at in range(place(effect.low), place(effect.high) + 1):
            cells[at] = "┼" if at == middle else "─"
        cells[place(effect.value)] = "●"
    return "".join(cells)


def plain(text: str) -> str:
    """Text without what steers a terminal, whoever wrote it."""
    return "".join(c for c in text if unicodedata.category(c) not in {"Cc", "Cf"})


def _short(text: str, width: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"
