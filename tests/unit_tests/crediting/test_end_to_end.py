"""A wrapped graph, its verifier, and what becomes of its lessons by themselves."""

import asyncio
import hashlib
import logging

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

from langchain_reflect import Learner
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.types import LessonEdit, LessonText
from langchain_reflect.worker import Worker
from tests.unit_tests.words import Words

GOOD, BAD = "greet the customer by name", "answer in riddles"


def luck(text: str) -> float:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32


def agent():
    """Mostly loses refunds and wins flights, unless a lesson in its prompt says otherwise."""

    def act(state: MessagesState):
        prompt, task = "\n".join(m.text for m in state["messages"]), state["messages"][-1].text
        chance = 1.0 if GOOD in prompt else 0.0 if BAD in prompt else 0.05 if "refund" in task else 0.95
        return {"messages": [AIMessage("won" if luck(task) < chance else "lost")]}

    return StateGraph(MessagesState).add_node("act", act).add_edge(START, "act").compile(name="support")


def won(*, outputs, **_):
    return outputs["messages"][-1].text == "won"


@pytest.fixture
def open_learner(tmp_path):
    opened = []

    def open_(**given):
        told = {
            "path": tmp_path,
            "embeddings": Words(),
            "index": ExactIndex(),
            "floor": 0.0,
            "holdout": 0.2,
            "unit": "episode",
            "deadline": 30.0,
        }
        learner = Learner(**(told | {"verifier": won} | given))
        opened.append(learner)
        return learner

    yield open_
    for learner in opened:
        learner.close()


def teach(learner: Learner, do: str, when: str) -> str:
    edit = LessonEdit(kind="add", text=LessonText(when=when, do=do))
    (done,) = learner.lessons.commit([edit], namespace=("default",), actor="R-00000000000a")
    return done.lesson_id


def run(graph, number: int, task: str, first: int = 0) -> None:
    for n in range(first, first + number):
        graph.invoke({"messages": [("user", f"{task} {n}")]})


def test_without_a_model_outcomes_promote_and_retire_lessons_by_themselves(open_learner):
    learner = open_learner(k=1)
    good, bad = teach(learner, GOOD, "refund an order"), teach(learner, BAD, "book a flight")
    graph = learner.wrap(agent())
    run(graph, 150, "refund an order")
    run(graph, 150, "book a flight")
    assert learner.flush(60)
    assert learner.lessons.show(good).status == "active"
    assert learner.lessons.show(bad).status == "retired"
    assert learner.utilities([good])[good] > 0
    shown = str(learner.report())
    assert "support in default" in shown
    assert good in shown


def test_a_store_that_hurts_stops_itself_and_goes_on_after_a_resume(open_learner, caplog: pytest.LogCaptureFixture):
    learner = open_learner(k=1, reflect="manual")
    bad = teach(learner, BAD, "book a flight")
    learner.lessons.approve(bad, by="dana")
    graph = learner.wrap(agent())
    run(graph, 250, "book a flight")
    with caplog.at_level(logging.WARNING):
        report = learner.credit()
    assert len(report.newly_paused) == 1
    assert "PAUSED" in caplog.text
    run(graph, 3, "book a flight", first=1000)
    learner.flush(60)
    assert [episode.arm for episode in learner.ledger.episodes(limit=3)] == ["paused"] * 3
    assert "PAUSED" in str(learner.report())
    learner.lessons.retire(bad, by="dana")
    good = teach(learner, GOOD, "book a flight")
    learner.resume(by="dana", reason="retired it")
    run(graph, 60, "book a flight", first=2000)
    learner.flush(60)
    assert learner.credit().paused == ()
    assert any(good in episode.shown for episode in learner.ledger.episodes(limit=60))


def test_a_worker_looks_at_the_evidence(open_learner):
    learner = open_learner(k=1, reflect="manual", model=FakeListChatModel(responses=['{"lessons": []}']))
    bad = teach(learner, BAD, "book a flight")
    run(learner.wrap(agent()), 150, "book a flight")
    learner.flush(60)
    Worker(learner).run(until_idle=True)
    assert learner.lessons.show(bad).status == "retired"


def test_inline_the_look_is_over_when_the_outcome_returns(open_learner):
    learner = open_learner(k=1, reflect="inline")
    bad = teach(learner, BAD, "book a flight")
    with learner.hold_reflection():
        run(learner.wrap(agent()), 150, "book a flight")
        learner.recorder.flush()
    (last, *_) = learner.ledger.episodes(limit=1)
    learner.record_outcome(last.id, feedback="as always")
    assert learner.lessons.show(bad).status == "retired"


async def test_the_async_twins_do_the_same(open_learner):
    learner = open_learner(k=1, reflect="manual")
    bad = teach(learner, BAD, "book a flight")
    graph = learner.wrap(agent())
    await asyncio.gather(*(graph.ainvoke({"messages": [("user", f"book a flight {n}")]}) for n in range(150)))
    report = await learner.acredit()
    assert [each.lesson_id for each in report.retired] == [bad]
    told = await learner.areport()
    assert [lesson.lesson_id for lesson in told.lessons] == [bad]


def test_while_reflection_is_held_nothing_is_decided(open_learner):
    learner = open_learner(k=1)
    bad = teach(learner, BAD, "book a flight")
    graph = learner.wrap(agent())
    with learner.hold_reflection():
        run(graph, 150, "book a flight")
        learner.recorder.flush()
        assert learner.lessons.show(bad).status == "candidate"
    assert learner.flush(60)
    assert learner.lessons.show(bad).status == "retired"
