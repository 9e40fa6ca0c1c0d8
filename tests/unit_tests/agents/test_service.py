"""Failing open: whatever recall, the ledger or the user's callables do, the run is unharmed."""

import asyncio
import logging
import threading
import time
from dataclasses import replace
from uuid import uuid4

import pytest

from langchain_reflect.agents.service import AgentService
from langchain_reflect.agents.wrap import collect_episodes, reflected
from langchain_reflect.errors import InvalidInput
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recording.recorder import Recorder
from langchain_reflect.testing.conformance import ASKED, TellingModel, asynchronous, form, single

QUICK = RecallPolicy(deadline=0.05)


def fail():
    raise RuntimeError("the index is down")


def hang():
    time.sleep(30)


@pytest.mark.parametrize("behave", [fail, hang])
def test_recall_that_fails_or_hangs_costs_only_the_lessons(service, recaller, behave, caplog):
    recaller.behave, service.policy = behave, QUICK
    model = TellingModel()
    started = time.monotonic()
    result = reflected(single(model), service).invoke(ASKED)
    assert time.monotonic() - started < 5
    assert result["messages"][-1].content == "first answer"
    assert "<lessons" not in str(model.prompts)
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1
    assert sum(service.health.counts.values()) == 1


async def test_recall_that_hangs_does_not_block_the_event_loop(service, recaller):
    recaller.behave, service.policy = hang, RecallPolicy(deadline=0.3)
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    result = await reflected(asynchronous(TellingModel()), service).ainvoke(ASKED)
    ticking.cancel()
    assert result["messages"][-1].content == "first answer"
    assert ticks >= 5


def test_when_every_thread_hangs_runs_no_longer_wait(service, recaller):
    recaller.behave, service.policy = hang, QUICK
    wrapped = reflected(single(TellingModel()), service)
    for _ in range(16):
        wrapped.invoke(ASKED)
    started = time.monotonic()
    for _ in range(20):
        wrapped.invoke(ASKED)
    assert time.monotonic() - started < 20 * 0.05


def test_a_warning_of_one_kind_is_logged_once(service, recaller, caplog):
    recaller.behave = fail
    reflected(single(TellingModel()), service).batch([ASKED] * 2)
    assert len(caplog.records) == 1
    assert service.health.counts == {"recall failed": 2}


class BrokenLedger:
    def save_episodes(self, batch):
        raise OSError("disk full")


def test_a_ledger_that_fails_costs_only_the_record(recaller, caplog):
    with Recorder(BrokenLedger()) as recorder:
        service = AgentService(recaller=recaller, recorder=recorder)
        assert reflected(single(TellingModel()), service).invoke(ASKED)["messages"][-1].content == "first answer"
        recorder.flush()
    assert recorder.dropped == 1
    assert "disk full" in caplog.text


def test_a_recorder_that_raises_costs_only_the_record(recaller):
    class Broken:
        write_before_return = False

        def submit(self, *args):
            raise RuntimeError

    service = AgentService(recaller=recaller, recorder=Broken())
    reflected(single(TellingModel()), service).invoke(ASKED)
    assert service.health.counts == {"not recorded": 1}


def test_a_graph_without_messages_and_without_task_runs_and_says_what_to_do(service, recaller, ledger, recorder, caplog):
    result = reflected(form(TellingModel()), service).invoke({"question": "2+2?"})
    recorder.flush()
    assert result["answer"] == "first answer"
    assert "task=lambda" in caplog.text
    assert recaller.asked == []
    assert ledger.episodes()[0].task == "{'question': '2+2?'}"


@pytest.mark.parametrize("task", [lambda _: 1 / 0, lambda _: None, lambda _: "  "])
def test_a_task_reader_that_fails_costs_only_the_lessons(service, task, caplog):
    assert reflected(single(TellingModel()), service, task=task).invoke(ASKED)["messages"][-1].content == "first answer"
    assert service.health.counts == {"task not found": 1}


@pytest.mark.parametrize("option", ["inject", "view"])
def test_an_injection_that_fails_costs_only_the_lessons(service, option):
    wrapped = reflected(form(TellingModel()), service, task=lambda s: s["question"], **{option: lambda state, text: 1 / 0})
    assert wrapped.invoke({"question": "2+2?"})["answer"] == "first answer"
    assert service.health.counts["view failed"] == 1


def test_lessons_that_no_model_saw_are_no_exposure(service, ledger, recorder):
    reflected(form(TellingModel()), service, task=lambda s: s["question"]).invoke({"question": "2+2?"})
    recorder.flush()
    assert ledger.episodes()[0].shown == ()
    assert ledger.exposures() == []
    assert service.health.counts == {"not placed": 1}


def test_a_view_gets_the_lessons_themselves(service):
    model = TellingModel()

    def view(state, lessons):
        return {**state, "hints": " ".join(lesson.do for lesson in lessons)}

    reflected(form(model), service, task=lambda s: s["question"], view=view).invoke({"question": "2+2?"})
    assert model.prompts[0][0].content == "name the city in the answer say so\n2+2?"


def test_namespaces_are_filled_from_the_run(recaller, recorder, ledger):
    service = AgentService(recaller=recaller, recorder=recorder, namespace=("acme", "user-{user}"))
    reflected(single(TellingModel()), service).invoke(ASKED, {"configurable": {"user": 7}})
    recorder.flush()
    assert recaller.asked[0]["namespace"] == ("acme", "user-7")
    assert ledger.episodes()[0].namespace == ("acme", "user-7")


@pytest.mark.parametrize("configurable", [{}, {"user": ""}, {"user": None}])
def test_a_missing_placeholder_means_no_lessons_and_no_episode(recaller, recorder, ledger, caplog, configurable):
    service = AgentService(recaller=recaller, recorder=recorder, namespace=("acme", "{user}"))
    result = reflected(single(TellingModel()), service).invoke(ASKED, {"configurable": configurable})
    recorder.flush()
    assert result["messages"][-1].content == "first answer"
    assert (recaller.asked, ledger.episodes()) == ([], [])
    assert "'user'" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR


@pytest.mark.parametrize("namespace", [(), ("",), ("a", 1), "acme", ("{user",), ("{a b}",)])
def test_a_namespace_that_cannot_be_meant_is_refused(namespace):
    with pytest.raises(InvalidInput, match="namespace"):
        AgentService(namespace=namespace)


def test_the_unit_of_assignment_is_the_episode(service, recaller):
    run_id = uuid4()
    reflected(single(TellingModel()), service).invoke(ASKED, {"run_id": run_id})
    assert recaller.asked[0]["unit"] == str(run_id)
    assert recaller.asked[0]["episode_id"] == run_id


def test_a_verifier_judges_each_good_run_off_the_callers_path(service, ledger, recorder):
    told, threads = [], []

    def verifier(*, inputs, outputs, reference_outputs=None):
        threads.append(threading.current_thread())
        return outputs["messages"][-1].content == "first answer" and inputs == ASKED

    service.on_outcome = told.append
    with collect_episodes() as episodes:
        reflected(single(TellingModel()), service, verifier=verifier).invoke(ASKED)
    recorder.flush()
    [outcome] = ledger.outcomes(episodes[0].id)
    assert (outcome.reward, outcome.source) == (1.0, "verifier")
    assert told == [outcome]
    assert threading.main_thread() not in threads


def test_a_verifier_that_fails_is_logged(service, ledger, recorder, caplog):
    with collect_episodes() as episodes:
        reflected(single(TellingModel()), service, verifier=lambda **_: 1 / 0).invoke(ASKED)
    recorder.flush()
    assert ledger.outcomes(episodes[0].id) == []
    assert "ZeroDivisionError" in caplog.text


async def test_an_async_verifier_is_awaited(service, ledger, recorder):
    async def verifier(*, inputs, outputs, reference_outputs=None):
        await asyncio.sleep(0)
        return 0.5

    with collect_episodes() as episodes:
        await reflected(asynchronous(TellingModel()), service, verifier=verifier).ainvoke(ASKED)
    await asyncio.to_thread(recorder.flush)
    assert ledger.outcomes(episodes[0].id)[0].reward == 0.5


def test_write_before_return_has_the_episode_in_the_ledger(recaller, ledger):
    with Recorder(ledger, write_before_return=True) as recorder:
        service = AgentService(recaller=recaller, recorder=recorder)
        reflected(single(TellingModel()), service).invoke(ASKED)
        assert ledger.counts()["episodes"] == 1
        asyncio.run(reflected(single(TellingModel()), service).ainvoke(ASKED))
        assert ledger.counts()["episodes"] == 2


def test_secrets_are_redacted_before_they_are_stored(service, ledger, recorder):
    secret = "sk-abcdefghijklmnopqrstuvwxyz"
    given = {"messages": [("user", f"my key is {secret}")]}
    reflected(single(TellingModel()), service).invoke(given, {"metadata": {"note": secret}})
    recorder.flush()
    [episode] = ledger.episodes()
    assert secret not in episode.model_dump_json()
    assert "[redacted key]" in episode.task


def test_a_redaction_that_fails_keeps_nothing(service, ledger, recorder):
    service.redact = lambda text: 1 / 0
    reflected(single(TellingModel()), service).invoke(ASKED)
    recorder.flush()
    assert "Rome" not in ledger.episodes()[0].model_dump_json()


def test_recording_alone_needs_no_recaller(recorder, ledger):
    reflected(single(TellingModel()), AgentService(recorder=recorder)).invoke(ASKED)
    recorder.flush()
    assert ledger.episodes()[0].steps[0].output == {"content": "first answer", "tool_calls": []}


def test_recall_alone_needs_no_recorder(recaller):
    model = TellingModel()
    reflected(single(model), AgentService(recaller=recaller)).invoke(ASKED)
    assert "<lessons" in str(model.prompts)


def test_placeholders_of_one_service_do_not_touch_another(recaller, recorder):
    one = AgentService(recaller=recaller, recorder=recorder, namespace=("{a}",))
    other = replace(one, namespace=("b",))
    assert other.namespace == ("b",)
    assert one.namespace == ("{a}",)
