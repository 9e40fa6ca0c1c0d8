"""A report as text, page, JSON and picture."""

import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from shlex import quote

import pytest

from langchain_reflect.errors import InvalidInput
from langchain_reflect.reporting import ArmFigures, Effect, LessonFigures, Report, SpaceFigures
from langchain_reflect.reporting.nouns import PartFigures, Period
from langchain_reflect.reporting.picture import title_of
from langchain_reflect.reporting.text import forest_bar, text_of
from langchain_reflect.reporting.wording import points, span
from langchain_reflect.types import Usage, now

HELPS = Effect(value=0.12, low=0.05, high=0.19, shown=300, withheld=40, verdict="helps")
HURTS = Effect(value=-0.21, low=-0.38, high=-0.04, shown=120, withheld=41, verdict="hurts")
OPEN = Effect(value=0.03, low=-0.2, high=0.26, shown=20, withheld=6, more=90)
HOSTILE = "<script>alert(1)</script>\x1b[31m\"'><img src=x onerror=alert(2)>\u202e$x^2$"


def lesson(name: str, effect: Effect, do: str = "look it up", **given) -> LessonFigures:
    return LessonFigures(lesson_id=name, namespace=("acme",), status="candidate", when="asked", do=do, effect=effect, **given)


def full(**given) -> Report:
    arms = (ArmFigures(name="treated", runs=310, judged=300, mean=0.71), ArmFigures(name="holdout", runs=40, judged=40, mean=0.59))
    told = {"namespace": ("acme",), "graph": "agent", "uplift": HELPS, "arms": arms, "tokens_per_run": 61.0, "holdout_cost": 4.8}
    space = SpaceFigures(**(told | given))
    lessons = (lesson("L-bad", HURTS), lesson("L-good", HELPS), lesson("L-open", OPEN, shrunken=0.05, pending=3))
    usage = Usage(calls=4, tokens_in=900, tokens_out=100)
    return Report(spaces=(space,), lessons=lessons, reflection=usage, tokens_per_point=20.0, untried=2)


def test_the_uplift_of_all_lessons_comes_first():
    first = str(full()).splitlines()[0]
    assert first == "agent in acme: lessons raise the reward by 12 points (95 % interval 5.0 to 19, n = 300 with, 40 without)"


def test_harm_is_said_without_two_negatives():
    assert "LOWER the reward by 21 points (95 % interval 4.0 to 38, n = 120 with, 41 without)" in str(full(uplift=HURTS))


def test_undecided_lessons_tell_how_much_is_missing():
    text = str(full())
    assert "L-open candidate\n    not enough data yet (about 90 more runs): +3.0 points" in text
    assert "3 not judged yet" in text
    assert "(likely +5.0)" in text


def test_lessons_stand_in_the_order_of_the_report():
    text = str(full())
    assert text.index("L-bad") < text.index("L-good") < text.index("L-open")


def test_what_lessons_cost_is_told():
    text = str(full())
    assert "61 prompt tokens of lessons a run" in text
    assert "runs without lessons missed 480 points in all" in text
    assert "making the lessons: 4 model calls, 900 + 100 tokens" in text
    assert "20 tokens for each point" in text
    assert "2 served lessons fitted no run yet" in text


def test_a_pause_tells_what_it_needs():
    text = str(full(paused="lessons did harm", paused_since=now()))
    assert "! PAUSED since" in text
    assert "reflect resume" in text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"uneven": True}, "missing unevenly"),
        ({"judge_only": 7}, "7 runs judged by a judge model only"),
        ({"arms": (ArmFigures(name="treated", runs=3),)}, "gone without them yet"),
        ({"arms": (ArmFigures(name="holdout", runs=3),)}, "No run has had lessons yet"),
        ({"arms": (ArmFigures(name="treated", runs=3), ArmFigures(name="holdout", runs=3))}, "is judged yet"),
    ],
)
def test_what_makes_figures_doubtful_is_said(given, said):
    assert said in str(full(**given))
    assert said in full(**given)._repr_html_()


def test_an_empty_report_says_what_is_missing():
    assert str(Report()).startswith("No evidence yet")
    assert "No evidence yet" in Report()._repr_html_()
    assert str(Report(untried=3)).endswith("3 lessons wait to be tried.")
    chosen = Report(namespace=("acme", "x"), graph="other", since=datetime(2027, 1, 1, tzinfo=UTC))
    for text in (str(chosen), chosen._repr_html_().replace("&#x27;", "'")):
        assert "No evidence yet for namespace 'acme/x', graph 'other', runs since 2027-01-01 00:00: chance decided" in text
    with pytest.raises(InvalidInput, match="nothing can be drawn yet"):
        Report().save_png("nowhere.png")


def test_what_is_not_known_is_never_a_nan():
    report = full(uplift=Effect(), tokens_per_run=None, holdout_cost=None)
    for text in (str(report), report._repr_html_(), report.to_json()):
        assert not re.search(r"\bnan\b", text, re.IGNORECASE)
    assert "agent in acme: not enough data yet; n = 0 with, 0 without" in str(report)


def test_one_legend_says_what_the_figures_are():
    for text in (str(full()), full()._repr_html_()):
        assert text.count("differences are in points of 0.01") == 1
        assert text.count("levels are mean rewards") == 1
        assert text.count("also where chance then withheld some") == 1


def test_figures_tell_their_period_in_words_and_as_data(tmp_path):
    period = Period(began=datetime(2026, 11, 1, 12, tzinfo=UTC), ended=datetime(2026, 11, 9, 8, tzinfo=UTC))
    report = full(period=period)
    assert str(report).startswith("agent in acme, 2026-11-01 to 2026-11-09: lessons raise")
    assert "all runs, 2026-11-01 to 2026-11-09" in report._repr_html_()
    assert json.loads(report.to_json())["spaces"][0]["period"]["ended"] == "2026-11-09T08:00:00Z"
    assert title_of(report) == "What lessons are worth, runs of 2026-11-01 to 2026-11-09 (UTC)"
    since = report.model_copy(update={"since": period.began})
    assert "Only runs that began 2026-11-01 12:00 or later" in str(since)
    assert "Only runs that began 2026-11-01 12:00 or later" in since._repr_html_()


def test_a_period_within_a_day_is_told_to_the_minute():
    noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert span(noon, noon + timedelta(hours=2, minutes=30)) == "2026-11-01 12:00 to 14:30"
    assert span(noon, noon + timedelta(seconds=30)) == "2026-11-01 12:00"
    assert span(noon, noon + timedelta(days=1), minutes=True) == "2026-11-01 12:00 to 2026-11-02 12:00"


def test_a_version_of_the_agent_with_few_runs_is_too_early_to_tell_unless_it_is_decided():
    few = OPEN.model_copy(update={"more": None})
    report = full(agents=(PartFigures(label="model a", effect=few), PartFigures(label="model b", effect=HELPS)))
    for text in (str(report), report._repr_html_()):
        assert "too early (n = 20 with, 6 without)" in text
        assert "+12 points (95 % interval +5.0 to +19, n = 300 with, 40 without)" in text
    assert PartFigures(label="x", effect=few.model_copy(update={"verdict": "hurts"})).is_told


def test_a_pause_tells_who_and_the_way_out():
    evidence = str(full(paused="lessons did harm", paused_since=now(), paused_by="credit"))
    assert "by the evidence of the runs until then: lessons did harm" in evidence
    assert "`reflect resume --namespace acme --graph agent`" in evidence
    again = full(paused="x", paused_by="credit", since_resume=PartFigures(label="runs since noon", effect=OPEN))
    assert "by the evidence of the runs between the last resume and then" in str(again)
    assert "PAUSED by dana: x" in str(full(paused="x", paused_by="dana"))


def test_a_question_tells_what_each_answer_does():
    asked = full().model_copy(update={"lessons": (lesson("L-bad", HURTS, asked="V-1"),)})
    assert "a person decides: `reflect lessons approve V-1` retires the lesson, `reflect lessons reject V-1` keeps it" in str(asked)
    assert "<code>reflect lessons approve V-1</code> retires the lesson" in asked._repr_html_()


@pytest.mark.parametrize("width", [72, 80, 200])
def test_lines_fit_into_the_terminal_and_commands_and_bars_stay_whole(width: int):
    asked = lesson("L-bad", HURTS, do="call " * 100, asked="V-0123456789ab")
    text = text_of(full(paused="lessons did harm").model_copy(update={"lessons": (asked, lesson("L-open", OPEN))}), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "V-0123456789ab" in text
    assert text.splitlines().count(f"  {forest_bar(HURTS, 0.38)} L-bad candidate") == 1
    assert "n =\n" not in text


@pytest.mark.parametrize("width", [72, 80, 100, 200])
@pytest.mark.parametrize("graph", ["support", "it's the agent of `support`\N{NO-BREAK SPACE}two", "a long name of a graph, " * 6])
@pytest.mark.parametrize("reason", ["lessons did harm", "`rm -rf` was said, isn't it `reflect", "because " * 30])
def test_a_command_is_never_broken_over_lines(width: int, graph: str, reason: str):
    given = {"paused": reason, "graph": graph, "namespace": ("acme", "support team")}
    asked = lesson("L-bad", HURTS, asked="V-0123456789ab")
    lines = text_of(full(**given).model_copy(update={"lessons": (asked,)}), width=width).splitlines()
    for command in (
        f"reflect resume --namespace 'acme/support team' --graph {quote(graph)}",
        "reflect lessons approve V-0123456789ab",
        "reflect lessons reject V-0123456789ab",
    ):
        assert sum(f"`{command}`" in line for line in lines) == 1
    assert all(len(line) <= width or "`reflect resume" in line for line in lines)


def test_one_is_not_many():
    report = full(judge_only=1).model_copy(update={"untried": 1})
    assert "1 run judged by a judge model only" in str(report)
    assert "1 served lesson fitted no run yet" in str(report)
    assert "1 lesson waits to be tried" in str(Report(untried=1))


@pytest.mark.parametrize(
    ("value", "said"), [(0.123, "+12"), (-0.034, "−3.4"), (0.0, "+0.0"), (-0.0001, "+0.0"), (0.0996, "+10"), (1.0, "+100")]
)
def test_differences_are_told_in_points(value: float, said: str):
    assert points(value) == said


def test_an_interval_is_drawn_around_zero():
    assert forest_bar(Effect(value=0.5, low=0.0, high=1.0), 1.0, 11) == "     ┼─●───"
    assert forest_bar(Effect(value=-0.8, low=-1.0, high=-0.6), 1.0, 11) == "─●─  │     "
    assert forest_bar(Effect(), 1.0, 11) == "     │     "


class Parsed(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_hostile_lessons_are_text_and_nothing_else():
    report = full().model_copy(update={"lessons": (lesson("L-bad", HURTS, do=HOSTILE),)})
    page = Parsed(report._repr_html_())
    assert not {tag for tag, _ in page.tags} & {"script", "img", "iframe", "link", "a"}
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert "\x1b" not in str(report)
    assert "\u202e" not in str(report) + report._repr_html_()


def test_a_page_needs_nothing_from_elsewhere(tmp_path):
    page = full().save_html(tmp_path / "deep" / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert not [attrs for _, attrs in Parsed(page).tags if {"src", "href"} & attrs.keys()]
    assert "http" not in page.replace("http-equiv", "")


def test_json_has_all_figures():
    told = json.loads(full().to_json())
    assert told["spaces"][0]["uplift"]["value"] == 0.12
    assert [each["lesson_id"] for each in told["lessons"]] == ["L-bad", "L-good", "L-open"]
    assert Report.model_validate(told) == full().model_copy(update={"at": Report.model_validate(told).at})


def test_a_picture_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    report = full().model_copy(update={"lessons": (lesson("L-bad", HURTS, do=HOSTILE.replace("\x1b", "")),)})
    assert report.save_png(tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")


def test_many_lessons_are_cut_in_the_terminal_only():
    many = full().model_copy(update={"lessons": tuple(lesson(f"L-{n}", OPEN) for n in range(60))})
    assert "and 20 more" in str(many)
    assert many._repr_html_().count("<code>") == 60


def test_lessons_of_which_nothing_is_known_do_not_fill_the_terminal():
    nothing = Effect(value=0.3, low=-1.0, high=1.0, shown=4, withheld=1)
    unknown = tuple(lesson(f"L-{n}", nothing) for n in range(60))
    assert "and 50 more" in str(full().model_copy(update={"lessons": unknown}))
    some = (*(lesson(f"L-k{n}", OPEN) for n in range(15)), *unknown)
    assert "and 60 more" in str(full().model_copy(update={"lessons": some}))
