"""A service on a real ledger, with recall that always has two lessons."""

from collections.abc import Callable, Iterator

import pytest

from langchain_reflect import Ledger
from langchain_reflect.agents.service import AgentService
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recording.recorder import Recorder
from langchain_reflect.testing.conformance import SUBJECTS, Pair
from langchain_reflect.testing.recalling import FixedRecall


@pytest.fixture
def recaller() -> FixedRecall:
    return FixedRecall()


@pytest.fixture
def recorder(ledger: Ledger) -> Iterator[Recorder]:
    with Recorder(ledger) as opened:
        yield opened


@pytest.fixture
def service(recaller: FixedRecall, recorder: Recorder, ledger: Ledger) -> Iterator[AgentService]:
    """Failing open must not make a check pass: nothing may have failed."""
    patient = RecallPolicy(deadline=20.0)  # other work must not fail a test
    made = AgentService(recaller=recaller, recorder=recorder, ledger=ledger, policy=patient)
    yield made
    assert made.health.counts == {}


@pytest.fixture
def pair(service: AgentService) -> Callable[..., Pair]:
    """`pair(subject, checkpointer=InMemorySaver)`; compile options are made anew for each graph."""
    named = {subject.name: subject for subject in SUBJECTS}
    return lambda subject, **compiled: Pair(named[subject] if isinstance(subject, str) else subject, service, compiled)


@pytest.fixture(params=[subject.name for subject in SUBJECTS])
def each(request: pytest.FixtureRequest, pair: Callable[..., Pair]) -> Pair:
    """Every subject in turn."""
    return pair(request.param)
