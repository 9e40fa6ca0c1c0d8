"""A pytest plugin that wraps every graph that a test suite compiles: `REFLECT_GATE=bare|record|lessons pytest -p wrap_everything`.

It tells nothing about the tests but their outcomes, as JSON in the file that `REFLECT_GATE_RESULTS` names. See `upstream_gate.py`.
"""

import functools
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

HOW = os.environ.get("REFLECT_GATE", "bare")
OUTCOMES: dict[str, str] = {}


class Nowhere:
    """A ledger that keeps nothing; the recorder still makes every episode."""

    def save_episodes(self, batch: Iterable[Any]) -> None:
        """Forget them."""
        list(batch)


def wrapping() -> Callable[[Any], Any]:
    """Wraps a graph with one service for all."""
    from langchain_reflect.agents.service import AgentService
    from langchain_reflect.agents.wrap import reflected
    from langchain_reflect.recall.policy import RecallPolicy
    from langchain_reflect.recording.recorder import Recorder
    from langchain_reflect.testing.recalling import FixedRecall

    recaller = FixedRecall() if HOW == "lessons" else None
    service = AgentService(recaller=recaller, recorder=Recorder(Nowhere()), policy=RecallPolicy(deadline=20.0))
    return lambda graph: reflected(graph, service, metadata=False)


def patched(method: Callable[..., Any], wrap: Callable[[Any], Any]) -> Callable[..., Any]:
    """The method, with what it returns wrapped."""

    @functools.wraps(method)
    def patch(*args: Any, **kwargs: Any) -> Any:
        return wrap(method(*args, **kwargs))

    return patch


def pytest_configure(config: pytest.Config) -> None:
    """Patch what makes graphs, before the tests are imported."""
    del config
    if HOW == "bare":
        return
    from langgraph.func import entrypoint
    from langgraph.graph import StateGraph

    wrap = wrapping()
    StateGraph.compile = patched(StateGraph.compile, wrap)  # type: ignore[method-assign]  # that is the point
    entrypoint.__call__ = patched(entrypoint.__call__, wrap)  # type: ignore[method-assign]  # as above


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep the worst outcome of a test's phases."""
    if report.when == "call" or report.outcome != "passed":
        OUTCOMES[report.nodeid] = "failed" if report.outcome == "failed" else OUTCOMES.get(report.nodeid, report.outcome)


def pytest_sessionfinish() -> None:
    """Write them down."""
    if target := os.environ.get("REFLECT_GATE_RESULTS"):
        Path(target).write_text(json.dumps(OUTCOMES), encoding="utf-8")
