"""A chat model answers with a schema, or says why it could not.

The model's own structured output is used where it has one (a JSON schema that constrains decoding if it offers that, else a tool call); a
model that has none is asked for JSON in text, which is what the prompts ask for anyway. The raw answer is read here in every case, so that
all models get the same leniency. An answer that does not fit is sent back once with the error; after that `UnfitReply` carries it.

The dialogue itself does no I/O; `ask` and `aask` drive it in either color.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs
from pydantic import BaseModel, JsonValue, ValidationError

from langchain_reflect.errors import ReflectionFailed
from langchain_reflect.reflection.digest import cut
from langchain_reflect.reflection.outages import Outage, outage_of
from langchain_reflect.types import Usage

S = TypeVar("S", bound=BaseModel)
_ATTEMPTS: Final = 2
_QUIET: Final[RunnableConfig] = {"tags": ["nostream", "langchain-reflect"]}
"""Tokens of a reflection never reach the message stream of a graph around it."""
_JSON_START: Final = re.compile(r'\{\s*["}]|\[\s*[\]{]')
_TEXT: Final = 4000
"""Most characters of an answer that are sent back or kept."""


@dataclass(frozen=True, slots=True)
class Reply(Generic[S]):
    """An answer that fits, with what it took to get it."""

    value: S
    raw: list[JsonValue]
    """Every answer as it came, unfit ones too."""
    usage: Usage


class UnfitReply(ReflectionFailed):
    """No answer fits the schema; `raw` has the answers, `usage` what they cost, and `outage` is set if the model may answer later."""

    def __init__(self, message: str, raw: list[JsonValue], usage: Usage, outage: Outage | None = None) -> None:
        super().__init__(message)
        self.raw = raw
        self.usage = usage
        self.outage = outage


Check = Callable[[S], str | None]
"""What is wrong with an answer beyond its form, or None."""


def ask(
    model: BaseChatModel,
    schema: type[S],
    messages: Sequence[BaseMessage],
    *,
    check: Check[S] | None = None,
    config: RunnableConfig | None = None,
) -> Reply[S]:
    """Ask a model for an answer of a certain form.

    Args:
        model: Any chat model.
        schema: Form of the answer.
        messages: The prompt.
        check: Finds what else is wrong with an answer; it is sent back like a wrong form.
        config: Callbacks, tags and metadata of the calls.

    Raises:
        UnfitReply: The model failed, or its second answer does not fit either.
    """
    dialogue = _Dialogue(model, schema, messages, check)
    quiet = merge_configs(config, _QUIET)
    while dialogue.reply is None:
        try:
            answer: object = dialogue.runnable.invoke(dialogue.prompt, quiet)
        except Exception as error:  # noqa: BLE001 - whatever a provider raises, the group is parked and the others go on
            answer = error
        dialogue.hear(answer)
    return dialogue.reply


async def aask(
    model: BaseChatModel,
    schema: type[S],
    messages: Sequence[BaseMessage],
    *,
    check: Check[S] | None = None,
    config: RunnableConfig | None = None,
) -> Reply[S]:
    """Async `ask`."""
    dialogue = _Dialogue(model, schema, messages, check)
    quiet = merge_configs(config, _QUIET)
    while dialogue.reply is None:
        try:
            answer: object = await dialogue.runnable.ainvoke(dialogue.prompt, quiet)
        except Exception as error:  # noqa: BLE001 - as in `ask`
            answer = error
        dialogue.hear(answer)
    return dialogue.reply


class _Dialogue(Generic[S]):
    """What to ask next (`runnable`, `prompt`), until there is a `reply`."""

    def __init__(self, model: BaseChatModel, schema: type[S], messages: Sequence[BaseMessage], check: Check[S] | None) -> None:
        self.runnable = _structured(model, schema)
        self.prompt = list(messages)
        self.reply: Reply[S] | None = None
        self._model = model
        self._schema = schema
        self._messages = messages
        self._check = check
        self._raw: list[JsonValue] = []
        self._usage = Usage()

    def hear(self, answer: object) -> None:
        """Take an answer, or the exception that came in its place."""
        message = _message(answer)
        self._usage += _cost(message)
        self._raw.append(_kept(answer, message))
        if message is None:
            problem = f"the model failed: {type(answer).__name__}: {cut(str(answer), 300)}"
            if (outage := outage_of(answer)) is not None:
                raise UnfitReply(problem, self._raw, self._usage, outage)
            self.runnable = self._model  # a provider may refuse the schema but not the question
        else:
            value, problem = _read(message, self._schema, self._check)
            if value is not None:
                self.reply = Reply(value, self._raw, self._usage)
                return
            said = cut(message.text, _TEXT) or "(empty)"
            again = f"That answer cannot be used: {problem}\nAnswer again, with the JSON only."
            self.prompt = [*self._messages, AIMessage(said), HumanMessage(again)]
        if len(self._raw) >= _ATTEMPTS:
            raise UnfitReply(f"no usable answer: {problem}", self._raw, self._usage)


def _structured(model: BaseChatModel, schema: type[S]) -> Runnable[Any, Any]:
    """The model with the best structured output it has; the model itself if it has none.

    It gets the JSON schema, not the class: some clients validate a class themselves, and then the answer that failed is lost.
    """
    methods: tuple[dict[str, str], ...] = ({"method": "json_schema"}, {})
    for method in methods:
        try:
            return model.with_structured_output(schema.model_json_schema(), include_raw=True, **method)
        except (NotImplementedError, TypeError, ValueError):
            continue
    return model


def _message(answer: object) -> AIMessage | None:
    found = answer.get("raw") if isinstance(answer, dict) else answer
    return found if isinstance(found, AIMessage) else None


def _read(message: AIMessage, schema: type[S], check: Check[S] | None) -> tuple[S | None, str]:
    """The value of an answer, or None and what is wrong with it."""
    problem = "it holds no JSON object"
    for data in _candidates(message):
        try:
            value = schema.model_validate(data)
        except ValidationError as error:
            problem = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'answer'}: {e['msg']}" for e in error.errors()[:3])
            continue
        wrong = check(value) if check else None
        if wrong is None:
            return value, ""
        problem = wrong
    return None, problem


def _candidates(message: AIMessage) -> list[Any]:
    """What in the answer may be the data: arguments of its tool calls, else the first JSON value of its text."""
    calls = [call["args"] for call in message.tool_calls]
    found = _first_json(message.text)
    return calls if found is None else [*calls, found]


def _first_json(text: str) -> Any:
    """The JSON value that begins where the first one in a text does; None if it is not complete.

    Nothing inside an incomplete value is looked at: half an answer is no answer.
    """
    start = _JSON_START.search(text)
    if start is None:
        return None
    try:
        return json.JSONDecoder(strict=False).raw_decode(text, start.start())[0]
    except ValueError:
        return None


def _cost(message: AIMessage | None) -> Usage:
    if message is None or not message.usage_metadata:
        return Usage(calls=1)
    return Usage(calls=1, tokens_in=message.usage_metadata["input_tokens"], tokens_out=message.usage_metadata["output_tokens"])


def _kept(answer: object, message: AIMessage | None) -> JsonValue:
    if message is None:
        return f"{type(answer).__name__}: {answer}"[:_TEXT]
    calls = json.dumps([call["args"] for call in message.tool_calls], ensure_ascii=False) if message.tool_calls else ""
    return (message.text + calls)[:_TEXT]
