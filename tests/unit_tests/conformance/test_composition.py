"""Checks 98-105 and 109: a wrapped graph inside other graphs, functions, tools and chains."""

from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Send, interrupt

from langchain_reflect.agents.wrap import reflected
from langchain_reflect.testing.conformance import AGENT_SCRIPT, ASKED, MARK, TellingModel, normal, single, spoken
from langchain_reflect.testing.conformance.base import collect, thread


class Both:
    """The same parent around a bare child and around a wrapped one."""

    def __init__(self, service: Any, child: Callable[..., Any], parent: Callable[[Any], Any]) -> None:
        self.bare_model, self.model = TellingModel(), TellingModel()
        self.bare = parent(child(self.bare_model))
        self.wrapped = parent(reflected(child(self.model), service))

    def same(self, run: Callable[[Any], Any]) -> Any:
        expected, got = run(self.bare), run(self.wrapped)
        assert normal(got) == normal(expected)
        return got

    async def asame(self, run: Callable[[Any], Any]) -> Any:
        expected, got = await run(self.bare), await run(self.wrapped)
        assert normal(got) == normal(expected)
        return got

    @property
    def blocks(self) -> set[int]:
        return {"".join(str(m.content) for m in prompt).count(MARK) for prompt in self.model.prompts}


@pytest.fixture
def both(service):
    return lambda child, parent: Both(service, child, parent)


def around(child: Any, **compiled: Any) -> Any:
    """A parent with the child as a node, and a node after it."""

    def end(state: MessagesState) -> dict[str, Any]:
        return {"messages": [HumanMessage(f"{spoken(state['messages'])} so far")]}

    builder = StateGraph(MessagesState).add_node("child", child).add_node("end", end)
    return builder.add_edge(START, "child").add_edge("child", "end").compile(name="parent", **compiled)


def saved(child: Any) -> Any:
    return around(child, checkpointer=InMemorySaver())


def asking(model: Any, **compiled: Any) -> Any:
    """Asks the user after a model call."""

    def chat(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    builder = StateGraph(MessagesState).add_node("chat", chat).add_node("ask", lambda s: {"messages": [("user", interrupt("sure?"))]})
    return builder.add_edge(START, "chat").add_edge("chat", "ask").compile(name="asking", **compiled)


async def test_098_as_a_node_one_and_two_turns(both):
    pair = both(single, saved)
    pair.same(lambda g: [g.invoke(ASKED, thread(1)), g.invoke(ASKED, thread(1))])
    await pair.asame(lambda g: g.ainvoke(ASKED, thread(2)))
    assert pair.blocks == {1}


@pytest.mark.parametrize("mode", ["values", "updates", "messages", "tasks", "custom", "debug"])
async def test_099_the_parents_streams(both, mode):
    pair = both(single, saved)
    for subgraphs in (False, True):
        pair.same(lambda g, s=subgraphs: list(g.stream(ASKED, thread(f"{s}"), stream_mode=mode, subgraphs=s)))
    await pair.asame(lambda g: collect(g.astream(ASKED, thread(2), stream_mode=mode, subgraphs=True)))


def test_099_the_parents_drawings(both):
    pair = both(single, around)
    pair.same(
        lambda g: (g.get_graph(xray=True).to_json(), g.get_graph().draw_mermaid(), [name for name, _ in g.get_subgraphs(recurse=True)])
    )


async def test_100_interrupts_through_the_parent(both):
    pair = both(asking, saved)

    def run(graph):
        paused = graph.invoke(ASKED, thread(1))
        state = graph.get_state(thread(1), subgraphs=True)
        inner = state.tasks[0].state
        graph.update_state(inner.config, {"messages": [("user", "by the way")]})
        return paused, state, graph.invoke(Command(resume="yes"), thread(1)), graph.get_state(thread(1))

    result = pair.same(run)[2]
    assert "by the way" in [m.content for m in result["messages"]]

    async def arun(graph):
        return [await graph.ainvoke(x, thread(2)) for x in (ASKED, Command(resume="yes"))]

    await pair.asame(arun)
    assert pair.blocks == {1}


def test_101_a_child_that_keeps_its_own_thread(both):
    pair = both(lambda model: single(model, checkpointer=True), saved)
    pair.same(lambda g: [g.invoke(ASKED, thread()), g.invoke(ASKED, thread()), g.get_state(thread(), subgraphs=True)])
    assert [sum(isinstance(m, AIMessage) for m in prompt) for prompt in pair.model.prompts][1] >= 1


@pytest.mark.parametrize("own_thread", [False, True])
async def test_102_called_in_a_node(both, own_thread):
    savers = []

    def child(model):
        savers.append(InMemorySaver())
        return single(model, checkpointer=savers[-1] if own_thread else None)

    def parent(graph):
        config: Any = thread("child") if own_thread else None

        def call(state: MessagesState) -> dict[str, Any]:
            return {"messages": graph.invoke({"messages": state["messages"]}, config)["messages"]}

        async def acall(state: MessagesState) -> dict[str, Any]:
            return {"messages": (await graph.ainvoke({"messages": state["messages"]}, config))["messages"]}

        builder = StateGraph(MessagesState).add_node("call", RunnableLambda(call, acall)).add_edge(START, "call")
        return builder.compile(checkpointer=InMemorySaver())

    pair = both(child, parent)
    pair.same(lambda g: [g.invoke(ASKED, thread(1)), g.invoke(ASKED, thread(1)), g.get_state(thread(1))])
    await pair.asame(lambda g: g.ainvoke(ASKED, thread(2)))
    assert pair.blocks == {1}
    assert MARK not in repr([dict(s.storage) | dict(s.blobs) for s in savers])


def test_103_a_command_reaches_the_real_parent(both):
    def child(model):
        def hand_over(state: MessagesState) -> Command:
            return Command(goto="other", graph=Command.PARENT, update={"messages": [model.invoke(state["messages"])]})

        return StateGraph(MessagesState).add_node("hand", hand_over).add_edge(START, "hand").compile(name="child")

    def parent(graph):
        builder = StateGraph(MessagesState).add_node("child", graph, destinations=("other",))
        builder.add_node("other", lambda s: {"messages": [AIMessage("other")]}).add_edge(START, "child")
        return builder.compile(checkpointer=InMemorySaver())

    pair = both(child, parent)
    result = pair.same(lambda g: [g.invoke(ASKED, thread()), list(g.stream(ASKED, thread(2), stream_mode="updates", subgraphs=True))])
    assert [m.content for m in result[0]["messages"]][1:] == ["first answer", "other"]
    assert MARK not in repr(result)


def test_104_sent_to_and_in_parallel(both):
    def parent(graph):
        def fan_out(state: MessagesState) -> list[Send]:
            return [Send("child", {"messages": [HumanMessage(f"question {n}", id=str(n))]}) for n in range(3)]

        builder = StateGraph(MessagesState).add_node("child", graph).add_node("same", graph).add_node("end", lambda s: {})
        builder.add_conditional_edges(START, fan_out, ["child"]).add_edge("child", "same").add_edge("same", "end")
        return builder.compile()

    pair = both(single, parent)
    pair.same(lambda g: g.invoke(ASKED))
    assert len(pair.model.prompts) == 4
    assert pair.blocks == {1}


@pytest.mark.filterwarnings("ignore:This API is in beta")
def test_105_as_a_tool_and_in_a_tool(both):
    from langchain_core.tools import tool

    def parent(graph):
        child_tool = graph.as_tool(name="ask_child", description="Asks.", arg_types={"messages": list})

        @tool
        def weather(city: str) -> str:
            """Weather of a city."""
            return str(graph.invoke({"messages": [("user", f"weather in {city}")]})["messages"][-1].content)

        return child_tool, create_agent(TellingModel(script=AGENT_SCRIPT), [weather])

    pair = both(single, parent)
    pair.same(lambda g: g[0].invoke({"messages": [("user", "hi")]}))
    result = pair.same(lambda g: g[1].invoke(ASKED))
    assert result["messages"][2].content == "first answer"
    pair.same(lambda g: list(g[1].stream(ASKED, stream_mode=["updates", "messages"], subgraphs=True)))
    assert pair.blocks == {1}


@pytest.mark.parametrize("bind", ["retry", "fallbacks", "listeners", "pipe"])
async def test_109_bindings_and_chains(both, bind):
    seen: list[str] = []

    def parent(graph):
        if bind == "retry":
            return graph.with_retry(stop_after_attempt=2)
        if bind == "fallbacks":
            return RunnableLambda(lambda _: 1 / 0).with_fallbacks([graph])
        if bind == "listeners":
            return graph.with_listeners(on_end=lambda run: seen.append(run.name))
        return RunnableLambda(lambda x: x) | graph | (lambda x: {"wrapped up": x})

    pair = both(single, parent)
    pair.same(lambda g: g.invoke(ASKED))
    pair.same(lambda g: list(g.stream(ASKED)))
    pair.same(lambda g: g.batch([ASKED, ASKED]))
    await pair.asame(lambda g: g.ainvoke(ASKED))
    assert pair.blocks == {1}
    assert bind != "listeners" or len(seen) == 10
