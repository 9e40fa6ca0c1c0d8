"""Workers take what is due, each group once, and end as they are told."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from langchain_reflect import Episode, Learner, Ledger, Worker
from langchain_reflect.errors import InvalidInput, ModelMissing
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.reflection.leases import LeaseKeeper
from langchain_reflect.reflection.policy import ReflectionPolicy
from langchain_reflect.testing.models import ScriptedChatModel
from tests.unit_tests.words import Words

WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliet", "kilo", "lima", "mike", "november")


class Busy(Exception):
    status_code = 429

    def __init__(self, after):
        super().__init__("slow down")
        self.response = type("R", (), {"headers": {"retry-after": str(after)}, "status_code": 429})()


def lesson_of(messages):
    """A lesson of the task that stands in the prompt."""
    word = next(w for w in WORDS if f"about {w}" in str(messages))
    return {"lessons": [{"when": f"the talk is of {word} {word}", "do": f"say {word} {word} {word} twice", "cites": ["R1"]}]}


@pytest.fixture
def open_learner(ledger_url):
    opened = []

    def open_(answers=lesson_of, **given):
        model = None if answers is None else ScriptedChatModel(answers=answers)
        defaults = {"embeddings": Words(), "index": ExactIndex(), "reflect": "manual"}
        learner = Learner(ledger=ledger_url, model=model, **(defaults | given))
        opened.append(learner)
        return learner

    yield open_
    for learner in opened:
        learner.close()


def judge(ledger: Ledger, count: int, *, namespace=("default",)):
    """Groups that are ready, one episode with feedback each."""
    for word in WORDS[:count]:
        episode = Episode(id=uuid4(), task=f"Tell me about {word}", task_key=word, namespace=namespace)
        ledger.save_episode(episode)
        ledger.record_outcome(episode.id, reward=0.0, feedback="Say it twice.", namespace=namespace)


def test_a_worker_turns_what_is_due_into_lessons(open_learner):
    learner, told = open_learner(), []
    judge(learner.ledger, 3)
    report = Worker(learner, on_progress=told.append).run(until_idle=True)
    assert (report.groups, report.edits, report.usage.calls, report.calls_per_group) == (3, 3, 3, 1.0)
    assert len(learner.lessons.list()) == len(told) == 3
    assert (learner.ledger.due(), learner.ledger.job_counts(), learner.ledger.verify()) == (0, {"done": 3}, [])


def test_several_workers_reflect_on_each_group_once(open_learner):
    learners = [open_learner() for _ in range(3)]
    judge(learners[0].ledger, 12)
    threads = [threading.Thread(target=Worker(learner, concurrency=2).run, kwargs={"until_idle": True}) for learner in learners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    prompts = [prompt for learner in learners for prompt in learner.model.prompts]
    assert Counter(next(w for w in WORDS if f"about {w}" in str(p)) for p in prompts) == dict.fromkeys(WORDS[:12], 1)
    evidence = [episode_id for lesson in learners[0].lessons.list() for episode_id in lesson.evidence]
    assert len(evidence) == len(set(evidence)) == 12, "each group left its mark once"
    assert learners[0].ledger.job_counts() == {"done": 12}


def test_work_that_comes_later_is_found_by_polling(open_learner):
    learner = open_learner()
    worker = Worker(learner, poll=0.05)
    thread = threading.Thread(target=worker.run)
    thread.start()
    judge(learner.ledger, 1)
    deadline = time.monotonic() + 20
    while not learner.lessons.list() and time.monotonic() < deadline:
        time.sleep(0.05)
    worker.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert len(learner.lessons.list()) == 1


def test_a_stopped_worker_finishes_what_it_began(open_learner):
    began, go_on = threading.Event(), threading.Event()

    def slowly(messages):
        began.set()
        go_on.wait(20)
        return lesson_of(messages)

    learner = open_learner(slowly)
    judge(learner.ledger, 2)
    worker = Worker(learner)
    thread = threading.Thread(target=worker.run)
    thread.start()
    began.wait(20)
    worker.stop()
    go_on.set()
    thread.join(20)
    assert (worker.report.groups, learner.ledger.job_counts()) == (1, {"done": 1, "ready": 1})


def test_a_rate_limit_makes_all_slots_wait_as_long_as_asked(open_learner):
    calls = []

    def busy_once(messages):
        calls.append(time.monotonic())
        if len(calls) == 1:
            raise Busy(1.5)
        return lesson_of(messages)

    learner = open_learner(busy_once)
    judge(learner.ledger, 2)
    worker = Worker(learner, poll=0.05)
    thread = threading.Thread(target=worker.run)
    thread.start()
    deadline = time.monotonic() + 20
    while not learner.lessons.list() and time.monotonic() < deadline:
        time.sleep(0.05)
    worker.stop()
    thread.join(20)
    assert calls[1] - calls[0] >= 1.5
    assert worker.report.outages == 1
    (waiting,) = learner.ledger.jobs(state="ready")
    assert (waiting.failures, "slow down" in (waiting.problem or "")) == (1, True)


def test_an_outage_that_lasts_parks_the_group_with_its_reason(open_learner):
    policy = ReflectionPolicy(max_failures=2)
    learner = open_learner([ConnectionError("no route")] * 2, reflection=policy)
    judge(learner.ledger, 1)
    assert learner.reflect().outages == 1
    assert learner.reflect().groups == 0, "it waits"
    assert learner.reflect(retry=True).outages == 1
    (job,) = learner.ledger.jobs()
    assert (job.state, job.failures) == ("ready", 1), "a person's retry counts anew"
    assert learner.ledger.due() == 1


def test_the_daily_budget_of_one_namespace_does_not_stop_another(open_learner):
    learner = open_learner(reflection=ReflectionPolicy(daily_calls=2))
    judge(learner.ledger, 4, namespace=("noisy",))
    judge(learner.ledger, 2, namespace=("quiet",))
    report = Worker(learner).run(until_idle=True)
    assert report.usage.calls == 4
    assert {n: len(learner.lessons.list((n,))) for n in ("noisy", "quiet")} == {"noisy": 2, "quiet": 2}


def test_a_failing_part_does_not_end_the_worker(open_learner, monkeypatch, caplog):
    learner = open_learner()
    judge(learner.ledger, 1)
    real, failures = learner.ledger.plan, [RuntimeError("broken"), RuntimeError("broken")]

    def fail_twice(groups):
        if failures:
            raise failures.pop()
        return real(groups)

    monkeypatch.setattr(learner.ledger, "plan", fail_twice)
    with caplog.at_level(logging.ERROR):
        report = Worker(learner).run(until_idle=True)
    assert (report.broken, report.groups) == (2, 1)
    assert "broke off" in caplog.text


def test_a_reflection_that_breaks_off_gives_its_group_back(open_learner, monkeypatch):
    learner = open_learner()
    judge(learner.ledger, 1)
    monkeypatch.setattr(learner.embedder, "embed_documents", lambda _: (_ for _ in ()).throw(RuntimeError("embedder is gone")))
    with pytest.raises(RuntimeError):
        learner.reflect()
    (job,) = learner.ledger.jobs()
    assert (job.state, job.failures, "embedder is gone" in (job.problem or "")) == ("ready", 1, True)


def test_leases_are_prolonged_while_the_model_thinks(open_learner):
    def slowly(messages):
        time.sleep(1.2)
        return lesson_of(messages)

    learner = open_learner(slowly, reflection=ReflectionPolicy(lease=timedelta(seconds=0.4)))
    other = open_learner(slowly, reflection=ReflectionPolicy(lease=timedelta(seconds=0.4)))
    judge(learner.ledger, 1)
    thread = threading.Thread(target=learner.reflect)
    thread.start()
    time.sleep(0.8)
    assert other.reflect().groups == 0
    thread.join(20)
    assert learner.ledger.job_counts() == {"done": 1}


def test_a_keeper_lets_go_of_what_it_was_told(open_learner):
    learner = open_learner()
    judge(learner.ledger, 1)
    keeper = LeaseKeeper(learner.ledger, timedelta(seconds=0.3))
    keeper.hold("R-1", [])
    assert keeper.let_go("R-1") == []
    keeper.give_up("R-unknown", "nothing")


@pytest.mark.parametrize(("options", "said"), [({"concurrency": 0}, "concurrency=0"), ({"poll": 0}, "poll=0")])
def test_a_worker_refuses_what_cannot_be_meant(open_learner, options, said):
    with pytest.raises(InvalidInput, match=said):
        Worker(open_learner(), **options)


def test_a_worker_needs_a_model(open_learner):
    with pytest.raises(ModelMissing):
        Worker(open_learner(None))


COMMAND = """
import json, sys
from langchain_reflect import learner
from langchain_reflect.cli import main
from langchain_reflect.testing.models import ScriptedChatModel
from tests.unit_tests.test_worker import lesson_of
from tests.unit_tests.words import Words
learner.resolve_model = lambda _: ScriptedChatModel(answers=lesson_of)
learner.resolve_embedder = (lambda real: lambda _: real(Words()))(learner.resolve_embedder)
sys.argv = ["reflect", *json.loads(sys.argv[1])]
main()
"""


def test_sigterm_ends_the_command_when_its_work_is_done(tmp_path):
    with Ledger(tmp_path, durability="fast") as ledger:
        judge(ledger, 2)
        arguments = ["--path", str(tmp_path), "worker", "--model", "scripted:any", "--poll", "0.1", "--json"]
        running = subprocess.Popen(
            [sys.executable, "-c", COMMAND, json.dumps(arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 60
        while len(ledger.jobs(state="done")) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert (json.loads(out)["groups"], "finishing what was begun" in err) == (2, True)


def test_a_killed_worker_leaves_its_group_to_the_next(tmp_path):
    with Ledger(tmp_path, durability="fast") as ledger:
        judge(ledger, 1)
        hang = COMMAND.replace("answers=lesson_of", "answers=lambda _: __import__('time').sleep(60)")
        arguments = ["--path", str(tmp_path), "worker", "--model", "scripted:any"]
        running = subprocess.Popen([sys.executable, "-c", hang, json.dumps(arguments)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not ledger.jobs(state="leased") and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(running.pid, signal.SIGKILL)
        running.wait(20)
        (lost,) = ledger.jobs(state="leased")
        assert ledger.claim("another") == [], "the lease still runs"
        assert isinstance(lost.episodes[0], UUID)
        ledger._database.write(lambda c: c.exec_driver_sql("UPDATE jobs SET leased_until = '2020-01-01T00:00:00.000000+00:00'"))
        (taken,) = ledger.claim("another")
        assert (taken.id, taken.fence) == (lost.id, 2)


def test_a_listener_that_fails_does_not_end_the_worker(open_learner):
    learner = open_learner()
    judge(learner.ledger, 2)

    def fail(_):
        raise OSError("stderr is closed")

    assert Worker(learner, on_progress=fail).run(until_idle=True).groups == 2


def test_a_worker_that_was_to_end_gives_up_when_the_embedder_stays_broken(open_learner, monkeypatch):
    monkeypatch.setattr("langchain_reflect.worker._LONGEST_WAIT", 0.05)
    learner = open_learner()
    judge(learner.ledger, 1)
    monkeypatch.setattr(learner.ledger, "plan", lambda _: (_ for _ in ()).throw(RuntimeError("gone")))
    assert Worker(learner).run(until_idle=True).broken == 5


def test_a_gate_that_is_stopped_is_asked_once(open_learner):
    learner, asked = open_learner(), []
    judge(learner.ledger, 1)

    def stopped(group, drafts):
        asked.append(group.key)
        raise InterruptedError

    assert learner.reflect(gate=stopped).interrupted == 1
    assert asked == ["key:alpha"]


def test_what_is_forgotten_during_a_reflection_leaves_nothing(tmp_path, caplog):
    ledger = Ledger(tmp_path, durability="fast")

    def forget(messages):
        ledger.forget(episode=ledger.episodes()[0].id)
        return lesson_of(messages)

    model = ScriptedChatModel(answers=forget)
    with Learner(ledger=ledger, model=model, embeddings=Words(), index=ExactIndex(), reflect="manual") as learner:
        judge(ledger, 1)
        assert learner.reflect().groups == 0
        assert (ledger.lessons(), ledger.verify()) == ([], [])
        assert all(not report.edits for report in ledger.reflections())
    assert "overtaken" in caplog.text
    assert all(b"alpha" not in file.read_bytes() for file in tmp_path.iterdir())


def test_background_reflection_tries_again_by_itself(ledger_url, monkeypatch):
    monkeypatch.setattr("langchain_reflect.reflection.background._FIRST_WAIT", 0.2)
    monkeypatch.setattr("langchain_reflect.ledger.claims._FIRST_WAIT", timedelta(seconds=1.5))
    calls = []

    def down_once(messages):
        calls.append(time.monotonic())
        if len(calls) == 1:
            raise ConnectionError("no route")
        return lesson_of(messages)

    model = ScriptedChatModel(answers=down_once)
    with Learner(ledger=ledger_url, model=model, embeddings=Words(), index=ExactIndex()) as learner:
        judge(learner.ledger, 1)
        learner.record_outcome(learner.ledger.episodes()[0].id, reward=0.0, source="judge")
        deadline = time.monotonic() + 20
        while not learner.lessons.list() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(learner.lessons.list()) == 1
        assert len(calls) == 2
