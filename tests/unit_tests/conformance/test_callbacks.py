"""Checks 75-77: the user's own callbacks get the same events in the same order, whatever kind of handler they are."""

from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler, CallbackManager
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

from langchain_reflect.testing.conformance import ASKED, Subject

EVENTS = [
    *(f"on_{kind}_{event}" for kind in ("chain", "tool", "llm") for event in ("start", "end", "error")),
    "on_chat_model_start",
    "on_llm_new_token",
]


def named(event: str, args: Any, kwargs: Any) -> tuple[str, Any]:
    """The event, with the name of what it is about where it says."""
    serialized = args[0] if args and isinstance(args[0], dict) else {}
    return event, kwargs.get("name") or (serialized or {}).get("name")


class Plain(BaseCallbackHandler):
    """Keeps every event."""

    def __init__(self, *, run_inline: bool = False) -> None:
        self.seen: list[Any] = []
        self.roots: list[Any] = []
        self.run_inline = run_inline

    def keep(self, event: str, args: Any, kwargs: Any) -> None:
        self.seen.append(named(event, args, kwargs))
        if kwargs.get("parent_run_id") is None and event == "on_chain_start":
            self.roots.append(kwargs["run_id"])


class Coroutines(AsyncCallbackHandler):
    """The same with coroutine methods."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.roots: list[Any] = []

    keep = Plain.keep


def plain_event(event: str) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> None:
        self.keep(event, args, kwargs)

    return method


def async_event(event: str) -> Any:
    async def method(self: Any, *args: Any, **kwargs: Any) -> None:
        self.keep(event, args, kwargs)

    return method


for event in EVENTS:
    setattr(Plain, event, plain_event(event))
    setattr(Coroutines, event, async_event(event))


def test_075_plain_handlers_get_the_same_events_in_the_same_order(each):
    for inline in (False, True):

        def run(graph, inline=inline):
            handler = Plain(run_inline=inline)
            graph.invoke(each.subject.given, {"callbacks": [handler]})
            return handler.seen

        assert each.same(run)


def test_075_also_while_streaming_and_in_batches(each):
    def run(graph):
        handlers = [Plain(), Plain()]
        list(graph.stream(each.subject.given, {"callbacks": [handlers[0]]}, stream_mode="messages"))
        graph.batch([each.subject.given], {"callbacks": [handlers[1]]})
        return [h.seen for h in handlers]

    assert all(each.same(run))


def test_075_handlers_in_a_manager_and_bound_to_the_graph(each):
    def run(graph):
        inherited, bound = Plain(), Plain()
        manager = CallbackManager(handlers=[], inheritable_handlers=[])
        manager.add_handler(inherited)
        graph.with_config(callbacks=[bound]).invoke(each.subject.given, {"callbacks": manager})
        return inherited.seen, bound.seen

    assert all(each.same(run))


def test_075_the_root_has_the_run_id_that_was_given(each):
    run_id, handler = "01890000-0000-7000-8000-000000000001", Plain()
    each.wrapped.invoke(each.subject.given, {"callbacks": [handler], "run_id": run_id})
    assert [str(root) for root in handler.roots] == [run_id]


async def test_076_coroutine_handlers_get_the_same_events(each):
    async def run(graph):
        handler = Coroutines()
        await graph.ainvoke(each.subject.given, {"callbacks": [handler]})
        return handler.seen

    assert await each.asame(run)


@pytest.mark.parametrize("inline", [False, True])
async def test_076_plain_handlers_in_an_async_run_as_well(each, inline):
    async def run(graph):
        handler = Plain(run_inline=inline)
        await graph.ainvoke(each.subject.given, {"callbacks": [handler]})
        return sorted(map(repr, handler.seen)) if not inline else handler.seen

    assert await each.asame(run)


def text_model(_: Any, **compiled: Any) -> Any:
    """A node that asks a text model."""
    text = FakeListLLM(responses=["hello"])

    async def chat(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(await text.ainvoke("hi"))]}

    return StateGraph(MessagesState).add_node("chat", chat).add_edge(START, "chat").compile(**compiled)


@pytest.mark.parametrize("handlers", [[False], [True], [False, True]], ids=["plain", "inline", "both"])
async def test_077_plain_handlers_get_on_llm_start_of_text_models(pair, handlers):
    both = pair(Subject("text", text_model, ASKED))

    async def run(graph):
        given = [Plain(run_inline=inline) for inline in handlers]
        await graph.ainvoke(ASKED, {"callbacks": given})
        return [sorted(map(repr, handler.seen)) for handler in given]

    seen = await both.asame(run)
    if len(handlers) == 1:
        assert any("on_llm_start" in event for event in seen[0])
