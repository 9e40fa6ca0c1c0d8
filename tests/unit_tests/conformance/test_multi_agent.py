"""Checks 106-108: the multi-agent libraries around LangGraph, with bare and with wrapped agents."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver

from langchain_reflect.agents.aware import lesson_aware
from langchain_reflect.agents.middleware import ReflectMiddleware
from langchain_reflect.agents.wrap import reflected
from langchain_reflect.testing.conformance import ASKED, MARK, TellingModel, normal
from langchain_reflect.testing.conformance.base import collect, thread

deepagents = pytest.importorskip("deepagents")
supervisors = pytest.importorskip("langgraph_supervisor")
swarms = pytest.importorskip("langgraph_swarm")


def call(name: str, **args: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": f"call-{name}", "type": "tool_call"}])


def blocks(*models: TellingModel) -> list[set[int]]:
    return [{"".join(str(m.content) for m in prompt).count(MARK) for prompt in model.prompts} for model in models]


def weather(city: str) -> str:
    """Weather of a city."""
    return f"sunny in {city}"


@pytest.mark.filterwarnings("ignore:create_react_agent has been moved")
async def test_106_a_supervisor_over_wrapped_agents(service):
    def build(wrap: Any) -> tuple[Any, TellingModel]:
        worker = TellingModel(script=(AIMessage("sunny"),))
        boss = TellingModel(script=(call("transfer_to_expert"), *[AIMessage("done")] * 30))
        expert = wrap(create_agent(worker, [weather], name="expert"))
        return supervisors.create_supervisor([expert], model=boss).compile(checkpointer=InMemorySaver()), worker

    (bare, _), (wrapped, worker) = build(lambda g: g), build(lambda g: reflected(g, service))
    run = lambda g: [g.invoke(ASKED, thread(1)), list(g.stream(ASKED, thread(2), stream_mode=["updates", "messages"], subgraphs=True))]  # noqa: E731
    assert normal(run(wrapped)) == normal(run(bare))
    assert normal(await collect(wrapped.astream(ASKED, thread(3)))) == normal(await collect(bare.astream(ASKED, thread(3))))
    assert blocks(worker) == [{1}]
    assert MARK not in repr(list(wrapped.get_state_history(thread(1))))


async def test_107_a_swarm_of_wrapped_agents(service):
    def build(wrap: Any) -> tuple[Any, TellingModel, TellingModel]:
        first, second = TellingModel(script=(call("transfer_to_bob"),)), TellingModel(script=(AIMessage("bob here"), AIMessage("bob here")))
        handoff = swarms.create_handoff_tool(agent_name="bob")
        agents = [wrap(create_agent(first, [handoff], name="alice")), wrap(create_agent(second, [weather], name="bob"))]
        return swarms.create_swarm(agents, default_active_agent="alice").compile(checkpointer=InMemorySaver()), first, second

    (bare, *_), (wrapped, *models) = build(lambda g: g), build(lambda g: reflected(g, service))
    turns = lambda g: [g.invoke(ASKED, thread(1)), g.invoke(ASKED, thread(1)), g.get_state(thread(1)).values]  # noqa: E731
    result = turns(wrapped)
    assert normal(result) == normal(turns(bare))
    assert result[0]["active_agent"] == "bob", "the handoff reached the swarm"
    assert normal(await wrapped.ainvoke(ASKED, thread(2))) == normal(await bare.ainvoke(ASKED, thread(2)))
    assert blocks(*models) == [{1}, {1}]


def deep(main: TellingModel, **options: Any) -> Any:
    return deepagents.create_deep_agent(model=main, tools=[weather], checkpointer=InMemorySaver(), **options)


def script() -> TellingModel:
    return TellingModel(script=(call("task", description="look outside", subagent_type="scout"), AIMessage("done")))


def test_108_a_wrapped_compiled_sub_agent(service):
    def build(wrap: Any) -> tuple[Any, TellingModel]:
        worker = TellingModel(script=(AIMessage("it is sunny"),))
        scout = {"name": "scout", "description": "Looks outside.", "runnable": wrap(create_agent(worker, []))}
        return deep(script(), subagents=[scout]), worker

    (bare, _), (wrapped, worker) = build(lambda g: g), build(lambda g: reflected(g, service))
    assert normal(wrapped.invoke(ASKED, thread())) == normal(bare.invoke(ASKED, thread()))
    assert blocks(worker) == [{1}]


async def test_108_a_wrapped_deep_agent(service):
    main = script()
    sub = {"name": "scout", "description": "Looks outside.", "system_prompt": "Look.", "tools": []}
    bare = deep(script(), subagents=[sub | {"model": TellingModel()}])
    wrapped = reflected(deep(main, subagents=[sub | {"model": TellingModel()}]), service)
    run = lambda g: [g.invoke(ASKED, thread(1)), list(g.stream(ASKED, thread(2), stream_mode="updates")), g.get_state(thread(1)).values]  # noqa: E731
    assert normal(run(wrapped)) == normal(run(bare))
    assert normal(await wrapped.ainvoke(ASKED, thread(3))) == normal(await bare.ainvoke(ASKED, thread(3)))
    assert blocks(main) == [{1}]


def test_108_middleware_in_a_deep_agent_and_its_sub_agent(service):
    main, worker = script(), TellingModel(script=(AIMessage("it is sunny"),))
    sub = {
        "name": "scout",
        "description": "Looks outside.",
        "system_prompt": "Look.",
        "tools": [],
        "model": worker,
        "middleware": [ReflectMiddleware(service, graph="scout")],
    }
    agent = deep(main, subagents=[sub], middleware=[ReflectMiddleware(service, graph="main")])
    agent.invoke(ASKED, thread())
    assert blocks(main, worker) == [{1}, {1}]
    assert service.recorder is not None
    service.recorder.flush()
    assert {e.graph for e in service.ledger.episodes()} == {"main", "scout"}


def test_108_a_lesson_aware_model_reaches_sub_agents(service):
    main, worker = script(), TellingModel(script=(AIMessage("it is sunny"),))
    sub = {"name": "scout", "description": "Looks outside.", "system_prompt": "Look.", "tools": [], "model": lesson_aware(worker)}
    reflected(deep(lesson_aware(main), subagents=[sub]), service).invoke(ASKED, thread())
    assert blocks(main, worker) == [{1}, {1}]
