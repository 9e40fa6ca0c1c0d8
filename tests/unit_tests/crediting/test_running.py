"""What follows from the evidence about lessons."""

import logging
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_reflect import Ledger
from langchain_reflect.crediting import KnownUtilities, credit
from langchain_reflect.ledger import outcomes
from langchain_reflect.lessons.authors import CREDIT
from langchain_reflect.reporting import report as measured
from langchain_reflect.types import now
from tests.unit_tests.crediting.conftest import NOON, SPACE, World


def look(world: World):
    return credit(world.ledger, world.book)


def status(world: World, lesson) -> str:
    return world.book.show(lesson.id).status


def test_a_lesson_that_helps_is_promoted_and_one_that_hurts_retired(either_world: World):
    world = either_world
    good, bad, idle = world.lesson("good thing"), world.lesson("bad thing"), world.lesson("idle thing")
    world.runs(400, {good.id: 0.4}, base=0.4)
    world.runs(400, {bad.id: -0.4}, base=0.6, seed=1)
    world.runs(100, {idle.id: 0.0}, seed=2)
    report = look(world)
    assert [each.lesson_id for each in report.promoted] == [good.id]
    assert [each.lesson_id for each in report.retired] == [bad.id]
    assert [status(world, each) for each in (good, bad, idle)] == ["active", "retired", "candidate"]
    assert (report.lessons, report.exposures, report.judged) == (3, 900, 900)


def test_the_history_of_a_lesson_has_the_evidence_in_plain_words(world: World):
    bad = world.lesson("bad thing")
    world.runs(400, {bad.id: -0.4}, base=0.6)
    look(world)
    last = world.book.history(bad.id)[-1]
    assert (last.actor, last.kind) == (CREDIT, "status")
    assert last.reason.startswith("lowers the reward by 41 points (24 to 56), shown 237, withheld 87")
    assert "shown " in last.reason
    assert "withheld " in last.reason
    assert last.lesson.approved_by is None


def test_looking_again_changes_nothing(world: World):
    good, bad = world.lesson("good thing"), world.lesson("bad thing")
    world.runs(400, {good.id: 0.4}, base=0.4)
    world.runs(400, {bad.id: -0.4}, base=0.6, seed=1)
    look(world)
    version = world.ledger.lessons_version()
    again = look(world)
    assert again.decided == ()
    assert world.ledger.lessons_version() == version


def test_several_processes_decide_once(either_world: World, ledger_url: str):
    world = either_world
    bad, good = world.lesson("bad thing"), world.lesson("good thing")
    world.runs(300, {bad.id: -0.4}, base=0.6)
    world.runs(300, {good.id: 0.4}, base=0.4, seed=1)

    def process(_: int):
        with Ledger(ledger_url, durability="fast") as ledger:
            return credit(ledger, World(ledger).book)

    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(process, range(4)))
    assert sum(len(report.decided) for report in reports) == 2
    assert [len(world.book.history(each.id)) for each in (bad, good)] == [2, 2]


def test_a_judge_alone_decides_nothing(world: World):
    bad = world.lesson("bad thing")
    world.runs(400, {bad.id: -0.4}, base=0.6, source="judge:some-model")
    assert look(world).decided == ()
    assert status(world, bad) == "candidate"
    assert not world.ledger.paused()


@pytest.mark.parametrize("stands", ["written", "approved", "reworded"])
def test_what_a_person_stands_behind_is_asked_about_once_and_loudly(world: World, caplog: pytest.LogCaptureFixture, stands: str):
    bad = world.lesson("bad thing", actor="dana" if stands == "written" else "R-00000000000a")
    if stands == "approved":
        world.book.approve(bad.id, by="dana")
    if stands == "reworded":
        world.book.edit(bad.id, by="dana", do="bad thing, said well")
    world.runs(400, {bad.id: -0.4}, base=0.6)
    with caplog.at_level(logging.WARNING):
        (asked,) = look(world).asked
    assert status(world, bad) != "retired"
    (review,) = world.book.reviews()
    assert (review.id, review.actor) == (asked.review_id, CREDIT)
    assert "a lesson that dana stands behind does harm" in caplog.text
    caplog.clear()
    assert [each.review_id for each in look(world).asked] == [review.id]
    assert "dana" not in caplog.text
    assert len(world.book.reviews()) == 1


def test_a_question_that_was_answered_is_not_asked_again(world: World):
    bad = world.lesson("bad thing", actor="dana")
    world.runs(400, {bad.id: -0.4}, base=0.6)
    (asked,) = look(world).asked
    world.book.reject(asked.review_id, by="dana", reason="the verifier is wrong")
    assert look(world).asked == ()
    assert world.book.reviews() == []
    assert status(world, bad) == "candidate"


def test_an_approved_question_retires_the_lesson_for_good(world: World):
    bad = world.lesson("bad thing", actor="dana")
    world.runs(400, {bad.id: -0.4}, base=0.6)
    (asked,) = look(world).asked
    world.book.approve(asked.review_id, by="dana")
    assert status(world, bad) == "retired"
    assert look(world).decided == ()


def test_what_a_person_brings_back_is_not_retired_by_the_same_evidence(world: World):
    bad = world.lesson("bad thing")
    world.runs(400, {bad.id: -0.4}, base=0.6)
    look(world)
    world.book.restore(bad.id, by="dana", reason="try again")
    assert look(world).decided == ()
    assert status(world, bad) == "candidate"
    world.runs(400, {bad.id: -0.4}, base=0.6, seed=1)
    assert [each.lesson_id for each in look(world).retired] == [bad.id]


def test_another_wording_begins_anew(world: World):
    bad = world.lesson("bad thing")
    world.runs(400, {bad.id: -0.4}, base=0.6, judged=False)
    runs = world.ledger.episodes(limit=1000)
    world.book.edit(bad.id, by="dana", do="good thing")
    for episode in runs:
        shown = any(each.shown for each in world.ledger.exposures(episode_id=episode.id, namespace=SPACE))
        world.ledger.record_outcome(episode.id, reward=0.0 if shown else 1.0, source="verifier", namespace=SPACE)
    report = look(world)
    assert report.decided == ()
    assert world.book.reviews() == []


def test_a_promotion_is_taken_back_when_its_outcomes_are_corrected(world: World):
    good = world.lesson("good thing")
    runs = world.runs(300, {good.id: 0.4}, base=0.4)
    look(world)
    assert status(world, good) == "active"
    for run in runs:
        world.ledger.record_outcome(run, reward=0.5, source="verifier", namespace=SPACE)
    (decided,) = look(world).decided
    assert (decided.turn, decided.status) == ("taken_back", "candidate")
    assert "corrected" in world.book.history(good.id)[-1].reason
    assert look(world).decided == ()


def test_a_retirement_is_taken_back_when_its_source_is_revoked_and_made_again_when_it_is_trusted(world: World):
    bad = world.lesson("bad thing")
    world.runs(300, {bad.id: -0.4}, base=0.6, source="zendesk")
    look(world)
    world.ledger.revoke_source("zendesk", namespace=SPACE)
    (decided,) = look(world).taken_back
    assert decided.reason.startswith("the outcomes that it was retired for were corrected")
    assert status(world, bad) == "candidate"
    world.ledger.trust_source("zendesk", namespace=SPACE)
    assert [each.lesson_id for each in look(world).retired] == [bad.id]


def test_what_rested_on_runs_that_were_erased_since_stays_decided(world: World):
    bad = world.lesson("bad thing")
    world.runs(300, {bad.id: -0.4}, base=0.6)
    look(world)
    world.ledger.forget(before=NOON + timedelta(seconds=200), namespace=SPACE)
    assert look(world).decided == ()
    world.ledger.forget(before=NOON + timedelta(days=1), namespace=SPACE)
    assert look(world).decided == ()
    assert status(world, bad) == "retired"


def test_evidence_that_fades_as_more_comes_in_takes_nothing_back(world: World):
    good = world.lesson("good thing")
    world.runs(300, {good.id: 0.4}, base=0.4)
    look(world)
    world.runs(300, {good.id: -0.4}, base=0.6, seed=1, at=now() + timedelta(hours=1))
    report = look(world)
    assert report.taken_back == ()
    assert status(world, good) != "candidate"


@pytest.mark.parametrize("before", [None, {"reward": 0.0, "source": "judge"}, {"feedback": "hm", "source": "user"}])
def test_first_outcomes_that_come_late_and_are_dated_back_are_no_corrections(world: World, before: dict | None):
    good = world.lesson("good thing")
    world.runs(100, {good.id: 0.5}, base=0.3)
    rewards: dict[UUID, float] = {}
    late = world.runs(200, {good.id: -0.15}, base=0.6, seed=1, judged=False, rewards=rewards)
    for run in late if before is not None else ():
        world.ledger.record_outcome(run, **before, key="before", namespace=SPACE)
    look(world)
    assert status(world, good) == "active"
    for run in late:
        began = world.ledger.episode(run, namespace=SPACE).started_at
        assert began < now() - timedelta(hours=1)
        told = {"reward": rewards[run], "source": "verifier", "observed_at": began + timedelta(minutes=1)}
        world.ledger.record_outcome(run, **told, namespace=SPACE)
    assert look(world).decided == ()
    assert status(world, good) == "active"


def test_a_correction_that_is_dated_back_is_one(world: World):
    good = world.lesson("good thing")
    runs = world.runs(300, {good.id: 0.4}, base=0.4)
    look(world)
    for run in runs:
        told = world.ledger.outcomes(run, namespace=SPACE)[0].observed_at + timedelta(seconds=1)
        world.ledger.record_outcome(run, reward=0.5, source="verifier", observed_at=told, namespace=SPACE)
    assert [each.lesson_id for each in look(world).taken_back] == [good.id]


def promoted_by_clocks_ahead(world: World, monkeypatch: pytest.MonkeyPatch, ahead: int) -> tuple[str, list[UUID]]:
    """A lesson that was promoted, and its runs; outcomes of so many of them were written by a computer whose clock is 30 seconds ahead."""
    good = world.lesson("good thing")
    runs = world.runs(280 - ahead, {good.id: 0.4}, base=0.4)
    with monkeypatch.context() as patch:
        patch.setattr(outcomes, "now", lambda: now() + timedelta(seconds=30))
        runs += world.runs(ahead, {good.id: 0.4}, base=0.4, seed=1)
    assert [each.lesson_id for each in look(world).promoted] == [good.id]
    return good.id, runs


@pytest.mark.parametrize("ahead", [280, 40])
def test_corrections_are_seen_though_clocks_of_writers_were_ahead(world: World, monkeypatch: pytest.MonkeyPatch, ahead: int):
    good, runs = promoted_by_clocks_ahead(world, monkeypatch, ahead)
    for run in runs:
        told = world.ledger.outcomes(run, namespace=SPACE)[0].observed_at + timedelta(seconds=1)
        world.ledger.record_outcome(run, reward=0.5, source="verifier", observed_at=told, namespace=SPACE)
    assert [each.lesson_id for each in look(world).taken_back] == [good]


@pytest.mark.parametrize("ahead", [280, 40])
def test_what_fades_is_not_taken_back_because_clocks_of_writers_were_ahead(world: World, monkeypatch: pytest.MonkeyPatch, ahead: int):
    good, _ = promoted_by_clocks_ahead(world, monkeypatch, ahead)
    world.runs(300, {good: -0.2}, base=0.6, seed=2, at=now() + timedelta(hours=1))
    assert [each.effect.verdict for each in measured(world.ledger).lessons] == ["undecided"]
    assert look(world).decided == ()


def test_outcomes_that_come_in_while_a_decision_is_made_are_none_that_it_rested_on(world: World, monkeypatch: pytest.MonkeyPatch):
    good, read = world.lesson("good thing"), world.ledger.trial_rows
    world.runs(80, {good.id: 0.6}, base=0.3)

    def meanwhile(**given):
        rows = read(**given)
        late = world.runs(60, {good.id: 0.0}, seed=1, judged=False)
        for run in late:
            shown = any(each.shown for each in world.ledger.exposures(episode_id=run, namespace=SPACE))
            world.ledger.record_outcome(run, reward=0.0 if shown else 1.0, source="verifier", namespace=SPACE)
        return rows

    monkeypatch.setattr(world.ledger, "trial_rows", meanwhile)
    assert [each.lesson_id for each in look(world).promoted] == [good.id]
    monkeypatch.undo()
    assert look(world).taken_back == ()


def test_what_helped_for_long_and_turns_is_retired_and_paused_in_words_that_say_so(world: World):
    turned = world.lesson("a thing")
    world.runs(600, {turned.id: 0.4}, base=0.5)
    assert look(world).promoted
    world.runs(400, {turned.id: -0.4}, base=0.5, seed=1, at=NOON + timedelta(days=1))
    report = look(world)
    (retired,) = report.retired
    assert "lessons LOWER the reward of late; over all the time +" in str(measured(world.ledger))
    assert retired.reason.startswith("lowers the reward of late; over all the time it is +10 points (−1.6 to 22)")
    assert [each.reason for each in report.newly_paused] == [
        "runs with lessons score lower than runs without of late, although they did not before"
    ]


def test_a_store_that_hurts_is_paused_until_a_person_resumes(either_world: World, caplog: pytest.LogCaptureFixture):
    world = either_world
    lessons = [world.lesson(f"bad thing {n}") for n in range(2)]
    hurts = {each.id: -0.3 for each in lessons}
    world.runs(500, hurts, base=0.8)
    with caplog.at_level(logging.WARNING):
        report = look(world)
    assert [(each.namespace, each.graph) for each in report.newly_paused] == [(SPACE, "agent")]
    assert "PAUSED" in caplog.text
    assert "reflect resume --namespace acme --graph agent" in caplog.text
    assert world.ledger.steering(SPACE, "agent").by == CREDIT
    assert "PAUSED" in str(report)
    again = look(world)
    assert (len(again.paused), again.newly_paused) == (1, ())
    world.ledger.steer("resumed", SPACE, "agent", by="dana")
    assert look(world).paused == ()


def test_after_a_resume_only_what_comes_after_pauses_again(world: World):
    lessons = [world.lesson(f"bad thing {n}", actor="dana") for n in range(2)]
    hurts = {each.id: -0.3 for each in lessons}
    world.runs(500, hurts, base=0.8)
    look(world)
    world.ledger.steer("resumed", SPACE, "agent", by="dana")
    world.runs(20, hurts, base=0.8, at=now() + timedelta(minutes=1), seed=1)
    assert look(world).newly_paused == ()
    world.runs(500, hurts, base=0.8, at=now() + timedelta(minutes=1), seed=2)
    assert len(look(world).newly_paused) == 1


def test_only_the_graph_that_hurts_is_paused(world: World):
    bad, good = world.lesson("bad thing"), world.lesson("good thing")
    world.runs(500, {bad.id: -0.5}, base=0.8, graph="first")
    world.runs(200, {good.id: 0.3}, base=0.5, graph="second", seed=1)
    look(world)
    assert list(world.ledger.paused()) == [(SPACE, "first")]


def test_all_graphs_that_are_hurt_are_paused_by_one_look(world: World):
    bad = world.lesson("bad thing", actor="dana")
    for number, graph in enumerate(("first", "second", "third")):
        world.runs(400, {bad.id: -0.5}, base=0.8, graph=graph, seed=number)
    assert [each.graph for each in look(world).newly_paused] == ["first", "second", "third"]


def test_namespaces_are_looked_at_alone_or_together(world: World):
    here, there = world.lesson("bad thing"), world.lesson("bad thing", space=("other",))
    world.runs(300, {here.id: -0.4}, base=0.6)
    world.runs(300, {there.id: -0.4}, base=0.6, seed=1)
    assert [each.lesson_id for each in credit(world.ledger, world.book, namespace=("other",)).retired] == [there.id]
    assert [each.lesson_id for each in look(world).retired] == [here.id]


def test_an_empty_ledger_has_nothing_to_decide(either_world: World):
    report = look(either_world)
    assert (report.lessons, report.exposures, report.decided, report.paused) == (0, 0, (), ())
    assert str(report).startswith("0 lessons on trial")


def test_ranking_knows_what_is_certain(world: World):
    good, idle = world.lesson("good thing"), world.lesson("idle thing")
    world.runs(400, {good.id: 0.4}, base=0.4)
    world.runs(50, {idle.id: 0.0}, seed=1)
    known = KnownUtilities(world.ledger)
    assert known([good.id, idle.id]) == {}
    look(world)
    known.forget()
    worths = known([good.id, idle.id])
    assert list(worths) == [good.id]
    assert 0 < worths[good.id] < 0.4


@settings(max_examples=15, deadline=None)
@given(order=st.randoms(use_true_random=False), twice=st.sets(st.integers(0, 59), max_size=20))
def test_any_order_delay_and_repetition_of_the_same_events_gives_the_same_credit(tmp_path_factory, order: random.Random, twice: set[int]):
    from langchain_reflect.credit import difficulty, trials
    from langchain_reflect.evidence import gather

    found = []
    for shuffled in (False, True):
        with Ledger(tmp_path_factory.mktemp("order"), durability="fast") as ledger:
            world = World(ledger)
            lesson = world.lesson("good thing")
            ids = world.runs(60, {lesson.id: 0.3}, judged=False)
            events = [(run, source, value) for n, run in enumerate(ids) for source, value in (("human", n % 2), ("verifier", n % 5 < 3))]
            events += [events[n] for n in twice]
            if shuffled:
                order.shuffle(events)
            for n, (run, source, value) in enumerate(events):
                at = NOON + timedelta(minutes=run.int)
                ledger.record_outcome(run, reward=float(value), source=source, observed_at=at, namespace=SPACE)
                if shuffled and n % 40 == 0:
                    credit(ledger, world.book)
            evidence = gather(ledger.trial_rows())
            told = trials(evidence.episodes, evidence.exposures, difficulty(evidence.episodes))
            found.append([str(each) for each in told])
    assert found[0] == found[1]
    assert isinstance(ids[0], UUID)
