"""Checks 111-115: lessons are where they belong and nowhere else."""

import copy
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.types import Command, Send

from langchain_reflect.agents.wrap import collect_episodes, reflected
from langchain_reflect.testing.conformance import ASKED, TellingModel, single

THREAD: Any = {"configurable": {"thread_id": "1"}}
MARK = "<lessons"
MODES = ["values", "updates", "messages", "tasks", "checkpoints", "debug", "custom"]


def counts(model: TellingModel) -> list[int]:
    return ["".join(str(m.content) for m in prompt).count(MARK) for prompt in model.prompts]


def held(saver: InMemorySaver) -> bytes:
    """Every byte a saver holds."""
    return repr((dict(saver.storage), dict(saver.writes), dict(saver.blobs))).encode()


@pytest.mark.parametrize("where", ["system", "human"])
def test_111_also_in_front_of_the_question(pair, service, where):
    both = pair("counting")
    wrapped = reflected(both.original, service, where=where)
    wrapped.invoke(both.subject.given)
    [prompt] = both.model.prompts
    [seen] = [m for m in prompt if MARK in m.content]
    assert seen.type == where
    assert both.bare.invoke(both.subject.given)["log"] == wrapped.invoke(both.subject.given)["log"]


def rewriting(how):
    """A graph whose node writes its messages back in one of many ways."""

    def build(model, **compiled):
        def chat(state: MessagesState):
            return how(state, model.invoke(state["messages"]))

        return StateGraph(MessagesState).add_node("chat", chat).add_node("other", lambda s: {}).add_edge(START, "chat").compile(**compiled)

    return build


WAYS = {
    "all of them": lambda s, answer: {"messages": [*s["messages"], answer]},
    "remove all, then all": lambda s, answer: {"messages": [RemoveMessage(REMOVE_ALL_MESSAGES), *s["messages"], answer]},
    "the state itself": lambda s, answer: {**s, "messages": [*s["messages"], answer]},
    "a command": lambda s, answer: Command(update={"messages": [*s["messages"], answer]}),
    "a command as pairs": lambda s, answer: Command(update=[("messages", [*s["messages"], answer])]),
    "commands": lambda s, answer: [Command(update={"messages": s["messages"]}), Command(update={"messages": [answer]})],
    "sent on": lambda s, answer: Command(update={"messages": [answer]}, goto=[Send("other", {"messages": s["messages"]})]),
    "copies": lambda s, answer: {"messages": [*(m.model_copy(deep=True) for m in s["messages"]), answer]},
    "copies with a copied text": lambda s, answer: {
        "messages": [*(m.model_copy(update={"content": copy.deepcopy(m.content)}) for m in s["messages"]), answer]
    },
    "one message": lambda s, answer: {"messages": s["messages"][-1]},
}


@pytest.mark.parametrize("where", ["system", "human"])
@pytest.mark.parametrize(
    "begin", [[], [SystemMessage("Be kind.", id="s")], [SystemMessage([{"type": "text", "text": "Be kind."}], id="s")]]
)
@pytest.mark.parametrize("way", WAYS)
def test_113_nodes_that_write_history_back_do_not_leak(service, way, begin, where):
    given = {"messages": [*begin, HumanMessage("hello", id="h")]}
    bare_saver, saver = InMemorySaver(), InMemorySaver()
    model = TellingModel()
    bare = rewriting(WAYS[way])(TellingModel(), checkpointer=bare_saver)
    wrapped = reflected(rewriting(WAYS[way])(model, checkpointer=saver), service, where=where)
    expected, got = bare.invoke(given, THREAD), wrapped.invoke(given, THREAD)
    assert counts(model) == [1]
    assert [(m.type, m.content) for m in got["messages"]] == [(m.type, m.content) for m in expected["messages"]]
    assert MARK not in repr(list(wrapped.get_state_history(THREAD)))
    assert MARK not in repr(held(saver))


def test_113_summaries_do_not_leak(service):
    def summarise(state: MessagesState):
        text = "; ".join(str(m.content) for m in state["messages"])
        return {"messages": [RemoveMessage(REMOVE_ALL_MESSAGES), HumanMessage(f"So far: {text}")]}

    graph = StateGraph(MessagesState).add_node("summarise", summarise).add_edge(START, "summarise").compile(checkpointer=InMemorySaver())
    wrapped = reflected(graph, service)
    wrapped.invoke({"messages": [("user", "one"), ("ai", "two")]}, THREAD)
    assert MARK not in repr(wrapped.get_state(THREAD))


def test_113_text_that_people_put_into_the_same_tags_stays(service):
    model = TellingModel()
    text = "Read <lessons id='x'>my own school lessons</lessons> please"
    wrapped = reflected(rewriting(WAYS["all of them"])(model), service)
    result = wrapped.invoke({"messages": [HumanMessage(text)]})
    assert result["messages"][0].content == text
    assert model.prompts[0][-1].content == text


def test_114_the_state_of_a_graph_called_in_a_function_stays_clean(service):
    model, saver = TellingModel(), InMemorySaver()
    child = single(model, checkpointer=saver)

    def call(state: MessagesState):
        return {"messages": child.invoke({"messages": state["messages"]}, {"configurable": {"thread_id": "child"}})["messages"]}

    outer = StateGraph(MessagesState).add_node("call", call).add_edge(START, "call").compile()
    reflected(outer, service).invoke(ASKED)
    assert MARK not in repr(held(saver))
    assert MARK not in repr(child.get_state({"configurable": {"thread_id": "child"}}))
    assert service.health.counts == {"view skipped: call": 1, "not placed": 1}
    service.health.__init__()  # what was checked is no failure


class Roots(BaseCallbackHandler):
    """The run id of each root run."""

    def __init__(self) -> None:
        self.ids: list[Any] = []

    def on_chain_start(self, serialized, inputs, *, run_id, parent_run_id=None, **kwargs) -> None:
        if parent_run_id is None:
            self.ids.append(run_id)


def test_115_a_run_id_used_twice_makes_two_episodes(pair, ledger, recorder):
    both, run_id, roots = pair("single"), uuid4(), Roots()
    with collect_episodes() as episodes:
        both.wrapped.invoke(ASKED, {"run_id": run_id, "callbacks": [roots]})
        both.wrapped.invoke(ASKED, {"run_id": run_id, "callbacks": [roots]})
    recorder.flush()
    assert roots.ids == [run_id, run_id]
    assert episodes[0].id == run_id != episodes[1].id
    assert ledger.counts()["episodes"] == 2


def test_115_checkpoints_name_the_episode(pair, service):
    both = pair("single", checkpointer=InMemorySaver)
    run_id = uuid4()
    both.wrapped.invoke(ASKED, {**THREAD, "run_id": run_id})
    assert both.wrapped.get_state(THREAD).metadata["reflect_episode_id"] == str(run_id)
    silent = reflected(both.original, service, metadata=False)
    silent.invoke(ASKED, {"configurable": {"thread_id": "2"}})
    assert "reflect_episode_id" not in silent.get_state({"configurable": {"thread_id": "2"}}).metadata


def test_115_an_answer_that_quotes_the_lessons_is_left_to_the_user(service):
    quoting = TellingModel(script=(AIMessage("as <lessons id='1'>…</lessons> says"),))
    result = reflected(single(quoting), service).invoke(ASKED)
    assert result["messages"][-1].content == "as <lessons id='1'>…</lessons> says"
