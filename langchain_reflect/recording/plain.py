"""Any Python object becomes plain JSON: nothing raises, nothing is pickled, and what has no JSON form becomes a placeholder with its type.

Messages get the shape that most people know: `{"role", "content", "tool_calls", ...}`. Texts are capped in the middle, because the
first and the last lines of a tool's output tell most.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, time
from enum import Enum
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from langchain_core.messages import BaseMessage, ToolMessage
from pydantic import BaseModel, JsonValue

from langchain_reflect.recording.media import media_of, without_media

TEXT_LIMIT: Final = 8_000
"""Most characters of one text."""
ITEM_LIMIT: Final = 200
"""Most items of one list or mapping."""
DEPTH_LIMIT: Final = 12
_LONG: Final = 64_000
"""A longer text is cleaned at its ends only."""
_INT_BITS: Final = 64

_ROLES: Final = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}

Clean = Callable[[str], str]
"""What is done to every text on its way in, such as redaction."""


def cap(text: str, limit: int = TEXT_LIMIT) -> str:
    """At most `limit` characters (and the mark, with the hash of all there was): the first two thirds and the last third stay."""
    return text if len(text) <= limit else _capped(text, text, limit)


def _capped(text: str, whole: str, limit: int) -> str:
    """The ends of a text, which may itself be the ends of a longer one."""
    head = limit * 2 // 3
    tail = limit - head
    digest = hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest()
    return f"{text[:head]}\n[… {len(whole) - limit} characters left out, sha256 {digest[:16]} …]\n{text[-tail:]}"


def text_of(content: object) -> str:
    """The text of a message's content: a string, or the text parts of its blocks, joined by newlines."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list | tuple):
        return ""
    parts = (block if isinstance(block, str) else block.get("text") for block in content if isinstance(block, str | Mapping))
    return "\n".join(part for part in parts if isinstance(part, str))


def plain(value: object, clean: Clean = str) -> JsonValue:
    """The value as plain JSON.

    Args:
        value: Anything.
        clean: Applied to every text before it is capped. If it raises, the text is left out rather than kept as it was.
    """
    return _plain(value, clean, 0, frozenset())


def clean_text(text: str, clean: Clean = str) -> str:
    """One text, cleaned, encodable as UTF-8, without NUL (PostgreSQL refuses it), without media, and capped.

    Of a very long text only the ends are cleaned, with so much around them that what is cut away hides nothing.
    """
    whole = without_media(str(text))
    is_long = len(whole) > _LONG
    ends = (whole[: _LONG // 2], whole[-_LONG // 2 :]) if is_long else (whole,)
    try:
        cleaned = "".join(clean(end) for end in ends)
    except Exception:  # noqa: BLE001 - a user's hook; a text it could not clean must not be stored
        return "[left out: redaction failed]"
    kept = cleaned.encode("utf-8", "replace").decode("utf-8").replace("\x00", "�")
    return _capped(kept, whole, TEXT_LIMIT) if is_long else cap(kept)


def _plain(value: object, clean: Clean, depth: int, above: frozenset[int]) -> JsonValue:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str | int | float) and not isinstance(value, Enum):
        return _scalar(value, clean)
    if depth > DEPTH_LIMIT or id(value) in above:
        return _placeholder(value)
    try:
        return _compound(value, clean, depth + 1, above | {id(value)})
    except Exception:  # noqa: BLE001 - objects of users run their own code here, and recording must not fail
        return _placeholder(value)


def _scalar(value: str | float, clean: Clean) -> JsonValue:
    if isinstance(value, str):
        return clean_text(value, clean)
    if isinstance(value, int):
        return int(value) if value.bit_length() <= _INT_BITS else f"<int of {value.bit_length()} bits>"
    return float(value) if math.isfinite(value) else repr(float(value))


def _compound(value: object, clean: Clean, depth: int, above: frozenset[int]) -> JsonValue:  # noqa: PLR0911 - one line per kind of object
    if isinstance(value, BaseMessage):
        return _mapping(message_fields(value), clean, depth, above)
    if isinstance(value, Mapping):
        return _mapping(value, clean, depth, above)
    if isinstance(value, list | tuple | set | frozenset):
        return _items(value, len(value), clean, depth, above)
    if isinstance(value, Enum):
        return _plain(value.value, clean, depth, above)
    if isinstance(value, UUID | date | time | PurePath):
        return clean_text(str(value), clean)
    if isinstance(value, BaseModel):
        return _mapping({name: getattr(value, name, None) for name in type(value).model_fields}, clean, depth, above)
    if is_dataclass(value) and not isinstance(value, type):
        return _mapping({f.name: getattr(value, f.name, None) for f in fields(value)}, clean, depth, above)
    if isinstance(value, BaseException):
        return clean_text(describe_error(value), clean)
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        return _plain(value.item(), clean, depth, above)  # type: ignore[attr-defined]  # a numpy scalar, known by its module
    return _placeholder(value)


def _mapping(value: Mapping[Any, object], clean: Clean, depth: int, above: frozenset[int]) -> JsonValue:
    if (medium := media_of(value)) is not None:
        return medium
    result: dict[str, JsonValue] = {}
    for key, item in list(value.items())[:ITEM_LIMIT]:
        name = clean_text(str(key), clean)
        name = f"{type(key).__name__}:{name}" if name in result else name  # 1 and "1" are two keys
        result[name] = _plain(item, clean, depth, above)
    if len(value) > ITEM_LIMIT:
        result["…"] = f"{len(value) - ITEM_LIMIT} entries left out"
    return result


def _items(value: Iterable[object], count: int, clean: Clean, depth: int, above: frozenset[int]) -> JsonValue:
    items = list(value)
    if count <= ITEM_LIMIT:
        return [_plain(item, clean, depth, above) for item in items]
    head = ITEM_LIMIT // 4
    first = [_plain(item, clean, depth, above) for item in items[:head]]
    last = [_plain(item, clean, depth, above) for item in items[head - ITEM_LIMIT :]]
    return [*first, f"[… {count - ITEM_LIMIT} items left out …]", *last]


def message_fields(message: BaseMessage) -> dict[str, object]:
    """What is kept of a message: role, content, and where present its name, tool calls and the call it answers."""
    role = message.role if message.type == "chat" and hasattr(message, "role") else _ROLES.get(message.type, message.type)
    kept: dict[str, object] = {"role": role, "content": message.content}
    if message.name:
        kept["name"] = message.name
    if calls := getattr(message, "tool_calls", None):
        kept["tool_calls"] = tool_calls(calls)
    if isinstance(message, ToolMessage):
        kept["tool_call_id"] = message.tool_call_id
        if message.status == "error":
            kept["status"] = "error"
    return kept


def tool_calls(calls: Iterable[Mapping[str, Any]]) -> list[dict[str, object]]:
    """Name, arguments and id of each tool call."""
    return [{"name": call.get("name"), "args": call.get("args"), "id": call.get("id")} for call in calls]


def describe_error(error: BaseException) -> str:
    """Type and message of an exception."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - an exception whose __str__ fails still has a type
        return type(error).__name__


def _placeholder(value: object) -> str:
    kind = type(value)
    size = f" {len(value)} bytes" if isinstance(value, bytes | bytearray) else ""
    shape = getattr(value, "shape", None)
    size = f" {shape}" if isinstance(shape, tuple) else size
    return f"<{kind.__module__}.{kind.__qualname__}{size}>"
