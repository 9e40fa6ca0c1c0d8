"""What recall writes down of chance: arms, doses, units, and draws that stay."""

from uuid import UUID, uuid4

import pytest

from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recall.rendering import estimate_tokens
from langchain_reflect.types import Exposure

from .conftest import FLIGHTS, LETTERS, REFUNDS

HERE = ("default",)
TASK = "Move my basic economy flight to next Friday"
AUTO = RecallPolicy(k="auto", floor=-1.0, holdout=0.0, withhold=0.0, max_tokens=1000)


def told(recalled):
    return [(e.lesson_id, e.shown) for e in recalled.exposures]


def recall(recaller, policy, unit="u", **given):
    return recaller.recall(TASK, namespace=HERE, policy=policy, unit=unit, episode_id=UUID(int=1), **given)


def test_an_exposure_says_what_it_was_drawn_for_and_by_what(recaller):
    policy = RecallPolicy(holdout=0.0)
    (exposure, *_) = recall(recaller, policy).exposures
    assert (exposure.unit, exposure.policy, exposure.dose) == ("u", policy.version, 2)


def test_a_run_without_a_unit_makes_exposures_that_do_not_count(recaller):
    (exposure, *_) = recall(recaller, RecallPolicy(holdout=1.0, withhold=1.0), unit=None).exposures
    assert (exposure.unit, exposure.probability, exposure.shown) == ("", 1.0, True)


def test_doses_are_nested_and_only_lessons_of_the_dose_are_exposed(recaller):
    by_dose = {}
    for unit in map(str, range(30)):
        recalled = recall(recaller, AUTO, unit)
        by_dose[len(recalled.lessons)] = (told(recalled), {e.dose for e in recalled.exposures})
    assert by_dose.keys() == {1, 2, 3}
    assert by_dose[1][0] == by_dose[2][0][:1]
    assert by_dose[2][0] == by_dose[3][0][:2]
    assert [doses for _, doses in by_dose.values()] == [{dose} for dose in by_dose]


def test_evidence_about_doses_is_heeded(recaller):
    only = RecallPolicy(k="auto", floor=-1.0, holdout=0.0, withhold=0.0, doses={1: 1.0})
    assert {len(recall(recaller, only, str(n)).lessons) for n in range(10)} == {1}


def test_holdout_and_placebo_account_for_the_largest_dose(recaller):
    for arm in ("holdout", "placebo"):
        recalled = recall(recaller, RecallPolicy(**{"k": "auto", "floor": -1.0, "max_tokens": 1000, "holdout": 0.0, arm: 1.0}))
        assert (recalled.arm, recalled.note, recalled.lessons) == (arm, arm, ())
        assert [(e.shown, e.probability, e.arm, e.dose) for e in recalled.exposures] == [(False, 0.0, arm, 0)] * 3


def test_every_arm_and_dose_finds_lessons_for_the_same_runs(recaller_of):
    """A lesson too long for the budget is passed over in favour of the next, whatever the dose."""
    long = FLIGHTS.model_copy(update={"id": "L-long", "do": "word " * 400, "status": "active"})
    recaller = recaller_of(long, REFUNDS, LETTERS)
    policies = [RecallPolicy(k="auto", floor=-1.0, holdout=h, placebo=p, withhold=0.0) for h, p in ((0, 0), (1, 0), (0, 1))]
    assert all(recall(recaller, policy, str(n)).exposures for policy in policies for n in range(10))


def test_a_placebo_has_the_form_and_about_the_length_of_the_lessons(recaller):
    shown, neutral = (recall(recaller, RecallPolicy(k=2, floor=-1.0, holdout=0.0, withhold=0.0, placebo=p)) for p in (0.0, 1.0))
    assert neutral.block.startswith("<lessons id=")
    assert FLIGHTS.do not in neutral.block
    assert 0.5 < estimate_tokens(neutral.block) / estimate_tokens(shown.block) < 2.0


def test_where_no_lesson_fits_there_is_no_placebo(recaller):
    recalled = recaller.recall("Write a haiku", namespace=HERE, policy=RecallPolicy(placebo=0.9), unit="u", episode_id=uuid4())
    assert (recalled.block, recalled.exposures) == ("", ())


@pytest.mark.parametrize("first", [True, False])
def test_a_promotion_between_two_turns_changes_neither_draw_nor_probability(recaller, first):
    earlier = Exposure(
        episode_id=uuid4(),
        lesson_id="L-flights",
        revision=1,
        shown=first,
        probability=0.75,
        unit="u",
        policy=RecallPolicy(holdout=0.0).version,
    )
    now = recall(recaller, RecallPolicy(holdout=0.0), drawn=lambda: [earlier]).exposures[0]
    assert (now.lesson_id, now.shown, now.probability) == ("L-flights", first, 0.75)


def test_new_doses_leave_a_unit_that_was_drawn_before_as_it_is(recaller):
    first = recall(recaller, AUTO)
    later = RecallPolicy(k="auto", floor=-1.0, holdout=0.0, withhold=0.0, max_tokens=1000, doses={3 if len(first.lessons) < 3 else 1: 1.0})
    assert recall(recaller, later, drawn=lambda: first.exposures).exposures == first.exposures
    assert told(recall(recaller, later)) != told(first)


def test_what_was_drawn_by_other_settings_or_for_another_unit_is_drawn_anew(recaller):
    earlier = recall(recaller, RecallPolicy(holdout=0.0, withhold=1.0)).exposures
    assert recall(recaller, RecallPolicy(holdout=0.0, withhold=0.0), drawn=lambda: earlier).lessons
    others = recall(recaller, RecallPolicy(holdout=0.0, withhold=1.0), "v").exposures
    assert not recall(recaller, RecallPolicy(holdout=0.0, withhold=1.0), drawn=lambda: others).lessons
