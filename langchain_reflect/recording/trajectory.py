"""Events of a run become the steps of its trajectory. Pure.

Our own block of lessons is taken out of every text here, so that a later reflection never learns from what it once wrote itself.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal
from uuid import UUID

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from pydantic import JsonValue

from langchain_reflect.recording.plain import Clean, clean_text, plain, text_of, tool_calls
from langchain_reflect.types import Step, Usage
from langchain_reflect.types.block import blocks_in

EventKind = Literal["model", "tool", "node"]


@dataclass(slots=True)
class Event:
    """One call that ended, as a callback saw it; inputs and outputs are the run's own objects."""

    kind: EventKind
    run_id: UUID
    name: str
    place: str
    """Checkpoint namespace of the node that made the call."""
    started: float
    input: Any = None
    output: Any = None
    error: str | None = None
    ended: float | None = None


def strip_block(text: str) -> str:
    """The text without our own blocks of lessons and the white space around them. Takes time in proportion to the text's length."""
    outside, at = [], 0
    for start, end in blocks_in(text):
        outside.append(text[at:start])
        at = end
    if not outside:
        return text
    first, *middle = outside
    parts = [first.rstrip(), *(part.strip() for part in middle), text[at:].lstrip()]
    return "\n\n".join(part for part in parts if part)


def steps_of(events: Sequence[Event], clean: Clean = str, *, left_out: int = 0) -> tuple[Step, ...]:
    """The trajectory: model and tool calls in the order they ended, and those nodes in which neither happened.

    Args:
        events: What ended, in that order.
        clean: Applied to every text.
        left_out: Events that are missing in the middle; a step there says so.
    """

    def cleaned(text: str) -> str:
        return clean(strip_block(text))

    steps: list[Step] = []
    seen: dict[tuple[str, ...], Sequence[BaseMessage]] = {}
    answered: set[str] = {e.output.tool_call_id for e in events if e.kind == "tool" and isinstance(e.output, ToolMessage)}
    outer = _outer_places(events)
    for at, event in enumerate(events):
        if left_out and at == len(events) // 2:
            steps.append(Step(kind="node", name="steps left out", output={"steps": left_out}))
        if event.kind == "node" and event.place in outer:
            continue
        if event.kind == "model" and isinstance(event.input, list):
            node = _names(event.place)  # a place names the task too, which is another one each time the node runs
            fresh = [m for m in _new(event.input, seen.get(node, ())) if _tells(m, answered)]
            seen[node] = event.input
            steps.append(_step(event, plain(fresh, cleaned) if fresh else None, cleaned))
        else:
            steps.append(_step(event, plain(event.input, cleaned), cleaned))
    return tuple(steps)


def total_usage(steps: Sequence[Step]) -> Usage:
    """What all model calls cost together."""
    return reduce(lambda total, step: total + step.usage, steps, Usage())


def model_of(steps: Sequence[Step]) -> str | None:
    """Name of the model that made the last call."""
    return next((s.name for s in reversed(steps) if s.kind == "model" and s.name), None)


def _outer_places(events: Sequence[Event]) -> set[str]:
    """Places in or below which something was recorded that tells more than the node's result."""
    outer: set[str] = set()
    for event in events:
        parts = event.place.split("|")
        outer.update("|".join(parts[:depth]) for depth in range(1, len(parts)))
        if event.kind != "node":
            outer.add(event.place)
    return outer


def _new(messages: Sequence[BaseMessage], before: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
    """The messages that the previous call at this place had not seen, without the model's own answer to it."""
    same = 0
    for old, new in zip(before, messages, strict=False):
        if old is not new and (old.type, old.content) != (new.type, new.content):
            break
        same += 1
    fresh = messages[same:]
    return fresh[1:] if before and fresh and isinstance(fresh[0], AIMessage) else fresh


def _tells(message: BaseMessage, answered: Collection[str]) -> bool:
    """Whether a message says what no other step says: it is no recorded tool's answer and more than our own block."""
    if isinstance(message, ToolMessage):
        return message.tool_call_id not in answered
    return not isinstance(message.content, str) or not message.content or bool(strip_block(message.content))


def _step(event: Event, given: JsonValue, clean: Clean) -> Step:
    latency = None if event.ended is None else round((event.ended - event.started) * 1000, 3)
    usage = _usage(event) if event.kind == "model" else Usage()
    return Step(
        kind=event.kind,
        name=clean_text(event.name, clean),
        input=given,
        output=_output(event, clean),
        error=None if event.error is None else clean_text(event.error, clean),
        latency_ms=latency,
        usage=usage,
        path=path_of(event.place),
    )


def path_of(place: str) -> str:
    """Names of the nested graphs around a node, `/` separated: `research:1|search:2` -> `research`; empty at the root."""
    return "/".join(_names(place)[:-1])


def _names(place: str) -> tuple[str, ...]:
    return tuple(part.split(":", 1)[0] for part in place.split("|") if not part.isdigit())


def _output(event: Event, clean: Clean) -> JsonValue:
    if event.kind == "model":
        return _model_output(event.output, clean)
    if event.kind == "tool" and isinstance(event.output, ToolMessage):
        content = event.output.content
        return clean_text(content, clean) if isinstance(content, str) else plain(content, clean)
    return plain(event.output, clean)


def _model_output(output: Any, clean: Clean) -> JsonValue:
    if isinstance(output, BaseMessage):
        calls = tool_calls(getattr(output, "tool_calls", None) or ())
        return {"content": clean_text(text_of(output.content), clean), "tool_calls": plain(calls, clean)}
    return plain(output, clean)


def _usage(event: Event) -> Usage:
    reported = getattr(event.output, "usage_metadata", None)
    if not isinstance(reported, Mapping):
        return Usage(calls=1)
    return Usage(calls=1, tokens_in=int(reported.get("input_tokens") or 0), tokens_out=int(reported.get("output_tokens") or 0))
