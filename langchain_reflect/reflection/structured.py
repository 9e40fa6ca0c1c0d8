"""A chat model answers with a schema, or says why it could not.

The model's own structured output is used where it has one (a JSON schema that constrains decoding if it offers that, else a tool call); a
model that has none is asked for JSON in text, which is what the prompts ask for anyway. The raw answer is read in every case, so that all
models get the same leniency. An answer that does not fit is sent back once with the error; after that `UnfitReply` carries it.

The dialogue itself does no I/O; `ask` and `aask` drive it in either color.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs
from pydantic import JsonValue

from langchain_reflect.errors import ReflectionFailed
from langchain_reflect.reflection.answers import Check, S, cost_of, kept, message_of, read
from langchain_reflect.reflection.digest import cut
from langchain_reflect.reflection.fencing import defuse
from langchain_reflect.reflection.outages import Outage, outage_of
from langchain_reflect.types import Usage

_ATTEMPTS: Final = 2
_QUIET: Final[RunnableConfig] = {"tags": ["nostream", "langchain-reflect"]}
"""Tokens of a reflection never reach the message stream of a graph around it."""
_SENT_BACK: Final = 4000
"""Most characters of an unfit answer that the model sees again."""


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
        self._raw: list[str] = []
        self._unfit = 0
        self._usage = Usage()

    def hear(self, answer: object) -> None:
        """Take an answer, or the exception that came in its place."""
        self._usage += cost_of(answer)
        self._raw.append(kept(answer))
        message = message_of(answer)
        if message is None:
            problem = f"the model failed: {type(answer).__name__}: {cut(str(answer), 300)}"
            self._failed(problem, outage_of(answer))
        else:
            value, problem = read(message, self._schema, self._check)
            if value is not None:
                self.reply = Reply(value, list(self._raw), self._usage)
                return
            self._unfit += 1
            said = defuse(cut(self._raw[-1], _SENT_BACK)) or "(empty)"
            again = f"That answer cannot be used: {problem}\nAnswer again, with the JSON only."
            self.prompt = [*self._messages, AIMessage(said), HumanMessage(again)]
        if self._unfit >= _ATTEMPTS:
            raise UnfitReply(f"no usable answer: {problem}", list(self._raw), self._usage)

    def _failed(self, problem: str, outage: Outage | None) -> None:
        """A provider may refuse the schema but not the question: that is no answer, and costs no attempt."""
        if outage is not None:
            raise UnfitReply(problem, list(self._raw), self._usage, outage)
        self._unfit += self.runnable is self._model
        self.runnable = self._model


def _structured(model: BaseChatModel, schema: type[S]) -> Runnable[Any, Any]:
    """The model with the best structured output it has; the model itself if it has none.

    It gets the JSON schema, not the class: some clients validate a class themselves, and then the answer that failed is lost.
    """
    methods: tuple[dict[str, str], ...] = ({"method": "json_schema"}, {})
    for method in methods:
        try:
            return model.with_structured_output(schema.model_json_schema(), include_raw=True, **method)
        except Exception:  # noqa: BLE001, S112 - whatever a client says to a method it does not have, the prompt asks for JSON anyway
            continue
    return model
