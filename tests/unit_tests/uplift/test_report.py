"""A report is made of runs: only what is complete counts, and it says how sure it is."""

import json
import re
import sys
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langchain_reflect.errors import InvalidInput, MissingExtra
from langchain_reflect.uplift.power import detectable_effect
from langchain_reflect.uplift.report import Cell, report_of

ARMS = ("bare", "lessons")


def cells(rewards, **more):
    """Runs of tasks t0, t1, …, each with its reward in either arm."""
    return [
        Cell(task=f"t{at}", family=None, repeat=0, arm=arm, reward=reward, **{"shown": int(arm == "lessons"), **more})
        for at, pair in enumerate(rewards)
        for arm, reward in zip(ARMS, pair, strict=True)
    ]


def report(runs, **more):
    return report_of(runs, ARMS, lessons=1, **more)


def test_wins_losses_and_ties_are_counted_by_task():
    found = report(cells([(0, 1)] * 7 + [(1, 0)] + [(1, 1)] * 2)).difference("lessons", "bare")
    assert (found.wins, found.losses, found.tasks, found.mean) == (7, 1, 10, pytest.approx(0.6))
    assert found.p == pytest.approx(0.0703125)
    assert found.method.startswith("McNemar exact")
    assert ", p = 0.070), better on 7 tasks, worse on 1: " in str(found)


def test_a_clear_difference_is_called_better_or_worse():
    assert report(cells([(0, 1)] * 10)).differences[0].verdict == "better"
    assert "p < 0.001" in str(report(cells([(0, 1)] * 20)))
    assert report(cells([(1, 0)] * 10)).differences[0].verdict == "worse"


def test_few_tasks_are_not_enough_data_and_the_number_needed_is_told():
    found = report(cells([(0, 1), (0, 0), (1, 1)])).differences[0]
    assert found.verdict.startswith("not enough data yet (about ")
    assert found.verdict.endswith("tasks would show one of this size)")
    even = report(cells([(0, 1), (1, 0), (1, 1)])).differences[0]
    assert even.verdict == "not enough data yet (too few tasks to show any difference reliably)"
    even = report(cells([(0, 1), (1, 0), *[(1, 1)] * 10])).differences[0]
    assert even.verdict.startswith("not enough data yet (as these tasks came out, they show differences from ")


def test_before_and_afterwards_the_same_tasks_show_the_same():
    found = report(cells([(0, 0)] * 12), detectable=detectable_effect(12))
    assert "; differences from 58 points can be expected to show\n" in str(found)
    assert "as these tasks came out, they show differences from 58 points" in str(found)


@given(st.lists(st.tuples(*[st.sampled_from([0.0, 1.0])] * 2), min_size=1, max_size=30))
@example([(0.0, 1.0)] * 5 + [(1.0, 1.0)])
@example([(0.0, 1.0)] * 5 + [(1.0, 1.0)] * 3)
def test_more_tasks_than_there_are_would_show_what_these_do_not(rewards):
    found = report(cells(rewards)).differences[0]
    if found.verdict.startswith("not enough") and found.needed is not None:
        assert found.needed > found.tasks
        assert f"about {found.needed:,} tasks would show one of this size" in found.verdict


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 2), min_size=1, max_size=30), st.sampled_from(["task", "family"]))
def test_the_number_of_tasks_needed_is_told_only_if_it_is_more(rewards, cluster):
    runs = [replace(cell, family=str(int(cell.task[1:]) // 3)) for cell in cells(rewards)]
    found = report(runs, cluster=cluster).differences[0]
    told = re.search(r"about ([\d,]+) tasks would", found.verdict)
    assert told is None or int(told[1].replace(",", "")) > found.tasks


def test_where_luck_was_against_it_so_many_tasks_show_it_more_often_than_not():
    found = replace(report(cells([(0, 1), (1, 0), (0, 0)])).differences[0], mean=0.4, needed=3)
    assert found.verdict == "not enough data yet (so many tasks show one of this size in four measurements of five; run more)"


def test_many_tasks_that_agree_show_that_there_is_no_difference():
    assert report(cells([(1, 1)] * 200)).differences[0].verdict == "no difference above 5 points"


def test_repeats_of_a_task_are_one_observation():
    runs = [Cell(task="t", family=None, repeat=n, arm=arm, reward=float(arm == "lessons")) for n in range(20) for arm in ARMS]
    found = report(runs)
    assert (found.tasks, found.repeats, found.arms[0].runs) == (1, 20, 20)
    assert found.differences[0].p == 1.0
    assert found.differences[0].low < 0


def test_a_task_counts_only_if_every_arm_has_a_reward():
    runs = [*cells([(0, 1), (0, None), (1, 1)]), Cell(task="t9", family=None, repeat=0, arm="bare", reward=1.0)]
    found = report(runs)
    assert (found.tasks, found.incomplete, len(found.rows)) == (2, 2, 7)
    assert {a.arm: a.mean for a in found.arms} == {"bare": 0.5, "lessons": 1.0}
    assert "2 tasks or repeats do not count" in str(found)


def test_rewards_are_needed():
    with pytest.raises(InvalidInput, match="verifier that returns rewards"):
        report(cells([(None, None)]))


def test_the_order_of_runs_changes_nothing():
    runs = cells([(0, 0.5), (0.25, 1), (1, 0)])
    assert report(list(reversed(runs))).differences == report(runs).differences


def test_families_are_told_apart_and_may_be_the_units():
    runs = [
        Cell(task=f"{family}{at}", family=family, repeat=0, arm=arm, reward=float(family == "a" and arm == "lessons"))
        for family in "ab"
        for at in range(8)
        for arm in ARMS
    ]
    found = report(runs)
    assert {(d.family, d.mean, d.tasks) for d in found.families} == {("a", 1.0, 8), ("b", 0.0, 8)}
    assert found.arms[1].families == {"a": 1.0, "b": 0.0}
    assert found.differences[0].low > 0 > report(runs, cluster="family").differences[0].low


def test_costs_and_failures_are_told_by_arm():
    found = report(cells([(0, 1)], tokens=120, seconds=0.5, failed=True))
    assert (found.arms[0].tokens, found.arms[0].seconds, found.arms[0].failed) == (120, 0.5, 1)
    assert str(found).splitlines()[3].split()[-3:] == ["1", "120", "0.50"]


def test_an_arm_that_never_had_a_lesson_says_so():
    found = report(cells([(0, 0)], shown=0, note="below floor"))
    assert "lessons: no lesson was ever shown (below floor)" in str(found)
    assert "bare: no lesson" not in str(found)


def test_html_is_escaped_and_has_every_difference():
    runs = [Cell(task="t", family="<b>", repeat=0, arm=arm, reward=1.0) for arm in ARMS]
    page = report(runs)._repr_html_()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert page.count("<li>") == 2


def test_json_has_every_run_and_every_number():
    data = json.loads(report(cells([(0, 1), (0, 1)]), excluded={"L-1": "t"}, detectable=None).to_json())
    assert len(data["rows"]) == 4
    assert data["differences"][0]["against"] == "bare"
    assert data["excluded"] == {"L-1": "t"}


def test_the_picture_is_a_png(tmp_path):
    pytest.importorskip("matplotlib")
    place = report(cells([(0, 1), (0, 1)])).save_png(tmp_path / "new" / "uplift.png")
    assert place.read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtra, match=r"langchain-reflect\[stats\]"):
        report(cells([(0, 1)])).save_png(tmp_path / "x.png")


def test_a_comparison_that_was_not_measured_names_those_that_were():
    with pytest.raises(InvalidInput, match="lessons against bare"):
        report(cells([(0, 1)])).difference("lessons", "placebo")
