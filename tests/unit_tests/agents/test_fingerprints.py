"""Each way in leaves a fingerprint of the agent, the same with lessons and without."""

import asyncio

import pytest
from langchain.agents import create_agent
from langchain_core.messages import SystemMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph

from langchain_reflect.agents.middleware import ReflectMiddleware
from langchain_reflect.agents.nodes import record_node, retrieve_node
from langchain_reflect.agents.service import AgentService
from langchain_reflect.agents.wrap import reflected
from langchain_reflect.testing.conformance import ASKED
from langchain_reflect.testing.models import ScriptedChatModel


@tool
def lookup(city: str) -> str:
    """Find a city."""
    return city


@tool
def forecast(city: str) -> str:
    """Tell the weather."""
    return city


def agent(prompt="Be brief.", tools=(lookup, forecast), **given):
    return create_agent(ScriptedChatModel(answers=lambda _: "sunny"), list(tools), system_prompt=prompt, **given)


@pytest.fixture
def bare(recorder, ledger):
    """A service without lessons."""
    return AgentService(recorder=recorder, ledger=ledger)


@pytest.fixture
def print_of(recorder, ledger):
    """The fingerprint of one more run."""

    def run(graph, *, asynchronously=False):
        asyncio.run(graph.ainvoke(ASKED)) if asynchronously else graph.invoke(ASKED)
        recorder.flush()
        return ledger.episodes(limit=1)[0].fingerprint

    return run


@pytest.mark.parametrize("prompt", [None, "Be brief."])
@pytest.mark.parametrize("way", [{}, {"asynchronously": True}])
@pytest.mark.parametrize("where", ["system", "human"])
def test_lessons_leave_the_fingerprint(service, bare, print_of, where, way, prompt):  # noqa: PLR0917 - fixtures
    told = print_of(reflected(agent(prompt), service, where=where), **way)
    assert told == print_of(reflected(agent(prompt), bare), **way)
    assert all((told.model, told.prompt, told.tools, told.graph))


@pytest.mark.parametrize("where", ["system", "human"])
def test_middleware_leaves_the_fingerprint_too(service, bare, print_of, where):
    told = print_of(agent(middleware=[ReflectMiddleware(service, where=where)]))
    assert told == print_of(agent(middleware=[ReflectMiddleware(bare)]))
    assert (bool(told.prompt), bool(told.tools), told.graph) == (True, True, "")


def test_each_part_is_told_apart(bare, print_of):
    one = print_of(reflected(agent(), bare))
    assert print_of(reflected(agent(tools=(forecast, lookup)), bare)) == one
    changed = [print_of(reflected(other, bare)) for other in (agent("Be polite."), agent(tools=[lookup]))]
    assert [(c.prompt == one.prompt, c.tools == one.tools) for c in changed] == [(False, True), (True, False)]


def test_a_prompt_that_a_node_builds_is_seen(service, bare, print_of):
    model = ScriptedChatModel(answers=lambda _: "sunny")

    def answer(state):
        return {"messages": [model.invoke([SystemMessage("Be brief."), *state["messages"]])]}

    built = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile()
    told = print_of(reflected(built, service))
    assert told == print_of(reflected(built, bare))
    assert told.prompt == print_of(reflected(agent(), bare)).prompt


def test_plain_nodes_tell_what_the_answers_say(service, print_of):
    class State(MessagesState):
        lessons: str
        episode_id: str

    def answer(state):
        return {"messages": [{"role": "assistant", "content": "sunny", "response_metadata": {"model_name": "tiny-1"}}]}

    builder = StateGraph(State).add_node("retrieve", retrieve_node(service)).add_node("answer", answer)
    builder.add_node("record", record_node(service)).add_edge(START, "retrieve")
    found = print_of(builder.add_edge("retrieve", "answer").add_edge("answer", "record").compile())
    assert found.model == "tiny-1"


def test_a_run_without_a_model_has_the_graph_only(bare, print_of):
    graph = StateGraph(MessagesState).add_node("a", lambda s: {}).add_edge(START, "a").compile()
    found = print_of(reflected(graph, bare))
    assert (found.model, found.prompt, found.tools, bool(found.graph)) == ("", "", "", True)


def test_nothing_of_the_first_call_is_kept_after_the_run(bare, recorder):
    from langchain_reflect.agents.episodes import collect_episodes

    with collect_episodes() as episodes:
        reflected(agent(), bare).invoke(ASKED)
    recorder.flush()
    assert episodes[0].tape.first is None
