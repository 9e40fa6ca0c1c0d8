"""The figures of a report, from the ledger."""

import math
from datetime import timedelta

import pytest

from langchain_reflect.crediting import credit
from langchain_reflect.errors import LessonNotFound
from langchain_reflect.ledger.claims import Closing
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.reporting import report
from langchain_reflect.types import ReflectionReport, Usage
from tests.unit_tests.crediting.conftest import NOON, SPACE, World


def test_a_report_tells_of_the_store_and_of_each_lesson(world: World):
    good, bad, idle = world.lesson("good thing"), world.lesson("bad thing"), world.lesson("idle thing")
    untried = world.lesson("thing that fits nothing")
    world.runs(300, {good.id: 0.4}, base=0.4)
    world.runs(300, {bad.id: -0.4}, base=0.6, seed=1)
    world.runs(60, {idle.id: 0.0}, seed=2)
    made = report(world.ledger)
    (space,) = made.spaces
    assert (space.namespace, space.graph, space.paused) == (SPACE, "agent", "")
    arms = {arm.name: arm for arm in space.arms}
    assert set(arms) == {"treated", "holdout"}
    assert sum(arm.runs for arm in arms.values()) == sum(arm.judged for arm in arms.values()) == 660
    assert space.tokens_per_run == pytest.approx(30 * 0.75, abs=2)
    assert [lesson.lesson_id for lesson in made.lessons] == [bad.id, good.id, idle.id]
    assert [lesson.effect.verdict for lesson in made.lessons] == ["hurts", "helps", "undecided"]
    assert made.lessons[0].effect.high < 0 < made.lessons[1].effect.low
    assert made.untried == 1
    assert untried.id not in str(made)
    assert len(space.over_time) > 1


def test_a_report_changes_nothing(world: World):
    bad = world.lesson("bad thing")
    world.runs(300, {bad.id: -0.4}, base=0.6)
    version = world.ledger.lessons_version()
    report(world.ledger)
    assert world.ledger.lessons_version() == version
    assert not world.ledger.steering_log()


def test_parts_of_the_runs_are_told_alone(world: World):
    good, other = world.lesson("good thing"), world.lesson("other thing")
    world.runs(40, {good.id: 0.4})
    world.runs(40, {other.id: 0.0}, graph="second", seed=1, at=NOON + timedelta(days=1))
    assert [space.graph for space in report(world.ledger).spaces] == ["agent", "second"]
    assert [space.graph for space in report(world.ledger, graph="second").spaces] == ["second"]
    assert [space.graph for space in report(world.ledger, since=NOON + timedelta(hours=20)).spaces] == ["second"]
    assert [lesson.lesson_id for lesson in report(world.ledger, lessons=[good.id]).lessons] == [good.id]
    assert report(world.ledger, namespace=("other",)).spaces == ()
    with pytest.raises(LessonNotFound, match="L-none"):
        report(world.ledger, lessons=["L-none"])


@pytest.mark.parametrize(
    ("number", "holdout", "judged"),
    [(0, 0.2, True), (1, 0.2, True), (1, 0.2, False), (30, 0.0, True), (30, 1.0, True), (30, 0.2, False), (2, 0.5, True)],
)
def test_however_little_is_known_the_report_has_words_for_it(world: World, number: int, holdout: float, *, judged: bool):
    lesson = world.lesson("good thing")
    world.policy = RecallPolicy(holdout=holdout)
    world.runs(number, {lesson.id: 0.2}, judged=judged)
    made = report(world.ledger)
    for text in (str(made), made._repr_html_(), made.to_json()):
        assert "nan" not in text.lower()
        assert "inf" not in text.lower()
    if not number:
        assert str(made).startswith("No evidence yet")
    elif not judged:
        assert "is judged yet" in str(made)
    elif holdout == 0.0:
        assert "gone without them yet" in str(made)
    elif holdout == 1.0:
        assert "No run has had lessons yet" in str(made)
    for lesson_figures in made.lessons:
        ends = (lesson_figures.effect.low, lesson_figures.effect.high)
        assert all(end is None or math.isfinite(end) for end in ends)


def test_outcomes_of_judges_are_counted_and_decide_nothing(world: World):
    bad = world.lesson("bad thing")
    world.runs(200, {bad.id: -0.4}, base=0.6, source="judge")
    made = report(world.ledger)
    assert made.spaces[0].judge_only == 200
    assert made.lessons[0].effect.verdict == "undecided"
    assert "200 runs were judged by a judge model only" in str(made)


def test_what_making_lessons_cost_is_counted(world: World):
    good = world.lesson("good thing")
    world.runs(400, {good.id: 0.4}, base=0.4)
    usage = Usage(calls=3, tokens_in=500, tokens_out=100)
    world.ledger.append_revisions([], closing=Closing(ReflectionReport(id="R-00000000000a", usage=usage), SPACE))
    made = report(world.ledger)
    assert made.reflection == usage
    assert made.spaces[0].uplift.verdict == "helps"
    assert made.tokens_per_point > 0
    assert made.spaces[0].holdout_cost > 0


def test_a_pause_and_a_question_are_told(world: World):
    bad = world.lesson("bad thing", actor="dana")
    world.runs(400, {bad.id: -0.5}, base=0.8)
    credit(world.ledger, world.book)
    made = report(world.ledger)
    (review,) = world.book.reviews()
    assert made.lessons[0].asked == review.id
    assert made.spaces[0].paused
    assert f"reflect lessons approve {review.id}" in str(made)
