"""Uplift pairs the same tasks in each arm, keeps lessons out that have seen them, and records nothing."""

import asyncio
import json

import pytest
from langchain_core.runnables import RunnableLambda
from langgraph.graph import END, START, MessagesState, StateGraph

from langchain_reflect import Learner
from langchain_reflect.errors import InvalidInput
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.practising import practice
from langchain_reflect.testing.simulated import SimulatedModel
from langchain_reflect.types import Example
from langchain_reflect.uplift import ameasure_uplift, measure_uplift
from langchain_reflect.verifiers import Verdict
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
    assert 0.2 < gain.low < gain.high <= 1.0
    assert gain.p == pytest.approx(2 / 2**8)
    assert report.difference("placebo", "bare").mean == 0.0
    assert [a.with_lessons for a in report.arms] == [0.0, 0.0, 1.0]


async def test_async_agents_are_measured_alike(taught):
    report = await ameasure_uplift(async_agent(), HELD_OUT, house_rule, learner=taught, arms=("bare", "lessons"))
    assert report.difference("lessons", "bare").mean == 1.0


def test_an_agent_that_is_only_async_is_told_the_way(taught):
    with pytest.raises(InvalidInput, match=r"all 16 runs of the agent failed, .*needs `langchain_reflect\.ameasure_uplift`"):
        measure_uplift(async_agent(), HELD_OUT, house_rule, learner=taught, arms=("bare", "lessons"))


def test_chance_never_takes_lessons_from_their_arm(tmp_path):
    usual = {"embeddings": Words(), "index": ExactIndex(), "reflect": "manual", "floor": 0.0}
    with Learner(tmp_path, holdout=1.0, **usual) as learner:
        learner.lessons.add(when=WHEN, do=RULE)
        report = measure_uplift(agent(), HELD_OUT, house_rule, learner=learner, arms=("lessons",))
    assert report.arms[0].mean == 1.0


def test_measuring_records_nothing(tmp_path):
    usual = {"embeddings": Words(), "index": ExactIndex(), "reflect": "manual", "floor": 0.0, "verifier": lambda **_: False}
    with Learner(tmp_path, **usual) as learner:
        lesson = learner.lessons.add(when=WHEN, do=RULE, status="active")
        before = learner.ledger.counts()
        measure_uplift(agent(), HELD_OUT, house_rule, learner=learner, arms=("bare", "placebo", "lessons", f"lesson:{lesson.id}"))
        learner.flush()
        assert learner.ledger.counts() == before
        assert learner.ledger.exposures() == []


def test_lessons_that_came_from_held_out_tasks_are_kept_out_and_counted(learner):
    practice(agent(), HELD_OUT[:2], house_rule, learner=learner, rollouts=2)
    leaked = {lesson.id for lesson in learner.lessons.list()}
    kept = learner.lessons.add(when=WHEN, do=RULE, status="active")
    report = measure_uplift(agent(), HELD_OUT, house_rule, learner=learner)
    assert (set(report.excluded), report.tasks, report.lessons) == (leaked, 8, 1)
    assert report.difference("lessons", "bare").mean == 1.0
    assert f"{len(leaked)} lessons were kept out" in str(report)
    assert {lesson.id for lesson in learner.lessons.list()} == {*leaked, kept.id}


def test_a_lesson_that_is_kept_out_helps_nobody(learner):
    text = "  Give the snake_case NAME of the tool function that can list an invoice. Answer with the name only."
    learner.lessons.add(when=WHEN, do=RULE, examples=(Example(input=text, output="acme_list_invoice"),))
    learner.lessons.add(when="bake bread", do="Use yeast.")
    report = measure_uplift(agent(), HELD_OUT, house_rule, learner=learner)
    assert len(report.excluded) == 1
    assert report.difference("lessons", "bare").mean == 0.0


def test_a_search_tool_finds_no_lesson_that_is_kept_out(learner):
    text = HELD_OUT[0].text
    leaked = learner.lessons.add(when=WHEN, do=RULE, examples=(Example(input=text, output="acme_list_invoice"),))
    other = learner.lessons.add(when=WHEN, do="Be brief.")
    tool, found = learner.search_tool(), set()

    def look(state):
        call = {"type": "tool_call", "id": "1", "name": tool.name, "args": {"query": WHEN, "k": 5}}
        found.update(lesson["id"] for lesson in tool.invoke(call).artifact)
        return "done"

    measure_uplift(RunnableLambda(look), HELD_OUT[:2], lambda **_: True, learner=learner, arms=("bare", "lessons"))
    assert found == {other.id} != {leaked.id}


def test_lessons_of_the_same_group_are_kept_out_unless_one_asks_for_them(learner):
    tasks = [naming(verb, family="names") for verb in VERBS]
    practice(agent(), tasks[:2], house_rule, learner=learner, rollouts=2)
    leaked = {lesson.id for lesson in learner.lessons.list()}
    with pytest.raises(InvalidInput, match=r"came from tasks of the same group.*leak='group'.*hold out tasks.*leak=\"task\"") as refused:
        measure_uplift(agent(), tasks[2:], house_rule, learner=learner)
    assert "saw" not in str(refused.value)
    with pytest.raises(InvalidInput, match=r"came from tasks of the same group as the held-out task.*leak=\"task\""):
        measure_uplift(agent(), tasks[2:], house_rule, learner=learner, arms=("bare", f"lesson:{min(leaked)}"))
    learner.lessons.add(when="bake bread", do="Use yeast.", status="active")
    report = measure_uplift(agent(), tasks[2:], house_rule, learner=learner, arms=("bare", "lessons"))
    assert (set(report.excluded), report.lessons, report.difference("lessons", "bare").mean) == (leaked, 1, 0.0)
    report = measure_uplift(agent(), tasks[2:], house_rule, learner=learner, arms=("bare", "lessons"), leak="task")
    assert (report.excluded, report.difference("lessons", "bare").mean) == ({}, 1.0)
    assert report.leak == "task"


def test_texts_are_compared_as_they_are_kept(tmp_path):
    usual = {"embeddings": Words(), "index": ExactIndex(), "reflect": "manual", "model": SimulatedModel(), "floor": 0.0}
    with Learner(tmp_path, redact=lambda text: text.replace("invoice", "[thing]"), **usual) as learner:
        practice(agent(), HELD_OUT[:2], house_rule, learner=learner, rollouts=2)
        with pytest.raises(InvalidInput, match="saw held-out tasks"):
            measure_uplift(agent(), HELD_OUT[:2], house_rule, learner=learner)


def test_if_all_lessons_have_seen_held_out_tasks_there_is_nothing_to_measure(learner):
    practice(agent(), HELD_OUT[:2], house_rule, learner=learner, rollouts=2)
    for leak in ("group", "task"):
        with pytest.raises(InvalidInput, match=r"saw held-out tasks.*hold out tasks that were not practised on$"):
            measure_uplift(agent(), HELD_OUT[:2], house_rule, learner=learner, leak=leak)


def test_the_looser_guard_is_named_with_what_it_leaves(learner):
    tasks = [naming(verb, family="names") for verb in VERBS]
    practice(agent(), tasks[:2], house_rule, learner=learner, rollouts=2)
    other = learner.lessons.list()
    learner.lessons.add(when=WHEN, do=RULE, examples=(Example(input=tasks[2].text, output="acme_list_invoice"),))
    says = rf"all {len(other) + 1} lessons saw held-out tasks or came from tasks of the same group.*leaves {len(other)} of them"
    with pytest.raises(InvalidInput, match=says):
        measure_uplift(agent(), tasks[2:], house_rule, learner=learner)


def test_a_single_lesson_is_measured_alone_even_before_it_is_approved(taught):
    proposed = taught.lessons.add(when=WHEN, do="Answer in capital letters.", status="proposed")
    arm = f"lesson:{proposed.id}"
    report = measure_uplift(agent(), HELD_OUT[:2], house_rule, learner=taught, arms=("bare", "lessons", arm))
    assert {a.arm: (a.mean, a.with_lessons) for a in report.arms} == {"bare": (0.0, 0.0), "lessons": (1.0, 1.0), arm: (0.0, 1.0)}
    assert report.difference(arm, "lessons").mean == -1.0


def test_a_single_lesson_must_not_have_seen_the_tasks(learner):
    lesson = learner.lessons.add(when=WHEN, do=RULE, examples=(Example(input=HELD_OUT[0].text, output="acme_list_invoice"),))
    with pytest.raises(InvalidInput, match=r"has seen the held-out task.*hold out tasks that it did not come from$"):
        measure_uplift(agent(), HELD_OUT, house_rule, learner=learner, arms=("bare", f"lesson:{lesson.id}"))


def test_what_so_many_tasks_can_show_is_told_before_the_first_run(taught, caplog):
    def refuse(**_):
        told.extend(r for r in caplog.records if "held-out tasks" in r.getMessage())
        raise RuntimeError("the first run")

    told = []

    with caplog.at_level("INFO"), pytest.raises(RuntimeError, match="the first run"):
        measure_uplift(agent(), HELD_OUT, refuse, learner=taught, concurrency=1)
    assert told[0].levelname == "WARNING"
    assert "differences from 80 points can be expected to show" in told[0].getMessage()


def test_enough_tasks_are_no_reason_to_warn(taught, caplog):
    with caplog.at_level("INFO"):
        report = measure_uplift(agent(), HELD_OUT * 5, house_rule, learner=taught, arms=("bare", "lessons"))
    assert [r.levelname for r in caplog.records if "held-out tasks" in r.getMessage()] == ["INFO"]
    assert report.detectable < 0.3
    assert report.tasks == 40


def test_an_interruption_keeps_what_is_complete(taught):
    runs = []

    def stop_later(**_):
        runs.append(1)
        if len(runs) == 8:
            raise KeyboardInterrupt
        return True

    report = measure_uplift(agent(), HELD_OUT, stop_later, learner=taught, arms=("bare", "lessons"), concurrency=1)
    assert report.interrupted
    assert (report.tasks, report.incomplete) == (3, 1)
    assert "interrupted" in str(report)


def cancel_at(count):
    """An async verifier that cancels the task it runs in the service of, at its `count`-th run."""
    runs = []

    async def verify(**_):
        runs.append(1)
        if len(runs) == count:
            next(task for task in asyncio.all_tasks() if task.get_name() == "measuring").cancel()
            await asyncio.sleep(60)
        return True

    return verify


@pytest.mark.parametrize(("count", "told"), [(8, True), (1, False)])
async def test_a_cancelled_measurement_is_cancelled_and_tells_what_is_complete(taught, caplog, count, told):
    work = ameasure_uplift(async_agent(), HELD_OUT, cancel_at(count), learner=taught, arms=("bare", "lessons"), concurrency=1)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(work, name="measuring")
    said = [r.getMessage() for r in caplog.records if "the measurement was cancelled" in r.getMessage()]
    assert ["3 held-out tasks x 1" in text and "lessons - bare" in text for text in said] == ([True] if told else [])


def test_an_interruption_before_anything_is_complete_is_one(taught):
    def stop(**_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_uplift(agent(), HELD_OUT, stop, learner=taught)


def test_runs_that_got_words_alone_do_not_count(taught):
    def judge(*, inputs, **_):
        return Verdict(None, "cannot tell") if "list" in str(inputs) else 1.0

    report = measure_uplift(agent(), HELD_OUT, judge, learner=taught, arms=("bare", "lessons"))
    assert (report.tasks, report.incomplete) == (7, 1)
    assert {row["reward"] for row in report.rows} == {None, 1.0}


def test_families_are_told_apart_in_table_and_json(taught):
    tasks = [naming("list", family="a"), naming("create", family="b"), naming("update", family="b")]
    report = measure_uplift(agent(), tasks, house_rule, learner=taught, arms=("bare", "lessons"), repeats=2)
    assert report.arms[1].families == {"a": 1.0, "b": 1.0}
    assert str(report).startswith("3 held-out tasks x 2; 1 lessons; ")
    assert {d.family: d.mean for d in report.families} == {"a": 1.0, "b": 1.0}
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


def test_a_negative_seed_is_another_seed(taught):
    drawn = []

    def note(_, seed):
        drawn.append(seed)
        return {}

    for seed in (-1, 1):
        measure_uplift(agent(), HELD_OUT[:1], house_rule, learner=taught, arms=("bare",), seed=seed, prepare=note)
    assert len(set(drawn)) == 2


def test_a_run_that_raises_counts_as_zero_and_is_counted(taught):
    def broken(state):
        raise ConnectionError("down")

    report = measure_uplift(RunnableLambda(broken), HELD_OUT[:2], house_rule, learner=taught, arms=("bare", "lessons"))
    assert [(a.mean, a.failed) for a in report.arms] == [(0.0, 2), (0.0, 2)]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"held_out": []}, "at least one task"),
        ({"arms": ()}, "expected some of"),
        ({"arms": ("bare", "bare")}, "each once"),
        ({"arms": ("bare", "gold")}, "gold"),
        ({"arms": "bare"}, "expected some of"),
        ({"arms": ("bare", "lesson:L-none")}, "no such lesson"),
        ({"arms": None}, "arms=None; expected some of"),
        ({"arms": (1,)}, "expected some of"),
        ({"repeats": 0}, "repeats=0"),
        ({"repeats": "2"}, "repeats='2'; expected a whole number"),
        ({"repeats": None}, "repeats=None"),
        ({"seed": 1.5}, "seed=1.5; expected a whole number"),
        ({"seed": None}, "seed=None"),
        ({"leak": "none"}, "leak='none'"),
        ({"cluster": "day"}, "cluster='day'"),
        ({"repeat": 3}, "no option 'repeat'; did you mean 'repeats'. Expected arms, "),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(taught, wrong, says):
    asked = {"held_out": HELD_OUT} | wrong
    with pytest.raises(InvalidInput, match=says):
        measure_uplift(agent(), asked.pop("held_out"), house_rule, learner=taught, **asked)


def test_the_placebo_is_as_long_as_the_lessons_and_stands_only_where_they_would(learner):
    learner.lessons.add(when=WHEN, do=RULE, status="active")
    prompts = {}

    def answer(state):
        prompts.setdefault(len(state["messages"]), []).append("".join(str(m.content) for m in state["messages"]))
        return {"messages": [("ai", "done")]}

    graph = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").add_edge("answer", END).compile()
    arms = ("bare", "placebo", "lessons")
    measure_uplift(graph, [HELD_OUT[0]], lambda **_: True, learner=learner, arms=arms, concurrency=1)
    bare, neutral, lessons = (text for texts in prompts.values() for text in texts)
    assert RULE in lessons
    assert RULE not in neutral
    assert len(bare) < len(neutral)
    assert len(neutral) - len(bare) == pytest.approx(len(lessons) - len(bare), rel=0.5)
    prompts.clear()
    learner.lessons.retire(learner.lessons.list()[0].id)
    measure_uplift(graph, [HELD_OUT[0]], lambda **_: True, learner=learner, arms=arms, concurrency=1)
    assert len({text for texts in prompts.values() for text in texts}) == 1
