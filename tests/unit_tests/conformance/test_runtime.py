"""Checks 71-88, without callbacks: what LangGraph's runtime gives to nodes, and how it treats them."""

import asyncio
import time
from dataclasses import dataclass
from operator import add
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphDrained, GraphRecursionError
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.managed import RemainingSteps
from langgraph.runtime import RunControl, Runtime
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph.types import CachePolicy, RetryPolicy
from typing_extensions import TypedDict

from langchain_reflect.testing.conformance import ASKED, Subject, TellingModel
from langchain_reflect.testing.conformance.base import thread


def graph_of(node: Any, *, state: Any = MessagesState, options: Any = None, context: Any = None, **compiled: Any) -> Any:
    """One node."""
    builder = StateGraph(state, context_schema=context).add_node("node", node, **(options or {}))
    return builder.add_edge(START, "node").compile(**compiled)


def subject(make: Any, **options: Any) -> Subject:
    """A graph of the one node that `make(model)` returns."""
    return Subject("made", lambda model, **compiled: graph_of(make(model), **options, **compiled), ASKED)


async def test_071_the_store(pair):
    def make(model):
        def node(state: MessagesState, *, store: BaseStore) -> dict[str, Any]:
            store.put(("notes",), "last", {"said": str(model.invoke(state["messages"]).content)})
            return {"messages": [AIMessage(store.get(("notes",), "last").value["said"])]}

        return node

    both = pair(subject(make), store=InMemoryStore)
    both.same(lambda g: (g.invoke(ASKED), [(i.key, i.value) for i in g.store.search(("notes",))]))
    await both.asame(lambda g: g.ainvoke(ASKED))
    assert both.blocks == [1, 1]


class Noticing(TellingModel):
    """Remembers the metadata and tags it is called with."""

    noticed: list[Any]

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        self.noticed.append((dict(run_manager.metadata), list(run_manager.tags)))
        return super()._generate(messages, stop, run_manager, **kwargs)


async def test_072_configurable_metadata_and_tags_reach_nodes_and_model(pair):
    def make(model):
        noticing = Noticing(noticed=[])

        def node(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
            noticing.invoke(state["messages"])
            metadata, tags = noticing.noticed[-1]
            seen = [config["configurable"].get("user"), config["metadata"].get("ticket"), sorted(config["tags"])]
            ours = {key: value for key, value in metadata.items() if key != "reflect_episode_id"}
            return {"messages": [AIMessage(repr([seen, sorted(ours), ours["ticket"], ours.get("user"), tags]))]}

        return node

    both = pair(subject(make))
    config = {"configurable": {"user": "u"}, "metadata": {"ticket": "T-1"}, "tags": ["vip"]}
    result = both.same(lambda g: g.invoke(ASKED, config))
    assert "'T-1'" in result["messages"][-1].content
    assert "'vip'" in result["messages"][-1].content
    await both.asame(lambda g: g.ainvoke(ASKED, config))
    both.same(lambda g: g.with_config(config).invoke(ASKED))


@dataclass
class Tenant:
    """A context."""

    name: str = "nobody"


@pytest.mark.parametrize("given", [{"name": "acme"}, Tenant("acme")], ids=["dict", "dataclass"])
async def test_073_the_context(pair, given):
    def make(model):
        def node(state: MessagesState, runtime: Runtime[Tenant]) -> dict[str, Any]:
            return {"messages": [AIMessage(f"{runtime.context.name}: {model.invoke(state['messages']).content}")]}

        return node

    both = pair(subject(make, context=Tenant))
    assert both.same(lambda g: g.invoke(ASKED, context=given))["messages"][-1].content == "acme: first answer"
    await both.asame(lambda g: g.ainvoke(ASKED, context=given))


def test_074_the_execution_info(pair):
    def make(model):
        def node(state: MessagesState, runtime: Runtime[None]) -> dict[str, Any]:
            info = runtime.execution_info
            return {"messages": [AIMessage(f"{info.run_id} {info.thread_id} {info.node_attempt} {info.checkpoint_ns.split(':')[0]}")]}

        return node

    both = pair(subject(make), checkpointer=InMemorySaver)
    run_id = "01890000-0000-7000-8000-000000000001"
    result = both.same(lambda g: g.invoke(ASKED, thread() | {"run_id": run_id}))
    assert result["messages"][-1].content.startswith(f"{run_id} 1 1 node")


class Steps(MessagesState):
    """Knows how many steps are left."""

    remaining: RemainingSteps


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_078_the_recursion_limit_is_exact(pair, limit):
    def build(model, **compiled):
        def again(state: Steps) -> dict[str, Any]:
            return {"messages": [AIMessage(str(state["remaining"]))]}

        return StateGraph(Steps).add_node("again", again).add_edge(START, "again").add_edge("again", "again").compile(**compiled)

    both = pair(Subject("loop", build, ASKED))

    def run(graph):
        chunks = []
        with pytest.raises(GraphRecursionError) as failed:
            chunks.extend(graph.stream(ASKED, {"recursion_limit": limit}))
        return chunks, str(failed.value)

    both.same(run)


class Odd(Exception):
    """With a cause and a note."""


async def test_079_exceptions(pair):
    def make(model):
        def node(state: MessagesState) -> dict[str, Any]:
            error = Odd("odd")
            error.add_note("a note")
            raise error from ValueError("cause")

        return node

    both = pair(subject(make))

    def told(failed):
        error = failed.value
        return type(error), error.args, repr(error.__cause__), error.__notes__

    def run(graph):
        with pytest.raises(Odd) as failed:
            graph.invoke(ASKED)
        return told(failed)

    async def arun(graph):
        with pytest.raises(Odd) as failed:
            await graph.ainvoke(ASKED)
        return told(failed)

    both.same(run)
    await both.asame(arun)


@pytest.mark.parametrize("attempts", [2, 3])
async def test_080_a_retry_policy(pair, attempts):
    def make(model):
        tries = []

        def node(state: MessagesState) -> dict[str, Any]:
            tries.append(model.invoke(state["messages"]).content)
            if len(tries) % 3:
                raise ConnectionError(f"try {len(tries)}")
            return {"messages": [AIMessage(f"{len(tries)} tries")]}

        return node

    policy = RetryPolicy(max_attempts=attempts, initial_interval=0.001, jitter=False)
    both = pair(subject(make, options={"retry_policy": policy}))

    def run(graph):
        return graph.invoke(ASKED)["messages"][-1].content

    if attempts == 3:
        assert both.same(run) == "3 tries"
        await both.asame(lambda g: g.ainvoke(ASKED))
    else:
        with pytest.raises(ConnectionError, match="try 2"):
            both.same(run)
    assert set(both.blocks) == {1}


def test_081_the_cache_of_a_node(pair):
    def make(model):
        calls = []

        def node(state: dict[str, Any]) -> dict[str, Any]:
            calls.append(1)
            return {"answer": len(calls)}

        return node

    class Asked(TypedDict, total=False):
        question: str
        answer: int

    both = pair(subject(make, state=Asked, options={"cache_policy": CachePolicy()}), cache=InMemoryCache)
    given = {"question": "2+2?"}

    def run(graph):
        first, second = graph.invoke(given), graph.invoke(given)
        graph.clear_cache()
        return first, second, graph.invoke(given), list(graph.stream(given, stream_mode="updates"))

    first, second, third, _ = both.same(run)
    assert (first["answer"], second["answer"], third["answer"]) == (1, 1, 2)
    both.service.health.__init__()  # an input without a task is noted, as it should be


def test_081_a_cached_node_with_messages_shows_no_lessons_and_still_hits(pair):
    def make(model):
        def node(state: MessagesState) -> dict[str, Any]:
            return {"messages": [AIMessage(model.invoke(state["messages"]).content, id="a")]}

        return node

    both = pair(subject(make, options={"cache_policy": CachePolicy()}), cache=InMemoryCache)
    given = {"messages": [HumanMessage("hello", id="h")]}
    both.same(lambda g: [g.invoke(given), g.invoke(given), list(g.stream(given, stream_mode="updates"))])
    assert (len(both.model.prompts), len(both.bare_model.prompts)) == (1, 1)
    assert both.blocks == [0], "the cache's key would not know of the lessons"
    both.service.health.__init__()


async def test_082_the_timeout_of_a_step(pair):
    def make(model):
        async def node(state: MessagesState) -> dict[str, Any]:
            await asyncio.sleep(30)
            return {}

        return node

    both = pair(subject(make))
    for graph in (both.bare, both.wrapped):
        graph.step_timeout = 0.05

    async def run(graph):
        started = time.monotonic()
        with pytest.raises(asyncio.TimeoutError) as failed:
            await graph.ainvoke(ASKED)
        return type(failed.value), time.monotonic() - started < 20

    await both.asame(run)


async def test_083_cancellation_reaches_node_and_caller(pair):
    def make(model):
        seen = []

        async def node(state: MessagesState) -> dict[str, Any]:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise
            return {}

        node.seen = seen
        return node

    nodes = []

    def kept(model):
        nodes.append(make(model))
        return nodes[-1]

    both = pair(subject(kept))

    async def run(graph):
        task = asyncio.create_task(graph.ainvoke(ASKED))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert await both.asame(run)
    assert [node.seen for node in nodes] == [["cancelled"], ["cancelled"]]


async def test_084_draining_then_resuming(pair):
    controls = []

    def build(model, **compiled):
        def chat(state: MessagesState) -> dict[str, Any]:
            controls[-1].request_drain("deploy")
            return {"messages": [model.invoke(state["messages"])]}

        builder = StateGraph(MessagesState).add_node("chat", chat).add_node("end", lambda s: {"messages": [AIMessage("end")]})
        return builder.add_edge(START, "chat").add_edge("chat", "end").compile(**compiled)

    both = pair(Subject("draining", build, ASKED), checkpointer=InMemorySaver)

    def run(graph):
        controls.append(RunControl())
        with pytest.raises(GraphDrained) as failed:
            graph.invoke(ASKED, thread(), control=controls[-1])
        return str(failed.value), graph.get_state(thread()).next, graph.invoke(None, thread())

    assert both.same(run)[1] == ("end",)
    assert both.blocks == [1]


async def test_085_an_error_handler(pair):
    def build(model, **compiled):
        def fails(state: MessagesState) -> dict[str, Any]:
            raise ConnectionError(str(model.invoke(state["messages"]).content))

        def handle(state: MessagesState) -> dict[str, Any]:
            return {"messages": [AIMessage(f"handled after {len(state['messages'])} messages")]}

        builder = StateGraph(MessagesState).add_node("fails", fails, error_handler=handle)
        return builder.add_edge(START, "fails").compile(**compiled)

    both = pair(Subject("handled", build, ASKED))
    assert both.same(lambda g: g.invoke(ASKED))["messages"][-1].content == "handled after 1 messages"
    both.same(lambda g: list(g.stream(ASKED, stream_mode=["updates", "tasks"])))
    await both.asame(lambda g: g.ainvoke(ASKED))
    assert set(both.blocks) == {1}


class Log(TypedDict):
    """Who ran."""

    log: Annotated[list[str], add]


async def test_086_a_deferred_node(pair):
    def build(model, **compiled):
        builder = StateGraph(Log)
        for name in ("a", "b", "b2"):
            builder.add_node(name, lambda s, name=name: {"log": [name]})
        builder.add_node("end", lambda s: {"log": [f"end after {len(s['log'])}"]}, defer=True)
        for pair_ in ((START, "a"), (START, "b"), ("b", "b2"), ("a", "end"), ("b2", "end")):
            builder.add_edge(*pair_)
        return builder.compile(**compiled)

    both = pair(Subject("deferred", build, {"log": []}, {"task": lambda s: "log"}))
    assert both.same(lambda g: g.invoke({"log": []}))["log"][-1] == "end after 3"
    await both.asame(lambda g: g.ainvoke({"log": []}))
    both.service.health.__init__()


def test_087_the_nostream_tag(pair):
    def make(model):
        silent = model.with_config(tags=["nostream"])

        def node(state: MessagesState) -> dict[str, Any]:
            silent.invoke(state["messages"])
            return {"messages": [model.invoke(state["messages"])]}

        return node

    both = pair(subject(make))
    chunks = both.same(lambda g: list(g.stream(ASKED, stream_mode="messages")))
    assert {chunk.content.strip() for chunk, _ in chunks if chunk.content} == {"first", "answer"}
    assert both.blocks == [1, 1]


@pytest.mark.parametrize(("name", "node"), [("counting", "chat"), ("counting", "note"), ("sequence", "chain"), ("form", "solve")])
async def test_088_a_node_by_itself(pair, name, node):
    both = pair(name)
    given = {"messages": [HumanMessage("hi")]} if "messages" in both.subject.given else both.subject.given
    both.same(lambda g: g.nodes[node].invoke(given))
    await both.asame(lambda g: g.nodes[node].ainvoke(given))
