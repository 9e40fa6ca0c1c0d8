"""Lets any LangChain or LangGraph agent learn explicit lessons from the outcomes of its runs."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_reflect.agents.middleware import ReflectMiddleware
    from langchain_reflect.agents.wrap import collect_episodes, current_episode
    from langchain_reflect.errors import ReflectError
    from langchain_reflect.index.chroma import ChromaIndex
    from langchain_reflect.learner import Learner
    from langchain_reflect.ledger import Ledger
    from langchain_reflect.practising import apractice, practice, practice_report
    from langchain_reflect.settings import ReflectSettings
    from langchain_reflect.types import Episode, Lesson, Outcome
    from langchain_reflect.types.block import BlockTemplate
    from langchain_reflect.uplift import ameasure_uplift, measure_uplift
    from langchain_reflect.worker import Worker

_HOMES = {
    "Learner": "learner",
    "ReflectSettings": "settings",
    "Ledger": "ledger",
    "ChromaIndex": "index.chroma",
    "ReflectMiddleware": "agents.middleware",
    "collect_episodes": "agents.wrap",
    "current_episode": "agents.wrap",
    "Episode": "types",
    "Outcome": "types",
    "Lesson": "types",
    "BlockTemplate": "types.block",
    "practice": "practising",
    "apractice": "practising",
    "practice_report": "practising",
    "measure_uplift": "uplift",
    "ameasure_uplift": "uplift",
    "Worker": "worker",
    "ReflectError": "errors",
}

__all__ = [
    "BlockTemplate",
    "ChromaIndex",
    "Episode",
    "Learner",
    "Ledger",
    "Lesson",
    "Outcome",
    "ReflectError",
    "ReflectMiddleware",
    "ReflectSettings",
    "Worker",
    "ameasure_uplift",
    "apractice",
    "collect_episodes",
    "current_episode",
    "measure_uplift",
    "practice",
    "practice_report",
]


def __getattr__(name: str) -> object:
    """Load a public name from its home on first use (PEP 562), so that a webhook does not pay for a vector index."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
