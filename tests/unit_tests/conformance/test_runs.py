"""Checks 16-49: a wrapped graph runs like the graph, chunk for chunk."""

import asyncio
import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.callbacks import BaseCallbackHandler, CallbackManager
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver

from langchain_reflect.agents.episodes import METADATA_KEY
from langchain_reflect.agents.wrap import reflected
from langchain_reflect.testing.conformance import ASKED, Subject, TellingModel, asynchronous, normal, single

MODES = ["values", "updates", "messages", "tasks", "checkpoints", "debug"]
WITH_SAVER = {"checkpoints", "debug"}


def thread(number: object = 1) -> dict:
    return {"configurable": {"thread_id": str(number)}}


async def collect(chunks) -> list:
    return [chunk async for chunk in chunks]


def test_016_invoke(each):
    each.same(lambda g: g.invoke(each.subject.given))


async def test_017_ainvoke(each):
    await each.asame(lambda g: g.ainvoke(each.subject.given))


async def test_017_ainvoke_of_a_coroutine_node(pair):
    both = pair(Subject("asynchronous", asynchronous, ASKED))
    await both.asame(lambda g: g.ainvoke(ASKED))
    assert "<lessons" in both.model.prompts[0][0].content


def test_018_without_a_checkpointer(pair):
    both = pair("counting")
    assert both.wrapped.checkpointer is None
    both.same(lambda g: [g.invoke(both.subject.given), g.invoke(both.subject.given)])


def test_019_non_idempotent_reducers_two_turns(pair):
    both = pair("counting", checkpointer=InMemorySaver)
    both.same(lambda g: [g.invoke(both.subject.given, thread()), g.invoke(both.subject.given, thread())])
    assert both.wrapped.get_state(thread()).values["log"] == ["in", "chat", "2 messages", "in", "chat", "4 messages"]


def test_020_version_2(each):
    each.same(lambda g: g.invoke(each.subject.given, version="v2"))


def test_021_output_keys(pair):
    both = pair("counting")
    both.same(lambda g: g.invoke(both.subject.given, output_keys=["log"]))
    both.same(lambda g: list(g.stream(both.subject.given, output_keys="log", stream_mode="values")))


@pytest.mark.parametrize("mode", ["values", "updates", "messages", ["updates", "values"]])
def test_022_invoke_with_a_stream_mode(each, mode):
    each.same(lambda g: g.invoke(each.subject.given, stream_mode=mode))


@pytest.mark.parametrize("mode", MODES)
def test_023_to_028_stream(request, each, pair, mode):
    both = pair(each.subject, checkpointer=InMemorySaver) if mode in WITH_SAVER else each
    both.same(lambda g: list(g.stream(both.subject.given, thread(), stream_mode=mode)))


@pytest.mark.parametrize("mode", MODES)
async def test_029_to_034_astream(each, pair, mode):
    both = pair(each.subject, checkpointer=InMemorySaver) if mode in WITH_SAVER else each
    await both.asame(lambda g: collect(g.astream(both.subject.given, thread(), stream_mode=mode)))


@pytest.mark.parametrize("mode", MODES)
def test_023_to_028_stream_without_our_mark(pair, service, mode):
    both = pair("counting", checkpointer=InMemorySaver)
    silent = reflected(both.original, service, metadata=False)
    chunks = list(silent.stream(both.subject.given, thread(), stream_mode=mode))
    assert METADATA_KEY not in repr(chunks)
    assert normal(chunks) == normal(list(both.bare.stream(both.subject.given, thread(), stream_mode=mode)))


def test_035_custom(pair):
    for name in ("single", "functional"):
        both = pair(name)
        assert both.same(lambda g, both=both: list(g.stream(both.subject.given, stream_mode="custom"))) == [{"asked": 1}]


def test_036_tools(pair):
    both = pair("agent")
    assert both.same(lambda g: list(g.stream(both.subject.given, stream_mode="tools")))


def test_037_a_list_of_modes(each):
    each.same(lambda g: list(g.stream(each.subject.given, stream_mode=["updates", "messages", "custom", "values"])))


async def test_038_the_default_mode(each):
    each.same(lambda g: list(g.stream(each.subject.given)))
    await each.asame(lambda g: collect(g.astream(each.subject.given)))


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


def test_041_stream_version_2(each):
    each.same(lambda g: list(g.stream(each.subject.given, stream_mode=["updates", "messages"], version="v2")))


async def test_042_astream_events_version_2(each):
    async def events(graph):
        return [(e["event"], e["name"], len(e["parent_ids"])) async for e in graph.astream_events(each.subject.given, version="v2")]

    await each.asame(events)


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
def test_043_stream_events_version_3(pair):
    for name in ("single", "nested", "agent"):
        both = pair(name)

        def run(graph, given=both.subject.given):
            stream = graph.stream_events(given, version="v3")
            return [(e["method"], e["params"]["namespace"]) for e in stream], stream.output

        both.same(run)


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
async def test_044_astream_events_version_3(pair):
    both = pair("single")

    async def run(graph):
        stream = await graph.astream_events(both.subject.given, version="v3")
        return [(e["method"], e["params"]["namespace"]) async for e in stream]

    await both.asame(run)


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


def test_045_batch(each):
    given = [each.subject.given] * 3
    each.same(lambda g: g.batch(given))
    each.same(lambda g: g.batch(given, return_exceptions=True))


async def test_045_abatch(each):
    await each.asame(lambda g: g.abatch([each.subject.given] * 3, return_exceptions=True))


class Failing(TellingModel):
    def _generate(self, *args, **kwargs):
        raise ConnectionError("no model")


def test_045_exceptions_of_a_batch(pair):
    both = pair(Subject("failing", lambda model, **k: single(Failing(), **k), ASKED))
    both.same(lambda g: g.batch([ASKED, ASKED], return_exceptions=True))
    with pytest.raises(ConnectionError, match="no model"):
        both.wrapped.batch([ASKED])


def test_046_print_mode(pair, capsys):
    both = pair("single")
    printed = []
    for graph in (both.bare, both.wrapped):
        graph.invoke(ASKED, print_mode="updates")
        printed.append(normal(capsys.readouterr().out))
    assert printed[0] == printed[1] != ""


def test_047_early_close_then_go_on(pair):
    both = pair("counting", checkpointer=InMemorySaver)

    def run(graph):
        stream = graph.stream(both.subject.given, thread(), stream_mode="updates")
        first = next(stream)
        stream.close()
        return first, graph.get_state(thread()).next, graph.invoke(None, thread())

    both.same(run)


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


def test_049_input_and_config_are_not_changed(each):
    handler = BaseCallbackHandler()
    given = copy.deepcopy(each.subject.given)
    config = {"callbacks": [handler], "metadata": {"a": 1}, "tags": ["t"], "configurable": {"b": 2}}
    each.wrapped.invoke(given, config)
    assert normal(given) == normal(each.subject.given)
    assert config == {"callbacks": [handler], "metadata": {"a": 1}, "tags": ["t"], "configurable": {"b": 2}}


def test_049_a_callback_manager_is_not_changed(pair):
    manager = CallbackManager(handlers=[BaseCallbackHandler()])
    handlers, inheritable = list(manager.handlers), list(manager.inheritable_handlers)
    pair("single").wrapped.invoke(ASKED, {"callbacks": manager})
    assert manager.handlers == handlers
    assert manager.inheritable_handlers == inheritable


def test_049_messages_of_the_state_are_not_changed(pair):
    both = pair("single", checkpointer=InMemorySaver)
    both.wrapped.invoke({"messages": [AIMessage("before", id="a"), *ASKED["messages"]]}, thread())
    assert not any("<lessons" in str(m.content) for m in both.wrapped.get_state(thread()).values["messages"])
