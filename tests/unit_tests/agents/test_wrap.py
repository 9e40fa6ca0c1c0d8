"""How runs end, what nests, and what else can be wrapped."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from operator import add
from typing import Annotated

import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.pregel.remote import RemoteGraph
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from langchain_reflect.agents.service import AgentService
from langchain_reflect.agents.wrap import Reflected, collect_episodes, current_episode, forced, reflected
from langchain_reflect.errors import InvalidInput
from langchain_reflect.testing.conformance import AGENT_SCRIPT, ASKED, TellingModel, agent, asynchronous, counting, single
from langchain_reflect.types import LessonText

THREAD = {"configurable": {"thread_id": "1"}}
MARK = "<lessons"


def graph_of(node, **compiled):
    return StateGraph(MessagesState).add_node("node", node).add_edge(START, "node").compile(**compiled)


# Trajectories


@pytest.mark.parametrize("asynchronously", [False, True])
def test_an_agents_trajectory_has_its_calls_in_order(service, ledger, recorder, asynchronously):
    wrapped = reflected(agent(TellingModel(script=AGENT_SCRIPT)), service)
    if asynchronously:
        asyncio.run(wrapped.ainvoke(ASKED))
    else:
        wrapped.invoke(ASKED)
    recorder.flush()
    [episode] = ledger.episodes()
    first, tool, second = episode.steps
    assert (first.kind, tool.kind, second.kind) == ("model", "tool", "model")
    assert first.input == [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "How is the weather in Rome?"}]
    assert first.output["tool_calls"] == [{"name": "weather", "args": {"city": "Rome"}, "id": "call-1"}]
    assert (tool.name, tool.input, tool.output) == ("weather", {"city": "Rome"}, "sunny in Rome")
    assert second.input is None
    assert second.output["content"] == "sunny it is"
    assert episode.usage.calls == 2
    assert MARK not in episode.model_dump_json()
    assert episode.shown == ("L-000000000001", "L-000000000002")
    assert len(ledger.exposures(episode_id=episode.id)) == 2


def test_a_graph_without_models_has_its_nodes_as_steps(service, ledger, recorder):
    reflected(graph_of(lambda s: {"messages": [AIMessage("plain")]}), service).invoke(ASKED)
    recorder.flush()
    [step] = ledger.episodes()[0].steps
    assert (step.kind, step.name) == ("node", "node")


def test_state_that_is_not_json_becomes_a_placeholder(service, ledger, recorder):
    class State(TypedDict):
        task: str
        thing: Annotated[list, add]

    builder = StateGraph(State).add_node("n", lambda s: {"thing": [object(), {1: float("nan")}]}).add_edge(START, "n")
    reflected(builder.compile(), service, task=lambda s: s["task"]).invoke({"task": "t", "thing": []})
    recorder.flush()
    assert ledger.episodes()[0].result == {"task": "t", "thing": ["<builtins.object>", {"1": "nan"}]}


def test_metadata_of_the_run_finds_the_episode_again(service, ledger, recorder):
    reflected(single(TellingModel()), service).invoke(ASKED, {"metadata": {"ticket": "T-1042"}})
    recorder.flush()
    [episode] = ledger.episodes(metadata={"ticket": "T-1042"})
    assert episode.metadata == {"ticket": "T-1042"}


# Who finds the episode


def test_nodes_and_tools_find_the_current_episode(service):
    found = []

    def node(state):
        found.append(current_episode())
        return {}

    with collect_episodes() as episodes:
        reflected(graph_of(node), service).invoke(ASKED)
    assert found == episodes
    assert current_episode() is None


def test_123_episodes_are_collected_in_threads_and_tasks(service):
    wrapped = reflected(asynchronous(TellingModel()), service)

    async def several():
        with collect_episodes() as mine:
            await asyncio.gather(*(wrapped.ainvoke(ASKED) for _ in range(3)))
        with collect_episodes() as others:
            await wrapped.ainvoke(ASKED)
        return len(mine), len(others)

    assert asyncio.run(several()) == (3, 1)
    with collect_episodes() as batched:
        reflected(single(TellingModel()), service).batch([ASKED] * 3)
    assert len(batched) == 3


def test_122_nothing_leaks_to_the_consumer_of_a_stream(service):
    for _ in reflected(counting(TellingModel()), service).stream({**ASKED, "log": []}):
        assert current_episode() is None


# Forced lessons

GIVEN = [LessonText(when="always", do="say Roma")]


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "batch", "abatch", "stream"])
def test_forced_lessons_are_exactly_those(service, recaller, how):
    model = TellingModel()
    wrapped = reflected(single(model), service)
    with forced(lessons=GIVEN):
        if how == "stream":
            list(wrapped.stream(ASKED))
        else:
            run = getattr(wrapped, how)(ASKED if "invoke" in how else [ASKED] * 2)
            if asyncio.iscoroutine(run):
                asyncio.run(run)
    assert all("say Roma" in str(prompt) and "name the city" not in str(prompt) for prompt in model.prompts)
    assert recaller.asked == []


def test_forced_arms(service, recaller, ledger, recorder):
    model = TellingModel()
    wrapped = reflected(single(model), service)
    for arm in ("holdout", "placebo", "treated"):
        with forced(arm=arm):
            wrapped.invoke(ASKED)
    wrapped.invoke(ASKED)
    recorder.flush()
    holdout, placebo, treated, usual = ["".join(str(m.content) for m in prompt) for prompt in model.prompts]
    assert MARK not in holdout
    assert MARK in placebo
    assert "name the city" not in placebo
    assert "name the city" in treated
    assert treated == usual
    assert [e.arm for e in reversed(ledger.episodes())] == ["holdout", "placebo", "treated", "treated"]
    assert [a["unit"] is None for a in recaller.asked] == [True, True, False]


def test_forced_without_record_leaves_no_episode(service, ledger, recorder):
    with forced(lessons=GIVEN, record=False), collect_episodes() as episodes:
        reflected(single(TellingModel()), service).invoke(ASKED)
    recorder.flush()
    assert len(episodes) == 1
    assert ledger.episodes() == []


def test_forced_in_one_thread_leaves_others_alone(service):
    model = TellingModel()
    wrapped = reflected(single(model), service)
    with forced(arm="holdout"), ThreadPoolExecutor(1) as pool:
        pool.submit(wrapped.invoke, ASKED).result()
    assert MARK in str(model.prompts)


# Other objects


def chain(model):
    return ChatPromptTemplate.from_messages([("system", "{hints}"), ("user", "{question}")]) | model | StrOutputParser()


def wrapped_chain(service, model):
    return reflected(
        chain(model), service, name="qa", task=lambda i: i["question"], inject=lambda i, text: {**i, "hints": i["hints"] + text}
    )


QUESTION = {"question": "2+2?", "hints": ""}


def test_a_chain_keeps_its_interface(service):
    bare, wrapped = chain(TellingModel()), wrapped_chain(service, TellingModel())
    assert wrapped.invoke(QUESTION) == bare.invoke(QUESTION)
    assert list(wrapped.stream(QUESTION)) == list(bare.stream(QUESTION))
    assert wrapped.batch([QUESTION] * 2) == bare.batch([QUESTION] * 2)
    assert wrapped.get_input_jsonschema() == bare.get_input_jsonschema()
    assert wrapped.get_graph().draw_mermaid() == bare.get_graph().draw_mermaid()
    assert (wrapped | str.upper).invoke(QUESTION) == "FIRST ANSWER"


async def test_a_chain_runs_asynchronously(service):
    bare, wrapped = chain(TellingModel()), wrapped_chain(service, TellingModel())
    assert await wrapped.ainvoke(QUESTION) == await bare.ainvoke(QUESTION)
    assert [c async for c in wrapped.astream(QUESTION)] == [c async for c in bare.astream(QUESTION)]
    assert await wrapped.abatch([QUESTION] * 2) == await bare.abatch([QUESTION] * 2)

    async def events(runnable):
        return [(e["event"], e["name"]) async for e in runnable.astream_events(QUESTION, version="v2")]

    assert await events(wrapped) == await events(bare)


@pytest.mark.parametrize("how", ["invoke", "batch", "stream", "ainvoke"])
def test_a_chain_gets_lessons_and_leaves_episodes(service, ledger, recorder, how):
    model = TellingModel()
    wrapped = wrapped_chain(service, model)
    if how == "stream":
        list(wrapped.stream(QUESTION))
    elif how == "batch":
        wrapped.batch([QUESTION])
    elif how == "ainvoke":
        asyncio.run(wrapped.ainvoke(QUESTION))
    else:
        wrapped.invoke(QUESTION)
    recorder.flush()
    [episode] = ledger.episodes()
    assert MARK in str(model.prompts[0])
    assert (episode.graph, episode.task, episode.result) == ("qa", "2+2?", "first answer")
    assert episode.steps[0].kind == "model"


def test_a_chat_model_gets_lessons_among_its_messages(service, ledger, recorder):
    model = TellingModel()
    wrapped = reflected(model, service)
    assert wrapped.invoke([HumanMessage("hi")]).content == "first answer"
    assert wrapped.script == model.script
    recorder.flush()
    assert MARK in str(model.prompts)
    assert ledger.episodes()[0].task == "hi"


def test_a_function_is_recorded(service, ledger, recorder):
    assert reflected(RunnableLambda(lambda text: text.upper()), service).invoke("shout") == "SHOUT"
    recorder.flush()
    assert ledger.episodes()[0].result == "SHOUT"


def test_a_retrying_binding_is_wrapped_inside_and_each_attempt_is_an_episode(service, statuses):
    tries = []

    def flaky(state):
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError
        return {"messages": [AIMessage("there")]}

    bare = graph_of(flaky).with_retry(wait_exponential_jitter=False)
    wrapped = reflected(bare, service)
    assert type(wrapped) is type(bare)
    assert isinstance(wrapped.bound, Reflected)
    assert wrapped.invoke(ASKED)["messages"][-1].content == "there"
    assert statuses() == ["error", "ok"]


def test_a_remote_graph_is_recorded_only(service, ledger, recorder, monkeypatch):
    seen = []

    def stream(self, given, config=None, **kwargs):
        seen.append(config)
        yield {"messages": [{"role": "assistant", "content": "from afar"}]}

    monkeypatch.setattr(RemoteGraph, "stream", stream)
    wrapped = reflected(RemoteGraph("assistant", url="http://localhost:9"), service)
    list(wrapped.stream(ASKED, stream_mode="values"))
    recorder.flush()
    [episode] = ledger.episodes()
    assert episode.result == {"messages": [{"role": "assistant", "content": "from afar"}]}
    assert episode.shown == ()
    assert "run_id" not in seen[0]
    assert seen[0]["metadata"]["reflect_episode_id"] == str(episode.id)


@pytest.mark.parametrize("thing", [StateGraph(MessagesState), len, None])
def test_what_cannot_be_wrapped_is_refused(service, thing):
    with pytest.raises(InvalidInput, match="cannot wrap"):
        reflected(thing, service)


def test_an_unknown_place_is_refused(service):
    with pytest.raises(InvalidInput, match="'system' or 'human'"):
        reflected(single(TellingModel()), service, where="top")


def test_only_the_chosen_nodes_see_lessons(service):
    first, second = TellingModel(), TellingModel()
    builder = StateGraph(MessagesState)
    builder.add_node("first", lambda s: {"messages": [first.invoke(s["messages"])]})
    builder.add_node("second", lambda s: {"messages": [second.invoke(s["messages"])]})
    graph = builder.add_edge(START, "first").add_edge("first", "second").add_edge("second", END).compile()
    reflected(graph, service, nodes=["second"]).invoke(ASKED)
    reflected(graph, service, nodes=lambda name: name == "second").invoke(ASKED)
    assert MARK not in str(first.prompts)
    assert all(MARK in str(prompt) for prompt in second.prompts)


def test_choosing_a_graph_chooses_all_in_it_and_one_can_choose_inside(service):
    model, other = TellingModel(), TellingModel()
    builder = StateGraph(MessagesState).add_node("child", single(model))
    builder.add_node("other", lambda s: {"messages": [other.invoke(s["messages"])]})
    graph = builder.add_edge(START, "child").add_edge("child", "other").compile()
    for chosen in (["child"], ["chat"]):
        reflected(graph, service, nodes=chosen).invoke(ASKED)
    assert all(MARK in str(prompt) for prompt in model.prompts)
    assert MARK not in str(other.prompts)


def test_an_episode_holds_no_trajectory_once_it_is_written(service, recorder):
    with collect_episodes() as episodes:
        reflected(single(TellingModel()), service).invoke(ASKED)
    recorder.flush()
    assert episodes[0].tape.events == []


def test_wrapping_again_takes_the_new_options(service):
    model = TellingModel()
    once = reflected(single(model), service)
    reflected(once, service, where="human").invoke(ASKED)
    assert [m.type for m in model.prompts[0]] == ["human"]


def test_text_models_are_recorded_too(service, ledger, recorder):
    model = FakeListChatModel(responses=["a"])
    reflected(graph_of(lambda s: {"messages": [model.invoke("x")]}), service).invoke(ASKED)
    recorder.flush()
    assert ledger.episodes()[0].steps[0].output["content"] == "a"


def test_a_thread_id_of_another_namespace_brings_no_lessons_of_that_one(recaller, recorder, ledger):
    def ask(state):
        interrupt("sure?")
        return {"messages": [model.invoke(state["messages"])]}

    model, saver = TellingModel(), InMemorySaver()
    service = AgentService(recaller=recaller, recorder=recorder, ledger=ledger, namespace=("{tenant}",))
    wrapped = reflected(graph_of(ask, checkpointer=saver), service)
    wrapped.invoke(ASKED, {"configurable": {"thread_id": "1", "tenant": "a"}})
    wrapped.invoke(Command(resume="yes"), {"configurable": {"thread_id": "1", "tenant": "b"}})
    recorder.flush()
    assert [asked["namespace"] for asked in recaller.asked] == [("a",), ("b",)]
    assert {e.namespace: e.status for e in ledger.episodes()} == {("a",): "interrupted", ("b",): "ok"}


def test_what_is_forced_holds_for_a_resumed_run_too(service):
    model = TellingModel()

    def ask(state):
        interrupt("sure?")
        return {"messages": [model.invoke(state["messages"])]}

    wrapped = reflected(graph_of(ask, checkpointer=InMemorySaver()), service)
    wrapped.invoke(ASKED, THREAD)
    with forced(arm="holdout"):
        wrapped.invoke(Command(resume="yes"), THREAD)
    assert MARK not in str(model.prompts)


def test_services_that_share_count_runs_and_failures_together(service, recaller):
    recaller.behave = lambda: 1 / 0
    other = replace(service, namespace=("other",))
    for one in (service, other):
        reflected(single(TellingModel()), one).invoke(ASKED)
    assert service.health.counts == other.health.counts == {"recall failed": 2}


def nameless(*nodes: str):
    graph = StateGraph(MessagesState)
    for node in nodes:
        graph.add_node(node, lambda _: {"messages": []}).add_edge(START, node)
    return graph.compile()


def test_different_graphs_without_a_name_are_said_once_to_be_counted_as_one(service, caplog):
    reflected(nameless("a"), service)
    reflected(nameless("a"), replace(service, policy=replace(service.policy, k=1)))
    assert "without a name" not in caplog.text
    for nodes in (("b",), ("a", "b"), ("a",)):
        reflected(nameless(*nodes), service)
    assert caplog.text.count("different graphs without a name were wrapped") == 1
    assert "graph 'LangGraph'" in caplog.text
    assert "learner.wrap(graph, name=...)" in caplog.text


def test_graphs_that_are_not_counted_as_one_need_no_word(service, caplog):
    reflected(nameless("a"), service)
    reflected(nameless("b"), service, name="desk")
    reflected(nameless("c"), replace(service, namespace=("other",)))
    named = StateGraph(MessagesState).add_node("d", lambda _: {"messages": []}).add_edge(START, "d").compile(name="support")
    reflected(named, service)
    assert "without a name" not in caplog.text
