"""Check 118: an episode ends whatever happens, and says how."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import RunControl
from langgraph.types import Command, interrupt

from langchain_reflect import Ledger
from langchain_reflect.agents.wrap import reflected
from langchain_reflect.testing.conformance import ASKED, TellingModel, counting, single

THREAD = {"configurable": {"thread_id": "1"}}


def graph_of(node, **compiled):
    return StateGraph(MessagesState).add_node("node", node).add_edge(START, "node").compile(**compiled)


def test_118_ok(service, statuses):
    reflected(single(TellingModel()), service).invoke(ASKED)
    assert statuses() == ["ok"]


def test_118_error_keeps_type_message_and_trajectory(service, ledger, recorder):
    def fail(state):
        raise ValueError("no such city")

    with pytest.raises(ValueError, match="no such city"):
        reflected(graph_of(fail), service).invoke(ASKED)
    recorder.flush()
    [episode] = ledger.episodes()
    assert (episode.status, episode.error) == ("error", "ValueError: no such city")
    assert episode.steps[0].error == "ValueError: no such city"


def test_118_interrupted_dynamically_and_statically(service, statuses):
    def ask(state):
        return {"messages": [AIMessage(interrupt("sure?"))]}

    wrapped = reflected(graph_of(ask, checkpointer=InMemorySaver()), service)
    assert "__interrupt__" in wrapped.invoke(ASKED, THREAD)
    static = reflected(single(TellingModel(), checkpointer=InMemorySaver(), interrupt_before=["chat"]), service)
    static.invoke(ASKED, THREAD)
    assert statuses() == ["interrupted", "interrupted"]


def test_118_handoff_reaches_the_real_parent(service, statuses):
    def hand_over(state):
        return Command(goto="other", graph=Command.PARENT)

    child = reflected(graph_of(hand_over), service)
    builder = StateGraph(MessagesState).add_node("child", child, destinations=("other",))
    builder.add_node("other", lambda s: {"messages": [AIMessage("other")]}).add_edge(START, "child")
    result = builder.compile().invoke(ASKED)
    assert result["messages"][-1].content == "other"
    assert statuses() == ["handoff"]


def test_118_drained(service, statuses):
    control = RunControl()
    control.request_drain("deploy")
    wrapped = reflected(counting(TellingModel(), checkpointer=InMemorySaver()), service)
    with pytest.raises(Exception, match="drained"):
        wrapped.invoke({**ASKED, "log": []}, THREAD, control=control)
    assert statuses() == ["drained"]


def test_118_closed_early_also_by_the_garbage_collector(service, statuses):
    wrapped = reflected(counting(TellingModel()), service)
    for _ in wrapped.stream({**ASKED, "log": []}):
        break
    stream = wrapped.stream({**ASKED, "log": []})
    next(stream)
    del stream
    gc.collect()
    assert statuses() == ["closed_early", "closed_early"]


def test_a_stream_that_is_never_read_makes_no_episode(service, statuses):
    reflected(single(TellingModel()), service).stream(ASKED)
    assert statuses() == []


async def test_118_cancelled(service, statuses):
    seen = []

    async def slow(state):
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            seen.append("node")
            raise

    wrapped = reflected(graph_of(slow), service)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wrapped.ainvoke(ASKED), 0.1)
    assert seen == ["node"]
    assert await asyncio.to_thread(statuses) == ["cancelled"]


def test_118_keyboard_interrupt_is_cancelled(service, statuses):
    def stop(state):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reflected(graph_of(stop), service).invoke(ASKED)
    assert statuses() == ["cancelled"]


async def test_118_cancelled_by_its_own_task(service, statuses):
    async def slow(state):
        await asyncio.sleep(30)

    running = asyncio.create_task(reflected(graph_of(slow), service).ainvoke(ASKED))
    await asyncio.sleep(0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await asyncio.to_thread(statuses) == ["cancelled"]


async def test_118_closed_early_by_a_consumer_that_leaves_or_forgets(service, statuses):
    wrapped = reflected(counting(TellingModel()), service)
    stream = wrapped.astream({**ASKED, "log": []})
    await anext(stream)
    await stream.aclose()
    forgotten = wrapped.astream({**ASKED, "log": []})
    await anext(forgotten)
    del forgotten
    gc.collect()
    await asyncio.sleep(0.05)  # the loop closes it
    assert await asyncio.to_thread(statuses) == ["closed_early", "closed_early"]


def test_118_the_recursion_limit_is_an_error(service, ledger, recorder):
    builder = StateGraph(MessagesState).add_node("again", lambda s: {}).add_edge(START, "again").add_edge("again", "again")
    with pytest.raises(GraphRecursionError):
        reflected(builder.compile(), service).invoke(ASKED, {"recursion_limit": 3})
    recorder.flush()
    [episode] = ledger.episodes()
    assert episode.status == "error"
    assert episode.error.startswith("GraphRecursionError")


async def test_118_a_timeout_of_a_step_is_an_error(service, ledger, recorder):
    async def slow(state):
        await asyncio.sleep(30)

    graph = graph_of(slow)
    graph.step_timeout = 0.05
    with pytest.raises(asyncio.TimeoutError):
        await reflected(graph, service).ainvoke(ASKED)
    await asyncio.to_thread(recorder.flush)
    assert [e.status for e in ledger.episodes()] == ["error"]


def test_118_the_exit_of_the_interpreter_is_cancelled(service, statuses):
    def leave(state):
        sys.exit(3)

    with pytest.raises(SystemExit):
        reflected(graph_of(leave), service).invoke(ASKED)
    assert statuses() == ["cancelled"]


KILLED = """
import os, signal, sys
from langgraph.graph import START, MessagesState, StateGraph
from langchain_reflect import Learner

def die(state):
    os.kill(os.getpid(), signal.SIGKILL)

graph = StateGraph(MessagesState).add_node("die", die).add_edge(START, "die").compile(name="fatal")
learner = Learner(sys.argv[1], durable_start=True, deadline=20.0)
learner.wrap(graph).invoke({"messages": [("user", "Do not fall")]})
"""


def test_118_a_killed_process_leaves_a_started_episode_that_a_sweep_abandons(tmp_path):
    died = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, capture_output=True, text=True, env=os.environ)
    assert died.returncode == -signal.SIGKILL, died.stderr
    with Ledger(tmp_path) as ledger:
        [episode] = ledger.episodes()
        assert (episode.status, episode.task, episode.graph) == ("running", "Do not fall", "fatal")
        assert ledger.sweep(timedelta(0)) == 1
        assert ledger.episode(episode.id).status == "abandoned"


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_118_a_started_row_is_there_while_the_run_goes_on(service, ledger, mode):
    seen = []

    def look(state):
        seen.extend((e.status, e.task) for e in ledger.episodes())

    service.durable_start = True
    wrapped = reflected(graph_of(look), service)
    await (asyncio.to_thread(wrapped.invoke, ASKED) if mode == "sync" else wrapped.ainvoke(ASKED))
    service.recorder.flush()
    assert seen == [("running", "How is the weather in Rome?")]
    assert [e.status for e in ledger.episodes()] == ["ok"]
