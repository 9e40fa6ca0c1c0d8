"""Which version of the agent acted: a name and three short hashes, so that equal agents can be told from changed ones. Pure, never raises.

Our own block of lessons is no part of the prompt, so an agent has the same fingerprint with lessons and without. What is not known is left
empty; an agent without a prompt or without tools is known to have none.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from langchain_core.messages import BaseMessage
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_reflect.recording.plain import Clean, clean_text, plain, text_of
from langchain_reflect.recording.trajectory import strip_block
from langchain_reflect.types import Fingerprint

UNNAMED: Final = frozenset({"LangGraph", "RunnableSequence"})
"""What graphs and chains are called that nobody gave a name."""
_DIGITS: Final = 12
_DEPTH: Final = 5
"""How deep graphs are looked for in the nodes of graphs."""
_NUMBERED: Final = re.compile(r"(?<![A-Za-z0-9_.:+-])[A-Za-z_.:+-]*\d[A-Za-z0-9_.:+-]*")
"""Anchored at the beginning of a word, so that it takes linear time."""
_CALENDAR: Final = re.compile(
    r"\b(?:(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|Mon|Tue|Wed|Thu|Fri|Sat|Sun|AM|PM|am|pm"
    r"|(?:Jan|Febr)uary|March|April|May|June|July|August|(?:Septem|Octo|Novem|Decem)ber|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b"
)
_SYSTEM: Final = frozenset({"system", "developer"})


@dataclass(frozen=True, slots=True)
class FirstCall:
    """What a run's first model call was given; the run's own objects."""

    model: str
    messages: Any = None
    """Messages, or the text of a prompt."""
    tools: Sequence[Any] | None = None
    """As they were offered; None if that was not seen."""


def fingerprint_of(first: FirstCall | None, *, graph: str = "", messages: Iterable[Any] = (), clean: Clean = str) -> Fingerprint | None:
    """The agent's fingerprint.

    Args:
        first: The first model call; None if no callback saw one.
        graph: From `graph_hash`.
        messages: What the run led to. Without a first call they may tell the model.
        clean: Applied to the model's name.

    Returns:
        None if nothing is known.
    """
    if first is None:
        found = Fingerprint(model=_known(lambda: clean_text(_model_in(messages), clean)), graph=graph)
    else:
        found = Fingerprint(
            model=_known(lambda: clean_text(first.model, clean)),
            prompt=_known(lambda: prompt_hash(first.messages)),
            tools="" if first.tools is None else _known(lambda: tools_hash(first.tools or ())),
            graph=graph,
        )
    return found if any((found.model, found.prompt, found.tools, found.graph)) else None


def prompt_hash(messages: Any) -> str:
    """Hash of the system prompt that stands in front of a model's messages; empty if they are no messages.

    Without our block, without regard to white space, and with every word that has a digit as `0` and names of days and months left out:
    many prompts tell the date, the time or a number of the customer, and would make each run another agent. A prompt with the customer's
    name in it still does.

    Args:
        messages: What a model was given.
    """
    if not isinstance(messages, list | tuple):
        return ""
    texts: list[str] = []
    for message in messages:
        if not isinstance(message, BaseMessage) or (getattr(message, "role", None) or message.type) not in _SYSTEM:
            break
        texts.append(strip_block(text_of(message.content)))
    return _normal_hash("\n".join(texts))


def tools_hash(tools: Iterable[Any]) -> str:
    """Hash of the tools' names, descriptions and arguments, in whatever order they stand.

    Args:
        tools: Schemas as a provider takes them, or tools.
    """
    return _hash("\n".join(sorted(_tool(tool) for tool in tools)))


def graph_hash(graph: Any) -> str:
    """Hash of a graph's nodes and edges by their names, with the graphs in it; empty for what is no graph on this machine.

    Args:
        graph: A compiled graph. Nothing is drawn and no server is asked, so it costs microseconds.
    """
    return _known(lambda: _hash(json.dumps(_shape(graph, _DEPTH))) if _is_graph(graph) else "")


def offered(kwargs: Mapping[str, Any]) -> Sequence[Any]:
    """The tools in what a callback is told of a model call; empty if there are none.

    Args:
        kwargs: Keywords of `on_chat_model_start`.
    """
    for name in ("invocation_params", "options"):
        given = kwargs.get(name)
        if isinstance(given, Mapping):
            found = given.get("tools") or given.get("functions")
            if isinstance(found, list | tuple):
                return found
    return ()


def _is_graph(value: Any) -> bool:
    return isinstance(getattr(value, "nodes", None), Mapping)


def _shape(graph: Any, depth: int) -> list[Any]:
    builder = getattr(graph, "builder", None)
    edges = sorted(map(str, getattr(builder, "edges", ())))
    waiting = sorted(map(str, getattr(builder, "waiting_edges", ())))
    branches = sorted(
        [start, name, sorted(map(str, (branch.ends or {}).items()))]
        for start, named in dict(getattr(builder, "branches", None) or {}).items()
        for name, branch in named.items()
    )
    inner = [(name, getattr(node, "bound", None)) for name, node in sorted(graph.nodes.items())]
    nodes = [[name, _shape(bound, depth - 1) if depth and _is_graph(bound) else []] for name, bound in inner]
    return [nodes, edges, waiting, branches]


def _tool(tool: Any) -> str:
    if isinstance(tool, BaseTool) or callable(tool):
        tool = convert_to_openai_tool(tool)
    try:
        return json.dumps(tool, sort_keys=True)
    except (TypeError, ValueError):
        return json.dumps(plain(tool), sort_keys=True)


def _model_in(messages: Iterable[Any]) -> str:
    """The model that a provider names in the first answer to the last question."""
    answers: list[str] = []
    for message in messages:
        if getattr(message, "type", "") == "human":
            answers = []
        told = getattr(message, "response_metadata", None) or {}
        answers.append(str(told.get("model_name") or told.get("model") or ""))
    return next(filter(None, answers), "")


@lru_cache(maxsize=64)
def _normal_hash(prompt: str) -> str:
    """Remembered, because most prompts are the same in each run, and long."""
    return _hash(" ".join(_CALENDAR.sub("", _NUMBERED.sub("0", prompt)).split()))


def _known(read: Callable[[], str]) -> str:
    """What is read of a user's objects; empty if they cannot be read, because recording must not fail."""
    try:
        return read()
    except Exception:  # noqa: BLE001 - users' objects run their own code here
        return ""


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:_DIGITS]
