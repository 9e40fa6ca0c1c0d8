"""What the classes of checks have in common: the graph, and the service it is wrapped with."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.pregel import Pregel

from langchain_reflect.agents.service import AgentService
from langchain_reflect.ledger import Ledger
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recording.recorder import Recorder
from langchain_reflect.testing.conformance.comparing import Pair
from langchain_reflect.testing.conformance.subjects import Subject
from langchain_reflect.testing.recalling import FixedRecall

PATIENT = 20.0
"""Seconds that a run may wait for recall, so that a busy machine fails no check."""


class Checks:
    """Fixtures of all checks. A test class has to give `subject`."""

    @pytest.fixture
    def subject(self) -> Subject:
        """The graph to check; to be overridden."""
        raise NotImplementedError("give the class a fixture `subject` that returns Subject(name, build, given)")

    @pytest.fixture
    def service(self, tmp_path: Path) -> Iterator[AgentService]:
        """Two lessons for every run, and a real ledger; a check during which something fails quietly fails loudly."""
        with Ledger(tmp_path / "conformance", durability="fast") as ledger, Recorder(ledger) as recorder:
            made = AgentService(recaller=FixedRecall(), recorder=recorder, ledger=ledger, policy=RecallPolicy(deadline=PATIENT))
            yield made
            assert made.health.counts == {}

    @pytest.fixture
    def both(self, subject: Subject, service: AgentService) -> Pair:
        """The graph, bare and wrapped."""
        return Pair(subject, service)

    @pytest.fixture
    def saved(self, subject: Subject, service: AgentService) -> Pair:
        """The same, each with a checkpoint saver of its own."""
        try:
            return Pair(subject, service, {"checkpointer": InMemorySaver})
        except TypeError as error:
            pytest.skip(f"build() of {subject.name!r} takes no checkpointer: {error}")

    @pytest.fixture
    def told(self, both: Pair) -> Callable[[], None]:
        """Call it after a run: did the model see lessons? Skips if it is not the model that the checks gave to `build`."""

        def check(pair: Pair = both) -> None:
            if not pair.model.prompts:
                pytest.skip(f"{pair.subject.name!r} does not call the model that build() is given, so its prompts cannot be seen")
            assert set(pair.blocks) == {1}

        return check


def thread(number: object = 1) -> Any:
    """The configuration of a thread."""
    return {"configurable": {"thread_id": str(number)}}


async def collect(chunks: Any) -> list[Any]:
    """All of an async stream."""
    return [chunk async for chunk in chunks]


def nodes_of(graph: Any) -> list[str]:
    """Names of a graph's own nodes."""
    return [name for name in graph.nodes if not name.startswith("__")] if isinstance(graph, Pregel) else []
