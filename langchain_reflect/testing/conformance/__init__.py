"""Proves that a wrapped graph is a drop-in replacement: the checks, graphs to try them on, and a table of what was proven.

To run them on your graph, derive a test class from `DropInTests` in `langchain_reflect.testing.conformance.suite`, which needs pytest.
A check runs the same thing on the bare graph and on the wrapped one, and compares what `normal` leaves of both.
"""

from langchain_reflect.testing.conformance.comparing import MARK, Pair, normal
from langchain_reflect.testing.conformance.subjects import (
    AGENT_SCRIPT,
    ASKED,
    SUBJECTS,
    CountingState,
    DataState,
    FormState,
    ModelState,
    Subject,
    TellingModel,
    agent,
    asynchronous,
    counting,
    dataclass_state,
    form,
    functional,
    model_for,
    nested,
    pydantic_state,
    sequence,
    single,
    spoken,
)

__all__ = [
    "AGENT_SCRIPT",
    "ASKED",
    "MARK",
    "SUBJECTS",
    "CountingState",
    "DataState",
    "FormState",
    "ModelState",
    "Pair",
    "Subject",
    "TellingModel",
    "agent",
    "asynchronous",
    "counting",
    "dataclass_state",
    "form",
    "functional",
    "model_for",
    "nested",
    "normal",
    "pydantic_state",
    "sequence",
    "single",
    "spoken",
]
