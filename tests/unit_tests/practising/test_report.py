"""What a report tells: text, JSON, HTML, cost, and a budget that ends in time."""

import json

import pytest

from langchain_reflect.errors import InvalidInput
from langchain_reflect.practising import Budget, PracticeReport, Prices, apractice, practice
from langchain_reflect.types import Usage
from tests.unit_tests.naming_agent import VERBS, agent, async_agent, house_rule, naming

TASKS = [naming(VERBS[0], family="a<b"), naming(VERBS[1], family="a<b"), naming(VERBS[2], family="other")]


@pytest.fixture
def report(open_learner):
    return practice(
        agent(), TASKS, house_rule, learner=open_learner(), rollouts=2, epochs=2, control=0.5, prices=Prices(1.0, 4.0), name="told"
    )


def test_json_has_all_of_it(report):
    told = json.loads(report.to_json())
    assert told["name"] == "told"
    assert [e["families"] for e in told["epochs"]] == [{"a<b": 0.0, "other": 0.0}, {"a<b": 1.0, "other": 1.0}]
    assert told["epochs"][1]["twins"][0]["gain"] == 1.0
    assert told["lessons"]["added"] == report.lessons
    assert told["finished"] is True


def test_html_is_escaped(report):
    html = report._repr_html_()
    assert "<th>a&lt;b</th>" in html
    assert "a<b" not in html
    assert "gain over no lessons" in html


def test_cost_is_what_the_tokens_cost(report):
    assert report.cost == pytest.approx((report.usage.tokens_in + 4 * report.usage.tokens_out) / 1e6)
    assert f"{report.cost:.4f} USD" in str(report)
    assert PracticeReport(usage=Usage(calls=1)).cost is None


@pytest.mark.parametrize(("budget", "why"), [(Budget(calls=5), "calls"), (Budget(tokens=200), "tokens"), (Budget(seconds=0.05), "seconds")])
def test_a_budget_ends_before_the_next_run(open_learner, budget, why):
    report = practice(agent(), TASKS, house_rule, learner=open_learner(), rollouts=30, budget=budget, concurrency=1)
    assert report.stopped.startswith("budget: ")
    assert report.stopped.endswith(f"{why} are spent")
    assert report.rollouts < 90
    assert report.reflections == []
    assert "stopped early: budget" in str(report)


async def test_a_budget_ends_async_practice_too(open_learner):
    report = await apractice(async_agent(), TASKS, house_rule, learner=open_learner(), rollouts=9, budget=Budget(calls=5), concurrency=2)
    assert 5 <= report.rollouts <= 6, "what was under way is finished"
    assert not report.is_finished


def test_a_budget_that_ends_in_the_gate_believes_nothing_untried(open_learner):
    learner, given = open_learner(), {"rollouts": 1, "name": "short", "validation": [naming(v, family="a<b") for v in VERBS[3:8]]}
    tasks = [naming(v, family="a<b") for v in VERBS[:3]]
    report = practice(agent(), tasks, house_rule, learner=learner, budget=Budget(calls=5), concurrency=1, **given)
    assert (report.rollouts, learner.lessons.list()) == (3, [])
    again = practice(agent(), tasks, house_rule, learner=learner, budget=Budget(calls=500), **given)
    assert again.is_finished
    assert again.lessons
    assert again.usage.calls >= report.usage.calls


@pytest.mark.parametrize("wrong", [{"calls": 0}, {"tokens": -1}, {"seconds": 0.0}])
def test_a_budget_of_nothing_is_refused(wrong):
    with pytest.raises(InvalidInput, match="expected more than 0"):
        Budget(**wrong)


def test_an_empty_report_can_be_read():
    assert "none" in str(PracticeReport())
    assert json.loads(PracticeReport().to_json())["epochs"] == []
    assert "<table>" in PracticeReport()._repr_html_()
