"""Nothing of a run stays once it is written."""

import contextlib
import gc
import weakref
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from langchain_reflect.agents.wrap import collect_episodes, reflected

KEPT: list[weakref.ref[Any]] = []


class Large:
    """Something in a run that can be watched."""


def large() -> Large:
    made = Large()
    KEPT.append(weakref.ref(made))
    return made


def fails(state: MessagesState) -> None:
    held = large()
    raise ValueError(held)


def pauses(state: MessagesState) -> None:
    held = large()
    interrupt("sure?")
    del held


WAYS = {"ok": lambda s: {"messages": [HumanMessage("x", additional_kwargs={"large": large()})]}, "error": fails, "interrupted": pauses}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("asynchronously", [False, True])
async def test_the_objects_of_a_run_go_when_it_is_written(service, recorder, way, asynchronously):
    KEPT.clear()
    saver = InMemorySaver() if way == "interrupted" else None
    graph = reflected(StateGraph(MessagesState).add_node("node", WAYS[way]).add_edge(START, "node").compile(checkpointer=saver), service)
    config: Any = {"configurable": {"thread_id": "1"}}
    with collect_episodes() as episodes, contextlib.suppress(ValueError):
        await graph.ainvoke({"messages": []}, config) if asynchronously else graph.invoke({"messages": []}, config)
    recorder.flush()
    assert [e.status for e in episodes] == [way]
    del episodes
    gc.collect()
    assert KEPT
    assert [ref() for ref in KEPT if ref() is not None] == []


def test_what_is_closed_early_goes_too(service, recorder):
    KEPT.clear()
    builder = StateGraph(MessagesState).add_node("a", WAYS["ok"]).add_node("b", WAYS["ok"]).add_edge(START, "a").add_edge("a", "b")
    stream = reflected(builder.compile(), service).stream({"messages": []})
    next(stream)
    del stream
    gc.collect()
    recorder.flush()
    gc.collect()
    assert [ref() for ref in KEPT if ref() is not None] == []
