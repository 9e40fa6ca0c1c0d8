"""Check 120: whatever fails in us, however it fails, the run gives what it would give without us, late by the deadline at most."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from langchain_reflect import Learner
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.testing.conformance import AGENT_SCRIPT, ASKED, TellingModel, agent, normal, single
from langchain_reflect.testing.conformance.base import collect, thread
from tests.unit_tests.words import Words

HANG = threading.Event()
"""Never set while a test runs; set at its end, so that no thread stays."""
DEADLINE = 0.2


def raises(*_: Any, **__: Any) -> Any:
    raise RuntimeError("broken")


def exits(*_: Any, **__: Any) -> Any:
    raise MemoryError


def hangs(*_: Any, **__: Any) -> Any:
    HANG.wait(5)


def garbage(*_: Any, **__: Any) -> Any:
    return object()


def nothing(*_: Any, **__: Any) -> Any:
    return None


WAYS = {"raises": raises, "runs out of memory": exits, "hangs": hangs, "gives garbage": garbage, "gives nothing": nothing}
PARTS: dict[str, Callable[[Learner], tuple[Any, str]]] = {
    "recaller": lambda learner: (learner.recaller, "recall"),
    "embedder": lambda learner: (type(learner.embedder), "embed_query"),
    "finder": lambda learner: (learner.lessons, "candidates"),
    "lesson count": lambda learner: (learner.lessons, "is_empty"),
    "token counter": lambda learner: (learner.recaller, "_count"),
    "renderer": lambda learner: (learner.recaller, "_forms"),
    "ledger writes": lambda learner: (learner.ledger, "save_episodes"),
    "ledger reads": lambda learner: (learner.ledger, "episodes"),
    "recorder": lambda learner: (learner.recorder, "submit"),
}


@pytest.fixture
def learner(tmp_path) -> Iterator[Learner]:
    options: Any = {"floor": 0.0, "holdout": 0.0, "withhold": 0.0, "deadline": DEADLINE, "reflect": "manual"}
    with Learner(tmp_path, index=ExactIndex(), embeddings=Words(), **options) as opened:
        opened.lessons.add(when="asked for the weather", do="name the city", status="active")
        opened.recorder._exit_timeout = 0.5
        HANG.clear()
        yield opened
        HANG.set()
        opened.recorder.flush(5)


def fresh(compiled: bool = True) -> Any:  # noqa: FBT001, FBT002 - one flag
    return agent(TellingModel(script=AGENT_SCRIPT), **({"checkpointer": InMemorySaver()} if compiled else {}))


def run(graph: Any) -> Any:
    chunks = list(graph.stream(ASKED, thread(1), stream_mode=["values", "updates", "messages", "custom"]))
    return [chunks, graph.invoke(ASKED, thread(1)), graph.get_state(thread(1)).values]


async def arun(graph: Any) -> Any:
    chunks = await collect(graph.astream(ASKED, thread(1), stream_mode=["values", "updates", "messages", "custom"]))
    return [chunks, await graph.ainvoke(ASKED, thread(1)), graph.get_state(thread(1)).values]


CASES = [(part, way) for part in PARTS for way in WAYS if (part, way) != ("recorder", "hangs")]
"""Queueing an episode waits for nothing, so it cannot hang."""


@pytest.mark.parametrize(("part", "way"), CASES)
async def test_120_the_run_is_as_without_us(learner, monkeypatch, part, way):
    where, name = PARTS[part](learner)
    expected, aexpected = normal(run(fresh())), normal(await arun(fresh()))
    wrapped, awrapped = learner.wrap(fresh()), learner.wrap(fresh())
    monkeypatch.setattr(where, name, WAYS[way], raising=True)
    started = time.monotonic()
    assert normal(run(wrapped)) == expected
    assert normal(await arun(awrapped)) == aexpected
    assert time.monotonic() - started < 4 * DEADLINE + 8, "four runs; the bare ones take some milliseconds each"


def unreadable(*_: Any) -> Any:
    raise KeyError("question")


@pytest.mark.parametrize(
    "options",
    [
        {"task": unreadable},
        {"task": garbage},
        {"task": nothing},
        {"inject": lambda state, text: raises()},
        {"view": lambda state, lessons: raises()},
        {"verifier": lambda **_: raises()},
        {"verifier": lambda **_: object()},
        {"namespace": ("{missing}",)},
    ],
    ids=["task raises", "task is garbage", "no task", "inject", "view", "verifier", "odd verdict", "namespace"],
)
async def test_120_what_the_user_gives_us_may_fail_too(learner, options):
    assert normal(run(learner.wrap(fresh(), **options))) == normal(run(fresh()))
    assert normal(await arun(learner.wrap(fresh(), **options))) == normal(await arun(fresh()))


def test_120_a_view_that_returns_garbage_is_the_users_own_affair(learner):
    with pytest.raises((TypeError, AttributeError, KeyError)):
        learner.wrap(fresh(), inject=garbage).invoke(ASKED, thread())


def test_120_a_redactor_that_fails_keeps_the_text_out_and_the_run_going(tmp_path):
    with Learner(tmp_path, index=ExactIndex(), embeddings=Words(), redact=raises, reflect="manual") as learner:
        assert normal(run(learner.wrap(fresh()))) == normal(run(fresh()))
        learner.flush()
        assert "Rome" not in repr(learner.ledger.episodes())


def test_120_a_full_queue_drops_the_episode_and_not_the_run(learner, monkeypatch):
    monkeypatch.setattr(learner.ledger, "save_episodes", hangs)
    learner.recorder._limit = 1
    wrapped = learner.wrap(single(TellingModel()))
    for _ in range(5):
        assert wrapped.invoke(ASKED)["messages"][-1].content == "first answer"
    assert learner.recorder.dropped >= 2


def test_120_a_saver_that_cannot_be_read_for_a_resume_only_costs_the_link(learner, monkeypatch):
    graph = single(TellingModel(), checkpointer=InMemorySaver(), interrupt_before=["chat"])
    wrapped = learner.wrap(graph)
    wrapped.invoke(ASKED, thread())
    original, calls = InMemorySaver.get_tuple, []

    def broken_once(self: Any, config: Any) -> Any:
        calls.append(config)
        if len(calls) == 1:
            raise sqlite3.OperationalError("locked")
        return original(self, config)

    monkeypatch.setattr(InMemorySaver, "get_tuple", broken_once)
    assert wrapped.invoke(None, thread())["messages"][-1].content == "first answer"
    assert len(calls) >= 2


@pytest.mark.parametrize("options", [{"durable_start": True}, {"record": "before_return"}], ids=["durable start", "before return"])
async def test_120_waiting_for_the_ledger_ends_at_the_deadline_and_then_at_once(tmp_path, monkeypatch, options):
    with Learner(tmp_path, index=ExactIndex(), embeddings=Words(), deadline=DEADLINE, reflect="manual", **options) as learner:
        learner.recorder._exit_timeout = 0.2
        HANG.clear()
        monkeypatch.setattr(learner.ledger, "save_episodes", hangs)
        wrapped = learner.wrap(single(TellingModel()))
        times = []
        for n in range(8):
            started = time.monotonic()
            await (asyncio.to_thread(wrapped.invoke, ASKED) if n % 2 else wrapped.ainvoke(ASKED))
            times.append(time.monotonic() - started)
        assert times[0] >= DEADLINE
        assert min(times[4:]) < DEADLINE / 2, "the breaker is open"
        HANG.set()


def test_120_a_broken_recall_costs_nothing_once_its_breaker_is_open(learner, monkeypatch):
    monkeypatch.setattr(learner.recaller, "recall", hangs)
    wrapped = learner.wrap(single(TellingModel()))
    times = []
    for _ in range(12):
        started = time.monotonic()
        wrapped.invoke(ASKED)
        times.append(time.monotonic() - started)
    assert all(t >= DEADLINE for t in times[:3])
    assert sorted(times[3:])[4] < DEADLINE / 4
    assert learner._shared.health.counts["recall paused"] >= 8


def test_120_recall_comes_back_when_it_works_again(learner):
    model = TellingModel()
    wrapped = learner.wrap(single(model))
    recall, learner.recaller.recall = learner.recaller.recall, raises
    for _ in range(4):
        wrapped.invoke(ASKED)
    learner.recaller.recall = recall
    learner._shared.recall_breaker._next_try = 0.0
    wrapped.invoke(ASKED)
    assert ["<lessons" in str(prompt) for prompt in model.prompts] == [False] * 4 + [True]


async def test_120_a_resumed_run_is_as_without_us_when_the_ledger_hangs(learner, monkeypatch):
    monkeypatch.setattr(learner.ledger, "episodes", hangs)
    monkeypatch.setattr(learner.ledger, "episode", hangs)
    wrapped = learner.wrap(single(TellingModel(), checkpointer=InMemorySaver(), interrupt_before=["chat"]))
    wrapped.invoke(ASKED, thread())
    assert (await wrapped.ainvoke(None, thread()))["messages"][-1].content == "first answer"
