"""Retrieve and record as nodes of a graph that somebody builds."""

import asyncio

import pytest
from langgraph.graph import START, MessagesState, StateGraph

from langchain_reflect.agents.nodes import record_node, retrieve_node
from langchain_reflect.agents.service import AgentService
from langchain_reflect.agents.wrap import reflected
from langchain_reflect.recording.recorder import Recorder
from langchain_reflect.testing.conformance import ASKED, TellingModel


class State(MessagesState):
    lessons: str
    episode_id: str


def build(service, model, *, recording=None, answer=None):
    def solve(state: State):
        return {"messages": [model.invoke([("system", state["lessons"]), *state["messages"]])]}

    builder = StateGraph(State).add_node("retrieve", retrieve_node(service)).add_node("answer", answer or solve)
    builder.add_node("record", record_node(recording or service))
    return builder.add_edge(START, "retrieve").add_edge("retrieve", "answer").add_edge("answer", "record").compile()


@pytest.mark.parametrize("asynchronously", [False, True])
def test_lessons_come_and_the_run_is_recorded(service, ledger, recorder, asynchronously):
    model = TellingModel()
    graph = build(service, model)
    result = asyncio.run(graph.ainvoke(ASKED)) if asynchronously else graph.invoke(ASKED)
    recorder.flush()
    episode = ledger.episode(result["episode_id"])
    assert result["lessons"].startswith("<lessons")
    assert "<lessons" in model.prompts[0][0].content
    assert (episode.status, episode.task) == ("ok", "How is the weather in Rome?")
    assert [s.kind for s in episode.steps] == ["message", "model"]
    assert episode.shown == ("L-000000000001", "L-000000000002")
    assert len(ledger.exposures(episode_id=episode.id)) == 2
    assert "<lessons" not in episode.model_dump_json()


def test_a_run_that_fails_in_between_stays_running(service, ledger, recorder):
    def fail(state: State):
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - the node's own, without a message
        build(service, TellingModel(), answer=fail).invoke(ASKED)
    recorder.flush()
    [episode] = ledger.episodes()
    assert episode.status == "running"
    assert len(ledger.exposures(episode_id=episode.id)) == 2


def test_another_process_may_record_what_one_retrieved(service, recaller, ledger, recorder):
    with Recorder(ledger) as later:
        elsewhere = AgentService(recaller=recaller, recorder=later, ledger=ledger)

        def wait(state: State):
            recorder.flush()
            return {}

        result = build(service, TellingModel(), recording=elsewhere, answer=wait).invoke(ASKED)
    episode = ledger.episode(result["episode_id"])
    assert episode.status == "ok"
    assert episode.shown == ("L-000000000001", "L-000000000002")
    assert len(recaller.asked) == 1


def test_inside_a_wrapped_graph_there_is_one_episode_and_one_block(service, ledger, recorder):
    model = TellingModel()
    result = reflected(build(service, model), service).invoke(ASKED)
    recorder.flush()
    assert ledger.counts()["episodes"] == 1
    assert str(ledger.episodes()[0].id) == result["episode_id"]
    assert "".join(str(m.content) for m in model.prompts[0]).count("<lessons") == 1


def test_recall_that_fails_gives_empty_lessons(service, recaller):
    recaller.behave = lambda: 1 / 0
    result = build(service, TellingModel()).invoke(ASKED)
    assert result["lessons"] == ""
    assert result["episode_id"]


def test_record_without_an_id_says_so_and_changes_nothing(service, ledger, recorder, caplog):
    graph = StateGraph(State).add_node("record", record_node(service)).add_edge(START, "record").compile()
    graph.invoke(ASKED)
    recorder.flush()
    assert ledger.episodes() == []
    assert "retrieve_node" in caplog.text
