"""The steps of an episode, whatever JSON they hold, become lines of text. Pure, and never raises.

The recorder and the importer write one shape; a graph's own nodes, models without messages and older logs bring others: OpenAI's and
LangChain's messages, Anthropic's content blocks, and junk. What has no known shape is told as JSON.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from langchain_reflect.reflection.placeholders import medium, without_media
from langchain_reflect.reflection.quoting import without_block
from langchain_reflect.types import Episode, Step

_SYSTEM: Final = 120
"""Most characters of a system message: it is the same in every rollout."""
_HEAD: Final = 16_000
_TAIL: Final = 8_000
"""Of a longer text only these first and last characters are read on."""
_DEPTH: Final = 16
_ROLES: Final = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant", "function": "tool"}
_CALLS: Final = frozenset({"tool_use", "tool_call", "server_tool_use", "function_call"})
_FAILED: Final = re.compile(
    r"""[\s\W]{0,9}(?:error\b(?!"?\s*:\s*(?:null|none|false|""|''|\[\]|\{\}))|exception\b|traceback \(|\w{1,60}(?:error|exception)\s*[:(]"""
    r"""|status"\s*:\s*"(?:error|failed)")""",
    re.IGNORECASE,
)
"""How the result of a tool begins that failed without raising."""

Json = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Line:
    """One step as text."""

    text: str
    """Without our own block and without media; long texts without their middle."""
    act: str = ""
    """What the step did to the world (the call and whether it failed), in one form; empty for what was only said."""
    failed: bool = False
    kind: str = ""
    latency_ms: float | None = None


def lines_of(episode: Episode) -> list[Line]:
    """The steps of an episode that say something, as text, without the task itself.

    Args:
        episode: With its steps.
    """
    pending: set[str] = set()
    task = " ".join(episode.task.split())
    return [line for step in episode.steps for line in _lines(step, pending) if line.text and not _is_task(line.text, task)]


def answer_of(episode: Episode) -> str:
    """What the agent gave in the end, as text: the last message of a chat, or the result as it is.

    Args:
        episode: With its result, or else its steps.
    """
    result = episode.result
    if isinstance(result, dict) and "messages" in result:
        result = next((said for m in reversed(_messages(result["messages"])) if (said := _said_or_called(m))), None)
    elif isinstance(result, dict) and len(result) == 1:
        result = next(iter(result.values()))
    if result is None:
        outputs = (_unwrapped(s.output) for s in reversed(episode.steps) if s.kind == "model")
        result = next((said for o in outputs if isinstance(o, dict) and (said := _said_or_called(o))), None)
    return _plain(result if isinstance(result, str) else "" if result is None else _json(result)).strip()


def _lines(step: Step, pending: set[str]) -> Iterator[Line]:
    """Lines of one step; `pending` holds the calls whose arguments a model's line has already shown."""
    if step.kind == "message":
        yield _line(f"{step.name or 'message'}: ", _said(step.output), kind="message")
    elif step.kind == "model":
        yield from (_heard(message) for message in _messages(step.input))
        yield _model(step, pending)
    else:
        yield _tool(step, pending)


def _heard(message: Json) -> Line:
    role = str(message.get("role") or message.get("type") or "message")
    role = _ROLES.get(role, role)
    said = _said_or_called(message)
    if role == "system":
        said = said if len(said) <= _SYSTEM else f"{said[:_SYSTEM]} …"
    return _line(f"{role}: ", said, failed=role == "tool" and _is_failure(said), kind="message")


def _model(step: Step, pending: set[str]) -> Line:
    output = _unwrapped(step.output)
    called = _called(output) if isinstance(output, dict) else []
    calls = [_call(name, args) for name, args in called]
    pending.update(calls)
    said = (_said(output.get("content")) if "content" in output or calls else _json(output)) if isinstance(output, dict) else _said(output)
    parts = [*([said.strip()] if said.strip() else []), *(f"-> {call}" for call in calls)]
    text = " ".join(parts) + _error(step)
    return _line("agent: ", text, act=" ".join(calls), failed=bool(step.error), kind=step.kind, latency=step.latency_ms)


def _tool(step: Step, pending: set[str]) -> Line:
    call, said = _call(step.name or step.kind, _parsed(step.input)), _said(step.output)
    failed = bool(step.error) or (step.kind == "tool" and _is_failure(said))
    error = "" if step.error and step.error == said else _error(step)
    prefix = f"{step.kind} {step.name if call in pending else call}: "
    text = _plain(f"{prefix}{said}{error}").strip()
    return Line(text, f"{call} {failed}", failed, step.kind, _finite(step.latency_ms))


def _line(prefix: str, said: str, *, act: str = "", failed: bool = False, kind: str = "", latency: float | None = None) -> Line:
    text = _plain(said).strip()
    return Line(f"{prefix}{text}" if text else "", act, failed, kind, _finite(latency))


def _plain(text: str) -> str:
    """Encodable text without our block and without media; a long one without its middle."""
    text = without_media(without_block(text))
    text = text if len(text) <= _HEAD + _TAIL else f"{text[:_HEAD]} … {text[-_TAIL:]}"
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _finite(latency: float | None) -> float | None:
    return latency if latency is not None and 0 <= latency < float("inf") else None


def _is_failure(said: str) -> bool:
    return bool(_FAILED.match(said))


def _error(step: Step) -> str:
    return f" ERROR {step.error}" if step.error else ""


def _is_task(text: str, task: str) -> bool:
    said = text.partition(": ")[2] if len(text) <= 2 * len(task) + _SYSTEM else ""
    return bool(said) and " ".join(said.split()) == task


def _messages(given: JsonValue) -> list[Json]:
    """Messages in a model's input or a result: a list, a list of lists (a batch), an object that holds one, or a prompt's text."""
    if isinstance(given, dict):
        given = given.get("messages", [given] if "content" in given else [])
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    found = given if isinstance(given, list) else []
    flat = [m for item in found for m in (item if isinstance(item, list) else [item])]
    return [m for m in map(_unwrapped, flat) if isinstance(m, dict)]


def _unwrapped(value: JsonValue) -> JsonValue:
    """The message inside the envelopes of LangChain's dumps and of OpenAI's and LangChain's responses."""
    for _ in range(_DEPTH):
        inner = _inner(value)
        if inner is None:
            break
        value = inner
    return value


def _inner(value: JsonValue) -> JsonValue:
    if not isinstance(value, dict) or "content" in value or "tool_calls" in value:
        return None
    if isinstance(kwargs := value.get("kwargs"), dict) and "lc" in value:
        return {"role": _class(value.get("id")), **kwargs}
    if isinstance(data := value.get("data"), dict) and isinstance(role := value.get("type"), str):
        return {"role": role, **{k: v for k, v in data.items() if k != "type"}}
    if isinstance(message := value.get("message"), dict):
        return message
    first = value.get("choices") or value.get("generations")
    while isinstance(first, list) and first:
        first = first[0]
    return first if isinstance(first, dict) else None


def _class(path: JsonValue) -> str:
    """Role of a class: `[..., "HumanMessage"]` -> `human`."""
    return str(path[-1]).removesuffix("Message").lower() if isinstance(path, list) and path else "message"


def _said_or_called(message: Json) -> str:
    said = _said(message.get("content"))
    return said if said.strip() else ", ".join(_call(name, args) for name, args in _called(message))


def _called(message: Json) -> list[tuple[str, JsonValue]]:
    """Name and arguments of the tool calls of a message, in whichever of the known places they stand."""
    listed, content, single = message.get("tool_calls"), message.get("content"), message.get("function_call")
    found: Iterable[JsonValue] = listed if isinstance(listed, list) and listed else [single] if isinstance(single, dict) else ()
    blocks = content if isinstance(content, list) else ()
    found = found or [b for b in blocks if isinstance(b, dict) and b.get("type") in _CALLS]
    return [_name_and_args(call) for call in found if isinstance(call, dict)]


def _name_and_args(call: Json) -> tuple[str, JsonValue]:
    source = call["function"] if isinstance(call.get("function"), dict) else call
    assert isinstance(source, Mapping)
    args = next((source[key] for key in ("args", "arguments", "input") if key in source), None)
    return str(source.get("name") or "unknown"), _parsed(args)


def _parsed(args: JsonValue) -> JsonValue:
    """Arguments that are JSON in a text; others as they are."""
    if isinstance(args, str) and args[:1] == "{" and len(args) <= _HEAD:
        try:
            found: JsonValue = json.loads(args)
        except (ValueError, RecursionError):
            return args
        return found
    return args


def _call(name: str, args: JsonValue) -> str:
    return f"{name}({'' if args in (None, {}) else args if isinstance(args, str) else _json(args, ordered=True)})"


def _said(value: JsonValue, depth: int = 0) -> str:
    """A message's content or a tool's result as text."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, list) and depth < _DEPTH and all(_is_block(item) for item in value):
        return "\n".join(said for item in value if (said := _block(item, depth)))
    if isinstance(value, dict) and _is_block(value) and "type" in value:
        return _block(value, depth)
    return _json(value)


def _is_block(item: JsonValue) -> bool:
    return isinstance(item, str) or (isinstance(item, dict) and (isinstance(item.get("type"), str) or set(item) == {"text"}))


def _block(item: JsonValue, depth: int) -> str:
    if not isinstance(item, dict):
        return str(item)
    if item.get("type") in _CALLS and "name" in item:
        return ""  # told as a call
    if (told := medium(item)) is not None:
        return told
    said = next((found for key in ("text", "thinking", "reasoning", "refusal") if isinstance(found := item.get(key), str)), None)
    if said is not None:
        return said
    return _said(item["content"], depth + 1) if "content" in item and depth < _DEPTH else _json(item)


def _json(value: JsonValue, *, ordered: bool = False) -> str:
    return json.dumps(_shallow(value), ensure_ascii=False, sort_keys=ordered, default=str)


def _shallow(value: JsonValue, depth: int = 0) -> JsonValue:
    """The value with placeholders for media and without what lies too deep."""
    if isinstance(value, dict):
        told = medium(value)
        return told or ("…" if depth > _DEPTH else {str(k): _shallow(v, depth + 1) for k, v in value.items()})
    if isinstance(value, list):
        return "…" if depth > _DEPTH else [_shallow(item, depth + 1) for item in value]
    return value
