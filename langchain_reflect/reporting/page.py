"""A report as HTML that needs nothing else: no script, no font, no picture from anywhere. Every text is escaped. Pure."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from langchain_reflect.reporting.nouns import Effect, LessonFigures, Report, SpaceFigures
from langchain_reflect.reporting.text import plain
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
    span,
)
from langchain_reflect.types.counting import count

_STYLE: Final = """
.reflect-report{font:14px/1.5 system-ui,sans-serif;color:#1f2328;max-width:1000px;overflow-wrap:anywhere}
.reflect-report h2{font-size:1.15em;margin:1.4em 0 .3em}
.reflect-report table{border-collapse:collapse;width:100%;margin:.5em 0}
.reflect-report th,.reflect-report td{text-align:left;padding:.3em .6em;border-bottom:1px solid #d0d7de;vertical-align:top}
.reflect-report svg{width:240px;height:20px;display:block}.reflect-report td{min-width:9em}
.reflect-report .helps{color:#1a7f37}.reflect-report .hurts{color:#b42318;font-weight:600}.reflect-report .undecided{color:#57606a}
.reflect-report .remark{border-left:4px solid #b54708;padding:.2em .7em;margin:.4em 0}
.reflect-report code{font-size:.92em}.reflect-report .small{color:#57606a;font-size:.92em}
@media (max-width:640px){.reflect-report th{display:none}.reflect-report tr{display:block;border-bottom:1px solid #d0d7de}
.reflect-report td{display:block;border:0;padding:.15em 0}.reflect-report svg{max-width:100%}}
@media (prefers-color-scheme:dark){.reflect-report{color:#e6edf3;background:#0d1117}
.reflect-report th,.reflect-report td,.reflect-report tr{border-color:#30363d}
.reflect-report .undecided,.reflect-report .small{color:#9198a1}
.reflect-report .helps{color:#3fb950}.reflect-report .hurts{color:#ff7b72}}
"""
_HALF: Final = 118
_MIDDLE: Final = 120


def page_of(report: Report) -> str:
    """A whole page.

    Args:
        report: The figures.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        "<title>What lessons are worth</title>\n<style>@media (prefers-color-scheme:dark){body{background:#0d1117}}</style>\n</head>\n"
        f"<body>\n{fragment_of(report)}\n</body>\n</html>\n"
    )


def fragment_of(report: Report) -> str:
    """A report as a part of a page, such as a notebook's.

    Args:
        report: The figures.
    """
    spaces = "".join(_space(space) for space in report.spaces)
    body = spaces + _lessons(report) + _list("Cost", costs(report)) if report.spaces else f"<p>{_said(nothing(report))}</p>"
    made = f"<p class=small>{_said(legend(report))} Made {report.at:%Y-%m-%d %H:%M}.</p>"
    return f'<div class="reflect-report"><style>{_STYLE}</style><h1>What lessons are worth</h1>{body}{made}</div>'


def _space(space: SpaceFigures) -> str:
    parts = [each for each in (*space.over_time, *space.agents) if each.is_told]
    others = [each for each in (space.placebo, None if space.since_resume is None else space.since_resume.effect) if each is not None]
    scale = _scale([space.uplift, *others, *(part.effect for part in parts), *(dose.effect for dose in space.doses)])
    rows = [("all runs" if space.period is None else f"all runs, {span(space.period.began, space.period.ended)}", space.uplift, "")]
    if space.placebo is not None:
        rows.append(("against neutral text", space.placebo, ""))
    if space.since_resume is not None:
        rows.append((space.since_resume.label, space.since_resume.effect, ""))
    rows += [(part.label, part.effect, "" if part.is_told else part_line(part)) for part in (*space.over_time, *space.agents)]
    warned = "".join(f"<p class=remark>{_with_code(remark)}</p>" for remark in remarks(space))
    early = "" if space.over_time or space.uplift.value is None else f"<p class=small>{_said(TOO_EARLY.capitalize())}.</p>"
    doses = [(dose_name(dose), dose.effect, dose_line(dose)) for dose in space.doses]
    return (
        f"<h2 class={space.uplift.verdict}>{_said(headline(space))}</h2>{warned}{_list('', [arm_line(arm) for arm in space.arms])}"
        f"{_table('runs', rows, scale)}{early}{f'<p>{_said(dose_head(space))}:</p>' if doses else ''}{_table('dose', doses, scale)}"
    )


def _table(head: str, rows: Sequence[tuple[str, Effect, str]], scale: float) -> str:
    """Effects with their intervals.

    Args:
        head: What the rows are.
        rows: Label, effect, and what is said of it; empty: the effect itself, with a drawing.
        scale: The value at the edge of the drawings.
    """
    if not rows:
        return ""
    cells = "".join(
        f"<tr><td>{_said(label)}<td><span class={effect.verdict}>{_said(said or effect_line(effect))}</span><td>{_bar(effect, scale)}</tr>"
        for label, effect, said in rows
    )
    return f"<table><tr><th>{_said(head)}<th>effect<th>{_edges(scale)}</tr>{cells}</table>"


def _edges(scale: float) -> str:
    return _said(f"−{scale * 100:.0f} to +{scale * 100:.0f} points")


def _lessons(report: Report) -> str:
    if not report.lessons:
        return ""
    scale = _scale([lesson.effect for lesson in report.lessons])
    rows = "".join(_lesson(lesson, scale) for lesson in report.lessons)
    untried = f"<p class=small>{count(report.untried, 'served lesson')} fitted no run yet.</p>" if report.untried else ""
    return f"<h2>{_said(LESSONS)}</h2><table><tr><th>lesson<th>says<th>effect<th>{_edges(scale)}</tr>{rows}</table>{untried}"


def _lesson(lesson: LessonFigures, scale: float) -> str:
    name = f"<code>{_said(lesson.lesson_id)}</code><br><span class=small>{_said(lesson.status)}, {_said('/'.join(lesson.namespace))}</span>"
    says = f"<span class=small>{_said(lesson.when)}</span><br>{_said(lesson.do)}"
    likely = "" if lesson.shrunken is None else f"<br><span class=small>likely {points(lesson.shrunken)}</span>"
    told = f"<span class={lesson.effect.verdict}>{_with_code(lesson_line(lesson))}</span>{likely}"
    return f"<tr><td>{name}<td>{says}<td>{told}<td>{_bar(lesson.effect, scale)}</tr>"


def _bar(effect: Effect, scale: float) -> str:
    """An interval around a line at zero, as a drawing with its words."""
    drawn = f'<line x1="{_MIDDLE}" x2="{_MIDDLE}" y1="0" y2="20" stroke="#8c959f"/>'
    if effect.value is not None and effect.low is not None and effect.high is not None:
        low, value, high = (_MIDDLE + max(-1.0, min(1.0, each / scale)) * _HALF for each in (effect.low, effect.value, effect.high))
        colour = {"helps": "#1a7f37", "hurts": "#d1242f", "undecided": "#6e7781"}[effect.verdict]
        drawn += f'<line x1="{low:.1f}" x2="{high:.1f}" y1="10" y2="10" stroke="{colour}" stroke-width="2"/>'
        drawn += f'<circle cx="{value:.1f}" cy="10" r="4" fill="{colour}"/>'
    return f'<svg viewBox="0 0 240 20" role="img" aria-label="{_said(effect_line(effect))}">{drawn}</svg>'


def _scale(effects: Iterable[Effect]) -> float:
    """The value at the edge of the drawings, above 0."""
    return max((abs(end) for each in effects for end in (each.low, each.high) if end is not None), default=0.0) or 1.0


def _list(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    head = f"<h2>{_said(title)}</h2>" if title else ""
    return f"{head}<ul>{''.join(f'<li>{_said(line)}</li>' for line in lines)}</ul>"


def _with_code(text: str) -> str:
    """`_said`, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", _said(text))


def _said(text: str) -> str:
    """Text that can be nothing but text."""
    return escape(plain(" ".join(text.split())), quote=True)
