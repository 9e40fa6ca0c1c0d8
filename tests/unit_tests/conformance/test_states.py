"""Checks 89-97: states of every kind."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import add
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send, interrupt
from pydantic import BaseModel, Field, ValidationError, field_validator
from typing_extensions import TypedDict

from langchain_reflect.testing.conformance import ASKED, MARK, Subject, spoken
from langchain_reflect.testing.conformance.base import collect, thread


class Strict(BaseModel):
    """A state that checks itself."""

    messages: Annotated[list[Any], add_messages] = Field(default_factory=list)
    count: int = 0

    @field_validator("count")
    @classmethod
    def not_negative(cls, value: int) -> int:
        if value < 0:
            raise ValueError("count is negative")
        return value


def strict(model: Any, **compiled: Any) -> Any:
    """Says which type its node saw."""

    def chat(state: Strict) -> dict[str, Any]:
        answer = model.invoke(state.messages)
        return {"messages": [AIMessage(f"{type(state).__name__}: {answer.content}")], "count": state.count + 1}

    return StateGraph(Strict).add_node("chat", chat).add_edge(START, "chat").compile(**compiled)


async def test_089_pydantic_state(pair):
    both = pair(Subject("strict", strict, ASKED), checkpointer=InMemorySaver)
    result = both.same(lambda g: [g.invoke(ASKED, thread(1)), g.invoke(Strict(**ASKED, count=3), thread(2)), g.get_state(thread(1))])
    assert result[0]["messages"][-1].content == "Strict: first answer"
    await both.asame(lambda g: g.ainvoke(ASKED, thread(3)))
    assert set(both.blocks) == {1}


def test_089_a_validation_error_is_the_same(pair):
    both = pair(Subject("strict", strict, ASKED))
    with pytest.raises(ValidationError, match="count is negative"):
        both.same(lambda g: g.invoke(ASKED | {"count": -1}))


@dataclass
class Data:
    """A dataclass with a default factory."""

    messages: Annotated[list[Any], add_messages]
    tags: Annotated[list[str], add] = field(default_factory=list)


@dataclass(frozen=True)
class Frozen:
    """A frozen one."""

    messages: Annotated[list[Any], add_messages]


@pytest.mark.parametrize("kind", [Data, Frozen])
async def test_090_dataclass_state(pair, kind):
    def build(model, **compiled):
        def chat(state: kind) -> dict[str, Any]:
            answer = model.invoke(state.messages)
            return {"messages": [AIMessage(f"{type(state).__name__}: {answer.content}")]}

        return StateGraph(kind).add_node("chat", chat, input_schema=kind).add_edge(START, "chat").compile(**compiled)

    both = pair(Subject("data", build, ASKED), checkpointer=InMemorySaver)
    both.same(lambda g: [g.invoke(ASKED, thread(1)), g.invoke(kind(**ASKED), thread(2)), g.invoke(ASKED, thread(3), version="v2")])
    await both.asame(lambda g: g.ainvoke(ASKED, thread(4)))
    assert set(both.blocks) == {1}


class Question(TypedDict):
    """What goes in."""

    messages: Annotated[list[Any], add_messages]


class Answer(TypedDict):
    """What comes out."""

    answer: str


class Inside(Question, Answer):
    """What nodes see."""

    notes: Annotated[list[str], add]


async def test_091_input_and_output_that_differ(pair):
    def build(model, **compiled):
        def chat(state: Inside) -> dict[str, Any]:
            return {"answer": model.invoke(state["messages"]).content, "notes": [str(spoken(state["messages"]))]}

        builder = StateGraph(Inside, input_schema=Question, output_schema=Answer).add_node("chat", chat)
        return builder.add_edge(START, "chat").compile(**compiled)

    both = pair(Subject("differ", build, ASKED))
    assert both.same(lambda g: g.invoke(ASKED | {"unknown": 1})) == {"answer": "first answer"}
    both.same(lambda g: list(g.stream(ASKED, stream_mode=["values", "updates"])))
    await both.asame(lambda g: g.ainvoke(ASKED))
    assert set(both.blocks) == {1}


async def test_092_map_and_reduce(pair):
    class Topics(TypedDict):
        topics: list[str]
        jokes: Annotated[list[str], add]

    def build(model, **compiled):
        def joke(state: dict[str, Any]) -> dict[str, Any]:
            return {"jokes": [f"{state['messages'][-1].content}: {model.invoke(state['messages']).content}"]}

        def each(state: Topics) -> list[Send]:
            return [Send("joke", {"messages": [HumanMessage(topic)]}) for topic in state["topics"]]

        builder = StateGraph(Topics).add_node("joke", joke).add_conditional_edges(START, each, ["joke"])
        return builder.compile(**compiled)

    given = {"topics": ["cats", "dogs", "fish"], "jokes": []}
    both = pair(Subject("map", build, given, {"task": lambda s: "jokes"}))
    assert both.same(lambda g: sorted(g.invoke(given)["jokes"]))[0] == "cats: first answer"
    await both.asame(lambda g: g.ainvoke(given))
    assert both.blocks == [1] * 6


async def test_093_parallel_nodes(pair):
    def build(model, **compiled):
        def chat(state: MessagesState) -> dict[str, Any]:
            return {"messages": [AIMessage(model.invoke(state["messages"]).content, id="x")]}

        builder = StateGraph(MessagesState).add_node("a", chat).add_node("b", chat).add_node("end", lambda s: {})
        return builder.add_edge(START, "a").add_edge(START, "b").add_edge(["a", "b"], "end").compile(**compiled)

    both = pair(Subject("parallel", build, ASKED))
    both.same(lambda g: g.invoke(ASKED))
    await both.asame(lambda g: g.ainvoke(ASKED))
    assert both.blocks == [1] * 4


def workflow(model: Any, **compiled: Any) -> Any:
    """Remembers, has tasks, asks the user."""

    @task
    def think(messages: Sequence[BaseMessage]) -> str:
        return str(model.invoke(messages).content)

    @entrypoint(**compiled)
    def talk(messages: list[Any], *, previous: Any = None) -> Any:
        said = think(messages).result()
        sure = interrupt("sure?")
        return entrypoint.final(value=[previous, said, sure], save={"said": said, "before": previous})

    return talk


async def test_094_the_functional_api(pair):
    both = pair(Subject("workflow", workflow, [HumanMessage("hi")]), checkpointer=InMemorySaver)

    def run(graph):
        given = both.subject.given
        turns = [graph.invoke(x, thread()) for x in (given, Command(resume="yes"), given, Command(resume="no"))]
        return turns, graph.get_state(thread()), list(graph.stream(given, thread(2), stream_mode="updates"))

    assert both.same(run)[0][1] == [None, "first answer", "yes"]
    assert set(both.blocks) == {1}

    async def arun(graph):
        return [await graph.ainvoke(x, thread(3)) for x in (both.subject.given, Command(resume="yes"))]

    await both.asame(arun)


def test_094_what_a_task_is_given_shows_no_lessons_in_streams_and_checkpoints(pair):
    both = pair(Subject("workflow", workflow, [HumanMessage("hi")]), checkpointer=InMemorySaver)
    modes = ["values", "updates", "tasks", "debug", "checkpoints"]
    chunks = both.same(lambda g: list(g.stream(both.subject.given, thread(), stream_mode=modes)))
    saver = both.wrapped.checkpointer
    for place in (chunks, dict(saver.storage), dict(saver.writes), dict(saver.blobs)):
        assert MARK not in repr(place)


async def test_095_a_delta_channel(pair):
    channels = pytest.importorskip("langgraph.channels.delta", reason="this langgraph has no DeltaChannel")
    from langgraph.graph.message import _messages_delta_reducer

    class Delta(TypedDict):
        messages: Annotated[list[Any], channels.DeltaChannel(_messages_delta_reducer)]

    def build(model, **compiled):
        def chat(state: Delta) -> dict[str, Any]:
            return {"messages": [model.invoke(state["messages"])]}

        return StateGraph(Delta).add_node("chat", chat).add_edge(START, "chat").compile(**compiled)

    both = pair(Subject("delta", build, ASKED), checkpointer=InMemorySaver)
    both.same(lambda g: [g.invoke(ASKED, thread()), g.invoke(ASKED, thread()), list(g.get_state_history(thread()))])
    await both.asame(lambda g: g.ainvoke(ASKED, thread(2)))
    assert set(both.blocks) == {1}


async def test_096_a_response_format(pair):
    from langchain.agents import create_agent
    from langchain.agents.structured_output import ToolStrategy

    class Weather(BaseModel):
        """Weather of a city."""

        city: str

    script = (AIMessage("", tool_calls=[{"name": "Weather", "args": {"city": "Rome"}, "id": "c", "type": "tool_call"}]),)

    def build(model, **compiled):
        return create_agent(model.model_copy(update={"script": script}), [], response_format=ToolStrategy(Weather), **compiled)

    both = pair(Subject("structured", build, ASKED))
    assert both.same(lambda g: g.invoke(ASKED))["structured_response"] == Weather(city="Rome")
    await both.asame(lambda g: g.ainvoke(ASKED))
    assert set(both.blocks) == {1}


@pytest.mark.parametrize(
    "messages",
    [
        [("user", "hello")],
        [{"role": "user", "content": "hello"}],
        [{"type": "human", "content": "hello"}],
        ("user", "hello"),
        "hello",
        [("system", "Be short."), {"role": "user", "content": [{"type": "text", "text": "hello"}]}],
    ],
    ids=["pair", "role", "type", "one pair", "text", "blocks"],
)
async def test_097_messages_of_every_form(pair, messages):
    both = pair("single")
    given = {"messages": messages}
    both.same(lambda g: g.invoke(given))
    await both.asame(lambda g: g.ainvoke(given))
    assert both.blocks == [1, 1]


def test_097_a_state_of_plain_dicts(pair):
    class Raw(TypedDict):
        messages: Annotated[list[dict[str, Any]], add]

    def build(model, **compiled):
        def chat(state: Raw) -> dict[str, Any]:
            return {"messages": [{"role": "assistant", "content": model.invoke(state["messages"]).content}]}

        return StateGraph(Raw).add_node("chat", chat).add_edge(START, "chat").compile(**compiled)

    both = pair(Subject("raw", build, {"messages": [{"role": "user", "content": "hello"}]}), checkpointer=InMemorySaver)
    both.same(lambda g: [g.invoke(both.subject.given, thread()), g.invoke(both.subject.given, thread()), g.get_state(thread())])
    assert both.blocks == [1, 1]
    assert "<lessons" not in repr(both.wrapped.get_state(thread()))


async def test_092_streams_of_sent_tasks(pair):
    def build(model, **compiled):
        def chat(state: MessagesState) -> dict[str, Any]:
            return {"messages": [AIMessage(model.invoke(state["messages"]).content, id="same")]}

        def twice(state: MessagesState) -> list[Send]:
            return [Send("chat", state), Send("chat", state)]

        return StateGraph(MessagesState).add_node("chat", chat).add_conditional_edges(START, twice, ["chat"]).compile(**compiled)

    both = pair(Subject("sent", build, ASKED))
    both.same(lambda g: list(g.stream(ASKED, stream_mode="updates")))
    await both.asame(lambda g: collect(g.astream(ASKED, stream_mode="values")))
