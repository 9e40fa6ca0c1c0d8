"""Figures in words, for the terminal and for pages alike. Pure."""

from langchain_reflect.reporting.nouns import ArmFigures, Effect, LessonFigures, Report, SpaceFigures

NOTHING = (
    "No evidence yet: no run in which chance decided about a lesson has been recorded. Lessons are tried as soon as wrapped runs recall "
    "them and outcomes come in."
)
_WAY_OUT = (
    "Runs get no lessons and are still recorded. Retire or reword the lessons that hurt, then `reflect resume`; "
    "only runs after that count for the next pause"
)
ARMS = {"treated": "with lessons", "holdout": "without", "placebo": "neutral text"}


def points(value: float) -> str:
    """A difference of rewards in points of 0.01, with its sign: `+12`, `−3.4`."""
    size = abs(value) * 100
    digits = f"{size:.0f}" if size >= 9.95 else f"{size:.1f}"  # noqa: PLR2004 - three digits are as many as anybody reads
    return f"{'−' if value < 0 and float(digits) else '+'}{digits}"


def interval(effect: Effect) -> str:
    """An interval in points: `+5 to +19`; empty if it is not known."""
    if effect.low is None or effect.high is None:
        return ""
    return f"{points(effect.low)} to {points(effect.high)}"


def effect_line(effect: Effect) -> str:
    """An effect with its interval and counts."""
    counts = f"n = {effect.shown} with, {effect.withheld} without"
    if effect.value is None:
        return f"not known yet ({counts})"
    within = f"95 % interval {interval(effect)}, " if interval(effect) else ""
    return f"{points(effect.value)} points ({within}{counts})"


def verdict_line(effect: Effect) -> str:
    """What an effect comes to."""
    if effect.verdict == "helps":
        return "raises the reward"
    if effect.verdict == "hurts":
        return "LOWERS the reward" if effect.value is None or effect.value < 0 else "LOWERS the reward of late, over all the time"
    if effect.more is None:
        return "not enough data yet"
    return f"not enough data yet (about {effect.more} more runs)"


def headline(space: SpaceFigures) -> str:
    """The uplift of a graph in one sentence."""
    effect, where = space.uplift, f"{space.graph} in {'/'.join(space.namespace)}"
    if effect.value is None or effect.verdict == "undecided":
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
        since = f" since {space.paused_since:%Y-%m-%d %H:%M} UTC" if space.paused_since else ""
        found.append(f"PAUSED{since}: {space.paused}. {_WAY_OUT}")
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
        shares = ", ".join(f"{arm.missing:.0%} {ARMS.get(arm.name, arm.name)}" for arm in space.arms)
        found.append(f"Outcomes are missing unevenly ({shares}): the comparison may mislead")
    if space.judge_only:
        found.append(f"{space.judge_only} runs were judged by a judge model only; these decide nothing")
    return found


def costs(report: Report) -> list[str]:
    """What lessons cost."""
    found = []
    for space in report.spaces:
        where = f"{space.graph} in {'/'.join(space.namespace)}"
        if space.tokens_per_run is not None:
            found.append(f"{where}: {space.tokens_per_run:.0f} prompt tokens of lessons a run")
        if space.holdout_cost is not None and space.holdout_cost > 0:
            found.append(f"{where}: runs without lessons cost {space.holdout_cost:.1f} units of reward so far, the price of knowing")
    usage = report.reflection
    if usage.calls:
        found.append(f"making the lessons: {usage.calls} model calls, {usage.tokens_in} + {usage.tokens_out} tokens")
    if report.tokens_per_point is not None:
        found.append(f"{report.tokens_per_point:,.0f} tokens for each point of reward gained")
    return found


def lesson_line(lesson: LessonFigures) -> str:
    """A lesson's trial in a few words."""
    pending = f", {lesson.pending} not judged yet" if lesson.pending else ""
    asked = f"; a person decides: reflect lessons approve {lesson.asked}" if lesson.asked else ""
    effect = lesson.effect
    size = f": {effect_line(effect)}" if effect.verdict == "undecided" else f" by {size_line(effect)}"
    return f"{verdict_line(effect)}{size}{pending}{asked}"
