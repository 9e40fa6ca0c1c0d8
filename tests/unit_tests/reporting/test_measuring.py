"""The figures of a report, from the ledger."""

import math
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from langchain_reflect.crediting import credit
from langchain_reflect.errors import LessonNotFound
from langchain_reflect.ledger.claims import Closing
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.reporting import report
from langchain_reflect.reporting.nouns import PART_LEAST
from langchain_reflect.types import Episode, Exposure, Fingerprint, ReflectionReport, Usage
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
    assert space.period.began == NOON + timedelta(seconds=1)
    assert made.lessons[0].period.ended == NOON + timedelta(seconds=600)


def test_every_part_of_the_time_has_enough_runs_of_both_arms(world: World):
    good = world.lesson("good thing")
    world.policy = RecallPolicy(holdout=0.1)
    for day in range(10):
        world.runs(80, {good.id: 0.3}, base=0.4, seed=day, at=NOON + timedelta(days=day))
    (space,) = report(world.ledger).spaces
    effects = [part.effect for part in space.over_time]
    assert len(effects) == 2
    assert all(part.is_told for part in space.over_time)
    assert min(min(effect.shown, effect.withheld) for effect in effects) >= PART_LEAST
    assert sum(effect.shown for effect in effects) == space.uplift.shown
    assert sum(effect.withheld for effect in effects) == space.uplift.withheld
    first, second = (part.period for part in space.over_time)
    assert (first.began, second.ended) == (space.period.began, space.period.ended)
    assert first.ended < second.began


def test_too_few_runs_without_lessons_are_not_cut_into_parts(world: World):
    good = world.lesson("good thing")
    world.policy = RecallPolicy(holdout=0.1)
    world.runs(340, {good.id: 0.3}, base=0.4)
    made = report(world.ledger)
    assert made.spaces[0].over_time == ()
    assert "over time: too early" in str(made)
    assert "Over time: too early" in made._repr_html_()


def test_figures_before_and_since_a_resume_are_told_apart(world: World):
    bad = world.lesson("bad thing", actor="dana")
    world.runs(300, {bad.id: -0.5}, base=0.8)
    credit(world.ledger, world.book)
    world.ledger.steer("resumed", SPACE, "agent", by="dana", reason="reworded")
    world.runs(150, {bad.id: 0.2}, base=0.5, seed=9, at=datetime.now(UTC))
    made = report(world.ledger)
    (space,) = made.spaces
    since = space.since_resume
    assert since.effect.value > 0 > space.uplift.value
    assert since.effect.shown + since.effect.withheld == 150
    assert space.period.began < since.period.began <= since.period.ended == space.period.ended
    assert since.label.endswith("when lessons were resumed")
    for text in (str(made), made._repr_html_(), made.to_json()):
        assert since.label in text


def test_each_dose_has_the_interval_of_its_own_comparison(world: World):
    _doses(world, {1: 0.0, 2: 0.3})
    made = report(world.ledger)
    one, two = made.spaces[0].doses
    assert (one.effect.verdict, two.effect.verdict) == ("undecided", "helps")
    assert one.effect.low < 0 < one.effect.high
    assert one.effect.withheld == two.effect.withheld
    assert f"at most 2 lessons: +{two.effect.value * 100:.0f} points (95 % interval" in str(made)
    assert "By dose, against runs without lessons, all runs" in str(made)


def test_doses_tell_of_the_runs_that_count_in_their_comparison(world: World):
    _doses(world, {1: 0.0, 2: 0.3}, number=200)
    world.ledger.steer("doses", SPACE, "agent", by="dana", body={1: 1, 2: 1})
    _doses(world, {1: 0.3, 2: 0.0}, number=150, at=datetime.now(UTC))
    made = report(world.ledger)
    (space,) = made.spaces
    assert sum(dose.effect.shown for dose in space.doses) + space.doses[0].effect.withheld == 150
    assert f"against runs without lessons, runs since {space.doses_since:%Y-%m-%d %H:%M}" in str(made)


def _doses(world: World, effects: dict[int, float], number: int = 600, at: datetime | None = None) -> None:
    """Runs of `k="auto"`; effects by dose."""
    chance = random.Random(1)
    policy = RecallPolicy(k="auto", holdout=0.2, doses=dict.fromkeys(effects, 1.0))
    lesson = world.lesson(f"thing {world.count}")
    for _ in range(number):
        world.count += 1
        arm, dose = ("holdout" if chance.random() < 0.2 else "treated"), chance.choice(list(effects))
        began = (at or NOON) + timedelta(seconds=world.count)
        episode = Episode(id=UUID(int=world.count), namespace=SPACE, graph="agent", task="a task", task_key="k", arm=arm, started_at=began)
        shown = arm == "treated"
        told = {"shown": shown, "probability": float(shown), "arm": arm, "unit": str(episode.id), "policy": policy.version, "dose": dose}
        exposure = Exposure(episode_id=episode.id, lesson_id=lesson.id, revision=lesson.revision, tokens=30, **told)
        world.ledger.save_episodes([(episode, [exposure])])
        reward = float(chance.random() < 0.4 + (effects[dose] if shown else 0.0))
        world.ledger.record_outcome(episode.id, reward=reward, source="verifier", namespace=SPACE, observed_at=began + timedelta(minutes=1))


def test_graphs_without_a_name_are_told_apart_as_far_as_known(world: World):
    good = world.lesson("good thing")
    world.runs(20, {good.id: 0.2}, graph="LangGraph")
    assert report(world.ledger).spaces[0].unnamed == ("not known (20 runs)",)
    assert "This graph has no name" in str(report(world.ledger))
    exposures = world.ledger.exposures(episode_id=UUID(int=1), namespace=SPACE)
    for number, structure in ((9001, "abcdef012345"), (9002, "fedcba012345")):
        agent = Fingerprint(model="m", graph=structure, tools="777777777777")
        episode = Episode(id=UUID(int=number), namespace=SPACE, graph="LangGraph", task="a task", arm="holdout", fingerprint=agent)
        told = {"episode_id": episode.id, "shown": False, "probability": 0.0, "arm": "holdout", "unit": str(number)}
        world.ledger.save_episodes([(episode, [exposures[0].model_copy(update=told)])])
    made = report(world.ledger)
    assert made.spaces[0].unnamed == ("not known (20 runs)", "graph abcdef tools 777777 (1 run)", "graph fedcba tools 777777 (1 run)")
    assert "3 graphs without a name, or versions of one, are counted as one" in str(made)
    assert "learner.wrap(graph, name=...)" in str(made)


def test_a_graph_with_a_name_needs_no_word_about_it(world: World):
    world.runs(20, {world.lesson("good thing").id: 0.2})
    assert report(world.ledger).spaces[0].unnamed == ()


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
    assert "200 runs judged by a judge model only" in str(made)


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
    assert f"`reflect lessons approve {review.id}` retires the lesson" in str(made)
    assert "by the evidence of the runs until then: runs with lessons score" in str(made)
    assert made.spaces[0].paused_by == "credit"
    world.book.approve(review.id, by="dana")
    assert world.ledger.lesson(bad.id, namespace=SPACE).status == "retired"
