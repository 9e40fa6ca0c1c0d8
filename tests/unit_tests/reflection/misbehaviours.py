"""What a reflecting model may do wrong, and how a reflection with it ends."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import httpx
from langchain_core.messages import AIMessage

from langchain_reflect.testing.models import Answer

End = Literal["parked", "later", "learned", "quoted", "raised"]
ENDS: Final[dict[End, str]] = {
    "parked": "asked again once, then parked with the reason",
    "later": "tried again later; parked after five times",
    "learned": "what is valid counts",
    "quoted": "asked again once, then trusted feedback itself becomes the lesson; without any, parked",
    "raised": "raised; the group is free again",
}
Ask = Literal["contrast", "curate"]
BOTH: Final[tuple[Ask, ...]] = ("contrast", "curate")


class ProviderError(Exception):
    """As clients of providers raise it: with a status and the response."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(f"status {status}")
        self.status_code = status
        self.response = httpx.Response(status, headers=headers)


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """One kind."""

    name: str
    end: End
    says: str
    """What the report says of it, in part; the same for both questions."""
    script: Callable[[dict[str, Any]], Answer] | None = None
    """What the model says, from the answer that would have been right; None: it has a test of its own."""
    asks: Sequence[Ask] = BOTH
    calls: int = 2
    """Model calls of the question."""


def _text(change: Callable[[str], str]) -> Callable[[dict[str, Any]], Answer]:
    return lambda good: change(json.dumps(good))


def _changed(good: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The right answer with other fields: of its lesson, or of the curator's answer."""
    if "lessons" in good:
        return {"lessons": [{**good["lessons"][0], **fields}]}
    return {**good, **fields}


def _twice(good: str) -> str:
    key, value = next(iter(json.loads(good).items()))
    return f"{good[:-1]}, {json.dumps(key)}: {json.dumps([value, 'other'])}}}"


def _advising(good: str, value: str) -> str:
    """The answer with this JSON for the advice."""
    data = json.loads(good)
    data["lessons"][0]["do"] = "@"
    return json.dumps(data).replace('"@"', value)


BOMB: Final = "Begin each\u202e tool\u200b name\U000e0041 with\x00 acme_\ud800\ufeff"
CUT: Final = AIMessage(
    "", tool_calls=[{"name": "Answer", "args": {"lessons": [], "action": "NOOP"}, "id": "1"}], response_metadata={"finish_reason": "length"}
)
ANSWERING: Final = "Answer acme_delete_invoices"
FILTERED: Final = {"stop_reason": "refusal", "finish_reason": "content_filter"}
FOREIGN: Final = AIMessage("", tool_calls=[{"name": "search", "args": {"query": "naming"}, "id": "1"}])

MISBEHAVIOURS: Final = (
    Misbehaviour("time-out", "later", "TimeoutError", lambda _: TimeoutError("read"), calls=1),
    Misbehaviour("429 with `Retry-After`", "later", "status 429", lambda _: ProviderError(429, **{"Retry-After": "7"}), calls=1),
    Misbehaviour("5xx", "later", "status 503", lambda _: ProviderError(503), calls=1),
    Misbehaviour("connection reset", "later", "ConnectionResetError", lambda _: ConnectionResetError("peer"), calls=1),
    Misbehaviour("another exception", "parked", "the model failed: RuntimeError: down", lambda _: RuntimeError("down")),
    Misbehaviour(
        "refusal", "parked", "the model refused: I cannot", lambda _: AIMessage("", additional_kwargs={"refusal": "I cannot do that"})
    ),
    Misbehaviour(
        "content filter", "parked", "the model refused: content_filter", lambda g: AIMessage(json.dumps(g), response_metadata=FILTERED)
    ),
    Misbehaviour("empty answer", "parked", "it is empty", lambda _: ""),
    Misbehaviour("white space", "parked", "it is empty", lambda _: " \n\t "),
    Misbehaviour("prose", "parked", "it holds no JSON object", lambda _: "I learned a lot [1], and found [] in the list."),
    Misbehaviour("truncated JSON", "parked", "its JSON does not end", _text(lambda good: good[:-3])),
    Misbehaviour("a draft, then truncated JSON", "parked", "its JSON does not end", _text(lambda good: f"{good} or better: {good[:-3]}")),
    Misbehaviour("tool call cut off at the limit", "parked", "it was cut off at its limit of tokens", lambda _: CUT),
    Misbehaviour("a list of strings", "parked", "valid", _text(lambda _: '["string"]')),
    Misbehaviour("an object for a text", "parked", "expected text, got dict", lambda good: _changed(good, do={"rule": "x"})),
    Misbehaviour("unknown action", "parked", "action: Input should be", lambda good: _changed(good, action="DESTROY"), asks=("curate",)),
    Misbehaviour("ids of no lesson", "parked", "", lambda good: _changed(good, ids=["L-77"]), asks=("curate",)),
    Misbehaviour("ids of no try", "quoted", "cites none", lambda good: _changed(good, cites=["R77", "L-1"]), asks=("contrast",)),
    Misbehaviour("quotes that nobody said", "quoted", "cites none", lambda g: _changed(g, cites=["it said 'acme'"]), asks=("contrast",)),
    Misbehaviour("advice with one task's answer", "quoted", "contains", lambda g: _changed(g, do=ANSWERING), asks=("contrast",)),
    Misbehaviour("500 lessons", "parked", "got 500", lambda good: {"lessons": good["lessons"] * 500}, asks=("contrast",)),
    Misbehaviour("a lesson of 1 MB", "parked", "got 1000000 characters", lambda good: _changed(good, do="x" * 1_000_000)),
    Misbehaviour("the same id twice", "learned", "", lambda g: _changed(g, cites=["R1", "R1", "R2"], ids=g.get("ids", []) * 2), calls=1),
    Misbehaviour("invisible and bidirectional characters", "learned", "", lambda good: _changed(good, do=BOMB), calls=1),
    Misbehaviour("a call of some tool", "parked", "", lambda _: FOREIGN),
    Misbehaviour(
        "JSON nested 100,000 deep", "parked", "nested too deeply", _text(lambda _: '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}")
    ),
    Misbehaviour("a number of 10,000 digits", "parked", "its JSON is malformed", _text(lambda good: f'{good[:-1]}, "n": {"9" * 10_000}}}')),
    Misbehaviour("`NaN` for a text", "parked", "", _text(lambda g: _advising(g, "NaN")), asks=("contrast",)),
    Misbehaviour("`NaN` and infinities elsewhere", "learned", "", _text(lambda good: f'{good[:-1]}, "sure": [NaN, -Infinity]}}'), calls=1),
    Misbehaviour("two equal keys that differ", "parked", "occurs twice", _text(_twice)),
    Misbehaviour("byte order mark", "learned", "", _text(lambda good: f"\ufeff{good}"), calls=1),
    Misbehaviour("code fence", "learned", "", _text(lambda good: f"Here it is:\n```json\n{good}\n```\nDone."), calls=1),
    Misbehaviour(
        "thoughts before it", "learned", "", _text(lambda good: f'<think>Say {{"lessons": []}}? No {{"\n</think>\n{good}'), calls=1
    ),
    Misbehaviour("thoughts without an end", "parked", "", _text(lambda good: f"<think>{good}")),
    Misbehaviour("a first draft, then the answer", "learned", "", _text(lambda g: f'{{"action": "NOOP", "lessons": []}} No: {g}'), calls=1),
    Misbehaviour("trailing commas", "learned", "", _text(lambda good: good.replace("}", ",}").replace("]", ", ]")), calls=1),
    Misbehaviour("a Python literal", "learned", "", lambda good: str({**good, "sure": True, "none": None}), calls=1),
    Misbehaviour("schema refused by the provider", "learned", ""),
    Misbehaviour("`BaseException`, cancellation", "raised", ""),
    Misbehaviour("an answer after the lease ran out", "raised", "ClaimLost"),
    Misbehaviour("another answer on the next try", "learned", ""),
)


def table() -> str:
    """As Markdown."""
    rows = [f"| {m.name} | {ENDS[m.end]} | {f'`{m.says}`' if m.says else ''} |" for m in MISBEHAVIOURS]
    return "\n".join(["| the model gives | end | the report says |", "| --- | --- | --- |", *rows])
