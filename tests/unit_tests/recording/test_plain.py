import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pydantic import BaseModel

from langchain_reflect.recording.plain import ITEM_LIMIT, TEXT_LIMIT, cap, clean_text, describe_error, plain, text_of


class Colour(Enum):
    RED = "red"


class Model(BaseModel):
    a: int = 1


@dataclass
class Data:
    a: object = None


class Hostile:
    def __getattribute__(self, name):
        raise RuntimeError(name)


class HostileModel(BaseModel):
    a: int = 1

    def __getattribute__(self, name):
        if name == "a":
            raise RuntimeError
        return super().__getattribute__(name)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (1.5, 1.5),
        (float("inf"), "inf"),
        ("text", "text"),
        (Colour.RED, "red"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (datetime(2025, 1, 1, tzinfo=UTC), "2025-01-01 00:00:00+00:00"),
        (Path("a/b"), "a/b"),
        (Model(), {"a": 1}),
        (Data({1}), {"a": [1]}),
        ({1: (2, [3])}, {"1": [2, [3]]}),
        (ValueError("no"), "ValueError: no"),
        (b"123", "<builtins.bytes 3 bytes>"),
        (np.float32(0.5), 0.5),
        (np.zeros((2, 3)), "<numpy.ndarray (2, 3)>"),
        (len, "<builtins.builtin_function_or_method>"),
        (HumanMessage("hi"), {"role": "user", "content": "hi"}),
        (
            AIMessage("", tool_calls=[{"name": "f", "args": {"x": 1}, "id": "1"}]),
            {"role": "assistant", "content": "", "tool_calls": [{"name": "f", "args": {"x": 1}, "id": "1"}]},
        ),
        (ToolMessage("no", tool_call_id="1", status="error"), {"role": "tool", "content": "no", "tool_call_id": "1", "status": "error"}),
    ],
)
def test_objects_become_json(value, expected):
    assert plain(value) == expected


@pytest.mark.parametrize("value", [HostileModel(), {"a": HostileModel()}, Data(HostileModel())])
def test_hostile_objects_become_placeholders(value):
    assert "HostileModel" in json.dumps(plain(value))


def test_cycles_and_depth_end():
    loop: list = []
    loop.append(loop)
    deep: list = []
    for _ in range(100):
        deep = [deep]
    assert plain(loop) == ["<builtins.list>"]
    assert "<builtins.list>" in json.dumps(plain(deep))


def test_long_lists_keep_their_ends():
    kept = plain(list(range(1000)))
    assert kept[0] == 0
    assert kept[-1] == 999
    assert len(kept) == ITEM_LIMIT + 1
    assert "800 items left out" in str(kept)
    assert len(plain({n: n for n in range(1000)})) == ITEM_LIMIT + 1


def test_long_texts_keep_head_and_tail():
    text = cap("a" * TEXT_LIMIT + "b" * TEXT_LIMIT)
    assert text.startswith("aaa")
    assert text.endswith("bbb")
    assert f"{TEXT_LIMIT} characters left out" in text
    assert cap("a" * TEXT_LIMIT) == "a" * TEXT_LIMIT


def test_texts_can_be_stored_anywhere():
    assert clean_text("a\x00b\ud800") == "a�b?"


def test_a_text_that_could_not_be_cleaned_is_left_out():
    assert clean_text("secret", lambda _: 1 / 0) == "[left out: redaction failed]"


def test_cleaning_reaches_keys_and_nested_texts():
    assert plain({"ab": ["ab"]}, lambda text: text.replace("a", "x")) == {"xb": ["xb"]}


def test_text_of_content_blocks():
    assert text_of(["a", {"type": "text", "text": "b"}, {"type": "image"}, 3]) == "a\nb"
    assert text_of(None) == ""


def test_an_error_whose_text_fails_has_its_type():
    class Broken(Exception):
        def __str__(self):
            raise RuntimeError

    assert describe_error(Broken()) == "Broken"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.builds(object),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.builds(Data, inner),
    max_leaves=20,
)


@given(ANYTHING)
def test_anything_becomes_strict_json(value):
    json.dumps(plain(value), allow_nan=False).encode()
