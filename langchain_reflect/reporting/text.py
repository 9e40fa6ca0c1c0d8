"""A report for the terminal. Pure."""

import re
import textwrap
import unicodedata
from collections.abc import Iterator
from typing import Final

from langchain_reflect.reporting.nouns import Effect, LessonFigures, Report, SpaceFigures
from langchain_reflect.reporting.wording import (
    LESSONS,
    TOO_EARLY,
    arm_line,
    costs,
    dose_head,
    dose_line,
    dose_name,
    effect_line,
    headline,
    legend,
    lesson_line,
    nothing,
    part_line,
    points,
    remarks,
)
from langchain_reflect.types.counting import count

_WIDTH: Final = 41
_MOST: Final = 40
"""Lessons that are shown; JSON and HTML have all."""
_ALWAYS: Final = 10
"""Lessons that are shown even if nothing is known of them."""
_ANY: Final = 1.99
"""Width of an interval that rules out nothing, but for rounding: from -1 to 1."""
_JOIN: Final = "\0"
"""Stands for a space at which no line is broken; `plain` leaves none in a text."""
_WHOLE: Final = re.compile(r"""`reflect\ (?:'[^']*'|"[^"]*"|[^`'"])*`|n\ =\ |\ %""")
"""What stays on one line, however wide: commands, for half of one does something else when it is pasted, and numbers with their sign."""
_NARROWEST: Final = 72
"""Columns that a bar and its lesson's id and status take."""


def text_of(report: Report, *, width: int | None = None) -> str:
    """A report as text, store uplift first.

    Args:
        report: The figures.
        width: Most columns, 72 or more, but for commands, which stay whole; None: lines are as long as they are.
    """
    if not report.spaces:
        waits = f" {count(report.untried, 'lesson')} {'waits' if report.untried == 1 else 'wait'} to be tried."
        lines = [nothing(report) + (waits if report.untried else "")]
    else:
        lines = [line for space in report.spaces for line in _space(space)]
        lines += _lessons(report)
        if found := costs(report):
            lines += ["Cost", *(f"  {line}" for line in found), ""]
        lines.append(legend(report))
    return "\n".join(part for line in lines for part in _wrapped(plain(line), width))


def _wrapped(line: str, width: int | None) -> list[str]:
    if width is None or len(line) <= max(width, _NARROWEST):
        return [line]
    indent = " " * (len(line) - len(line.lstrip()))
    filled = textwrap.TextWrapper(
        max(width, _NARROWEST), initial_indent=indent, subsequent_indent=f"{indent}    ", break_on_hyphens=False, break_long_words=False
    )
    kept = _WHOLE.sub(lambda found: found[0].replace(" ", _JOIN), line.strip())
    return [part.replace(_JOIN, " ") for part in filled.wrap(kept)]


def _space(space: SpaceFigures) -> Iterator[str]:
    yield headline(space)
    for remark in remarks(space):
        yield f"  ! {remark}"
    for arm in space.arms:
        yield f"  {arm_line(arm)}"
    if space.placebo is not None:
        yield f"  against neutral text: {effect_line(space.placebo)}"
    if space.since_resume is not None:
        yield f"  {space.since_resume.label}: {effect_line(space.since_resume.effect)}"
    for part in (*space.over_time, *space.agents):
        yield f"  {part.label}: {part_line(part)}"
    if not space.over_time and space.uplift.value is not None:
        yield f"  {TOO_EARLY}"
    if space.doses:
        yield f"  {dose_head(space)}:"
    for dose in space.doses:
        yield f"    {dose_name(dose)}: {dose_line(dose)}"
    yield ""


def _lessons(report: Report) -> Iterator[str]:
    if not report.lessons:
        return
    scale = max((abs(end) for each in report.lessons for end in (each.effect.low, each.effect.high) if end is not None), default=0.0)
    yield LESSONS
    if scale:
        edge = f"{scale * 100:.0f}"
        yield f"  {f'−{edge}':<{_WIDTH // 2}}0{f'+{edge}':>{_WIDTH // 2}} points"
    told = report.lessons[: max(_ALWAYS, min(_MOST, sum(map(_is_known, report.lessons))))]
    for lesson in told:
        bar = f"{forest_bar(lesson.effect, scale)} " if scale else ""
        yield f"  {bar}{lesson.lesson_id} {lesson.status}"
        yield f"    {lesson_line(lesson)}"
        likely = "" if lesson.shrunken is None else f" (likely {points(lesson.shrunken)})"
        yield f"    {_short(lesson.when)} -> {_short(lesson.do)}{likely}"
    if len(told) < len(report.lessons):
        yield f"  and {len(report.lessons) - len(told)} more, of which less is known; --json and --html have all"
    if report.untried:
        yield f"  {count(report.untried, 'served lesson')} fitted no run yet"
    yield ""


def _is_known(lesson: LessonFigures) -> bool:
    """Whether anything is ruled out about its effect."""
    effect = lesson.effect
    return effect.low is not None and effect.high is not None and effect.high - effect.low < _ANY


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
