"""Checks 121-123: tracing shows the same tree, nothing leaks to the consumer, and the caller finds the episode."""

from typing import Any
from uuid import uuid4

import pytest
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langchain_core.tracers.schemas import Run
from langgraph.checkpoint.memory import InMemorySaver

from langchain_reflect.agents.wrap import collect_episodes, current_episode, reflected
from langchain_reflect.testing.conformance import AGENT_SCRIPT, ASKED, TellingModel

MARK = "<lessons"


def flat(run: Run) -> list[Run]:
    return [run, *(found for child in run.child_runs for found in flat(child))]


def roots(collector: RunCollectorCallbackHandler) -> list[Run]:
    return collector.traced_runs


def traced(graph: Any, given: Any, **config: Any) -> list[Run]:
    collector = RunCollectorCallbackHandler()
    graph.invoke(given, {"callbacks": [collector], **config})
    return roots(collector)


def test_121_the_root_is_the_episode_and_model_calls_show_the_lessons(each):
    with collect_episodes() as episodes:
        [root] = traced(each.wrapped, each.subject.given)
    assert root.id == episodes[0].id
    models = [run for run in flat(root) if run.run_type in ("llm", "chat_model")]
    assert models
    assert all(str(run.inputs).count(MARK) == 1 for run in models)
    assert not any(MARK in str(run.outputs) for run in [root, *models])


def test_121_a_run_id_that_the_caller_gives_is_the_root(each):
    run_id = uuid4()
    [root] = traced(each.wrapped, each.subject.given, run_id=run_id)
    assert root.id == run_id


@pytest.mark.parametrize("mode", ["values", "updates", "messages"])
async def test_122_the_consumer_of_a_stream_sees_no_episode_between_chunks(each, mode):
    for _ in each.wrapped.stream(each.subject.given, stream_mode=mode):
        assert current_episode() is None
    async for _ in each.wrapped.astream(each.subject.given, stream_mode=mode):
        assert current_episode() is None
    assert current_episode() is None


def test_123_a_checkpoint_tells_the_episode(pair, service):
    both = pair("counting", checkpointer=InMemorySaver)
    config: Any = {"configurable": {"thread_id": "1"}}
    with collect_episodes() as episodes:
        both.wrapped.invoke(both.subject.given, config)
    mark = str(episodes[0].id)
    assert both.wrapped.get_state(config).metadata["reflect_episode_id"] == mark
    assert list(both.wrapped.checkpointer.list(None, filter={"reflect_episode_id": mark}))


def test_123_tools_find_the_episode(service):
    seen = []

    def build(model):
        from langchain.agents import create_agent

        def weather(city: str) -> str:
            """Weather of a city."""
            seen.append(current_episode().id)
            return f"sunny in {city}"

        return create_agent(model, [weather])

    with collect_episodes() as episodes:
        reflected(build(TellingModel(script=AGENT_SCRIPT)), service).invoke(ASKED)
    assert seen == [episodes[0].id]
