"""`k="auto"` from the wrapped graph to the doses of its next runs."""

import hashlib
import re
from uuid import NAMESPACE_URL, uuid5

import pytest
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

from langchain_reflect import Learner
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.lessons.authors import CREDIT
from langchain_reflect.types import LessonEdit, LessonText
from tests.unit_tests.words import Words

SPACE = ("default",)
ADVICE = ("greet the customer by name", "quote the order number", "mention the refund policy")


def luck(text: str) -> float:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32


def agent():
    """Does well with one lesson, and is confused by more."""

    def act(state: MessagesState):
        prompt, task = "\n".join(m.text for m in state["messages"]), state["messages"][-1].text
        chance = {0: 0.6, 1: 0.95, 2: 0.4, 3: 0.1}[sum(advice in prompt for advice in ADVICE)]
        return {"messages": [AIMessage("won" if luck(task) < chance else "lost")]}

    return StateGraph(MessagesState).add_node("act", act).add_edge(START, "act").compile(name="support")


def won(*, outputs, **_):
    return outputs["messages"][-1].text == "won"


@pytest.fixture
def learner(tmp_path):
    told = {"index": ExactIndex(), "floor": 0.0, "unit": "episode", "deadline": 30.0, "reflect": "manual", "max_tokens": 1000}
    with Learner(path=tmp_path, embeddings=Words(), verifier=won, withhold=0.0, holdout=0.1, **told) as learner:
        edits = [LessonEdit(kind="add", text=LessonText(when="refund an order", do=do)) for do in ADVICE]
        learner.lessons.commit(edits, namespace=SPACE, actor="R-00000000000a")
        yield learner


def run(learner: Learner, graph, numbers: range) -> list[int]:
    """Doses of the treated runs."""
    for n in numbers:
        graph.invoke({"messages": [("user", f"refund an order {n}")]}, {"run_id": uuid5(NAMESPACE_URL, str(n))})
    assert learner.flush(60)
    episodes = learner.ledger.episodes(limit=len(numbers))
    shown = [learner.ledger.exposures(episode_id=episode.id, namespace=SPACE) for episode in episodes]
    return [exposures[0].dose for exposures in shown if exposures and exposures[0].arm == "treated"]


def test_outcomes_choose_the_dose_of_the_runs_that_come(learner: Learner):
    graph = learner.wrap(agent(), k="auto")
    assert set(run(learner, graph, range(300))) == {1, 2, 3}
    assert learner.credit().doses == {"default support": {"1": 1.0}}
    (entry,) = learner.ledger.steering_log()
    assert (entry.kind, entry.by, entry.graph) == ("doses", CREDIT, "support")
    assert set(run(learner, graph, range(1000, 1040))) == {1}
    assert learner.credit().doses == {}
    report = str(learner.report())
    assert "at most 1 lesson:" in report
    assert re.search(r"at most 3 lessons: −\d+ points \(95 % interval −\d+ to −\d+, n = \d+ with, \d+ without\), mean reward 0\.", report)
    assert "drawn no more, being credibly worse" in report


def test_a_graph_with_a_fixed_k_beside_it_keeps_it(learner: Learner):
    auto = learner.wrap(agent(), k="auto")
    run(learner, auto, range(300))
    learner.credit()
    fixed = agent()
    fixed.name = "other"
    assert set(run(learner, learner.wrap(fixed, k=3), range(2000, 2020))) == {3}


def test_another_learner_on_the_same_ledger_draws_by_what_was_found(learner: Learner, tmp_path):
    run(learner, learner.wrap(agent(), k="auto"), range(300))
    learner.credit()
    told = {"index": ExactIndex(), "floor": 0.0, "unit": "episode", "deadline": 30.0, "reflect": "manual", "max_tokens": 1000}
    with Learner(path=tmp_path, embeddings=Words(), verifier=won, withhold=0.0, holdout=0.1, **told) as other:
        assert set(run(other, other.wrap(agent(), k="auto"), range(3000, 3030))) == {1}


def test_a_person_begins_the_comparison_anew(learner: Learner):
    graph = learner.wrap(agent(), k="auto")
    run(learner, graph, range(300))
    learner.credit()
    learner.ledger.steer("doses", graph="support", by="dana", body={1: 1, 2: 1, 3: 1})
    assert learner.credit().doses == {}, "what was known before does not count"
    assert len(set(run(learner, graph, range(4000, 4040)))) > 1
    assert "out of the race" not in str(learner.report())
