"""Check 119: wrapped graphs inside wrapped graphs: parent and child are linked, nothing is recorded twice, ids are stable."""

from typing import Any
from uuid import uuid4

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Send, interrupt

from langchain_reflect.agents.service import AgentService
from langchain_reflect.agents.wrap import collect_episodes, reflected
from langchain_reflect.recording.recorder import Recorder
from langchain_reflect.testing.conformance import ASKED, TellingModel, single

THREAD: Any = {"configurable": {"thread_id": "1"}}
MARK = "<lessons"


def test_119_nested_wrapped_graphs_link_to_their_parent_and_record_once(service, ledger, recorder):
    inner_model, outer_model = TellingModel(), TellingModel()
    child = reflected(single(inner_model), service)

    def ask(state):
        return {"messages": [outer_model.invoke(state["messages"])]}

    builder = StateGraph(MessagesState).add_node("child", child).add_node("ask", ask)
    outer = reflected(builder.add_edge(START, "child").add_edge("child", "ask").compile(name="outer"), service)
    with collect_episodes() as episodes:
        outer.invoke(ASKED)
    recorder.flush()
    parent, nested = (ledger.episode(e.id) for e in episodes)
    assert (parent.graph, nested.graph) == ("outer", "single")
    assert nested.parent_id == parent.id
    assert [s.kind for s in nested.steps] == ["model"]
    assert sum(s.kind == "model" for s in parent.steps) == 1
    for model in (inner_model, outer_model):
        assert ["".join(str(m.content) for m in p).count(MARK) for p in model.prompts] == [1]


def pausing(model: TellingModel) -> Any:
    """Thinks, asks the user, answers."""

    def think(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    builder = StateGraph(MessagesState).add_node("think", think).add_node("ask", lambda s: {"messages": [("user", interrupt("sure?"))]})
    builder.add_node("answer", think).add_edge(START, "think").add_edge("think", "ask").add_edge("ask", "answer")
    return builder.compile(name="pausing")


@pytest.mark.parametrize("other_process", [False, True])
def test_119_a_child_keeps_its_id_when_its_parent_is_resumed(service, ledger, recorder, recaller, other_process):
    model, saver, run_id = TellingModel(), InMemorySaver(), uuid4()

    def outer(of: AgentService) -> Any:
        child = reflected(pausing(model), of)
        bare = StateGraph(MessagesState).add_node("child", child).add_edge(START, "child").compile(name="outer", checkpointer=saver)
        return reflected(bare, of)

    outer(service).invoke(ASKED, THREAD | {"run_id": run_id})
    recorder.flush()
    before = {e.graph: e.id for e in ledger.episodes()}
    with Recorder(ledger) as later:
        elsewhere = AgentService(recaller=recaller, recorder=later, ledger=ledger)
        outer(elsewhere if other_process else service).invoke(Command(resume="yes"), THREAD)
    recorder.flush()
    assert {e.graph: e.id for e in ledger.episodes()} == before
    parent, child = (ledger.episode(before[name]) for name in ("outer", "pausing"))
    assert (parent.status, child.status, child.parent_id) == ("ok", "ok", run_id)
    assert [s.kind for s in child.steps].count("model") == 2
    assert [s.kind for s in parent.steps].count("model") == 0


def test_119_children_in_parallel_have_ids_and_events_of_their_own(service, ledger, recorder):
    model = TellingModel()
    child = reflected(single(model), service)

    def fan_out(state: MessagesState) -> list[Send]:
        return [Send("child", {"messages": [("user", f"question {n}")]}) for n in range(3)]

    builder = StateGraph(MessagesState).add_node("child", child).add_conditional_edges(START, fan_out, ["child"])
    with collect_episodes() as episodes:
        reflected(builder.compile(name="outer"), service).invoke(ASKED)
    recorder.flush()
    assert len({e.id for e in episodes}) == 4
    nested = ledger.episodes(graph="single")
    assert {e.task for e in nested} == {"question 0", "question 1", "question 2"}
    assert {tuple(s.kind for s in e.steps).count("model") for e in nested} == {1}


def test_119_three_levels(service, ledger, recorder):
    graph = single(TellingModel())
    for level in ("inner", "middle", "outer"):
        graph = reflected(StateGraph(MessagesState).add_node("child", graph).add_edge(START, "child").compile(name=level), service)
    graph.invoke(ASKED)
    recorder.flush()
    by_name = {e.graph: e for e in ledger.episodes()}
    assert [by_name[name].parent_id for name in ("inner", "middle", "outer")] == [by_name["middle"].id, by_name["outer"].id, None]
    assert [sum(s.kind == "model" for s in by_name[name].steps) for name in ("inner", "middle", "outer")] == [1, 0, 0]
