"""Checks 16-49: a wrapped graph runs like the graph, chunk for chunk."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver

from langchain_reflect.testing.conformance import ASKED, Subject, TellingModel, asynchronous, single

MODES = ["values", "updates", "messages", "tasks", "checkpoints", "debug"]
WITH_SAVER = {"checkpoints", "debug"}


def thread(number: object = 1) -> dict:
    return {"configurable": {"thread_id": str(number)}}


async def collect(chunks) -> list:
    return [chunk async for chunk in chunks]


async def test_017_ainvoke_of_a_coroutine_node(pair):
    both = pair(Subject("asynchronous", asynchronous, ASKED))
    await both.asame(lambda g: g.ainvoke(ASKED))
    assert "<lessons" in both.model.prompts[0][0].content


def test_019_non_idempotent_reducers_two_turns(pair):
    both = pair("counting", checkpointer=InMemorySaver)
    both.same(lambda g: [g.invoke(both.subject.given, thread()), g.invoke(both.subject.given, thread())])
    assert both.wrapped.get_state(thread()).values["log"] == ["in", "chat", "2 messages", "in", "chat", "4 messages"]


def test_021_output_keys(pair):
    both = pair("counting")
    both.same(lambda g: g.invoke(both.subject.given, output_keys=["log"]))
    both.same(lambda g: list(g.stream(both.subject.given, output_keys="log", stream_mode="values")))


def test_035_custom(pair):
    for name in ("single", "functional"):
        both = pair(name)
        assert both.same(lambda g, both=both: list(g.stream(both.subject.given, stream_mode="custom"))) == [{"asked": 1}]


def test_036_tools(pair):
    both = pair("agent")
    assert both.same(lambda g: list(g.stream(both.subject.given, stream_mode="tools")))


@pytest.mark.parametrize("mode", ["updates", "messages", ["values", "messages"]])
def test_039_namespaces_of_subgraphs(pair, mode):
    both = pair("nested")
    chunks = both.same(lambda g: list(g.stream(both.subject.given, stream_mode=mode, subgraphs=True)))
    assert any(chunk[0] for chunk in chunks)


def test_040_messages_of_nested_graphs(pair):
    both = pair("nested")
    chunks = both.same(lambda g: list(g.stream(both.subject.given, stream_mode="messages", subgraphs=True)))
    assert "first" in "".join(str(message.content) for _, (message, _) in chunks)
    assert "<lessons" in both.model.prompts[0][0].content


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
async def test_044_abort_ends_the_stream_and_the_episode(pair, ledger, recorder):
    both = pair("nested")
    stream = await both.wrapped.astream_events(both.subject.given, version="v3")
    async for _ in stream:
        await stream.abort()
        break
    await asyncio.sleep(0)
    recorder.flush()
    assert [e.status for e in ledger.episodes()] == ["closed_early"]


class Failing(TellingModel):
    def _generate(self, *args, **kwargs):
        raise ConnectionError("no model")


def test_045_exceptions_of_a_batch(pair):
    both = pair(Subject("failing", lambda model, **k: single(Failing(), **k), ASKED))
    both.same(lambda g: g.batch([ASKED, ASKED], return_exceptions=True))
    with pytest.raises(ConnectionError, match="no model"):
        both.wrapped.batch([ASKED])


def test_048_many_threads_at_once(pair):
    both = pair("single", checkpointer=InMemorySaver)
    with ThreadPoolExecutor(24) as pool:
        results = list(pool.map(lambda n: both.wrapped.invoke({"messages": [("user", f"question {n}")]}, thread(n)), range(48)))
    assert [r["messages"][0].content for r in results] == [f"question {n}" for n in range(48)]
    assert all(len(r["messages"]) == 2 for r in results)
    assert all("".join(str(m.content) for m in prompt).count("<lessons") == 1 for prompt in both.model.prompts)


async def test_048_many_tasks_at_once(pair):
    both = pair(Subject("asynchronous", asynchronous, ASKED), checkpointer=InMemorySaver)
    runs = (both.wrapped.ainvoke({"messages": [("user", f"question {n}")]}, thread(n)) for n in range(50))
    results = await asyncio.gather(*runs)
    assert [r["messages"][0].content for r in results] == [f"question {n}" for n in range(50)]
    assert all(len(r["messages"]) == 2 for r in results)


def test_049_messages_of_the_state_are_not_changed(pair):
    both = pair("single", checkpointer=InMemorySaver)
    both.wrapped.invoke({"messages": [AIMessage("before", id="a"), *ASKED["messages"]]}, thread())
    assert not any("<lessons" in str(m.content) for m in both.wrapped.get_state(thread()).values["messages"])
