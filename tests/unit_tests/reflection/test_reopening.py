"""Late and changed outcomes reopen the group of a task that has no key: it is found again by what it means."""

import time
from datetime import timedelta
from uuid import UUID

import pytest

from langchain_reflect.ledger.claims import Claim, Closing, Ending
from langchain_reflect.reflection import build_reflection_graph, reflect
from langchain_reflect.reflection.leases import LeaseKeeper
from langchain_reflect.reflection.policy import ReflectionPolicy
from langchain_reflect.reflection.prompts import Prompts
from langchain_reflect.reflection.state import Parts
from langchain_reflect.reflection.taking import _embedded, _ready
from langchain_reflect.testing.models import ScriptedChatModel
from langchain_reflect.types import Fingerprint, ReflectionReport

TASK = "please move the flight of the customer to friday"
PARAPHRASE = "please move the flight of the customer to friday evening"
OTHER = "write a poem about snow"


@pytest.fixture
def parts(ledger, book):
    leases = LeaseKeeper(ledger, timedelta(seconds=60))
    return Parts(ScriptedChatModel(answers=[]), book, ledger, ReflectionPolicy(), Prompts(), leases)


@pytest.fixture
def planned(parts, ledger):
    """Plans what is ready now; gives the episodes of each job that waits, as numbers."""

    def run(**state):
        ledger.plan(_ready(parts, state))
        return sorted([i.int for i in job.episodes] for job in ledger.jobs(state="ready"))

    return run


@pytest.fixture
def reflect_on_all(ledger):
    """Ends every job that waits, as a reflection does that learns nothing."""

    def run():
        while jobs := ledger.claim("test", limit=9, lease=timedelta(seconds=60)):
            ends = [Ending(Claim(job.id, job.fence), "done", ledger.rollouts(episodes=job.episodes)) for job in jobs]
            report = ReflectionReport(id=f"R-{jobs[0].id}", groups=len(jobs))
            ledger.append_revisions([], closing=Closing(report, jobs[0].namespace, ends))

    return run


@pytest.fixture
def three(rollout, keep, planned, reflect_on_all):
    """A group that was reflected on."""
    keep(*(rollout(n, float(n == 1), key=None, task=TASK) for n in (1, 2, 3)))
    assert planned() == [[1, 2, 3]]
    reflect_on_all()
    assert planned() == []


@pytest.mark.usefixtures("three")
def test_a_new_failure_of_a_like_task_comes_with_its_siblings(rollout, keep, planned, reflect_on_all):
    keep(rollout(4, 0.0, key=None, task=PARAPHRASE), rollout(5, 0.0, key=None, task=OTHER))
    assert planned() == [[1, 2, 3, 4]]
    assert planned() == [[1, 2, 3, 4]], "planning again makes no second job"
    reflect_on_all()
    assert planned() == []


@pytest.mark.usefixtures("three")
def test_a_corrected_outcome_reopens_its_group(ledger, planned, reflect_on_all):
    ledger.record_outcome(UUID(int=2), reward=1.0, source="test", key="second look")
    assert planned() == [[1, 2, 3]]
    reflect_on_all()
    assert planned() == []


@pytest.mark.usefixtures("three")
def test_a_job_that_waits_grows(rollout, keep, planned):
    keep(rollout(4, 0.0, key=None, task=PARAPHRASE))
    assert planned() == [[1, 2, 3, 4]]
    keep(rollout(5, 0.0, key=None, task=TASK))
    assert planned() == [[1, 2, 3, 4, 5]]


@pytest.mark.usefixtures("three")
def test_one_more_success_reopens_nothing(rollout, keep, planned, ledger):
    keep(rollout(4, 1.0, key=None, task=PARAPHRASE))
    assert planned() == []
    keep(rollout(5, 0.0, key=None, task=TASK))
    assert planned() == [[1, 2, 3, 4, 5]], "it comes along when there is news"


@pytest.mark.usefixtures("three")
def test_siblings_of_other_namespaces_and_graphs_stay_there(rollout, keep, planned):
    mine = ("mine",)
    keep(rollout(4, 0.0, key=None, task=TASK, namespace=mine), rollout(5, 0.0, key=None, task=TASK, graph="other"))
    assert planned() == []
    keep(rollout(6, 0.0, "no", key=None, task=TASK, namespace=mine), rollout(7, 0.0, "no", key=None, task=TASK, graph="other"))
    assert planned() == [[4, 6], [5, 7]]


@pytest.mark.usefixtures("three")
def test_where_episodes_are_named_no_others_come_along(rollout, keep, planned):
    keep(rollout(4, 0.0, "no", key=None, task=PARAPHRASE))
    assert planned(episodes=[UUID(int=4)]) == [[4]]


def test_news_tells_what_a_reflection_knows(rollout, keep, planned, reflect_on_all, ledger):
    keep(*(rollout(n, float(n == 1)) for n in (1, 2, 3)))
    assert {r.news for r in ledger.rollouts()} == {"new"}
    planned()
    reflect_on_all()
    assert {r.news for r in ledger.rollouts()} == {"none"}
    ledger.record_outcome(UUID(int=2), reward=0.5, source="test", key="again")
    assert [r.news for r in ledger.rollouts()] == ["none", "changed", "none"]


def test_planning_reads_no_more_than_is_like_what_is_due(rollout, keep, planned, ledger, parts):
    made = [rollout(n, 1.0, key=None, task=f"word{n % 97} word{n * 7 % 89} word{n // 13}") for n in range(1, 1_501)]
    ledger.save_episodes((r.episode, ()) for r in made)
    ledger.record_outcomes((r.episode.id, {"reward": 1.0, "source": "test"}) for r in made)
    seen = ledger.rollouts(trajectories=False, limit=None)
    ledger.append_revisions([], closing=Closing(ReflectionReport(id="R-1", groups=1), ("default",), seen=seen))
    _embedded(parts, [r.episode.task for r in made])
    keep(*(rollout(20_000 + n, 0.0, key=None, task=made[-1].episode.task) for n in range(2)))
    started = time.process_time()
    (job,) = planned()
    assert time.process_time() - started < 1  # 10,000 known episodes take a quarter of a second
    assert {20_000, 20_001, 1_500} <= set(job)


def test_only_the_newest_known_episodes_are_searched(rollout, keep, planned, reflect_on_all, ledger):
    keep(*(rollout(n, float(n == 1), key=None, task=TASK) for n in (1, 2, 3)))
    planned()
    reflect_on_all()
    assert [i.int for i, _ in ledger.seen_tasks(("default",), "agent", limit=2)] == [3, 2]
    assert ledger.seen_tasks(("default",), "other", limit=2) == []


def test_a_late_failure_and_a_correction_each_cost_one_more_question(book, ledger, rollout, keep):
    model = ScriptedChatModel(answers=lambda _: {"lessons": []})
    graph = build_reflection_graph(model, book, ledger=ledger)
    keep(*(rollout(n, float(n == 1), key=None, task=TASK) for n in (1, 2, 3)))
    assert [reflect(graph).groups, reflect(graph).groups] == [1, 0]

    keep(rollout(4, 0.0, key=None, task=PARAPHRASE))
    assert [reflect(graph).groups, reflect(graph).groups] == [1, 0]
    assert "R4 (bad, score 0)" in model.prompts[-1][-1].text

    ledger.record_outcome(UUID(int=2), reward=1.0, source="test", key="second look")
    assert [reflect(graph).groups, reflect(graph).groups] == [1, 0]
    assert "R2 (good, score 1)" in model.prompts[-1][-1].text
    assert len(model.prompts) == 3


def test_what_another_version_left_is_reflected_on_with_the_first_one(book, ledger, rollout, keep):
    model = ScriptedChatModel(answers=lambda _: {"lessons": []})
    graph = build_reflection_graph(model, book, ledger=ledger)
    keep(*(rollout(n, float(n == 1), fingerprint=Fingerprint(model="tiny-1")) for n in (1, 2, 3)))
    keep(rollout(4, 0.0, fingerprint=Fingerprint(model="tiny-2")))
    assert [reflect(graph).groups for _ in range(3)] == [1, 1, 0]
    first, second = (prompt[-1].text for prompt in model.prompts)
    assert "agent A" not in first
    assert "agent A: model tiny-1\nagent B: model tiny-2" in second
    assert ledger.due() == 0
