"""Check 126: nothing of ours blocks the event loop, with a real ledger and real lessons."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from blockbuster import BlockBuster
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from langchain_reflect import Learner
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.testing.conformance import AGENT_SCRIPT, ASKED, SUBJECTS, Subject, TellingModel, agent, model_for
from langchain_reflect.testing.conformance.base import collect, thread
from tests.unit_tests.words import Words


@pytest.fixture(params=["background", "before_return", "durable"])
def learner(request, tmp_path) -> Iterator[Learner]:
    how: Any = {"record": "before_return"} if request.param == "before_return" else {"durable_start": request.param == "durable"}
    options: Any = {"floor": 0.0, "holdout": 0.0, "withhold": 0.0, "deadline": 20.0, "reflect": "manual"}
    with Learner(tmp_path, index=ExactIndex(), embeddings=Words(), **options, **how) as opened:
        opened.lessons.add(when="asked for the weather", do="name the city", status="active")
        yield opened


@pytest.fixture
def watched() -> Iterator[None]:
    """Blocking calls that come from our code in the event loop raise."""
    watching = BlockBuster("langchain_reflect")
    watching.activate()
    yield
    watching.deactivate()


async def test_126_the_watch_would_see_it(learner, watched):
    with pytest.raises(Exception, match="Blocking call to"):
        learner.ledger.counts()
    assert await asyncio.to_thread(learner.ledger.counts)


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda s: s.name)
async def test_126_async_runs_do_not_block(learner, watched, subject: Subject):
    options: Any = subject.options or {}
    model = model_for(subject)
    wrapped = learner.wrap(subject.build(model, checkpointer=InMemorySaver()), **options)
    await wrapped.ainvoke(subject.given, thread(1))
    await collect(wrapped.astream(subject.given, thread(1), stream_mode="messages"))
    await wrapped.abatch([subject.given] * 2, [thread(2), thread(3)])
    await collect(wrapped.astream_events(subject.given, thread(4), version="v2"))
    assert "<lessons" in repr(model.prompts)
    assert learner._shared.health.counts == {}


async def test_126_pausing_resuming_and_judging_do_not_block(learner, watched):
    wrapped = learner.wrap(agent(TellingModel(script=AGENT_SCRIPT), checkpointer=InMemorySaver(), interrupt_before=["tools"]))
    run_id = uuid4()
    await wrapped.ainvoke(ASKED, thread() | {"run_id": run_id})
    await wrapped.ainvoke(Command(resume="go"), thread())
    await learner.arecord_outcome(run_id, reward=1.0)
    await asyncio.to_thread(learner.flush)
    assert (await asyncio.to_thread(learner.ledger.episode, run_id)).status in ("ok", "interrupted")
    assert learner._shared.health.counts == {}


async def test_126_middleware_does_not_block(learner, watched):
    from langchain.agents import create_agent

    model = TellingModel()
    await create_agent(model, [], middleware=[learner.middleware()]).ainvoke(ASKED)
    assert "<lessons" in repr(model.prompts)
