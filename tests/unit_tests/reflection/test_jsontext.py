import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.reflection.jsontext import CUT_OFF, json_values

TEXTS = st.text(max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 10**30) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(TEXTS.filter(lambda key: "<" not in key), VALUES, min_size=1, max_size=4)
PROSE = st.text(alphabet=st.characters(exclude_characters="{}[]<'\""), max_size=40)


def unmarked(value) -> bool:
    return "<" not in json.dumps(value) and "\ufeff" not in json.dumps(value, ensure_ascii=False)


@given(OBJECTS.filter(unmarked), PROSE, PROSE, st.sampled_from([None, 1]))
def test_any_object_is_found_in_any_prose(value, before, after, indent):
    assert json_values(f"{before}```json\n{json.dumps(value, indent=indent)}\n```{after}") == ([value], "")


@given(OBJECTS.filter(unmarked))
def test_any_python_literal_is_read_or_refused_but_never_read_wrongly(value):
    found, problem = json_values(repr(value))
    assert found == [value] or problem


@given(OBJECTS.filter(unmarked), st.data())
def test_no_part_of_a_value_is_taken_for_an_answer(value, data):
    text = json.dumps(value)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    assert json_values(cut)[0] == []
    assert json_values(f"{text} {cut}")[0] in ([], [value]), "the same without a beginning, or nothing"


@given(st.text(alphabet="{}[]\"'\\,:a1 \n<>/think`"))
def test_nothing_makes_it_raise(text):
    found, problem = json_values(text)
    assert all(isinstance(value, dict | list) for value in found)
    assert not (found and problem)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("[]", [[]]),
        ("```json\n[]\n```", [[]]),
        ("It returned [] and {x}.", []),
        ('{"a": 1,}', [{"a": 1}]),
        ("{'a': 'it\\'s \"so\"', 'b': None, 'c': (True)}", []),
        ("{'a': 'it\\'s \"so\"', 'b': None}", [{"a": 'it\'s "so"', "b": None}]),
        (r'{"a": "it\'s 1\% of \\ and \u00e9"}', [{"a": "it's 1\\% of \\ and é"}]),
        ('{"a": "line\nbreak"}', [{"a": "line\nbreak"}]),
        ('{"a": {1, 2}} then {"b": 1}', [{"b": 1}]),
        ('{"b": 1} then {"a": {1, 2}}', []),
        ('as in ["note"](x): {"b": 1}', [["note"], {"b": 1}]),
        ('{"a": 1, "a": 1}', [{"a": 1}]),
        ('<THINK>{"a": 1}</THINK>{"b": 1}', [{"b": 1}]),
        ('{"a": 1}</think>{"b": 1}', [{"b": 1}]),
    ],
)
def test_what_counts_as_a_value(text, values):
    assert json_values(text)[0] == values


def test_a_value_that_does_not_end_is_told():
    assert json_values('{"a": 1} [{"b": ') == ([], CUT_OFF)


def test_long_texts_take_no_longer_than_their_length():
    for text in ('{"a ' * 50_000, "{'" * 100_000, '{"a": 1}' * 50_000, '"' * 200_001, "[{" * 100_000, "{}]" * 50_000):
        json_values(text)
