"""`learner.search_tool()` inside and outside of wrapped runs."""

import json

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage

from langchain_reflect import Learner
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.recall.tool import NOTHING
from tests.unit_tests.words import Words


class Caller(GenericFakeChatModel):
    """Searches once, then ends."""

    def bind_tools(self, tools, **_):
        return self


def caller():
    search = {"name": "search_lessons", "args": {"query": "a flight is moved"}, "id": "1", "type": "tool_call"}
    return Caller(messages=iter([AIMessage("", tool_calls=[search]), AIMessage("done")]))


@pytest.fixture
def open_learner(tmp_path):
    opened = []

    def open_(**given):
        learner = Learner(tmp_path, embeddings=Words(), index=ExactIndex(), reflect="manual", **({"floor": 0.0, "withhold": 0.0} | given))
        opened.append(learner)
        return learner

    yield open_
    for learner in opened:
        learner.close()


def searched(learner, namespace=("default",), **config):
    learner.lessons.add(when="a flight is moved", do="look up the fare class", namespace=namespace)
    agent = learner.wrap(create_agent(caller(), tools=[learner.search_tool()]))
    messages = agent.invoke({"messages": [("user", "please help me")]}, config)["messages"]
    return next(message for message in messages if isinstance(message, ToolMessage))


def test_what_an_agent_finds_is_shown_in_its_episode_and_does_not_count(open_learner):
    learner = open_learner(holdout=0.0, floor=0.5)
    message = searched(learner)
    assert "look up the fare class" in message.text
    json.dumps(message.artifact)
    learner.flush()
    (episode,) = learner.ledger.episodes()
    (exposure,) = learner.ledger.exposures(episode_id=episode.id)
    assert episode.shown == (exposure.lesson_id,) == (message.artifact[0]["id"],)
    assert (exposure.shown, exposure.probability, exposure.unit) == (True, 1.0, "")


def test_a_held_out_run_finds_nothing(open_learner):
    assert searched(open_learner(holdout=1.0)).text == NOTHING


def test_what_is_withheld_from_a_run_stays_so(open_learner):
    assert searched(open_learner(holdout=0.0, withhold=1.0)).text == NOTHING


def test_a_run_searches_its_own_namespace(open_learner):
    learner = open_learner(holdout=0.0, namespace=("acme", "{user}"))
    message = searched(learner, namespace=("acme", "ann"), configurable={"user": "ann"})
    assert "look up the fare class" in message.text
    tool = learner.search_tool()
    assert "look up the fare class" in tool.invoke({"query": "a flight is moved"}, {"configurable": {"user": "ann"}})
    assert tool.invoke({"query": "a flight is moved"}, {"configurable": {"user": "bob"}}) == NOTHING
    assert "cannot be searched" in tool.invoke({"query": "a flight is moved"})


def test_a_lesson_of_recall_that_is_found_again_keeps_its_exposure(open_learner):
    learner = open_learner(holdout=0.0, floor=0.0)
    searched(learner)
    learner.flush()
    (exposure,) = learner.ledger.exposures()
    assert (exposure.shown, exposure.unit) == (True, str(exposure.episode_id))


def test_a_placebo_run_finds_nothing(open_learner):
    assert searched(open_learner(holdout=0.0, placebo=1.0)).text == NOTHING
