"""Checks 116 and 117: a run that goes on continues its episode with its lessons, and one that goes back begins another."""

import sqlite3
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.func import entrypoint, task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from langchain_reflect import Episode
from langchain_reflect.agents.service import AgentService
from langchain_reflect.agents.wrap import collect_episodes, reflected
from langchain_reflect.recording.recorder import Recorder
from langchain_reflect.testing.conformance import ASKED, TellingModel

THREAD: Any = {"configurable": {"thread_id": "1"}}


class Flaky:
    """Fails the first time it is asked."""

    def __init__(self) -> None:
        self.failed = False

    def __call__(self, state: Any) -> dict[str, Any]:
        if not self.failed:
            self.failed = True
            raise ConnectionError("no network")
        return {}


def asking(model: TellingModel, **compiled: Any) -> Any:
    """A model call, a question to the user, another model call."""

    def think(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [("user", interrupt("sure?"))]}

    def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    builder = StateGraph(MessagesState).add_node("think", think).add_node("ask", ask).add_node("answer", answer)
    builder.add_edge(START, "think").add_edge("think", "ask").add_edge("ask", "answer")
    return builder.compile(name="asking", **compiled)


def failing(model: TellingModel, **compiled: Any) -> Any:
    """A model call, a node that fails once, another model call."""

    def think(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    builder = StateGraph(MessagesState).add_node("think", think).add_node("flaky", Flaky()).add_node("again", think)
    builder.add_edge(START, "think").add_edge("think", "flaky").add_edge("flaky", "again")
    return builder.compile(name="failing", **compiled)


def blocks(model: TellingModel) -> set[str]:
    """The different blocks of lessons that the model saw."""
    return {str(prompt[0].content) for prompt in model.prompts}


def calls(episode: Episode) -> int:
    """Model calls in the trajectory."""
    return sum(step.kind == "model" for step in episode.steps)


@pytest.fixture
def elsewhere(recaller, ledger):
    """A service as another process would have it, on the same ledger."""
    with Recorder(ledger) as recorder:
        yield AgentService(recaller=recaller, recorder=recorder, ledger=ledger)


@pytest.fixture(params=["same process", "other process"])
def later(request, service, elsewhere):
    """Who goes on."""
    return service if request.param == "same process" else elsewhere


@pytest.mark.parametrize("metadata", [True, False], ids=["marked", "unmarked"])
def test_116_a_dynamic_interrupt_resumes_the_episode(service, later, ledger, recorder, metadata):
    saver, model, run_id, resumed = InMemorySaver(), TellingModel(), uuid4(), uuid4()
    reflected(asking(model, checkpointer=saver), service, metadata=metadata).invoke(ASKED, THREAD | {"run_id": run_id})
    recorder.flush()
    assert ledger.episode(run_id).status == "interrupted"
    with collect_episodes() as episodes:
        reflected(asking(model, checkpointer=saver), later, metadata=metadata).invoke(Command(resume="yes"), THREAD | {"run_id": resumed})
    later.recorder.flush()
    [stored] = ledger.episodes()
    assert (stored.id, stored.run_ids, episodes[0].id) == (run_id, (resumed,), run_id)
    assert (stored.status, stored.task, calls(stored)) == ("ok", "How is the weather in Rome?", 2)
    assert len(model.prompts) == 2
    assert len(blocks(model)) == 1


def test_116_the_caller_judges_by_either_run_id(service, ledger, recorder):
    wrapped, run_id, resumed = reflected(asking(TellingModel(), checkpointer=InMemorySaver()), service), uuid4(), uuid4()
    wrapped.invoke(ASKED, THREAD | {"run_id": run_id})
    ledger.record_outcome(resumed, reward=1.0, key="early")
    wrapped.invoke(Command(resume="yes"), THREAD | {"run_id": resumed})
    recorder.flush()
    ledger.record_outcome(resumed, feedback="thanks", key="late")
    assert {o.key for o in ledger.outcomes(run_id)} == {"early", "late"}


@pytest.mark.parametrize("stop", [{"interrupt_before": ["answer"]}, {"interrupt_after": ["think"]}])
def test_116_a_static_breakpoint_resumes_the_episode(service, ledger, recorder, stop):
    def chain(model, **compiled):
        def think(state):
            return {"messages": [model.invoke(state["messages"])]}

        builder = StateGraph(MessagesState).add_node("think", think).add_node("answer", think)
        return builder.add_edge(START, "think").add_edge("think", "answer").compile(**compiled)

    model = TellingModel()
    wrapped = reflected(chain(model, checkpointer=InMemorySaver(), **stop), service)
    wrapped.invoke(ASKED, THREAD)
    wrapped.invoke(None, THREAD)
    recorder.flush()
    [stored] = ledger.episodes()
    assert (stored.status, calls(stored), len(blocks(model))) == ("ok", 2, 1)


def test_116_an_error_then_none_is_one_episode(service, ledger, recorder):
    model = TellingModel()
    wrapped = reflected(failing(model, checkpointer=InMemorySaver()), service)
    with pytest.raises(ConnectionError):
        wrapped.invoke(ASKED, THREAD)
    recorder.flush()
    assert [e.status for e in ledger.episodes()] == ["error"]
    wrapped.invoke(None, THREAD)
    recorder.flush()
    [stored] = ledger.episodes()
    assert (stored.status, stored.error, calls(stored), len(blocks(model))) == ("ok", None, 2, 1)


async def test_116_also_asynchronously_with_a_saver_that_knows_no_other_way(service, elsewhere, ledger, recorder, tmp_path):
    run_id, model = uuid4(), TellingModel()
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "saver.db")) as saver:
        await reflected(asking(model, checkpointer=saver), service).ainvoke(ASKED, THREAD | {"run_id": run_id})
        recorder.flush()
        await reflected(asking(model, checkpointer=saver), elsewhere).ainvoke(Command(resume="yes"), THREAD)
    elsewhere.recorder.flush()
    [stored] = ledger.episodes()
    assert (stored.id, stored.status, len(stored.run_ids), len(blocks(model))) == (run_id, "ok", 1, 1)


def test_116_an_episode_whose_process_was_killed_before_it_was_written_is_continued_by_its_mark(elsewhere, ledger, recaller, tmp_path):
    saver, model, run_id = SqliteSaver(sqlite3.connect(tmp_path / "saver.db", check_same_thread=False)), TellingModel(), uuid4()
    lost = AgentService(recaller=recaller, ledger=ledger)  # no recorder: its episodes die with it
    reflected(asking(model, checkpointer=saver), lost).invoke(ASKED, THREAD | {"run_id": run_id})
    reflected(asking(model, checkpointer=saver), elsewhere).invoke(Command(resume="yes"), THREAD)
    elsewhere.recorder.flush()
    [stored] = ledger.episodes()
    assert (stored.id, stored.status, stored.task) == (run_id, "ok", "How is the weather in Rome?")
    assert len(blocks(model)) == 1
    saver.conn.close()


def test_116_a_functional_workflow_resumes_its_episode(service, ledger, recorder):
    model = TellingModel()

    @task
    def think(messages: list[Any]) -> AIMessage:
        return model.invoke(messages)

    @entrypoint(checkpointer=InMemorySaver())
    def talk(messages: list[Any]) -> str:
        first = think(messages).result()
        return f"{first.content} {interrupt('sure?')}"

    wrapped = reflected(talk, service)
    wrapped.invoke([("user", "How is the weather?")], THREAD)
    assert wrapped.invoke(Command(resume="yes"), THREAD) == "first answer yes"
    recorder.flush()
    [stored] = ledger.episodes()
    assert (stored.status, stored.task, calls(stored)) == ("ok", "How is the weather?", 1)


def test_116_a_nested_graph_under_a_bare_parent_resumes_its_own_episode(service, ledger, recorder):
    model = TellingModel()
    child = reflected(asking(model), service)
    parent = StateGraph(MessagesState).add_node("child", child).add_edge(START, "child").compile(checkpointer=InMemorySaver())
    parent.invoke(ASKED, THREAD)
    parent.invoke(Command(resume="yes"), THREAD)
    recorder.flush()
    [stored] = ledger.episodes()
    assert (stored.status, calls(stored), len(blocks(model))) == ("ok", 2, 1)


def test_116_two_pauses_are_still_one_episode(service, ledger, recorder):
    def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [("user", f"{interrupt('one?')} {interrupt('two?')}")]}

    wrapped = reflected(
        StateGraph(MessagesState).add_node("ask", ask).add_edge(START, "ask").compile(checkpointer=InMemorySaver()), service
    )
    wrapped.invoke(ASKED, THREAD)
    for word in ("a", "b"):
        wrapped.invoke(Command(resume=word), THREAD)
    recorder.flush()
    [stored] = ledger.episodes()
    assert (stored.status, len(stored.run_ids)) == ("ok", 2)


def test_a_new_question_in_an_interrupted_thread_is_a_new_episode(service, ledger, recorder):
    wrapped, first = reflected(asking(TellingModel(), checkpointer=InMemorySaver()), service), uuid4()
    wrapped.invoke(ASKED, THREAD | {"run_id": first})
    wrapped.invoke({"messages": [("user", "Never mind. And in Oslo?")]}, THREAD)
    recorder.flush()
    assert {e.id == first: e.status for e in ledger.episodes()} == {True: "abandoned", False: "interrupted"}


def test_none_on_a_finished_thread_leaves_its_episode_alone(service, ledger, recorder):
    wrapped, first = reflected(asking(TellingModel(), checkpointer=InMemorySaver()), service), uuid4()
    wrapped.invoke(ASKED, THREAD | {"run_id": first})
    wrapped.invoke(Command(resume="yes"), THREAD)
    wrapped.invoke(None, THREAD)
    recorder.flush()
    assert (ledger.episode(first).status, len(ledger.episode(first).run_ids)) == ("ok", 1)


def test_117_a_replay_is_a_new_episode_that_says_where_it_forked(service, later, ledger, recorder):
    saver, model, run_id, replayed = InMemorySaver(), TellingModel(), uuid4(), uuid4()
    wrapped = reflected(twice(model, checkpointer=saver), service)
    wrapped.invoke(ASKED, THREAD | {"run_id": run_id})
    recorder.flush()
    before_last = next(s for s in wrapped.get_state_history(THREAD) if s.next == ("again",))
    again = reflected(twice(model, checkpointer=saver), later)
    again.invoke(None, before_last.config | {"run_id": replayed})
    later.recorder.flush()
    stored = ledger.episode(replayed)
    assert (stored.forked_from, stored.status, stored.task) == (run_id, "ok", "How is the weather in Rome?")
    assert ledger.episode(run_id).run_ids == ()
    assert len(model.prompts) == 3
    assert len(blocks(model)) == 1


def test_117_a_fork_with_changed_state_too(service, ledger, recorder):
    model, run_id, forked = TellingModel(), uuid4(), uuid4()
    wrapped = reflected(twice(model, checkpointer=InMemorySaver()), service)
    wrapped.invoke(ASKED, THREAD | {"run_id": run_id})
    before_last = next(s for s in wrapped.get_state_history(THREAD) if s.next == ("again",))
    branch = wrapped.update_state(before_last.config, {"messages": [("user", "And in Oslo?")]})
    wrapped.invoke(None, branch | {"run_id": forked})
    recorder.flush()
    assert (ledger.episode(forked).forked_from, ledger.episode(forked).task) == (run_id, "And in Oslo?")


def twice(model: TellingModel, **compiled: Any) -> Any:
    """Two model calls."""

    def think(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    builder = StateGraph(MessagesState).add_node("think", think).add_node("again", think)
    return builder.add_edge(START, "think").add_edge("think", "again").compile(name="twice", **compiled)
