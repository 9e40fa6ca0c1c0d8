"""What a run was asked: the task's text, read from a graph's input."""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage, ChatMessage, HumanMessage

from langchain_reflect.errors import TaskNotFound
from langchain_reflect.recording.plain import text_of
from langchain_reflect.recording.trajectory import strip_block

_USER_ROLES = frozenset({"human", "user"})


def task_of(given: object) -> str:
    """The text of the last message that a person wrote.

    Args:
        given: A graph's input or state: a string, messages, or something with `messages` (a mapping, a Pydantic model, a dataclass). A
            message is an object, a `{"role", "content"}` mapping, a `(role, content)` pair, or a string.

    Raises:
        TaskNotFound: There is no such text; `task=` tells how to read it.
    """
    if isinstance(given, str) and given.strip():
        return strip_block(given)
    for message in reversed(messages_of(given)):
        text = strip_block(_user_text(message))
        if text.strip():
            return text
    raise TaskNotFound(
        f"no task in {_shape(given)}: expected a string or messages with one from the user; "
        "say where it is, for example wrap(graph, task=lambda state: state['question'])"
    )


def messages_of(given: object) -> Sequence[Any]:
    """The messages in a graph's input or state; empty if there are none."""
    found = given
    if isinstance(given, Mapping):
        found = given.get("messages", [given] if "role" in given else ())
    elif hasattr(given, "messages"):
        found = given.messages
    if isinstance(found, BaseMessage | str) or _is_pair(found):
        return [found] if found is not given or isinstance(found, BaseMessage) or _is_pair(found) else ()
    return found if isinstance(found, list | tuple) else ()


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(part, str) for part in value)  # noqa: PLR2004 - a pair


def _user_text(message: object) -> str:
    if isinstance(message, HumanMessage) or (isinstance(message, ChatMessage) and message.role in _USER_ROLES):
        return text_of(message.content)
    if isinstance(message, str):
        return message
    if isinstance(message, Mapping):
        return text_of(message.get("content")) if message.get("role", message.get("type")) in _USER_ROLES else ""
    if isinstance(message, list | tuple) and len(message) == 2 and message[0] in _USER_ROLES:  # noqa: PLR2004 - (role, content)
        return text_of(message[1])
    return ""


def _shape(given: object) -> str:
    if isinstance(given, Mapping):
        return f"an input with the keys {sorted(map(str, given))!r}"
    return f"an input of type {type(given).__name__!r}"
