"""What a verifier says, read into one form, and how it is asked."""

import asyncio
import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import JsonValue

from langchain_reflect.errors import InvalidInput

Verifier = Callable[..., Any]
"""`verifier(*, inputs, outputs, reference_outputs=None)` -> anything that `coerce` reads, or an awaitable of it."""

_EXPECTED: Final = (
    "expected a bool, a number in [0, 1], (reward, feedback), {'key', 'score', 'comment'}, a list of those, a Verdict, or None to abstain"
)
SOURCE: Final = "verifier"
JUDGE: Final = "judge"
MARK: Final = "__reflect_judge__"
"""Attribute of a verifier that is a model's opinion; its value is the source of its outcomes."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier found."""

    reward: float | None
    """0 is failure, 1 is success; None: words only."""
    feedback: str | None = None
    """What was wrong, in words a reflection can learn from."""
    detail: JsonValue = None
    """Anything else, as plain JSON; `expected` holds the right answer if there is one."""
    source: str = SOURCE
    """Who judged, as in `Outcome`: `verifier`, or `judge` for a model's opinion, which teaches but never promotes or retires a lesson."""
    abstained: bool = False
    """Whether nothing was said of this result; then it leaves no outcome."""

    def __post_init__(self) -> None:
        if self.reward is None and not self.feedback and not self.abstained:
            raise InvalidInput("a verdict without reward and feedback says nothing; give a reward in [0, 1], a feedback text, or both")
        if self.reward is not None:
            object.__setattr__(self, "reward", _reward(self.reward))


ABSTAINED: Final = Verdict(None, abstained=True)
"""What a verifier says that returns None."""


def coerce(result: object) -> Verdict:
    """Read what a verifier returned.

    Args:
        result: A `Verdict`; None to abstain; a bool; a number in [0, 1]; a pair `(reward, feedback)`; openevals'
            `{"key", "score", "comment"}`; or a list of those, whose rewards are averaged and whose comments are joined.

    Raises:
        InvalidInput: It is none of them, or the reward is outside [0, 1].
    """
    if result is None:
        return ABSTAINED
    if isinstance(result, Verdict):
        return result
    if isinstance(result, Mapping):
        return _of_mapping(result)
    if isinstance(result, tuple) and len(result) == 2 and _is_feedback(result[1]):  # noqa: PLR2004 - a pair
        return Verdict(_reward(result[0]), result[1] or None)
    if isinstance(result, list | tuple):
        return _of_list(result)
    return Verdict(_reward(result))


def judge(verifier: Verifier, *, inputs: Any, outputs: Any, reference: Any = None) -> Verdict:
    """Ask a verifier, also an async one from sync code.

    Args:
        verifier: Any of the accepted kinds.
        inputs: The graph's input.
        outputs: What the graph returned.
        reference: The right answer, if the task has one.

    Raises:
        InvalidInput: It returned something that is no judgement.
    """
    return _signed(coerce(_finished(verifier(**_arguments(verifier, inputs, outputs, reference)))), verifier)


async def ajudge(verifier: Verifier, *, inputs: Any, outputs: Any, reference: Any = None) -> Verdict:
    """Async `judge`: a coroutine is awaited, a plain function runs in a thread, because it may compute or ask a model."""
    result = await asyncio.to_thread(verifier, **_arguments(verifier, inputs, outputs, reference))
    return _signed(coerce(await result if inspect.isawaitable(result) else result), verifier)


def source_of(verifier: Verifier) -> str:
    """Who judges by a verifier: `judge` for a model's opinion (`judge_by`, `as_judge`, and the judges of openevals), else `verifier`.

    Args:
        verifier: Any.
    """
    marked = getattr(verifier, MARK, None)
    if isinstance(marked, str):
        return marked
    is_judge = str(getattr(verifier, "__module__", "")).startswith("openevals") and "llm_as_judge" in getattr(verifier, "__qualname__", "")
    return JUDGE if is_judge else SOURCE


def _signed(verdict: Verdict, verifier: Verifier) -> Verdict:
    source = source_of(verifier)
    return verdict if source == SOURCE or verdict.source != SOURCE or verdict.abstained else replace(verdict, source=source)


def exact_match(*, inputs: Any = None, outputs: Any, reference_outputs: Any) -> Verdict:
    """1 if the answer equals the reference, apart from white space around it; else 0, and the feedback says what was expected.

    Args:
        inputs: Not looked at.
        outputs: What the graph returned; of a graph with `messages`, the text of the last one counts.
        reference_outputs: The right answer, as text or in the form of the outputs.
    """
    del inputs
    answer, expected = answer_text(outputs), answer_text(reference_outputs)
    if answer == expected:
        return Verdict(1.0)
    return Verdict(0.0, f"expected {expected!r}, got {answer!r}", {"expected": expected})


def answer_text(outputs: Any) -> str:
    """The text that a graph's output ends with: of its last message, of a message, of a string, of the only value; else all of it as JSON.

    Args:
        outputs: What a graph returned, or a reference in the same form.
    """
    if isinstance(outputs, str):
        return outputs.strip()
    if isinstance(outputs, Mapping):
        messages = outputs.get("messages")
        if isinstance(messages, Sequence) and messages:
            return answer_text(messages[-1])
        if isinstance(outputs.get("content"), str):
            return str(outputs["content"]).strip()
        if len(outputs) == 1:
            return answer_text(next(iter(outputs.values())))
    text = getattr(outputs, "text", None)
    if isinstance(text, str):
        return text.strip()
    return json.dumps(outputs, sort_keys=True, default=str, ensure_ascii=False)


def _reward(value: object) -> float:
    if isinstance(value, str | bytes) or not hasattr(value, "__float__"):
        raise InvalidInput(f"a verifier returned {value!r} ({type(value).__name__}); {_EXPECTED}")
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"a verifier returned {value!r} ({type(value).__name__}); {_EXPECTED}") from error
    if not (math.isfinite(number) and 0.0 <= number <= 1.0):
        raise InvalidInput(
            f"a verifier returned the reward {value!r}; expected 0 (failure) to 1 (success); "
            "scale it, for example (score - worst) / (best - worst)"
        )
    return number


def _is_feedback(value: object) -> bool:
    return value is None or isinstance(value, str)


def _of_mapping(result: Mapping[str, Any]) -> Verdict:
    """A result as openevals gives it; what it holds besides score and comment is kept as detail."""
    if "score" not in result:
        raise InvalidInput(f"a verifier returned a mapping with the keys {sorted(map(str, result))!r} and no 'score'; {_EXPECTED}")
    score, comment = result["score"], result.get("comment")
    rest = {str(k): v for k, v in result.items() if k not in ("score", "comment") and v is not None}
    return Verdict(None if score is None else _reward(score), None if comment is None else str(comment), _json(rest) or None)


def _of_list(results: Sequence[object]) -> Verdict:
    if not results:
        raise InvalidInput(f"a verifier returned an empty {type(results).__name__}; {_EXPECTED}")
    if any(result is None for result in results):
        raise InvalidInput(f"a verifier returned a {type(results).__name__} with None in it; {_EXPECTED}")
    verdicts = [coerce(result) for result in results]
    names = [str(r.get("key") or n) if isinstance(r, Mapping) else str(n) for n, r in enumerate(results, 1)]
    rewards = [v.reward for v in verdicts if v.reward is not None]
    said = [f"{name}: {v.feedback}" for name, v in zip(names, verdicts, strict=True) if v.feedback]
    parts: JsonValue = {name: v.reward for name, v in zip(names, verdicts, strict=True)}
    source = next((v.source for v in verdicts if v.source != SOURCE), SOURCE)  # as little worth as the least of them
    return Verdict(sum(rewards) / len(rewards) if rewards else None, "\n".join(said) or None, parts, source)


def _json(value: Any) -> JsonValue:
    parsed: JsonValue = json.loads(json.dumps(value, default=str))
    return parsed


def _arguments(verifier: Verifier, inputs: Any, outputs: Any, reference: Any) -> dict[str, Any]:
    given = {"inputs": inputs, "outputs": outputs}
    try:
        parameters = inspect.signature(verifier).parameters
    except (TypeError, ValueError):  # a builtin without a signature
        return {**given, "reference_outputs": reference}
    takes = "reference_outputs" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return {**given, "reference_outputs": reference} if takes else given


def _finished(result: Any) -> Any:
    """The result itself, or what the awaitable gives."""
    if not inspect.isawaitable(result):
        return result

    async def awaited() -> Any:
        return await result

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(awaited())
    if inspect.iscoroutine(result):
        result.close()
    raise InvalidInput("an async verifier was given to a sync call inside a running event loop; use the async one, such as apractice")
