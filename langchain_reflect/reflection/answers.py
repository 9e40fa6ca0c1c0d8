"""What a chat model's message says: a value of a schema, or why it cannot be used; and what of it is kept. Pure.

Providers agree in little about how they tell that an answer was refused, filtered or cut off: each of the words below is one's own.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata
from pydantic import BaseModel, ValidationError

from langchain_reflect.reflection.digest import cut
from langchain_reflect.reflection.jsontext import TOO_DEEP, json_values
from langchain_reflect.types import Usage

S = TypeVar("S", bound=BaseModel)
Check = Callable[[S], str | None]
"""What is wrong with an answer beyond its form, or None."""
KEPT: Final = 200_000
"""Most characters of an answer that are kept."""
_REASONS: Final = ("finish_reason", "stop_reason", "stopReason", "done_reason")
_REFUSED: Final = frozenset(
    {
        "content_filter",
        "refusal",
        "safety",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "guardrail_intervened",
        "content_filtered",
    }
)
_CUT: Final = frozenset({"length", "max_tokens", "max_output_tokens", "model_context_window_exceeded", "model_length", "incomplete"})


def message_of(answer: object) -> AIMessage | None:
    """The message in what a call gave; None if it gave none.

    OpenAI's client raises where an answer was cut off or filtered, and the exception holds it.

    Args:
        answer: A message, a structured output with its raw message, or the exception that came instead.
    """
    if isinstance(answer, AIMessage):
        return answer
    if isinstance(answer, Mapping):
        raw = answer.get("raw")
        return raw if isinstance(raw, AIMessage) else None
    for choice in getattr(getattr(answer, "completion", None), "choices", None) or ():
        text, why = getattr(getattr(choice, "message", None), "content", None), getattr(choice, "finish_reason", None)
        if isinstance(why, str):
            usage = _usage(getattr(getattr(answer, "completion", None), "usage", None))
            return AIMessage(text if isinstance(text, str) else "", response_metadata={"finish_reason": why}, usage_metadata=usage)
    return None


def read(message: AIMessage, schema: type[S], check: Check[S] | None = None) -> tuple[S | None, str]:
    """The value of an answer, or None and what is wrong with it.

    Tool calls come before text. Of several calls all are meant, so they must be the same; of several JSON values in a text the last that
    fits counts, since models think aloud.

    Args:
        message: The answer.
        schema: Form of the value.
        check: What else to ask of it.
    """
    if why := _refusal(message):
        return None, f"the model refused: {why}"
    is_cut = _is_cut(message)
    if _differ(message) and not is_cut:
        return None, "it makes several tool calls that differ; make one"
    fitting, problem = _fitting([] if is_cut else [call["args"] for call in message.tool_calls[:1]], schema, check)
    if not fitting:
        values, wrong = _written(message)
        fitting, unfit = _fitting(values, schema, check)
        problem = unfit or wrong or problem or _nothing(message)
    if fitting:
        return fitting[-1], ""
    return None, f"it was cut off at its limit of tokens ({problem})" if is_cut else problem


def kept(answer: object) -> str:
    """An answer, or the exception that came in its place, as text for the record.

    What `read` passes over stands in it as a thought, so that a replay reads the same value from it, or none.

    Args:
        answer: As for `message_of`.
    """
    message = message_of(answer)
    if message is None:
        said = f"{type(answer).__name__}: {answer}"
        return shortened(_aside(said) if json_values(said)[0] else said)
    text, broken, is_cut = str(message.text), _broken(message), _is_cut(message)
    called = "\n".join(dict.fromkeys(_dumped(call["args"]) for call in message.tool_calls))
    why = _refusal(message)
    if why or (_differ(message) and not is_cut):
        return shortened(_aside(_lines(text, broken, called)) + (f"(refused: {why})" if why else ""))
    if broken or (called and not json_values(text)[0]):
        text = _aside(text)
    return shortened(_lines(_aside(called), text, broken) if is_cut else _lines(text, broken, called))


def shortened(text: str) -> str:
    """At most about `KEPT` characters: head and tail, with a note of what is missing.

    Args:
        text: Any text.
    """
    if len(text) <= KEPT:
        return text
    return f"{text[: KEPT // 2]}\n[… {len(text) - KEPT} characters left out …]\n{text[len(text) - KEPT // 2 :]}"


def cost_of(answer: object) -> Usage:
    """What one call cost, as far as the provider says.

    Args:
        answer: As for `message_of`.
    """
    message = message_of(answer)
    told = message.usage_metadata if message is not None else None
    return Usage(calls=1, tokens_in=told["input_tokens"] or 0, tokens_out=told["output_tokens"] or 0) if told else Usage(calls=1)


def _fitting(values: Sequence[Any], schema: type[S], check: Check[S] | None) -> tuple[list[S], str]:
    """Those of the values that fit, and what is wrong with the last that does not."""
    found: list[S] = []
    problem = ""
    for data in values:
        try:
            value = schema.model_validate(data)
            wrong = check(value) if check else None
        except ValidationError as error:
            said = error.errors(include_url=False, include_context=False, include_input=False)[:3]
            wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'answer'}: {e['msg']}" for e in said)
        except RecursionError:
            wrong = TOO_DEEP
        if wrong is None:
            found.append(value)
        else:
            problem = wrong
    return found, problem


def _written(message: AIMessage) -> tuple[list[Any], str]:
    """JSON in the arguments of calls that the client could not read, else in the text."""
    return json_values(_broken(message) or str(message.text))


def _broken(message: AIMessage) -> str:
    return "\n".join(str(call["args"]) for call in message.invalid_tool_calls if call["args"])


def _differ(message: AIMessage) -> bool:
    """Whether there are several tool calls, readable or not, that are not the same."""
    calls = [call["args"] for call in (*message.tool_calls, *message.invalid_tool_calls)]
    return any(args != calls[0] for args in calls)


def _is_cut(message: AIMessage) -> bool:
    return bool(_CUT & _reasons(message))


def _lines(*parts: str) -> str:
    return "\n".join(part for part in parts if part)


def _aside(text: str) -> str:
    return f"<thought>{text}</thought>" if text else ""


def _nothing(message: AIMessage) -> str:
    return "it holds no JSON object" if message.text.strip() else "it is empty"


def _refusal(message: AIMessage) -> str:
    """The words of a refusal, or the reason that a provider gives; empty if there is none."""
    blocks = [b for b in message.content if isinstance(b, dict) and b.get("type") == "refusal"] if isinstance(message.content, list) else []
    said = message.additional_kwargs.get("refusal") or next((b.get("refusal") or "no reason given" for b in blocks), None)
    return cut(str(said), 300) if said else ", ".join(sorted(_REFUSED & _reasons(message)))


def _reasons(message: AIMessage) -> set[str]:
    """Why the answer ended, in lower case."""
    told = message.response_metadata
    details = told.get("incomplete_details")
    found = [*(told.get(name) for name in _REASONS), details.get("reason") if isinstance(details, dict) else None]
    return {reason.lower() for reason in found if isinstance(reason, str)}


def _dumped(args: object) -> str:
    try:
        return json.dumps(args, ensure_ascii=False)
    except (RecursionError, TypeError, ValueError) as error:
        return f"(arguments that cannot be written down: {type(error).__name__})"


def _usage(told: object) -> UsageMetadata | None:
    spent, said = getattr(told, "prompt_tokens", None), getattr(told, "completion_tokens", None)
    if not isinstance(spent, int) or not isinstance(said, int):
        return None
    return UsageMetadata(input_tokens=spent, output_tokens=said, total_tokens=spent + said)
