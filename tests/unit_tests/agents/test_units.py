"""What chance is drawn for, and that whoever comes again is drawn alike."""

import subprocess
import sys
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from langchain_reflect import Learner
from langchain_reflect.agents.shared import Shared
from langchain_reflect.agents.units import unit_of, user_of
from langchain_reflect.agents.wrap import collect_episodes
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.testing.conformance import TellingModel, single
from tests.unit_tests.words import Words

HERE = ("default",)
ASKED: Any = {"messages": [("user", "change a flight")]}


@pytest.fixture
def learner(tmp_path):
    options = {"floor": 0.3, "holdout": 0.0, "withhold": 0.0, "deadline": 20.0, "reflect": "manual"}
    with Learner(tmp_path, index=ExactIndex(), embeddings=Words(), **options) as opened:
        yield opened


@pytest.fixture
def flights(learner):
    return learner.lessons.add(when="change a flight", do="check the fare first", status="candidate")


def run(agent: Any, text: str = "change a flight", **config: Any) -> Any:
    with collect_episodes() as episodes:
        agent.invoke({"messages": [("user", text)]}, config)
    return episodes[0]


def configured(**configurable: Any) -> Any:
    return {"configurable": configurable}


@pytest.mark.parametrize(
    ("unit", "user", "thread", "expected"),
    [
        ("thread", "user:1", "t", "t"),
        ("thread", "user:1", None, None),
        ("episode", "user:1", "t", None),
        ("user", "user:1", "t", "user:1"),
        ("user", None, "t", "t"),
        ("user", None, None, None),
    ],
)
def test_each_unit_has_its_stand_in(unit, user, thread, expected):
    assert unit_of(unit, user=user, thread_id=thread) == expected


@given(st.text(min_size=1), st.text(min_size=1))
def test_users_are_told_apart_by_name_and_by_tenant_without_being_named(one, other):
    name = user_of({"user_id": one}, HERE)
    assert name == user_of({"langgraph_auth_user_id": one, "user_id": ""}, HERE) != user_of({"user_id": one}, ("other",))
    assert (name == user_of({"user_id": other}, HERE)) == (one == other)
    assert len(name) == len("user:") + 16


def test_a_user_is_treated_alike_in_all_conversations(learner, flights):
    agent = learner.wrap(single(TellingModel()), unit="user", holdout=0.5)
    arms = {user: {run(agent, **configured(user_id=user, thread_id=str(n))).shown.arm for n in range(4)} for user in "abcdefgh"}
    assert {len(each) for each in arms.values()} == {1}
    assert set().union(*arms.values()) == {"treated", "holdout"}


def test_without_a_user_the_thread_stands_in_and_it_is_noted_once(learner, flights, caplog):
    agent = learner.wrap(single(TellingModel()), unit="user", holdout=0.5)
    for n in range(8):
        assert {e.unit for e in run(agent, **configured(thread_id=str(n))).shown.exposures} == {str(n)}
    assert [r.getMessage().startswith("unit='user'") for r in caplog.records if "langgraph_auth_user_id" in r.getMessage()] == [True]


def test_a_retry_of_a_run_id_is_drawn_as_its_first_try_also_in_another_process(learner, flights):
    agent = learner.wrap(single(TellingModel()), unit="episode", holdout=0.5)
    for _ in range(8):
        run_id = uuid4()
        first, retry = run(agent, run_id=run_id), run(agent, run_id=run_id)
        learner._shared = Shared()  # what another process remembers: nothing
        elsewhere = run(learner.wrap(single(TellingModel()), unit="episode", holdout=0.5), run_id=run_id)
        assert first.id != retry.id
        assert {e.shown.arm for e in (first, retry, elsewhere)} == {first.shown.arm}
        assert {x.unit for e in (first, retry, elsewhere) for x in e.shown.exposures} == {str(run_id)}
    learner.flush()
    kept = [e.lesson_id for e in learner.ledger.exposures(episode_id=first.id)]
    assert kept == [flights.id], "the first report stays, and there is one for each episode and lesson"


def test_a_fork_is_drawn_as_the_episode_that_it_forks_from(learner, flights):
    agent = learner.wrap(single(TellingModel(), checkpointer=InMemorySaver()), unit="episode", holdout=0.5)
    for n in range(8):
        thread = {"thread_id": str(n)}
        first = run(agent, **configured(**thread))
        begin = list(agent.get_state_history({"configurable": thread}))[-2].config
        again = run(agent, **begin)
        assert again.forked_from == first.id
        assert (again.shown.arm, {e.unit for e in again.shown.exposures}) == (first.shown.arm, {str(first.id)})


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_promotion_between_two_turns_leaves_the_first_draw(learner, flights, elsewhere):
    """The thread is drawn while the lesson is a candidate, which is withheld with another probability than an active one."""
    agent = learner.wrap(single(TellingModel(), checkpointer=InMemorySaver()), withhold=None)
    threads = [f"t{n}" for n in range(60)]
    first = {t: run(agent, **configured(thread_id=t)).shown.exposures[0] for t in threads}
    assert {e.shown for e in first.values()} == {True, False}
    learner.lessons.approve(flights.id, reason="it helps")
    learner.flush()
    if elsewhere:
        learner._shared = Shared()
        agent = learner.wrap(single(TellingModel(), checkpointer=InMemorySaver()), withhold=None)
    for thread, drawn in first.items():
        (now,) = run(agent, "change a flight please", **configured(thread_id=thread)).shown.exposures
        assert (now.shown, now.probability) == (drawn.shown, 0.75)
    (fresh,) = run(agent, **configured(thread_id="new")).shown.exposures
    assert fresh.probability == 0.95


def test_the_turns_that_count_for_a_lesson_do_not_depend_on_its_draw(learner, flights):
    """A shown lesson stays in the prompt of a follow-up; a withheld one counts there all the same, and so does a control run."""
    agent = learner.wrap(single(TellingModel(), checkpointer=InMemorySaver()), withhold=0.5, holdout=0.3, placebo=0.2)
    seen = set()
    for n in range(40):
        config = configured(thread_id=str(n))
        one, two = run(agent, **config), run(agent, "yes please do that", **config)
        seen.add((one.shown.arm, bool(one.shown.lessons)))
        assert [(e.lesson_id, e.shown, e.arm) for e in two.shown.exposures] == [(e.lesson_id, e.shown, e.arm) for e in one.shown.exposures]
    assert seen == {("treated", True), ("treated", False), ("holdout", False), ("placebo", False)}


def test_a_run_that_never_comes_to_a_model_tries_nothing_whatever_its_arm(learner, flights):
    def answer(state: MessagesState) -> Any:
        return {"messages": [("ai", "closed today")]}

    graph = StateGraph(MessagesState).add_node("model", single(TellingModel())).add_node("answer", answer)
    graph.add_conditional_edges(START, lambda _: "answer", ["model", "answer"]).add_edge("model", END).add_edge("answer", END)
    for arm in ({"holdout": 0.0}, {"holdout": 1.0}, {"placebo": 1.0}, {"withhold": 1.0}):
        agent = learner.wrap(graph.compile(), nodes=["model"], **arm)
        episode = run(agent)
        learner.flush()
        assert episode.shown.exposures
        assert learner.ledger.exposures(episode_id=episode.id) == []


def test_a_run_with_neutral_text_is_a_placebo(learner, flights):
    model = TellingModel()
    episode = run(learner.wrap(single(model), placebo=1.0))
    assert (episode.shown.arm, episode.shown.lessons) == ("placebo", ())
    assert "Read the whole request" in str(model.prompts[0][0].content)
    learner.flush()
    (exposure,) = learner.ledger.exposures(episode_id=episode.id)
    assert (exposure.arm, exposure.shown, exposure.probability) == ("placebo", False, 0.0)
    assert learner.ledger.episode(episode.id).shown == ()


def test_doses_of_evidence_reach_the_next_run(learner):
    for city in ("paris", "rome", "oslo"):
        learner.lessons.add(when=f"change a flight to {city}", do=f"look up {city}", status="active")
    agent = learner.wrap(single(TellingModel()), k="auto", name="desk", max_tokens=1000)
    text = "change a flight to paris rome oslo"
    assert {e.shown.exposures[0].dose for e in (run(agent, text) for _ in range(30))} == {1, 2, 3}
    learner.ledger.steer("doses", HERE, "desk", by="credit", body={0: 0.5, 3: 1.0})
    assert {len(run(agent, text).shown.lessons) for _ in range(10)} == {3}


def test_two_processes_agree_and_keep_one_exposure(learner, flights, tmp_path):
    """The same run id, run by two processes on one ledger."""
    run_id = uuid4()
    agent = learner.wrap(single(TellingModel()), unit="episode", holdout=0.5)
    mine = run(agent, run_id=run_id).shown
    learner.flush()
    code = f"""
from langchain_reflect import Learner
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.testing.conformance import TellingModel, single
from tests.unit_tests.words import Words
options = {{"floor": 0.3, "withhold": 0.0, "deadline": 20.0, "reflect": "manual"}}
with Learner({str(tmp_path)!r}, index=ExactIndex(), embeddings=Words(), **options) as learner:
    agent = learner.wrap(single(TellingModel()), unit="episode", holdout=0.5)
    agent.invoke({{"messages": [("user", "change a flight")]}}, {{"run_id": "{run_id}"}})
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120)
    (kept,) = learner.ledger.exposures(episode_id=run_id)
    assert (kept.arm, kept.shown, kept.unit) == (mine.arm, bool(mine.lessons), str(run_id))
    assert learner.ledger.episode(run_id).arm == mine.arm
