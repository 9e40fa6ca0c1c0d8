"""A report as HTML that needs nothing else: no script, no font, no picture from anywhere. Every text is escaped. Pure."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from langchain_reflect.reporting.nouns import Effect, LessonFigures, PartFigures, Report, SpaceFigures
from langchain_reflect.reporting.text import plain
from langchain_reflect.reporting.wording import ARMS, NOTHING, arm_line, costs, effect_line, headline, lesson_line, points, remarks

_STYLE: Final = """
.reflect-report{font:14px/1.5 system-ui,sans-serif;color:#1f2328;max-width:1000px}
.reflect-report h2{font-size:1.15em;margin:1.4em 0 .3em}
.reflect-report table{border-collapse:collapse;width:100%;margin:.5em 0}
.reflect-report th,.reflect-report td{text-align:left;padding:.3em .6em;border-bottom:1px solid #d0d7de;vertical-align:top}
.reflect-report svg{width:240px;height:20px;display:block}
.reflect-report .helps{color:#1a7f37}.reflect-report .hurts{color:#b42318;font-weight:600}.reflect-report .undecided{color:#57606a}
.reflect-report .remark{border-left:4px solid #b54708;padding:.2em .7em;margin:.4em 0}
.reflect-report code{font-size:.92em}.reflect-report .small{color:#57606a;font-size:.92em}
@media (prefers-color-scheme:dark){body{background:#0d1117}.reflect-report{color:#e6edf3}
.reflect-report th,.reflect-report td{border-color:#30363d}.reflect-report .undecided,.reflect-report .small{color:#9198a1}
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
        f"<title>What lessons are worth</title>\n</head>\n<body>\n{fragment_of(report)}\n</body>\n</html>\n"
    )


def fragment_of(report: Report) -> str:
    """A report as a part of a page, such as a notebook's.

    Args:
        report: The figures.
    """
    spaces = "".join(_space(space) for space in report.spaces)
    body = spaces + _lessons(report) + _list("Cost", costs(report)) if report.spaces else f"<p>{_said(NOTHING)}</p>"
    made = f"<p class=small>{report.at:%Y-%m-%d %H:%M} UTC. Intervals stay valid however often one looks.</p>"
    return f'<div class="reflect-report"><style>{_STYLE}</style><h1>What lessons are worth</h1>{body}{made}</div>'


def _space(space: SpaceFigures) -> str:
    scale = _scale([space.uplift, *(part.effect for part in (*space.over_time, *space.agents))])
    rows = [PartFigures(label="all runs", effect=space.uplift)]
    if space.placebo is not None:
        rows.append(PartFigures(label="against neutral text", effect=space.placebo))
    parts = "".join(_row([part.label, *_figures(part.effect, scale)]) for part in (*rows, *space.over_time, *space.agents))
    warned = "".join(f"<p class=remark>{_said(remark)}</p>" for remark in remarks(space))
    doses = [
        f"at most {dose.dose}: {'no outcome yet' if dose.mean is None else f'mean reward {dose.mean:.2f}'} ({dose.runs} judged"
        + ("" if dose.chance is None else f", drawn with {dose.chance:.2f}" if dose.is_in else ", out of the race")
        + ")"
        for dose in space.doses
    ]
    return (
        f"<h2 class={space.uplift.verdict}>{_said(headline(space))}</h2>{warned}{_list('', [arm_line(arm) for arm in space.arms])}"
        f"<table><tr><th>runs<th>effect<th>{_said(f'−{scale * 100:.0f} to +{scale * 100:.0f} points')}</tr>{parts}</table>"
        f"{_list('Doses', doses)}"
    )


def _lessons(report: Report) -> str:
    if not report.lessons:
        return ""
    scale = _scale([lesson.effect for lesson in report.lessons])
    rows = "".join(_lesson(lesson, scale) for lesson in report.lessons)
    untried = f"<p class=small>{report.untried} served lessons fitted no run yet.</p>" if report.untried else ""
    edge = _said(f"−{scale * 100:.0f} to +{scale * 100:.0f} points")
    return f"<h2>Lessons</h2><table><tr><th>lesson<th>says<th>effect<th>{edge}</tr>{rows}</table>{untried}"


def _lesson(lesson: LessonFigures, scale: float) -> str:
    name = f"<code>{_said(lesson.lesson_id)}</code><br><span class=small>{_said(lesson.status)}, {_said('/'.join(lesson.namespace))}</span>"
    says = f"<span class=small>{_said(lesson.when)}</span><br>{_said(lesson.do)}"
    likely = "" if lesson.shrunken is None else f"<br><span class=small>likely {points(lesson.shrunken)}</span>"
    told = f"<span class={lesson.effect.verdict}>{_said(lesson_line(lesson))}</span>{likely}"
    return f"<tr><td>{name}<td>{says}<td>{told}<td>{_bar(lesson.effect, scale)}</tr>"


def _figures(effect: Effect, scale: float) -> Sequence[str]:
    return f"<span class={effect.verdict}>{_said(effect_line(effect))}</span>", _bar(effect, scale)


def _row(cells: Sequence[str]) -> str:
    first, *rest = cells
    return f"<tr><td>{_said(ARMS.get(first, first))}{''.join(f'<td>{cell}' for cell in rest)}</tr>"


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


def _said(text: str) -> str:
    """Text that can be nothing but text."""
    return escape(plain(" ".join(text.split())), quote=True)
