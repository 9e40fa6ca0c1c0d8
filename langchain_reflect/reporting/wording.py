"""Figures in words, for the terminal and for pages alike. Pure."""

from datetime import datetime
from shlex import quote
from typing import Final

from langchain_reflect.lessons.authors import CREDIT
from langchain_reflect.reporting.nouns import (
    PART_LEAST,
    ArmFigures,
    DoseFigures,
    Effect,
    LessonFigures,
    PartFigures,
    Period,
    Report,
    SpaceFigures,
)
from langchain_reflect.types.counting import count

_NOTHING: Final = (
    "No evidence yet: no run in which chance decided about a lesson has been recorded. Lessons are tried as soon as wrapped runs recall "
    "them and outcomes come in."
)
_LEGEND: Final = (
    "How to read it: levels are mean rewards, from 0 to 1; differences are in points of 0.01, so with rewards of 0 and 1 a point is one "
    "success more in a hundred runs. n = with: of all lessons, the runs that were allowed any, also where chance then withheld some; of "
    "one lesson, those that were shown it. Intervals are 95 % and stay valid however often one looks. Times are UTC."
)
LESSONS: Final = "Lessons, each since its present wording was first tried"
TOO_EARLY: Final = (
    f"over time: too early to tell parts of the time apart; each needs {PART_LEAST} judged runs with lessons and {PART_LEAST} without"
)
_WAY_OUT = "Runs get no lessons and are still recorded. Retire or reword the lessons that hurt, then"
_NAMING = "`compile(name=...)`, `create_agent(..., name=...)` or `learner.wrap(graph, name=...)`"
ARMS = {"treated": "with lessons", "holdout": "without", "placebo": "neutral text"}


def percent(share: float) -> str:
    """A share: `5 %`."""
    return f"{share * 100:.0f} %"


def span(began: datetime, ended: datetime, *, minutes: bool = False) -> str:
    """A time: `2026-11-01 to 2026-11-09`, with minutes if asked for; `2026-11-01 12:00 to 14:30` within a day."""
    if began.date() == ended.date():
        first, last = f"{began:%Y-%m-%d %H:%M}", f"{ended:%H:%M}"
        return first if first.endswith(last) else f"{first} to {last}"
    form = "%Y-%m-%d %H:%M" if minutes else "%Y-%m-%d"
    return f"{began:{form}} to {ended:{form}}"


def during(period: Period | None) -> str:
    """What figures tell of, to stand behind a name: `, 2026-11-01 to 2026-11-09`."""
    return "" if period is None else f", {span(period.began, period.ended)}"


def points(value: float) -> str:
    """A difference of rewards in points of 0.01, with its sign: `+12`, `−3.4`."""
    size = abs(value) * 100
    digits = f"{size:.0f}" if size >= 9.95 else f"{size:.1f}"  # noqa: PLR2004 - three digits are as many as anybody reads
    return f"{'−' if value < 0 and float(digits) else '+'}{digits}"


def size(value: float) -> str:
    """The same without the plus, for a sentence that says the direction."""
    return points(value).removeprefix("+")


def interval(effect: Effect) -> str:
    """An interval in points: `+5 to +19`; empty if it is not known."""
    if effect.low is None or effect.high is None:
        return ""
    return f"{points(effect.low)} to {points(effect.high)}"


def effect_line(effect: Effect) -> str:
    """An effect with its interval and counts."""
    counts = _counts(effect)
    if effect.value is None:
        return f"not known yet ({counts})"
    within = f"95 % interval {interval(effect)}, " if interval(effect) else ""
    return f"{points(effect.value)} points ({within}{counts})"


def _counts(effect: Effect) -> str:
    return f"n = {effect.shown:,} with, {effect.withheld:,} without"


def part_line(part: PartFigures) -> str:
    """The effect within a part of the runs."""
    return effect_line(part.effect) if part.is_told else f"too early ({_counts(part.effect)})"


def verdict_line(effect: Effect) -> str:
    """What an effect comes to."""
    if effect.verdict == "helps":
        return "raises the reward"
    if effect.verdict == "hurts":
        return "LOWERS the reward" if effect.value is None or effect.value < 0 else "LOWERS the reward of late, over all the time"
    if effect.more is None:
        return "not enough data yet"
    return f"not enough data yet (about {count(effect.more, 'more run')})"


def nothing(report: Report) -> str:
    """What is said instead of figures."""
    asked = [f"namespace {'/'.join(report.namespace)!r}"] if report.namespace else []
    asked += [f"graph {report.graph!r}"] if report.graph else []
    asked += [f"runs since {report.since:%Y-%m-%d %H:%M}"] if report.since else []
    if not asked:
        return _NOTHING
    return f"No evidence yet for {', '.join(asked)}: chance decided about no lesson there. A report without this choice tells of all runs."


def legend(report: Report) -> str:
    """What the figures are, and which runs they tell of."""
    return _LEGEND + ("" if report.since is None else f" Only runs that began {report.since:%Y-%m-%d %H:%M} or later.")


def headline(space: SpaceFigures) -> str:
    """The uplift of a graph in one sentence."""
    effect, where = space.uplift, f"{space.graph} in {'/'.join(space.namespace)}{during(space.period)}"
    if effect.value is None:
        return f"{where}: {verdict_line(effect)}; {_counts(effect)}"
    if effect.verdict == "undecided":
        return f"{where}: {verdict_line(effect)}; so far {effect_line(effect)}"
    if effect.verdict == "hurts" and effect.value >= 0:
        return f"{where}: lessons LOWER the reward of late; over all the time {effect_line(effect)}"
    does = "lessons raise the reward" if effect.verdict == "helps" else "lessons LOWER the reward"
    return f"{where}: {does} by {size_line(effect)}"


def size_line(effect: Effect) -> str:
    """How large an effect is, for a sentence that says its direction."""
    turned = effect if (effect.value or 0.0) >= 0 else _turned(effect)
    return effect_line(turned).removeprefix("+").replace("interval +", "interval ").replace("to +", "to ")


def _turned(effect: Effect) -> Effect:
    low, value, high = (None if each is None else -each for each in (effect.high, effect.value, effect.low))
    return effect.model_copy(update={"low": low, "value": value, "high": high})


def arm_line(arm: ArmFigures) -> str:
    """An arm in a few words."""
    mean = "no outcome yet" if arm.mean is None else f"mean reward {arm.mean:.2f}"
    missing = f", {arm.runs - arm.judged} of {arm.runs} not judged" if arm.judged < arm.runs else ""
    return f"{ARMS.get(arm.name, arm.name)}: {mean} ({arm.judged} judged{missing})"


def remarks(space: SpaceFigures) -> list[str]:
    """What has to be known before the figures are believed."""
    found = []
    if space.paused:
        found.append(_pause(space))
    if len(space.unnamed) == 1:
        found.append(f"This graph has no name: every other one without a name is counted with it. Name it with {_NAMING}")
    elif space.unnamed:
        found.append(
            f"{len(space.unnamed)} graphs without a name, or versions of one, are counted as one: {', '.join(space.unnamed)}. "
            f"Name each with {_NAMING}"
        )
    by_name = {arm.name: arm for arm in space.arms}
    if "holdout" not in by_name:
        found.append(
            "No run in which lessons fitted has gone without them yet, so there is no uplift to tell: wait, or set holdout above 0"
        )
    elif "treated" not in by_name:
        found.append("No run has had lessons yet, so there is no uplift to tell: wait, or set holdout below 1")
    if not any(arm.judged for arm in space.arms):
        found.append("No run in which lessons fitted is judged yet: report outcomes with `record_outcome`, or give a verifier")
    if space.uneven:
        shares = ", ".join(f"{percent(arm.missing)} {ARMS.get(arm.name, arm.name)}" for arm in space.arms)
        found.append(f"Outcomes are missing unevenly ({shares}): the comparison may mislead")
    if space.judge_only:
        found.append(f"{count(space.judge_only, 'run')} judged by a judge model only: these decide nothing")
    return found


def _pause(space: SpaceFigures) -> str:
    """Since when, by whom, why, and the way out."""
    since = f" since {space.paused_since:%Y-%m-%d %H:%M}" if space.paused_since else ""
    told = "the runs until then" if space.since_resume is None else "the runs between the last resume and then"
    by = f" by the evidence of {told}" if space.paused_by == CREDIT else f" by {space.paused_by}" if space.paused_by else ""
    resume = f"`reflect resume --namespace {quote('/'.join(space.namespace))} --graph {quote(space.graph)}`"
    return f"PAUSED{since}{by}: {space.paused}. {_WAY_OUT} {resume}; only runs after that count for the next pause"


def costs(report: Report) -> list[str]:
    """What lessons cost."""
    found = []
    for space in report.spaces:
        where = f"{space.graph} in {'/'.join(space.namespace)}"
        if space.tokens_per_run is not None:
            found.append(f"{where}: {space.tokens_per_run:.0f} prompt tokens of lessons a run")
        if space.holdout_cost is not None and space.holdout_cost > 0:
            found.append(f"{where}: runs without lessons missed {space.holdout_cost * 100:,.0f} points in all, the price of knowing")
    usage = report.reflection
    if usage.calls:
        found.append(f"making the lessons: {count(usage.calls, 'model call')}, {usage.tokens_in:,} + {usage.tokens_out:,} tokens")
    if report.tokens_per_point is not None:
        found.append(f"{report.tokens_per_point:,.0f} tokens for each point of reward gained in a run")
    return found


def dose_head(space: SpaceFigures) -> str:
    """What the lines about doses tell of."""
    since = "all runs" if space.doses_since is None else f"runs since {space.doses_since:%Y-%m-%d %H:%M}"
    return f"By dose, against runs without lessons, {since}"


def dose_line(dose: DoseFigures) -> str:
    """What a dose is worth, and how often it is drawn."""
    mean = "no outcome yet" if dose.mean is None else f"mean reward {dose.mean:.2f}"
    if dose.chance is None:
        drawn = ""
    else:
        drawn = f", drawn in {percent(dose.chance)} of the runs with lessons" if dose.is_in else ", drawn no more, being credibly worse"
    return f"{effect_line(dose.effect)}, {mean}{drawn}"


def dose_name(dose: DoseFigures) -> str:
    """`at most 2 lessons`."""
    return f"at most {count(dose.dose, 'lesson')}"


def decides(review_id: str) -> str:
    """What a person decides who answers the question whether a lesson that does harm is to be retired."""
    return f"a person decides: `reflect lessons approve {review_id}` retires the lesson, `reflect lessons reject {review_id}` keeps it"


def lesson_line(lesson: LessonFigures) -> str:
    """A lesson's trial in a few words."""
    pending = f", {lesson.pending:,} not judged yet" if lesson.pending else ""
    asked = f"; {decides(lesson.asked)}" if lesson.asked else ""
    effect = lesson.effect
    if effect.value is None:
        return f"{verdict_line(effect)}; {_counts(effect)}{pending}{asked}"
    size = f": {effect_line(effect)}" if effect.verdict == "undecided" else f" by {size_line(effect)}"
    return f"{verdict_line(effect)}{size}{pending}{asked}"
