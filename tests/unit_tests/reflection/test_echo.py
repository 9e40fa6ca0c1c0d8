"""A learner that listens to itself learns nothing: lessons are shown, quoted by the agent, and found again by the reflection."""

import asyncio
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

from langchain_reflect import Learner
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.reflection import nodes
from langchain_reflect.testing.models import ScriptedChatModel
from langchain_reflect.types import LessonEdit, LessonText
from tests.unit_tests.words import Words

ROUNDS = 10
REWARDS = (1.0, 0.0, 0.4)
TASK = "name the tool that deletes invoices"
WHEN, DO = "name a tool", "begin the name of the tool with the prefix acme and then say what the tool does"
SAID = (
    f"{WHEN}\n{DO}",
    "name any tool\nthe name of the tool has to begin with the prefix acme and then say what the tool does",
    "name tools\nput acme before the name of each tool",
)
"""The lesson, nearly the same, and its meaning in other words."""


def quote(state: MessagesState):
    seen = "\n".join(m.text for m in state["messages"] if m.type == "system")
    return {"messages": [AIMessage(f"I do as I was told: {seen}")]}


class Echoing:
    """A reflector that finds in the rollouts what the agent quoted, and takes it for support."""

    def __init__(self):
        self.drafts = 0

    def __call__(self, messages):
        prompt = messages[-1].text
        if "\nBOOK " in prompt:
            return {"action": "MERGE", "ids": [prompt.split("\nBOOK ", 1)[1][:14]]}
        when, do = SAID[self.drafts % len(SAID)].split("\n")
        self.drafts += 1
        return {"lessons": [{"when": when, "do": do, "cites": ["R1", "R2", "R3"]}]}


@pytest.fixture
def reflector():
    return Echoing()


@pytest.fixture
def learner(tmp_path, reflector):
    never = {"holdout": 0.0, "withhold": 0.0, "floor": 0.0}
    model = ScriptedChatModel(answers=reflector)
    with Learner(tmp_path, model=model, embeddings=Words(), index=ExactIndex(), reflect="manual", **never) as opened:
        seed = LessonEdit(kind="add", text=LessonText(when=WHEN, do=DO), evidence=(uuid4(),), reason="learned")
        opened.lessons.commit([seed], namespace=("default",), actor="R-seed")
        yield opened


@pytest.fixture(params=["sync", "async"])
def listen(request, learner):
    """The rounds: three judged runs, then a reflection."""
    agent = learner.wrap(StateGraph(MessagesState).add_node("agent", quote).add_edge(START, "agent").compile(name="echo"))

    async def around():
        for _ in range(ROUNDS):
            for reward in REWARDS:
                run_id = uuid4()
                await agent.ainvoke({"messages": [("user", TASK)]}, {"run_id": run_id})
                await learner.arecord_outcome(run_id, reward=reward)
            await learner.areflect()

    def rounds():
        for _ in range(ROUNDS):
            for reward in REWARDS:
                run_id = uuid4()
                agent.invoke({"messages": [("user", TASK)]}, {"run_id": run_id})
                learner.record_outcome(run_id, reward=reward)
            learner.reflect()

    return (lambda: asyncio.run(around())) if request.param == "async" else rounds


def test_a_lesson_gains_no_support_from_its_own_text(listen, learner, reflector):
    before = learner.lessons.list()
    listen()
    after = learner.lessons.list()
    assert reflector.drafts == ROUNDS
    assert [(x.id, x.text, x.evidence) for x in after] == [(x.id, x.text, x.evidence) for x in before]


def test_every_refused_echo_is_told_why(listen, learner):
    listen()
    refused = [e for r in learner.ledger.reflections() for e in r.edits]
    assert len(refused) == ROUNDS
    assert all(not e.applied and "shown in the episodes it cites" in e.reason for e in refused)


def test_without_the_rule_the_same_loop_supports_itself(listen, learner, monkeypatch):
    monkeypatch.setattr(nodes, "had", lambda _: {})
    listen()
    assert sum(len(x.evidence) for x in learner.lessons.list()) >= ROUNDS
