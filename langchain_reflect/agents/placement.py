"""Where lessons stand among the messages, and how they are taken out again of what a node returns.

A node gets a *view* of the state: the same messages with the block of lessons. What it returns is restored: an inserted message
disappears, a changed copy becomes the original, and a copy of the copy loses the block. So lessons never get into the state, whatever a
node does with its messages.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Final, Literal

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
from langgraph.func import entrypoint
from langgraph.types import Command, Overwrite, Send
from pydantic import BaseModel

from langchain_reflect.types.block import has_block as may_have_block

Where = Literal["system", "human"]
_DEPTH: Final = 7
"""How deep lessons are looked for in what a node returns."""
_SYSTEM: Final = frozenset({"system", "developer"})
_HUMAN: Final = frozenset({"human", "user"})


@dataclass(eq=False)
class Placement:
    """What was changed in the views of one run, so that it can be undone."""

    inserted: set[int] = field(default_factory=set)
    """Identities of inserted messages (they are kept alive in `_alive`)."""
    originals: dict[int, Any] = field(default_factory=dict)
    """Original of each changed copy, by the copy's identity."""
    by_message_id: dict[str, BaseMessage] = field(default_factory=dict)
    inserted_ids: set[str] = field(default_factory=set)
    blocks: set[str] = field(default_factory=set)
    """The texts that were placed."""
    _alive: list[Any] = field(default_factory=list)

    def insert(self, message: Any) -> Any:
        """Remember an inserted message."""
        self.inserted.add(id(message))
        self._alive.append(message)
        if isinstance(message, BaseMessage) and message.id:
            self.inserted_ids.add(message.id)
        return message

    def change(self, original: Any, changed: Any) -> Any:
        """Remember a changed copy."""
        self.originals[id(changed)] = original
        self._alive.append(changed)
        if isinstance(original, BaseMessage) and original.id:
            self.by_message_id[original.id] = original
        return changed

    @property
    def used(self) -> bool:
        """Whether there may be anything to take out."""
        return bool(self._alive or self.blocks)

    def has_block(self, text: object) -> bool:
        """Whether a text contains what was placed. Only that counts: people may write `<lessons>` themselves."""
        return isinstance(text, str) and may_have_block(text) and any(block in text for block in tuple(self.blocks))

    def without_block(self, text: str) -> str:
        """The text without what was placed, and without the blank line that set it off."""
        if may_have_block(text):
            for block in tuple(self.blocks):
                for form in (f"\n\n{block}", f"{block}\n\n", block):
                    text = text.replace(form, "")
        return text


def place(messages: Sequence[Any], block: str, *, where: Where, placement: Placement, message_id: str) -> list[Any]:
    """The messages with the block of lessons.

    Args:
        messages: Message objects, `{"role", "content"}` mappings or `(role, content)` pairs; they stay as they are.
        block: The rendered lessons.
        where: `system`: at the end of the leading system message, or as a leading one. `human`: in front of the last human message.
        placement: Notes what was changed.
        message_id: Id of an inserted message.
    """
    placement.blocks.add(block)
    if any(has_block(message, placement) for message in messages):
        return list(messages)
    if where == "human":
        index = next((i for i in range(len(messages) - 1, -1, -1) if _role(messages[i]) in _HUMAN), None)
        if index is not None:
            changed = _with_text(messages[index], block, before=True)
            return [*messages[:index], placement.change(messages[index], changed), *messages[index + 1 :]]
    if messages and _role(messages[0]) in _SYSTEM:
        return [placement.change(messages[0], _with_text(messages[0], block, before=False)), *messages[1:]]
    return [placement.insert(_system_like(messages[0] if messages else None, block, message_id)), *messages]


def append_block(content: str | list[Any], block: str) -> str | list[Any]:
    """A message's content with the block at its end, as a content block of its own where the content has blocks.

    A string stays a string, because some servers take nothing else in a system message; the shared prefix for prompt caches is the same.
    """
    return f"{content}\n\n{block}" if isinstance(content, str) else [*content, {"type": "text", "text": block}]


def _with_text(message: Any, block: str, *, before: bool) -> Any:
    def joined(content: Any) -> Any:
        if not before:
            return append_block(content, block)
        return f"{block}\n\n{content}" if isinstance(content, str) else [{"type": "text", "text": block}, *content]

    if isinstance(message, BaseMessage):
        return message.model_copy(update={"content": joined(message.content)})
    if isinstance(message, Mapping):
        return {**message, "content": joined(message.get("content", ""))}
    if isinstance(message, str):
        return joined(message)
    return type(message)((message[0], joined(message[1])))


def _system_like(first: Any, block: str, message_id: str) -> Any:
    """A system message in the form of its neighbour."""
    if isinstance(first, Mapping):
        return {"role": "system", "content": block}
    if isinstance(first, tuple):
        return ("system", block)
    return SystemMessage(content=block, id=message_id)


def _role(message: Any) -> str:
    if isinstance(message, BaseMessage):
        return message.role if message.type == "chat" else message.type  # type: ignore[attr-defined]  # ChatMessage has a role
    if isinstance(message, Mapping):
        return str(message.get("role") or message.get("type"))
    if isinstance(message, str):
        return "user"
    return str(message[0]) if isinstance(message, list | tuple) and len(message) == 2 else ""  # noqa: PLR2004 - (role, content)


def has_block(message: Any, placement: Placement) -> bool:
    """Whether a message that no model wrote contains what was placed."""
    if isinstance(message, AIMessage):
        return False
    content = message.content if isinstance(message, BaseMessage) else message
    if isinstance(message, Mapping):
        content = message.get("content")
    elif isinstance(message, list | tuple) and len(message) == 2:  # noqa: PLR2004 - (role, content)
        content = message[1]
    if isinstance(content, list):
        return any(isinstance(part, Mapping) and placement.has_block(part.get("text")) for part in content)
    return placement.has_block(content)


# Taking lessons out again


def restore(value: Any, placement: Placement, depth: int = _DEPTH) -> Any:
    """What a node returned, without lessons; the very same object if there were none in it."""
    if isinstance(value, BaseMessage):
        return _restore_message(value, placement)
    if id(value) in placement.originals:
        return placement.originals[id(value)]
    if isinstance(value, str):
        return placement.without_block(value)
    if value is None or isinstance(value, int | float) or depth == 0:
        return value
    return _restore_container(value, lambda item: restore(item, placement, depth - 1), placement)


def _restore_container(value: Any, inner: Callable[[Any], Any], placement: Placement) -> Any:  # noqa: PLR0911 - one per kind
    if isinstance(value, dict):
        kept = {key: inner(item) for key, item in value.items() if not _is_inserted(item, placement)}
        same = len(kept) == len(value) and all(kept[key] is item for key, item in value.items())
        return value if same else kept
    if type(value) in (list, tuple):
        items = [inner(item) for item in value if not _is_inserted(item, placement)]
        same = len(items) == len(value) and all(new is old for new, old in zip(items, value, strict=True))
        return value if same else type(value)(items)
    if isinstance(value, Command):
        update, goto = inner(value.update), inner(value.goto)
        return value if update is value.update and goto is value.goto else replace(value, update=update, goto=goto)
    if isinstance(value, Send):
        argument = inner(value.arg)
        return value if argument is value.arg else Send(value.node, argument)
    if isinstance(value, Overwrite):
        content = inner(value.value)
        return value if content is value.value else Overwrite(content)
    if isinstance(value, BaseModel | entrypoint.final) or (is_dataclass(value) and not isinstance(value, type)):
        return _restore_fields(value, inner)
    return value


def _restore_fields(value: Any, inner: Callable[[Any], Any]) -> Any:
    names = type(value).model_fields if isinstance(value, BaseModel) else [f.name for f in fields(value)]
    changed = {n: new for n in names if (new := inner(old := getattr(value, n, None))) is not old}
    return with_fields(value, changed) if changed else value


def with_fields(value: Any, changed: Mapping[str, Any]) -> Any:
    """A copy of a Pydantic model or a dataclass (also a frozen one) with other values, of the same type and not validated again."""
    if isinstance(value, BaseModel):
        return value.model_copy(update=dict(changed))
    new = copy.copy(value)
    for name, item in changed.items():
        object.__setattr__(new, name, item)
    return new


def _is_inserted(item: Any, placement: Placement) -> bool:
    if id(item) in placement.inserted:
        return True
    if isinstance(item, BaseMessage):
        return item.id is not None and item.id in placement.inserted_ids and _only_block(item.content, placement)
    content = item.get("content") if isinstance(item, Mapping) and item.get("role") == "system" else None
    return content is not None and _only_block(content, placement)


def _only_block(content: Any, placement: Placement) -> bool:
    return isinstance(content, str) and content in placement.blocks


def _restore_message(message: BaseMessage, placement: Placement) -> BaseMessage:
    if id(message) in placement.originals:
        original: BaseMessage = placement.originals[id(message)]
        return original
    if not has_block(message, placement):
        return message  # also what a model said: it stays as it was streamed, even if it quotes a lesson
    cleaned = _stripped(message.content, placement)
    known = placement.by_message_id.get(message.id or "")
    if known is not None and type(known) is type(message) and known.content == cleaned:
        return known
    return message.model_copy(update={"content": cleaned})


def _stripped(content: str | list[Any], placement: Placement) -> str | list[Any]:
    if isinstance(content, str):
        return placement.without_block(content)
    kept = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) else None
        stripped = placement.without_block(text) if isinstance(text, str) else text
        if stripped == text:
            kept.append(part)
        elif stripped:
            kept.append({**part, "text": stripped})
    return kept
