"""Checks 52-69: threads that pause, fail, are edited and go on, on every saver."""

import sqlite3
from operator import add
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, StateUpdate, interrupt
from typing_extensions import TypedDict

from langchain_reflect.testing.conformance import ASKED, Subject, nested
from langchain_reflect.testing.conformance.base import collect, thread


def asking(model: Any, **compiled: Any) -> Any:
    """Asks the user between two model calls."""

    def chat(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [("user", f"{interrupt({'question': 'sure?'})}!")]}

    builder = StateGraph(MessagesState).add_node("chat", chat).add_node("ask", ask).add_node("again", chat)
    return builder.add_edge(START, "chat").add_edge("chat", "ask").add_edge("ask", "again").compile(name="asking", **compiled)


ASKING = Subject("asking", asking, ASKED)


class Outside(TypedDict):
    """What callers see."""

    messages: Annotated[list[Any], add]


class Private(TypedDict):
    """What two nodes hand over."""

    secret: str


def secretive(model: Any, **compiled: Any) -> Any:
    """Hands a private channel from node to node."""

    def first(state: Outside) -> Private:
        return {"secret": str(model.invoke(state["messages"]).content)}

    def second(state: Private) -> Outside:
        return {"messages": [state["secret"].upper()]}

    builder = StateGraph(Outside).add_node("first", first).add_node("second", second)
    return builder.add_edge(START, "first").add_edge("first", "second").compile(**compiled)


def test_052_private_channels(pair):
    both = pair(Subject("secretive", secretive, ASKED), checkpointer=InMemorySaver)
    both.same(lambda g: (g.invoke(ASKED, thread()), g.get_state(thread()), list(g.get_state_history(thread()))))
    assert both.wrapped.invoke(ASKED, thread(2))["messages"][-1] == "FIRST ANSWER"
    assert set(both.blocks) == {1}


def test_057_bulk_update_state(pair):
    both = pair("counting", checkpointer=InMemorySaver)

    def updated(graph):
        graph.invoke(both.subject.given, thread())
        graph.bulk_update_state(
            thread(), [[StateUpdate({"log": ["a"]}, "chat")], [StateUpdate({"log": ["b"]}, "note"), StateUpdate({"log": ["c"]}, "chat")]]
        )
        return graph.get_state(thread()), len(list(graph.get_state_history(thread())))

    state, _ = both.same(updated)
    assert state.values["log"][-3:] == ["a", "b", "c"]


async def test_060_an_interrupt_is_returned(pair):
    both = pair(ASKING, checkpointer=InMemorySaver)
    assert "__interrupt__" in both.same(lambda g: g.invoke(ASKED, thread(1)))
    assert both.same(lambda g: g.invoke(ASKED, thread(2), version="v2")).interrupts
    await both.asame(lambda g: g.ainvoke(ASKED, thread(3)))
    both.same(lambda g: list(g.stream(ASKED, thread(4), stream_mode=["updates", "values"])))


async def test_061_the_state_at_an_interrupt(pair):
    both = pair(ASKING, checkpointer=InMemorySaver)

    async def state(graph):
        graph.invoke(ASKED, thread())
        found = graph.get_state(thread())
        return found, found.next, found.tasks, found.interrupts, await graph.aget_state(thread())

    assert (await both.asame(state))[1] == ("ask",)


@pytest.mark.parametrize("mode", ["values", "updates", "messages"])
async def test_062_resuming_streams_the_same(pair, mode):
    both = pair(ASKING, checkpointer=InMemorySaver)
    both.same(lambda g: (g.invoke(ASKED, thread(1)), list(g.stream(Command(resume="yes"), thread(1), stream_mode=mode))))

    async def run(graph):
        await graph.ainvoke(ASKED, thread(2))
        return await collect(graph.astream(Command(resume="yes"), thread(2), stream_mode=mode)), await graph.aget_state(thread(2))

    await both.asame(run)
    assert set(both.blocks) == {1}


def test_063_resuming_with_an_update(pair):
    both = pair(ASKING, checkpointer=InMemorySaver)
    resume = Command(resume="yes", update={"messages": [("user", "by the way")]})
    result = both.same(lambda g: [g.invoke(ASKED, thread()), g.invoke(resume, thread()), g.get_state(thread())])
    assert "by the way" in [m.content for m in result[1]["messages"]]


def test_065_update_state_at_a_breakpoint(pair):
    both = pair("counting", checkpointer=InMemorySaver)

    def run(graph):
        graph.invoke(both.subject.given, thread(), interrupt_before=["note"])
        graph.update_state(thread(), {"log": ["edited"]})
        return graph.get_state(thread()).next, graph.invoke(None, thread()), list(graph.get_state_history(thread()))

    assert "edited" in both.same(run)[1]["log"]


def test_066_an_error_then_none(pair):
    def build(model, **compiled):
        tries = []

        def flaky(state: MessagesState) -> dict[str, Any]:
            tries.append(1)
            if len(tries) == 1:
                raise ConnectionError("no network")
            return {"messages": [model.invoke(state["messages"])]}

        return StateGraph(MessagesState).add_node("flaky", flaky).add_edge(START, "flaky").compile(**compiled)

    def run(graph):
        with pytest.raises(ConnectionError) as failed:
            graph.invoke(ASKED, thread())
        state = graph.get_state(thread())
        return str(failed.value), state.next, state.tasks, graph.invoke(None, thread()), list(graph.get_state_history(thread()))

    both = pair(Subject("flaky", build, ASKED), checkpointer=InMemorySaver)
    both.same(run)
    assert both.blocks == [1]


def test_069_the_sqlite_saver(pair):
    connections = []

    def saver():
        connections.append(sqlite3.connect(":memory:", check_same_thread=False))
        return SqliteSaver(connections[-1])

    both = pair(ASKING, checkpointer=saver)
    both.same(lambda g: [g.invoke(ASKED, thread()), g.invoke(Command(resume="yes"), thread()), list(g.get_state_history(thread()))])
    for connection in connections:
        dump = repr([row for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall()
                     for row in connection.execute(f"SELECT * FROM {table}")])  # fmt: skip
        assert "first answer" in dump
        assert "<lessons" not in dump
        connection.close()


async def test_069_the_async_sqlite_saver(pair, tmp_path):
    async def run(graph):
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / f"{id(graph)}.db")) as saver:
            kept = graph.copy(update={"checkpointer": saver})
            results = [await kept.ainvoke(ASKED, thread()), await kept.ainvoke(Command(resume="yes"), thread())]
            return results, [state async for state in kept.aget_state_history(thread())]

    both = pair(ASKING)
    await both.asame(run)
    assert set(both.blocks) == {1}
    assert not any(b"<lessons" in file.read_bytes() for file in tmp_path.glob("*.db*"))


def test_050_the_state_of_subgraphs(pair):
    both = pair(Subject("nested", lambda model, **k: nested(model, interrupt_before=["end"], **k), ASKED), checkpointer=InMemorySaver)
    both.same(lambda g: (g.invoke(ASKED, thread()), g.get_state(thread(), subgraphs=True)))
