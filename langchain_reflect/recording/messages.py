"""Logs that people already have become episodes: messages and a reward in, `Episode` and `Outcome` out. Pure.

Messages are LangChain objects or dicts in OpenAI's chat form. Real logs are dirty (arguments that are not JSON, roles nobody knows, tool
results without the id of their call), so reading messages never raises: what cannot be understood is kept as text, and named in `defects`.
A row, on the other hand, must say what it means: a wrong reward or a missing task is an `InvalidInput` that names row and field.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

from langchain_core.messages import BaseMessage
from pydantic import JsonValue

from langchain_reflect.errors import InvalidInput
from langchain_reflect.recording.plain import Clean, clean_text, message_fields, plain, text_of
from langchain_reflect.recording.trajectory import strip_block
from langchain_reflect.types import Episode, Fingerprint, Namespace, Outcome, Step

_ROLES: Final = {
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "developer": "system",
    "function": "tool",
    **{role: role for role in ("user", "assistant", "system", "tool")},
}
_IDS: Final = uuid5(NAMESPACE_URL, "langchain-reflect/import")
Call = dict[str, JsonValue]


class ReadMessages(NamedTuple):
    """What a list of messages says."""

    steps: tuple[Step, ...]
    defects: tuple[str, ...]
    """One word for each thing that was wrong: `messages`, `message`, `role`, `content`, `tool_calls`, `args-not-json`, `tool_call_id`."""


def read_messages(messages: object, *, model: str = "", clean: Clean = str) -> ReadMessages:
    """Messages as the steps of a trajectory.

    Args:
        messages: A sequence of LangChain messages or of dicts in OpenAI's chat form; anything else is a defect.
        model: Name of the model that wrote the assistant's messages.
        clean: Applied to every text, for example redaction.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, str | bytes):
        return ReadMessages((), ("messages",))
    reader = _Reader(model, clean)
    for message in messages:
        reader.read(message)
    return ReadMessages(tuple(reader.steps), tuple(reader.defects))


def read_row(
    row: Mapping[str, Any], *, number: int | None = None, namespace: Namespace = ("default",), graph: str = "agent", clean: Clean = str
) -> tuple[Episode, Outcome | None]:
    """One row of a log as an episode and its outcome.

    Args:
        row: `messages`, and optionally `id`, `reward`, `feedback`, `task`, `task_key` or `task_id`, `model`, `namespace`, `graph`,
            `metadata`, `at` (ISO 8601). Other keys are left out. Without `task` the first message of the user is the task.
        number: The row's number, for the error's text.
        namespace: Where the row names none.
        graph: Where the row names none.
        clean: Applied to every text.

    Returns:
        The episode, whose id depends on the row's `id` (or else its content) only, so that importing twice changes nothing; and the
        outcome, if the row has a reward or feedback. Defects of the messages stand in `metadata["defects"]`.

    Raises:
        InvalidInput: A field has a value that cannot be meant.
    """
    where = "row" if number is None else f"row {number}"
    if not isinstance(row, Mapping):
        raise InvalidInput(f"{where} is {type(row).__name__}; expected an object with `messages`")
    text = partial(_text, row, where=where, clean=clean)
    space = _namespace(row.get("namespace"), where, namespace)
    name = text("graph") or graph
    model = text("model")
    steps, defects = read_messages(row.get("messages"), model=model or "", clean=clean)
    if "messages" in defects:
        raise InvalidInput(f"{where}, field 'messages': expected a list of messages, got {type(row.get('messages')).__name__}")
    at = _time(row.get("at"), where)
    metadata = _metadata(row.get("metadata"), where, clean)
    episode = Episode(
        id=_id(row, space, name, steps),
        namespace=space,
        graph=name,
        task=text("task") or _first_question(steps, where),
        task_key=text("task_key") or text("task_id"),
        result=_last_answer(steps),
        steps=steps,
        model=model,
        fingerprint=Fingerprint(model=model) if model else None,
        metadata={**metadata, "defects": sorted(set(defects))} if defects else metadata,
        **({} if at is None else {"started_at": at}),
    )
    return episode, _outcome(row, episode.id, at, where, text("feedback"))


class _Reader:
    """Reads messages one after the other; remembers the calls that still wait for their result."""

    def __init__(self, model: str, clean: Clean) -> None:
        self.steps: list[Step] = []
        self.defects: list[str] = []
        self._model = model
        self._raw_clean = clean
        self._calls: dict[str, Call] = {}

    def read(self, message: object) -> None:
        """Append the step of one message."""
        fields = self._fields(message)
        if fields is None:
            return
        role = _ROLES.get(str(fields.get("role") or fields.get("type") or ""))
        if role == "assistant":
            self._assistant(fields)
        elif role == "tool":
            self._tool(fields)
        else:
            if role is None:
                self.defects.append("role")
            name = role or clean_text(str(fields.get("role") or "unknown"), self._clean)
            self.steps.append(Step(kind="message", name=name, output=self._content(fields)))

    def _fields(self, message: object) -> Mapping[str, Any] | None:
        if isinstance(message, BaseMessage):
            return message_fields(message)
        if isinstance(message, Mapping):
            return message
        if isinstance(message, list | tuple) and len(message) == 2 and isinstance(message[0], str):  # noqa: PLR2004 - (role, content)
            return {"role": message[0], "content": message[1]}
        self.defects.append("message")
        return None

    def _clean(self, text: str) -> str:
        return self._raw_clean(strip_block(text))

    def _content(self, fields: Mapping[str, Any]) -> str:
        content = fields.get("content")
        if content is None or isinstance(content, str | list | tuple):
            return clean_text(text_of(content), self._clean)
        self.defects.append("content")
        return json.dumps(plain(content, self._clean), ensure_ascii=False)

    def _assistant(self, fields: Mapping[str, Any]) -> None:
        calls = self._tool_calls(fields)
        for call in calls:
            if call["id"]:
                self._calls[str(call["id"])] = call
        output: JsonValue = {"content": self._content(fields), "tool_calls": list[JsonValue](calls)}
        self.steps.append(Step(kind="model", name=self._model, output=output))

    def _tool_calls(self, fields: Mapping[str, Any]) -> list[Call]:
        raw = fields.get("tool_calls") or ([{"function": fields["function_call"]}] if fields.get("function_call") else [])
        if not isinstance(raw, list | tuple):
            self.defects.append("tool_calls")
            return []
        return [call for call in map(self._tool_call, raw) if call is not None]

    def _tool_call(self, raw: object) -> Call | None:
        if not isinstance(raw, Mapping):
            self.defects.append("tool_calls")
            return None
        function = raw.get("function")
        source = function if isinstance(function, Mapping) else raw
        name = clean_text(str(source.get("name") or "unknown"), self._clean)
        found = source.get("arguments", source.get("args"))
        call_id = raw.get("id")
        return {"name": name, "args": self._arguments(found), "id": None if call_id is None else str(call_id)}

    def _arguments(self, found: object) -> JsonValue:
        if isinstance(found, str):
            try:
                found = json.loads(found) if found.strip() else {}
            except ValueError:
                self.defects.append("args-not-json")
                return clean_text(str(found), self._clean)
        if not isinstance(found, Mapping):
            self.defects.append("args-not-json")
        return plain(found, self._clean)

    def _tool(self, fields: Mapping[str, Any]) -> None:
        call_id = fields.get("tool_call_id")
        call = self._calls.pop(str(call_id), None) if call_id else self._next_call(fields.get("name"))
        if not call_id or call is None:
            self.defects.append("tool_call_id")
        content = self._content(fields)
        failed = fields.get("status") == "error" or bool(fields.get("error"))
        error = clean_text(str(fields.get("error") or content), self._clean) if failed else None
        name = clean_text(str(fields.get("name") or (call or {}).get("name") or "unknown"), self._clean)
        self.steps.append(Step(kind="tool", name=name, input=(call or {}).get("args"), output=content, error=error))

    def _next_call(self, name: object) -> Call | None:
        """The oldest call that waits for a result of this tool: a result without an id most likely answers it."""
        waiting = next((i for i, call in self._calls.items() if name is None or call["name"] == name), None)
        return None if waiting is None else self._calls.pop(waiting)


def _first_question(steps: Iterable[Step], where: str) -> str:
    said = (step.output for step in steps if step.kind == "message" and step.name == "user")
    question = next((text for text in said if isinstance(text, str) and text.strip()), None)
    if question is None:
        raise InvalidInput(f"{where}, field 'task': missing, and no message has the role 'user'; give the task as text")
    return question


def _last_answer(steps: Sequence[Step]) -> JsonValue:
    """What the assistant said last; its tool calls if it said nothing."""
    output = next((step.output for step in reversed(steps) if step.kind == "model"), None)
    return (output["content"] or output["tool_calls"] or None) if isinstance(output, dict) else None


def _text(row: Mapping[str, Any], field: str, *, where: str, clean: Clean) -> str | None:
    value = row.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InvalidInput(f"{where}, field {field!r}: expected text, got {type(value).__name__}")
    return clean_text(strip_block(str(value)), clean).strip() or None


def _namespace(value: object, where: str, default: Namespace) -> Namespace:
    if value is None:
        return default
    parts = tuple(value.split("/")) if isinstance(value, str) else tuple(value) if isinstance(value, list | tuple) else ()
    if not parts or not all(isinstance(part, str) and part for part in parts):
        raise InvalidInput(f"{where}, field 'namespace': expected a list of non-empty strings, or 'a/b', got {value!r}")
    return parts


def _time(value: object, where: str) -> datetime | None:
    if value is None:
        return None
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise InvalidInput(f"{where}, field 'at': {value!r} is not an ISO 8601 time, such as '2025-03-01T12:00:00+00:00'") from None
    if at.tzinfo is None:
        raise InvalidInput(f"{where}, field 'at': {value!r} has no time zone; append one, such as '+00:00'")
    return at


def _metadata(value: object, where: str, clean: Clean) -> dict[str, JsonValue]:
    if value is None:
        return {}
    found = plain(value, clean)
    if not isinstance(found, dict):
        raise InvalidInput(f"{where}, field 'metadata': expected an object, got {type(value).__name__}")
    return found


def _id(row: Mapping[str, Any], namespace: Namespace, graph: str, steps: Sequence[Step]) -> UUID:
    given = row.get("id")
    if given is None:
        said = [step.model_dump_json() for step in steps]
        named = [str(row.get(key)) for key in ("task", "task_key", "task_id", "model")]
        return uuid5(_IDS, json.dumps([*namespace, graph, said, named]))
    try:
        return given if isinstance(given, UUID) else UUID(str(given))
    except ValueError:
        return uuid5(_IDS, json.dumps([*namespace, graph, str(given)]))


def _outcome(row: Mapping[str, Any], episode_id: UUID, at: datetime | None, where: str, feedback: str | None) -> Outcome | None:
    reward = row.get("reward")
    if reward is None and feedback is None:
        return None
    if reward is not None and (not isinstance(reward, bool | int | float) or not math.isfinite(reward) or not 0 <= reward <= 1):
        raise InvalidInput(f"{where}, field 'reward': expected a number from 0 to 1 or a boolean, got {reward!r}")
    given = {} if at is None else {"observed_at": at}
    return Outcome(episode_id=episode_id, reward=None if reward is None else float(reward), feedback=feedback, source="import", **given)
