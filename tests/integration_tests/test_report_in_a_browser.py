"""The page of a report in a real browser: what it loads, shows, and how it fits."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from langchain_reflect.reporting import ArmFigures, Effect, LessonFigures, Report, SpaceFigures
from langchain_reflect.reporting.nouns import DoseFigures, PartFigures, Period

pytestmark = pytest.mark.enable_socket  # to steer the browser

HELPS = Effect(value=0.12, low=0.05, high=0.19, shown=300, withheld=40, verdict="helps")
HURTS = Effect(value=-0.21, low=-0.38, high=-0.04, shown=120, withheld=41, verdict="hurts")
OPEN = Effect(value=0.03, low=-0.2, high=0.26, shown=90, withheld=36, more=90)
HOSTILE = "</script><script>document.title='owned'</script>\"'><img src=http://example.org/x onerror=\"document.title='owned'\">`<b>x</b>`"
NARROW, WIDE = 360, 1100


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium on this machine")
    asked = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses to run as root with its sandbox
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=program, args=asked)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report().save_html(tmp_path_factory.mktemp("pages") / "report.html")


def report() -> Report:
    noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
    told = {"namespace": ("acme",), "status": "candidate", "when": "asked " + "W" * 200}
    lessons = [("L-bad", HURTS, HOSTILE), ("L-good", HELPS, "look it up"), ("L-open", OPEN, "x" * 300)]
    space = SpaceFigures(
        namespace=("acme", "N" * 120),
        graph=f"agent {HOSTILE}",
        period=Period(began=noon, ended=noon.replace(day=9)),
        uplift=HELPS,
        since_resume=PartFigures(label="runs since noon", effect=OPEN),
        arms=(ArmFigures(name="treated", runs=300, judged=300, mean=0.71), ArmFigures(name="holdout", runs=40, judged=40, mean=0.59)),
        over_time=(PartFigures(label="first part", effect=OPEN), PartFigures(label="second part", effect=HELPS)),
        doses=(DoseFigures(dose=1, effect=OPEN, mean=0.6, chance=0.5), DoseFigures(dose=2, effect=HELPS, mean=0.7, chance=0.5)),
        paused=f"it hurts {HOSTILE}",
        tokens_per_run=60.0,
    )
    figures = tuple(LessonFigures(lesson_id=i, effect=effect, do=do, asked="V-1", **told) for i, effect, do in lessons)
    return Report(spaces=(space,), lessons=figures)


@pytest.fixture
def seen(browser: Any, page_file: Path) -> Iterator[Any]:
    """The page, and what happened while it was loaded: `said` and `asked_for`."""
    opened = browser.new_page(viewport={"width": WIDE, "height": 900})
    opened.said, opened.asked_for = [], []
    opened.on("console", lambda message: opened.said.append(message.text))
    opened.on("pageerror", lambda error: opened.said.append(str(error)))
    opened.on("request", lambda request: opened.asked_for.append(request.url))
    opened.goto(page_file.as_uri(), wait_until="load")
    yield opened
    opened.close()


def test_the_page_complains_of_nothing_and_asks_nobody(seen: Any, page_file: Path):
    assert seen.said == []
    assert seen.asked_for == [page_file.as_uri()]


def test_rows_stand_in_the_order_of_the_report_each_with_its_interval_around_zero(seen: Any):
    runs, doses, lessons = (table.locator("tr td:first-child").all_inner_texts() for table in seen.locator("table").all())
    assert runs == ["all runs, 2026-11-01 to 2026-11-09", "runs since noon", "first part", "second part"]
    assert doses == ["at most 1 lesson", "at most 2 lessons"]
    assert [text.split()[0] for text in lessons] == ["L-bad", "L-good", "L-open"]
    assert seen.locator("svg").count() == 9
    drawn = [
        [svg.locator(shape).first.bounding_box() for shape in ("line:nth-of-type(1)", "line:nth-of-type(2)", "circle")]
        for svg in seen.locator("table").last.locator("svg").all()
    ]
    bad, good, unknown = [(zero["x"], bar["x"], bar["x"] + bar["width"]) for zero, bar, _ in drawn]
    assert bad[2] < bad[0]
    assert good[1] > good[0]
    assert unknown[1] < unknown[0] < unknown[2]
    assert all(bar["x"] < dot["x"] + dot["width"] / 2 < bar["x"] + bar["width"] for _, bar, dot in drawn)


def test_hostile_words_are_shown_and_do_nothing(seen: Any):
    assert seen.title() == "What lessons are worth"
    assert seen.locator("script, img, iframe, b").count() == 0
    text = seen.inner_text("body")
    assert "</script><script>document.title='owned'</script>" in text
    assert text.count("<img src=http://example.org/x") >= 4


@pytest.mark.parametrize("medium", ["screen", "print"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_page_does_not_scroll_sideways(seen: Any, medium: str, scheme: str):
    seen.emulate_media(media=medium, color_scheme=scheme)
    for width in (NARROW, WIDE):
        seen.set_viewport_size({"width": width, "height": 800})
        assert seen.evaluate("document.documentElement.scrollWidth") <= width
        assert seen.get_by_text("By dose, against runs without lessons, all runs").is_visible()
        assert all(box["x"] + box["width"] <= width for svg in seen.locator("svg").all() if (box := svg.bounding_box()))


def test_it_can_be_printed(seen: Any):
    assert seen.pdf(format="A5").startswith(b"%PDF")


def test_text_can_be_read_in_the_dark(seen: Any):
    seen.emulate_media(color_scheme="dark")
    look = "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"
    assert seen.locator(".reflect-report").evaluate(look) == ["rgb(230, 237, 243)", "rgb(13, 17, 23)"]
