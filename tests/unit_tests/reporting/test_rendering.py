"""A report as text, page, JSON and picture."""

import json
import re
from html.parser import HTMLParser

import pytest

from langchain_reflect.errors import InvalidInput
from langchain_reflect.reporting import ArmFigures, Effect, LessonFigures, Report, SpaceFigures
from langchain_reflect.reporting.text import forest_bar
from langchain_reflect.reporting.wording import points
from langchain_reflect.types import Usage, now

HELPS = Effect(value=0.12, low=0.05, high=0.19, shown=300, withheld=40, verdict="helps")
HURTS = Effect(value=-0.21, low=-0.38, high=-0.04, shown=120, withheld=41, verdict="hurts")
OPEN = Effect(value=0.03, low=-0.2, high=0.26, shown=20, withheld=6, more=90)
HOSTILE = "<script>alert(1)</script>\x1b[31m\"'><img src=x onerror=alert(2)>\u202e$x^2$"


def lesson(name: str, effect: Effect, do: str = "look it up", **given) -> LessonFigures:
    return LessonFigures(lesson_id=name, namespace=("acme",), status="candidate", when="asked", do=do, effect=effect, **given)


def full(**given) -> Report:
    arms = (ArmFigures(name="treated", runs=310, judged=300, mean=0.71), ArmFigures(name="holdout", runs=40, judged=40, mean=0.59))
    told = {"uplift": HELPS, "arms": arms, "tokens_per_run": 61.0, "holdout_cost": 4.8}
    space = SpaceFigures(namespace=("acme",), graph="agent", **(told | given))
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
    assert "L-open candidate: not enough data yet (about 90 more runs): +3.0 points" in text
    assert "3 not judged yet" in text
    assert "(likely +5.0)" in text


def test_lessons_stand_in_the_order_of_the_report():
    text = str(full())
    assert text.index("L-bad") < text.index("L-good") < text.index("L-open")


def test_what_lessons_cost_is_told():
    text = str(full())
    assert "61 prompt tokens of lessons a run" in text
    assert "runs without lessons cost 4.8 units of reward so far" in text
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
        ({"judge_only": 7}, "7 runs were judged by a judge model only"),
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
    with pytest.raises(InvalidInput, match="nothing can be drawn yet"):
        Report().save_png("nowhere.png")


def test_what_is_not_known_is_never_a_nan():
    report = full(uplift=Effect(), tokens_per_run=None, holdout_cost=None)
    for text in (str(report), report._repr_html_(), report.to_json()):
        assert not re.search(r"\bnan\b", text, re.IGNORECASE)
    assert "not known yet" in str(report)


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
