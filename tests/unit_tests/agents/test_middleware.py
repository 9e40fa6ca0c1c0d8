"""Lessons and episodes of `create_agent` by middleware."""

import asyncio

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware
from langchain_core.messages import AIMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from langchain_reflect.agents.middleware import ReflectMiddleware
from langchain_reflect.agents.service import AgentService
from langchain_reflect.agents.wrap import reflected
from langchain_reflect.recording.recorder import Recorder
from langchain_reflect.testing.conformance import AGENT_SCRIPT, ASKED, TellingModel

MARK = "<lessons"
THREAD = {"configurable": {"thread_id": "1"}}


def weather(city: str) -> str:
    """Weather of a city."""
    return f"sunny in {city}"


def agent_with(service, model=None, *, middleware=(), prompt="You are terse.", tools=(weather,), where="system", **compiled):
    model = model or TellingModel(script=AGENT_SCRIPT)
    both = [ReflectMiddleware(service, where=where), *middleware]
    return create_agent(model, list(tools), system_prompt=prompt, middleware=both, **compiled), model


def run(agent, asynchronously, *args):
    return asyncio.run(agent.ainvoke(*args)) if asynchronously else agent.invoke(*args)


def counts(model):
    return ["".join(str(m.content) for m in prompt).count(MARK) for prompt in model.prompts]


@pytest.mark.parametrize("asynchronously", [False, True])
def test_each_model_call_sees_lessons_once_after_the_system_prompt(service, asynchronously):
    agent, model = agent_with(service)
    run(agent, asynchronously, ASKED)
    assert counts(model) == [1, 1]
    assert model.prompts[0][0].content.startswith("You are terse.\n\n<lessons")


@pytest.mark.parametrize("asynchronously", [False, True])
def test_the_run_is_recorded(service, ledger, recorder, asynchronously):
    agent, _ = agent_with(service)
    run(agent, asynchronously, ASKED, {"metadata": {"ticket": "T-1"}})
    recorder.flush()
    [episode] = ledger.episodes(metadata={"ticket": "T-1"})
    assert (episode.status, episode.task, episode.graph) == ("ok", "How is the weather in Rome?", "agent")
    assert [s.kind for s in episode.steps] == ["model", "tool", "model"]
    assert episode.steps[1].input == {"city": "Rome"}
    assert episode.shown == ("L-000000000001", "L-000000000002")
    assert len(ledger.exposures(episode_id=episode.id)) == 2
    assert MARK not in episode.model_dump_json()


def test_a_content_block_prompt_gets_a_block_of_its_own(service):
    prompt = SystemMessage([{"type": "text", "text": "You are terse.", "cache_control": {"type": "ephemeral"}}])
    agent, model = agent_with(service, prompt=prompt)
    agent.invoke(ASKED)
    first, second = model.prompts[0][0].content
    assert first == {"type": "text", "text": "You are terse.", "cache_control": {"type": "ephemeral"}}
    assert second["text"].startswith(MARK)


def test_without_a_system_prompt_the_lessons_are_one(service):
    agent, model = agent_with(service, prompt=None)
    agent.invoke(ASKED)
    assert [m.type for m in model.prompts[0]] == ["system", "human"]


def test_lessons_can_stand_in_front_of_the_question(service):
    agent, model = agent_with(service, where="human")
    agent.invoke(ASKED)
    assert MARK in model.prompts[0][1].content
    assert counts(model) == [1, 1]


def test_lessons_get_into_no_chunk_and_no_state(service):
    agent, _ = agent_with(service, checkpointer=InMemorySaver())
    chunks = list(agent.stream(ASKED, THREAD, stream_mode=["values", "updates", "messages", "debug"]))
    assert MARK not in repr(chunks)
    assert MARK not in repr(list(agent.get_state_history(THREAD)))
    assert "reflect_episode_id" not in agent.invoke(ASKED, THREAD)


@pytest.mark.parametrize("asynchronously", [False, True])
def test_inside_a_wrapped_agent_it_only_shows_the_lessons(service, ledger, recorder, recaller, asynchronously):
    agent, model = agent_with(service)
    run(reflected(agent, service), asynchronously, ASKED)
    recorder.flush()
    assert counts(model) == [1, 1]
    assert len(recaller.asked) == 1
    assert ledger.counts()["episodes"] == 1


def test_inside_a_wrapped_agent_whose_view_is_off_it_shows_them(service, ledger, recorder):
    agent, model = agent_with(service)
    reflected(agent, service, nodes=()).invoke(ASKED)
    recorder.flush()
    assert counts(model) == [1, 1]
    assert ledger.episodes()[0].shown


def test_a_failing_model_leaves_an_episode_with_the_error(service, ledger, recorder):
    class Failing(TellingModel):
        def _generate(self, *args, **kwargs):
            raise ConnectionError("no model")

    agent, _ = agent_with(service, Failing())
    with pytest.raises(ConnectionError):
        agent.invoke(ASKED)
    recorder.flush()
    [episode] = ledger.episodes()
    assert (episode.status, episode.error) == ("error", "ConnectionError: no model")


def test_a_retry_that_succeeds_makes_it_ok(service, ledger, recorder):
    class Flaky(TellingModel):
        def _generate(self, messages, *args, **kwargs):
            if not self.prompts:
                self.prompts.append(messages)
                raise ConnectionError("no model")
            return super()._generate(messages, *args, **kwargs)

    retry = ModelRetryMiddleware(max_retries=2, initial_delay=0, jitter=False)
    model = Flaky(script=(AIMessage("done"),))
    agent = create_agent(model, [], middleware=[retry, ReflectMiddleware(service)])
    agent.invoke(ASKED)
    recorder.flush()
    [episode] = ledger.episodes()
    assert episode.status == "ok"
    assert [s.error for s in episode.steps] == ["ConnectionError: no model", None]


def test_a_failing_tool_leaves_a_running_episode(service, ledger, recorder):
    def weather(city: str) -> str:
        """Weather of a city."""
        raise ConnectionError("no weather")

    agent, _ = agent_with(service, tools=(weather,))
    with pytest.raises(ConnectionError):
        agent.invoke(ASKED)
    recorder.flush()
    assert [e.status for e in ledger.episodes()] == ["running"]


def test_a_resumed_run_goes_on_with_its_episode_even_in_another_process(service, recaller, ledger, recorder):
    def weather(city: str) -> str:
        """Weather of a city."""
        return f"{interrupt('may I?')} in {city}"

    saver, model = InMemorySaver(), TellingModel(script=AGENT_SCRIPT)
    first, _ = agent_with(service, model, tools=(weather,), checkpointer=saver)
    first.invoke(ASKED, THREAD)
    with Recorder(ledger) as later:
        elsewhere = AgentService(recaller=recaller, recorder=later, ledger=ledger)
        second, _ = agent_with(elsewhere, model, tools=(weather,), checkpointer=saver)
        second.invoke(Command(resume="rain"), THREAD)
    recorder.flush()
    [episode] = ledger.episodes()
    assert episode.status == "ok"
    assert counts(model) == [1, 1]
    assert recaller.asked[0]["unit"] == recaller.asked[1]["unit"]


def test_two_turns_of_a_thread_are_two_episodes(service, ledger, recorder):
    agent, _ = agent_with(service, checkpointer=InMemorySaver())
    agent.invoke(ASKED, THREAD)
    agent.invoke({"messages": [("user", "And in Oslo?")]}, THREAD)
    recorder.flush()
    assert {e.task for e in ledger.episodes()} == {"How is the weather in Rome?", "And in Oslo?"}


def test_a_recall_that_fails_costs_only_the_lessons(service, recaller):
    recaller.behave = lambda: 1 / 0
    agent, model = agent_with(service)
    assert agent.invoke(ASKED)["messages"][-1].content == "sunny it is"
    assert counts(model) == [0, 0]
