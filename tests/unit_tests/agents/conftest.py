"""A service on a real ledger, with a recaller that always has two lessons."""

from collections.abc import Callable, Iterator

import pytest

from langchain_reflect import Ledger
from langchain_reflect.agents.service import AgentService
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recording.recorder import Recorder
from langchain_reflect.testing.recalling import FixedRecall


@pytest.fixture
def recaller() -> FixedRecall:
    return FixedRecall()


@pytest.fixture
def recorder(ledger: Ledger) -> Iterator[Recorder]:
    with Recorder(ledger) as opened:
        yield opened


@pytest.fixture
def service(recaller: FixedRecall, recorder: Recorder, ledger: Ledger) -> AgentService:
    return AgentService(
        recaller=recaller, recorder=recorder, ledger=ledger, policy=RecallPolicy(deadline=20.0)
    )  # other work must not fail a test


@pytest.fixture
def statuses(ledger: Ledger, recorder: Recorder) -> Callable[[], list[str]]:
    """How the episodes so far ended, oldest first."""

    def read() -> list[str]:
        recorder.flush()
        return [e.status for e in reversed(ledger.episodes())]

    return read
