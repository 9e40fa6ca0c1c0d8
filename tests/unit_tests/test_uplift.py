"""Uplift pairs the same tasks in each arm, leaves out what lessons came from, and says how sure it is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect import Learner
from langchain_reflect.errors import InvalidInput
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.practising import practice
from langchain_reflect.testing.simulated import SimulatedModel
from langchain_reflect.types import Example
from langchain_reflect.uplift import ameasure_uplift, measure_uplift, paired_interval
from tests.unit_tests.naming_agent import RULE, VERBS, agent, async_agent, house_rule, naming
from tests.unit_tests.words import Words

HELD_OUT = [naming(verb) for verb in VERBS]
WHEN = "give the snake_case name of a tool function"


@pytest.fixture
def learner(tmp_path):
    usual = {"embeddings": Words(), "index": ExactIndex(), "reflect": "manual", "model": SimulatedModel(), "floor": 0.0}
    with Learner(tmp_path, **usual) as opened:
        yield opened


@pytest.fixture
def taught(learner):
    learner.lessons.add(when=WHEN, do=RULE, status="active")
    return learner


def test_lessons_are_told_apart_from_neutral_text(taught):
    report = measure_uplift(agent(), HELD_OUT, house_rule, learner=taught)
    assert {a.arm: a.mean for a in report.arms} == {"bare": 0.0, "placebo": 0.0, "lessons": 1.0}
    gain = report.difference("lessons", "placebo")
    assert (gain.mean, gain.wins, gain.losses) == (1.0, 8, 0)
    assert 0.4 < gain.low < gain.high <= 1.0
    assert report.difference("placebo", "bare").mean == 0.0
    assert [a.with_lessons for a in report.arms] == [0.0, 0.0, 1.0]


async def test_async_agents_are_measured_alike(taught):
    report = await ameasure_uplift(async_agent(), HELD_OUT, house_rule, learner=taught, arms=("bare", "lessons"))
    assert report.difference("lessons", "bare").mean == 1.0


def test_chance_never_takes_lessons_from_their_arm(tmp_path):
    usual = {"embeddings": Words(), "index": ExactIndex(), "reflect": "manual", "floor": 0.0}
    with Learner(tmp_path, holdout=1.0, **usual) as learner:
        learner.lessons.add(when=WHEN, do=RULE)
        report = measure_uplift(agent(), HELD_OUT, house_rule, learner=learner, arms=("lessons",))
    assert report.arms[0].mean == 1.0


def test_measuring_records_nothing(taught):
    measure_uplift(agent(), HELD_OUT, house_rule, learner=taught)
    taught.flush()
    assert taught.ledger.episodes() == []
    assert taught.ledger.exposures() == []


def test_tasks_that_lessons_came_from_are_left_out(learner):
    practice(agent(), HELD_OUT[:2], house_rule, learner=learner, rollouts=2)
    assert learner.lessons.list()
    report = measure_uplift(agent(), HELD_OUT, house_rule, learner=learner)
    assert (report.excluded, report.tasks) == (2, 6)
    assert "2 left out" in str(report)


def test_tasks_that_a_lesson_shows_as_example_are_left_out(learner):
    text = "  Give the snake_case NAME of the tool function that can list an invoice. Answer with the name only."
    learner.lessons.add(when=WHEN, do=RULE, examples=(Example(input=text, output="acme_list_invoice"),))
    assert measure_uplift(agent(), HELD_OUT, house_rule, learner=learner).excluded == 1


def test_if_all_tasks_were_learned_from_there_is_nothing_to_measure(learner):
    practice(agent(), HELD_OUT[:2], house_rule, learner=learner, rollouts=2)
    with pytest.raises(InvalidInput, match="hold out tasks"):
        measure_uplift(agent(), HELD_OUT[:2], house_rule, learner=learner)


def test_families_are_told_apart_in_table_and_json(taught):
    tasks = [naming("list", family="a"), naming("create", family="b"), naming("update", family="b")]
    report = measure_uplift(agent(), tasks, house_rule, learner=taught, arms=("bare", "lessons"), repeats=2)
    assert report.arms[1].families == {"a": 1.0, "b": 1.0}
    head, columns, *_ = str(report).splitlines()
    assert head == "3 held-out tasks x 2; 1 lessons"
    assert columns.split() == ["arm", "reward", "a", "b", "with", "lessons", "failed"]
    data = json.loads(report.to_json())
    assert len(data["rows"]) == 12
    assert {row["reward"] for row in data["rows"] if row["arm"] == "lessons"} == {1.0}
    assert data["differences"][0]["against"] == "bare"


def test_arms_run_with_the_same_seeds(taught):
    seen = {}

    def note(task, seed):
        seen.setdefault(task.text, []).append(seed)
        return {}

    measure_uplift(agent(), HELD_OUT[:3], house_rule, learner=taught, repeats=2, prepare=note)
    assert all(len(found) == 6 and len(set(found)) == 2 for found in seen.values())


def test_a_run_that_raises_counts_as_zero_and_is_counted(taught):
    def broken(state):
        raise ConnectionError("down")

    from langchain_core.runnables import RunnableLambda

    report = measure_uplift(RunnableLambda(broken), HELD_OUT[:2], house_rule, learner=taught, arms=("bare", "lessons"))
    assert [(a.mean, a.failed) for a in report.arms] == [(0.0, 2), (0.0, 2)]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"held_out": []}, "at least one task"),
        ({"arms": ()}, "expected some of"),
        ({"arms": ("bare", "bare")}, "each once"),
        ({"arms": ("bare", "gold")}, "gold"),
        ({"repeats": 0}, "repeats=0"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(taught, wrong, says):
    asked = {"held_out": HELD_OUT} | wrong
    with pytest.raises(InvalidInput, match=says):
        measure_uplift(agent(), asked.pop("held_out"), house_rule, learner=taught, **asked)


def test_a_comparison_that_was_not_measured_names_those_that_were(taught):
    report = measure_uplift(agent(), HELD_OUT[:2], house_rule, learner=taught, arms=("bare", "lessons"))
    with pytest.raises(InvalidInput, match="lessons against bare"):
        report.difference("lessons", "placebo")


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40))
def test_the_interval_lies_within_the_possible_and_mirrors(differences):
    low, high = paired_interval(differences)
    assert -1.0 <= low <= high <= 1.0
    mirrored = paired_interval([-d for d in differences])
    assert mirrored == pytest.approx((-high, -low))


def test_few_tasks_that_agree_are_no_certainty():
    assert paired_interval([1.0])[0] < 0.0
    assert 0.0 < paired_interval([1.0] * 6)[0] < 0.9
    assert paired_interval([1.0] * 200)[0] > 0.95
