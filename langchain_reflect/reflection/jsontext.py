"""The JSON values in what a model wrote. Pure.

Models put their answer into prose, fences and thoughts, and some write Python for JSON. All of that is read. But half a value is none:
nothing inside a value that does not end is looked at, and nothing before it counts either, since the last value is what the model came to.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Final

_THOUGHTS: Final = "think|thinking|thought|thoughts|reasoning|reflection|scratchpad"
_THOUGHT_END: Final = re.compile(rf"</(?:{_THOUGHTS})>", re.IGNORECASE)
_THOUGHT_START: Final = re.compile(rf"<(?:{_THOUGHTS})>", re.IGNORECASE)
_START: Final = re.compile(r"""\{\s*["'}]|\[\s*["'\[{]""")
_STRINGS: Final = r""""[^"\\]*(?:\\.[^"\\]*)*"|'[^'\\]*(?:\\.[^'\\]*)*'"""
_BRACKET: Final = re.compile(rf"""{_STRINGS}|[\[\]{{}}"']""", re.DOTALL)
_FOREIGN: Final = re.compile(rf"{_STRINGS}|,(?=\s*[}}\]])|\b(?:True|False|None)\b", re.DOTALL)
_WORDS: Final = {",": "", "True": "true", "False": "false", "None": "null"}
_PAIRS: Final = {"]": "[", "}": "{"}
_KNOWN_ESCAPES: Final = '"\\/bfnrtuxUNav01234567\n'
CUT_OFF: Final = "its JSON does not end"
TOO_DEEP: Final = "its JSON is nested too deeply"


def json_values(text: str) -> tuple[list[Any], str]:
    """The objects and lists that a text holds, in order, outermost only.

    Args:
        text: An answer.

    Returns:
        The values, and what is wrong if there are none. A malformed value takes those before it along: it was meant to be the answer.
    """
    text = _without_thoughts(text.replace("\ufeff", ""))
    if text.strip("` \n").removeprefix("json").strip() == "[]":
        return [[]], ""
    found: list[Any] = []
    problem, at = "", 0
    while start := _START.search(text, at):
        value, end, wrong = _value(text, start.start())
        if end is None:
            return [], CUT_OFF
        if wrong:
            found.clear()
        else:
            found.append(value)
        problem, at = wrong, end
    return found, problem


def _without_thoughts(text: str) -> str:
    """What comes after the last thought; what comes before one that does not end."""
    *_, said = _THOUGHT_END.split(text)
    return _THOUGHT_START.split(said, maxsplit=1)[0]


def _value(text: str, start: int) -> tuple[Any, int | None, str]:
    """The value that begins here, where it ends (None: nowhere), and what is wrong with it."""
    try:
        value, after = _DECODER.raw_decode(text, start)
    except RecursionError:
        return None, _end(text, start), TOO_DEEP
    except ValueError as error:
        wrong = f"its JSON is malformed: {error}"
    else:
        return value, after, ""
    end = _end(text, start)
    if end is None:
        return None, None, CUT_OFF
    try:
        return _DECODER.decode(_FOREIGN.sub(_translated, text[start:end])), end, ""
    except (ValueError, RecursionError):
        return None, end, wrong


def _end(text: str, start: int) -> int | None:
    """Where the bracket that opens here is closed, brackets within strings left aside; None if it is not, or wrongly."""
    opened: list[str] = []
    for found in _BRACKET.finditer(text, start):
        mark = found.group()
        if mark in "[{":
            opened.append(mark)
        elif mark in "\"'" or (mark in "]}" and opened.pop() != _PAIRS[mark]):
            return None
        if not opened:
            return found.end()
    return None


def _translated(found: re.Match[str]) -> str:
    """A token of Python, or of careless JSON, in JSON."""
    token = found.group()
    if token[0] not in "\"'":
        return _WORDS[token]
    inner = re.sub(r"\\(x[0-9a-fA-F]{2}|.)", _escape, token[1:-1], flags=re.DOTALL)
    return f'"{inner}"' if token[0] == '"' else '"' + re.sub(r'\\.|"', _quote, inner, flags=re.DOTALL) + '"'


def _escape(found: re.Match[str]) -> str:
    """An escape in JSON's words. Those that Python has and JSON has not stay, and make the value malformed: better than to guess."""
    said = found[1]
    if said == "'":
        return "'"
    if len(said) > 1:
        return f"\\u00{said[1:]}"
    return found.group() if said in _KNOWN_ESCAPES else f"\\\\{said}"


def _quote(found: re.Match[str]) -> str:
    return '\\"' if found.group() == '"' else found.group()


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for key, value in pairs:
        if key in known and known[key] != value:
            raise ValueError(f"the key {key[:40]!r} occurs twice with different values")
        known[key] = value
    return known


_DECODER: Final = json.JSONDecoder(strict=False, object_pairs_hook=_object, parse_constant=lambda _: None)
"""`NaN` and infinities, which JSON does not have, are null. Of two equal keys with different values none can be chosen."""
