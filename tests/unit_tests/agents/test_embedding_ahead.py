"""An embedder that can be awaited is awaited in async runs, within recall's deadline."""

import asyncio
import threading
import time
from uuid import uuid4

import pytest
from blockbuster import BlockBuster
from langgraph.graph import START, MessagesState, StateGraph

from langchain_reflect import Learner
from langchain_reflect.index.exact import ExactIndex
from tests.unit_tests.words import Words

ASKED = {"messages": [("user", "How is the weather in Rome?")]}


class Awaited(Words):
    """Tells how it was asked."""

    def __init__(self):
        super().__init__()
        self.asked, self.delay, self.begun = [], 0.0, asyncio.Event()

    def embed_query(self, text):
        self.asked.append(("thread", text))
        return super().embed_query(text)

    async def aembed_query(self, text):
        assert threading.current_thread() is threading.main_thread()
        self.asked.append(("loop", text))
        self.begun.set()
        await asyncio.sleep(self.delay)
        return super().embed_query(text)


@pytest.fixture
def embeddings():
    return Awaited()


@pytest.fixture
def learner(tmp_path, embeddings):
    options = {"floor": 0.0, "holdout": 0.0, "withhold": 0.0, "deadline": 5.0, "reflect": "manual"}
    with Learner(tmp_path, index=ExactIndex(), embeddings=embeddings, **options) as opened:
        yield opened


def wrapped(learner, **options):
    async def node(_: MessagesState):
        return {"messages": []}

    graph = StateGraph(MessagesState).add_node("node", node).add_edge(START, "node").compile()
    return learner.wrap(graph, **options)


def shown(learner, run_id):
    learner.flush()
    return [exposure.lesson_id for exposure in learner.ledger.exposures(episode_id=run_id)]


async def test_an_async_run_awaits_the_embedder_and_its_recall_embeds_nothing(learner, embeddings):
    lesson = await asyncio.to_thread(learner.lessons.add, when="asked for the weather", do="name the city", status="active")
    graph, run_id = wrapped(learner), uuid4()
    embeddings.asked.clear()
    watching = BlockBuster("langchain_reflect")
    watching.activate()
    try:
        await graph.ainvoke(ASKED, {"run_id": run_id})
    finally:
        watching.deactivate()
    assert [how for how, text in embeddings.asked if "Rome" in text] == ["loop"]
    assert await asyncio.to_thread(shown, learner, run_id) == [lesson.id]


async def test_without_lessons_nothing_is_embedded(learner, embeddings):
    await wrapped(learner).ainvoke(ASKED)
    assert [text for how, text in embeddings.asked if how == "loop"] == []


async def test_an_embedder_that_is_late_costs_the_lessons_and_not_the_run(learner, embeddings):
    await asyncio.to_thread(learner.lessons.add, when="asked for the weather", do="name the city", status="active")
    graph, embeddings.delay = wrapped(learner, deadline=0.1), 30.0
    started = time.monotonic()
    await graph.ainvoke(ASKED)
    assert time.monotonic() - started < 10
    assert learner._shared.health.counts["recall late"] == 1


async def test_a_run_that_is_cancelled_while_it_embeds_is_cancelled_at_once(learner, embeddings):
    await asyncio.to_thread(learner.lessons.add, when="asked for the weather", do="name the city", status="active")
    graph, embeddings.delay = wrapped(learner), 30.0
    run = asyncio.create_task(graph.ainvoke(ASKED))
    await asyncio.wait_for(embeddings.begun.wait(), 10)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    embeddings.delay = 0.0
    run_id = uuid4()
    await graph.ainvoke(ASKED, {"run_id": run_id})
    assert len(await asyncio.to_thread(shown, learner, run_id)) == 1


def test_a_sync_run_embeds_in_its_thread(learner, embeddings):
    learner.lessons.add(when="asked for the weather", do="name the city", status="active")

    def node(_: MessagesState):
        return {"messages": []}

    embeddings.asked.clear()
    learner.wrap(StateGraph(MessagesState).add_node("node", node).add_edge(START, "node").compile()).invoke(ASKED)
    assert [how for how, text in embeddings.asked if "Rome" in text] == ["thread"]
