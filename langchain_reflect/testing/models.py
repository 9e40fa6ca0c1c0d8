"""A chat model that says what a test tells it to, in text or as structured output, and counts its calls."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr, SkipValidation

Answer = str | Mapping[str, Any] | AIMessage | BaseException
"""A text, the data of a structured answer, a whole message, or an exception to raise."""


class ScriptedChatModel(BaseChatModel):
    """Answers from a list, or by a function of the prompt.

    A mapping is given as JSON text, or as a tool call where a structured output was asked for. A token counts four characters. Safe to
    call from several threads; with a list, parallel calls take the answers in the order in which they arrive.
    """

    answers: SkipValidation[Sequence[Answer] | Callable[[list[BaseMessage]], Answer]]
    """What to say; after the last one of a list every call fails."""
    structured: bool | Literal["function_calling", "json_schema", "refused"] = False
    """Whether the model has `with_structured_output`: by tool calls (as True), by a schema of its text, or refused by its provider."""
    name: str | None = "scripted"

    _prompts: list[list[BaseMessage]] = PrivateAttr(default_factory=list)
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    @property
    def prompts(self) -> list[list[BaseMessage]]:
        """Every prompt it was given, in order."""
        return list(self._prompts)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools; only their names matter here."""
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def with_structured_output(self, schema: Any, *, include_raw: bool = False, **kwargs: Any) -> Runnable[LanguageModelInput, Any]:
        """As of any model with tools, or of one that only constrains its text; refused if `structured` is false."""
        method = kwargs.get("method", "function_calling")
        if not self.structured:
            raise NotImplementedError("this model has no structured output")
        if self.structured in ("function_calling", "json_schema") and method != self.structured:
            raise ValueError(f"unknown method {method!r}")
        if self.structured == "json_schema":
            return self.bind(response_format=schema) | RunnableLambda(lambda raw: {"raw": raw, "parsed": None, "parsing_error": None})
        return super().with_structured_output(schema, include_raw=include_raw)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del stop, run_manager
        if self.structured == "refused" and kwargs.get("tools"):
            raise ValueError("this model does not support structured output")
        with self._lock:
            self._prompts.append(messages)
            at = len(self._prompts) - 1
        answer = self._answer(messages, at)
        if isinstance(answer, BaseException):
            raise answer
        message = _message(answer, kwargs.get("tools") or ())
        if message.usage_metadata is None:
            message = message.model_copy(update={"usage_metadata": _usage(messages, message)})
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _answer(self, messages: list[BaseMessage], at: int) -> Answer:
        if callable(self.answers):
            return self.answers(messages)
        if at >= len(self.answers):
            raise AssertionError(f"the script has {len(self.answers)} answers and was asked for one more")
        return self.answers[at]


def _message(answer: str | Mapping[str, Any] | AIMessage, tools: Sequence[Mapping[str, Any]]) -> AIMessage:
    if isinstance(answer, AIMessage):
        return answer
    if isinstance(answer, str):
        return AIMessage(answer)
    if tools:
        return AIMessage("", tool_calls=[{"name": tools[0]["function"]["name"], "args": dict(answer), "id": "call-1"}])
    return AIMessage(json.dumps(answer, ensure_ascii=False))


def _usage(messages: Sequence[BaseMessage], message: AIMessage) -> UsageMetadata:
    spent = sum(len(m.text) for m in messages) // 4
    said = (len(message.text) + len(json.dumps([c["args"] for c in message.tool_calls]))) // 4
    return UsageMetadata(input_tokens=spent, output_tokens=said, total_tokens=spent + said)
