"""A paused graph shows nothing at its next run, and recording goes on."""

import logging
from typing import Any

import pytest
from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver

from langchain_reflect import Learner
from langchain_reflect.agents.forced import forced
from langchain_reflect.agents.shared import Shared
from langchain_reflect.agents.wrap import collect_episodes
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.recall.tool import NOTHING
from langchain_reflect.testing.conformance import TellingModel, single
from tests.unit_tests.agents.test_searching import caller
from tests.unit_tests.words import Words

ASKED: Any = {"messages": [("user", "change a flight")]}
THREAD: Any = {"configurable": {"thread_id": "1"}}


@pytest.fixture
def learner(tmp_path):
    options = {"floor": 0.3, "holdout": 0.0, "withhold": 0.0, "deadline": 20.0, "reflect": "manual"}
    with Learner(tmp_path, index=ExactIndex(), embeddings=Words(), **options) as opened:
        opened.lessons.add(when="change a flight", do="check the fare first", status="active")
        yield opened


@pytest.fixture
def run(learner):
    wrapped = learner.wrap(single(TellingModel(), checkpointer=InMemorySaver()), name="desk")

    def invoke(config: Any = None, agent: Any = wrapped) -> Any:
        with collect_episodes() as episodes:
            agent.invoke(ASKED, config or THREAD)
        return episodes[0]

    return invoke


def test_a_paused_graph_shows_nothing_and_its_runs_are_recorded(learner, run):
    learner.pause(graph="desk", reason="it hurts", by="dana")
    episode = run()
    assert (episode.shown.block, episode.shown.arm, episode.shown.exposures) == ("", "paused", ())
    assert episode.shown.note == "paused: it hurts (by dana); `reflect resume` lets lessons be shown again"
    learner.flush()
    stored = learner.ledger.episode(episode.id)
    assert (stored.arm, stored.shown) == ("paused", ())
    learner.resume(graph="desk", reason="fixed")
    assert (run().shown.arm, bool(run().shown.block)) == ("treated", True)


async def test_async_runs_and_switches_do_the_same(learner):
    wrapped = learner.wrap(single(TellingModel()), name="desk")
    await learner.apause(graph="desk", reason="it hurts")
    with collect_episodes() as episodes:
        await wrapped.ainvoke(ASKED)
        await learner.aresume(reason="fixed")
        await wrapped.ainvoke(ASKED)
    assert [e.shown.arm for e in episodes] == ["paused", "treated"]


def test_a_pinned_thread_loses_its_lessons_too_and_gets_them_back(learner, run):
    assert run().shown.block
    learner.pause(reason="it hurts")
    assert not run().shown.block
    learner.resume(reason="fixed")
    assert run().shown.block


def test_a_pause_of_another_process_is_heeded(learner, run, tmp_path):
    run()
    with Learner(tmp_path, index=ExactIndex(), embeddings=Words(), reflect="manual") as elsewhere:
        elsewhere.pause(reason="it hurts")
    assert run().shown.arm == "paused"


def test_other_graphs_go_on(learner, run):
    learner.pause(graph="another", reason="it hurts")
    assert run().shown.arm == "treated"


def test_what_the_caller_forces_is_shown_all_the_same(learner, run):
    learner.pause(reason="it hurts")
    with forced(arm="treated"):
        assert run().shown.block


def test_a_search_of_the_model_finds_nothing(learner):
    learner.pause(reason="it hurts")
    agent = learner.wrap(create_agent(caller(), tools=[learner.search_tool(floor=0.0)]))
    assert agent.invoke(ASKED)["messages"][-2].text == NOTHING


def test_it_is_said_once_for_each_state(learner, run, caplog):
    caplog.set_level(logging.WARNING, "langchain_reflect")
    for switch in (learner.pause, learner.resume, learner.pause):
        switch(reason="why not")
        run()
        run()
    said = [record.getMessage() for record in caplog.records if "lessons" in record.getMessage()]
    assert ["gets no lessons" in line for line in said] == [True, False, True]
    assert "'desk'" in said[0]
    assert "why not" in said[1]


def test_a_resumed_process_knows_nothing_of_what_was_paused(learner, run):
    learner.pause(reason="it hurts")
    run()
    learner.flush()
    learner.resume(reason="fixed")
    learner._shared = Shared()  # what another process remembers: nothing
    agent = learner.wrap(single(TellingModel(), checkpointer=InMemorySaver()), name="desk")
    assert run(agent=agent).shown.arm == "treated"
