"""Whatever a reflecting model does, its reflection has a defined end that can be seen, and the book holds nothing but valid edits."""

import asyncio
import json
import time
from datetime import timedelta
from uuid import UUID

import pytest
from langchain_core.messages import AIMessage

from langchain_reflect import Ledger
from langchain_reflect.errors import ClaimLost
from langchain_reflect.reflection import ReflectionPolicy, areflect, build_reflection_graph, reflect
from langchain_reflect.reflection.leases import LeaseKeeper
from langchain_reflect.reflection.prompts import Prompts
from langchain_reflect.reflection.replaying import replay
from langchain_reflect.testing.models import ScriptedChatModel
from tests.unit_tests.reflection.misbehaviours import BOMB, ENDS, MISBEHAVIOURS, ProviderError

RULE = "Tool names begin with acme_."
GOOD = {"lessons": [{"when": "naming a tool", "do": "Begin every tool name with acme_", "cites": ["R1", "R2"]}]}
NEAR = "Begin every single tool name with the word acme_ always please"
SCRIPTED = [pytest.param((m, ask), id=f"{ask}: {m.name}") for m in MISBEHAVIOURS if m.script for ask in m.asks]


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.db", durability="fast") as opened:
        yield opened


@pytest.fixture(autouse=True)
def naming(rollout, keep):
    """One group that is ready."""
    keep(rollout(1, 1.0, answer="acme_delete_invoices"), rollout(2, 0.0, RULE), rollout(3, 0.0, RULE, answer="remove"))


@pytest.fixture(params=["sync", "async"])
def run(request, book, ledger):
    """One reflection; its jobs are given back if it breaks off."""

    def go(model, *, retry=False, leases=None, **given):
        leases = leases or LeaseKeeper(ledger, timedelta(seconds=60))
        graph = build_reflection_graph(model, book, ledger=ledger, leases=leases, **given)
        if request.param == "async":
            return asyncio.run(areflect(graph, retry=retry, leases=leases))
        return reflect(graph, retry=retry, leases=leases)

    return go


@pytest.fixture
def scripted(book):
    """The model that misbehaves at one of the two questions, and how many answers it gives before."""

    def make(misbehaviour, ask):
        if ask == "contrast":
            return ScriptedChatModel(answers=[misbehaviour.script(GOOD)] * 2), 0
        known = book.add(when="naming a tool", do=NEAR)
        right = {"action": "REVISE", "ids": [known.id], "when": "naming any tool", "do": "Begin each tool name with acme_"}
        return ScriptedChatModel(answers=[GOOD, *[misbehaviour.script(right)] * 2]), 1

    return make


def said_in(ledger, report) -> list[str]:
    """Every answer that is stored with a reflection, wherever its record has it."""

    def found(record) -> list[str]:
        if not isinstance(record, dict | list):
            return []
        if isinstance(record, list):
            return [reply for part in record for reply in found(part)]
        return [*record.get("replies", ()), *(reply for part in record.values() for reply in found(part))]

    return found(ledger.reflection_replies(report.id))


def text_of(answer) -> str:
    if isinstance(answer, Exception):
        return f"{type(answer).__name__}: {answer}"
    if isinstance(answer, AIMessage):
        return answer.text or (json.dumps(answer.tool_calls[0]["args"]) if answer.tool_calls else "")
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def told(ledger, report, misbehaviour) -> None:
    """The job's state and the report say the same."""
    (error,), (job,) = report.errors, ledger.jobs()
    assert misbehaviour.says in error
    assert job.problem in error
    if misbehaviour.end == "parked":
        assert (job.state, ledger.due(), "is parked" in error) == ("parked", 0, True)
    else:
        assert (job.state, job.failures, job.not_before is not None) == ("ready", 1, True)
        assert "is tried again later" in error


@pytest.mark.parametrize("case", SCRIPTED)
def test_each_misbehaviour_has_its_end(run, scripted, book, ledger, case):
    misbehaviour, (model, before) = case[0], scripted(*case)
    had = book.list()
    report = run(model)

    raw = said_in(ledger, report)
    assert len(raw) == report.usage.calls == before + misbehaviour.calls
    whole = text_of(model.answers[before]).strip()[:1000]
    assert [reply for reply in raw if whole in reply][misbehaviour.calls - 1 :], "each raw answer is kept"
    assert ledger.reflections() == [report]
    assert ledger.verify() == []
    if misbehaviour.end == "learned":
        assert (report.errors, len(report.applied)) == ((), 1)
        assert ledger.job_counts().get("done") == 1
    elif misbehaviour.end == "quoted":
        assert [(lesson.do, lesson.status) for lesson in book.list()] == [(RULE, "candidate")]
        assert [misbehaviour.says in edit.reason for edit in report.edits if not edit.applied] == [True]
        assert (report.errors, ledger.job_counts().get("done")) == ((), 1)
    else:
        assert (book.list(), report.applied) == (had, ())
        told(ledger, report, misbehaviour)


def test_without_feedback_for_other_tasks_drafts_that_are_refused_twice_park_the_group(run, ledger, book, rollout, keep):
    told = [rollout(n, 0.0, f"Expected 'acme_{n}'.", task=f"Name number {n}", answer="x") for n in (11, 12, 13)]
    keep(*(r.model_copy(update={"episode": r.episode.model_copy(update={"task_key": "numbers"})}) for r in told))
    unusable = {"lessons": [{**GOOD["lessons"][0], "cites": ["R77"]}]}
    report = run(ScriptedChatModel(answers=lambda _: unusable))
    assert [lesson.do for lesson in book.list()] == [RULE], "only of the group whose feedback says more"
    assert ["cites none of the tries" in error for error in report.errors] == [True]
    assert ledger.job_counts() == {"done": 1, "parked": 1}


def test_a_lesson_from_feedback_comes_out_the_same_when_replayed(run, book, ledger):
    run(ScriptedChatModel(answers=lambda _: {"lessons": [{**GOOD["lessons"][0], "cites": ["R77"]}]}))
    made = replay(book, policy=ReflectionPolicy(), prompts=Prompts(), namespace=("default",))
    assert (made.is_same, list(made.unanswered)) == (True, [])


def test_what_is_learned_from_a_bomb_is_clean(run, book):
    run(ScriptedChatModel(answers=[{"lessons": [{**GOOD["lessons"][0], "do": BOMB}]}]))
    assert [lesson.do for lesson in book.list()] == ["Begin each tool name with acme_"]


def test_the_same_label_twice_is_one_piece_of_evidence(run, book):
    run(ScriptedChatModel(answers=[{"lessons": [{**GOOD["lessons"][0], "cites": ["R1", "R1", "r1", "1"]}]}]))
    assert [lesson.evidence for lesson in book.list()] == [(UUID(int=1),)]


def test_lessons_beyond_those_asked_for_are_in_the_report(run, book):
    several = [{**GOOD["lessons"][0], "do": f"{word} the prefix acme_ in every name"} for word in ("Write", "Check", "Repeat", "Keep")]
    report = run(ScriptedChatModel(answers=lambda m: {"lessons": several} if "NEW LESSON" not in m[-1].text else {"action": "ADD"}))
    assert [e.reason for e in report.edits if not e.applied] == ["more lessons than were asked for"] * 2
    assert len(book.list()) == 2


def test_a_schema_that_the_provider_refuses_costs_no_attempt(run, book):
    report = run(ScriptedChatModel(answers=["I learned a lot.", GOOD], structured="refused"))
    assert (report.usage.calls, report.errors, len(book.list())) == (3, (), 1)


def test_the_last_of_many_outages_parks_the_group_with_its_reason(run, ledger, book, monkeypatch):
    monkeypatch.setattr("langchain_reflect.ledger.claims._FIRST_WAIT", timedelta(0))
    for failures in range(1, 6):
        report = run(ScriptedChatModel(answers=[ProviderError(503)]))
        (job,) = ledger.jobs()
        assert (job.failures, job.state) == (failures, "ready" if failures < 5 else "parked")
    assert "status 503" in job.problem
    assert "status 503" in report.errors[0]
    assert (book.list(), run(ScriptedChatModel(answers=[])).groups) == ([], 0)


def test_a_provider_that_asks_to_wait_for_ever_is_tried_again(run, ledger):
    report = run(ScriptedChatModel(answers=[ProviderError(429, **{"Retry-After": "1e300"})]))
    assert report.retry_after == 86_400
    (job,) = ledger.jobs()
    assert (job.state, job.not_before is not None) == ("ready", True)


class Killed(BaseException):
    pass


def kept_nothing(ledger, book, known, problem) -> None:
    (job,) = ledger.jobs()
    assert (job.state, job.failures, job.problem) == ("ready", 1, problem)
    assert (book.list(), ledger.reflections(), ledger.verify()) == ([known], [], [])
    graph = build_reflection_graph(ScriptedChatModel(answers=lambda _: {"lessons": []}), book, ledger=ledger)
    assert reflect(graph, retry=True).groups == 1


@pytest.mark.parametrize("answers", [[Killed("now")], [GOOD, Killed("now")]], ids=["contrast", "curate"])
def test_a_base_exception_passes_and_gives_the_group_back(ledger, book, answers):
    known, leases = book.add(when="naming a tool", do=NEAR), LeaseKeeper(ledger, timedelta(seconds=60))
    with pytest.raises(Killed):
        reflect(build_reflection_graph(ScriptedChatModel(answers=answers), book, ledger=ledger, leases=leases), leases=leases)
    kept_nothing(ledger, book, known, "Killed: now")


@pytest.mark.parametrize("calls", [1, 2], ids=["contrast", "curate"])
async def test_a_cancelled_reflection_gives_the_group_back(ledger, book, calls):
    class Waiting(ScriptedChatModel):
        async def _agenerate(self, *args, **given):
            if len(self.prompts) + 1 == calls:
                asyncio.get_running_loop().call_soon(task.cancel)
                await asyncio.sleep(60)
            return self._generate(*args)

    known, leases = book.add(when="naming a tool", do=NEAR), LeaseKeeper(ledger, timedelta(seconds=60))
    graph = build_reflection_graph(Waiting(answers=[GOOD]), book, ledger=ledger, leases=leases)
    task = asyncio.ensure_future(areflect(graph, leases=leases))
    with pytest.raises(asyncio.CancelledError):
        await task
    kept_nothing(ledger, book, known, "CancelledError: ")


class Frozen(LeaseKeeper):
    """Of a process that stands still while its lease runs out."""

    def hold(self, reflection_id, claims, rollouts=()):
        pass


def test_an_answer_after_the_lease_changes_nothing(run, ledger, book):
    def late(messages):
        time.sleep(0.05)
        (job,) = ledger.claim("another worker", limit=1, lease=timedelta(seconds=60))
        taken.append(job)
        return GOOD

    taken = []
    lease = timedelta(milliseconds=10)
    with pytest.raises(ClaimLost, match="taken over"):
        run(ScriptedChatModel(answers=late), leases=Frozen(ledger, lease), policy=ReflectionPolicy(lease=lease))
    (job,) = ledger.jobs()
    assert (job.owner, job.fence, job.state) == ("another worker", taken[0].fence, "leased")
    assert book.list() == []
    assert [report.edits for report in ledger.reflections()] == [()], "what it cost is on record"


@pytest.mark.parametrize("first", ["nonsense", ProviderError(503)])
def test_another_answer_on_the_next_try_is_the_one_that_counts(run, ledger, book, first):
    other = {"lessons": [{**GOOD["lessons"][0], "do": "Write the company's prefix acme_ first"}]}
    failed = run(ScriptedChatModel(answers=[first, first]))
    report = run(ScriptedChatModel(answers=[other]), retry=True)
    assert [lesson.do for lesson in book.list()] == [other["lessons"][0]["do"]]
    assert [r.id for r in ledger.reflections()] == [report.id, failed.id]
    assert said_in(ledger, failed)[0] != said_in(ledger, report)[0]


def test_every_end_is_one_of_those_that_are_defined():
    assert {m.end for m in MISBEHAVIOURS} == set(ENDS)
    assert len({m.name for m in MISBEHAVIOURS}) == len(MISBEHAVIOURS) >= 22
