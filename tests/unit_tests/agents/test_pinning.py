"""Lessons stay in a thread's prompt until recall brings something new, so that provider caches stay valid."""

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from langchain_reflect import Learner
from langchain_reflect.agents.shared import Shared
from langchain_reflect.agents.wrap import collect_episodes
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.testing.conformance import TellingModel, single
from tests.unit_tests.words import Words

THREAD: Any = {"configurable": {"thread_id": "1"}}


@pytest.fixture
def learner(tmp_path):
    options = {"floor": 0.3, "holdout": 0.0, "withhold": 0.0, "deadline": 20.0, "reflect": "manual"}
    with Learner(tmp_path, index=ExactIndex(), embeddings=Words(), **options) as opened:
        yield opened


@pytest.fixture
def flights(learner):
    return learner.lessons.add(when="change a flight", do="check the fare first", status="active")


@pytest.fixture
def model():
    return TellingModel()


@pytest.fixture
def ask(learner, model):
    wrapped = learner.wrap(single(model, checkpointer=InMemorySaver()))

    def run(text: str, config: Any = THREAD, agent: Any = wrapped) -> Any:
        with collect_episodes() as episodes:
            agent.invoke({"messages": [("user", text)]}, config)
        return episodes[0]

    return run


def first_lines(model: TellingModel) -> list[str]:
    """What stood before the conversation in each prompt."""
    return [str(prompt[0].content) if prompt[0].type == "system" else "" for prompt in model.prompts]


def test_a_follow_up_keeps_the_block_byte_for_byte(ask, flights, model):
    first, second = ask("change a flight"), ask("yes please do that")
    assert first_lines(model)[0] == first_lines(model)[1] != ""
    assert second.shown.lessons == first.shown.lessons == (flights.id,)
    assert {e.episode_id for e in second.shown.exposures} == {second.id}


def test_another_thread_does_not_inherit_it(ask, flights, model):
    ask("change a flight")
    other = ask("yes please do that", {"configurable": {"thread_id": "2"}})
    assert other.shown.lessons == ()


def test_a_lesson_that_recall_brings_anew_replaces_the_pinned_ones(ask, flights, learner, model):
    hotels = learner.lessons.add(when="book a hotel room", do="ask for the city", status="active")
    ask("change a flight")
    assert ask("book a hotel room").shown.lessons == (hotels.id,)
    assert ask("yes please do that").shown.lessons == (hotels.id,)


def test_a_retired_lesson_is_not_kept(ask, flights, learner):
    ask("change a flight")
    learner.lessons.retire(flights.id, reason="wrong")
    assert ask("yes please do that").shown.lessons == ()


def test_a_reworded_lesson_is_shown_as_it_is_now(ask, flights, learner, model):
    ask("change a flight")
    learner.lessons.edit(flights.id, do="look at the fare rules")
    ask("change a flight")
    assert "fare rules" in first_lines(model)[1]


def test_a_reworded_lesson_is_not_kept_as_it_was(ask, flights, learner, model):
    ask("change a flight")
    learner.lessons.edit(flights.id, do="look at the fare rules")
    assert ask("yes please do that").shown.lessons == ()


def test_another_process_keeps_it_too(ask, flights, learner, model, tmp_path):
    ask("change a flight")
    learner.flush()
    learner._shared = Shared()  # what another process remembers: nothing
    elsewhere = learner.wrap(single(model, checkpointer=InMemorySaver()))
    ask("yes please do that", agent=elsewhere)
    assert first_lines(model)[0] == first_lines(model)[1]


def test_a_thread_falls_into_one_arm_and_keeps_what_is_withheld(learner, flights, model):
    half = learner.wrap(single(model, checkpointer=InMemorySaver()), holdout=0.5, withhold=0.5)
    for thread in range(12):
        config = {"configurable": {"thread_id": str(thread)}}
        with collect_episodes() as episodes:
            for _ in range(3):
                half.invoke({"messages": [("user", "change a flight")]}, config)
        assert len({(e.shown.arm, e.shown.lessons) for e in episodes}) == 1
    assert len({prompt[0].type for prompt in model.prompts}) == 2, "both kinds of thread occurred"


def test_by_episode_every_run_is_drawn_for_itself(learner, flights, model):
    half = learner.wrap(single(model), holdout=0.5, unit="episode")
    with collect_episodes() as episodes:
        for _ in range(20):
            half.invoke({"messages": [("user", "change a flight")]}, THREAD)
    assert {e.shown.arm for e in episodes} == {"treated", "holdout"}
