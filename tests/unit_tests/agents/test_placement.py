import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from langchain_reflect.agents.placement import Placement, append_block, has_block, place, restore

BLOCK = '<lessons id="1f">\n1. When: x\n   Do: y\n</lessons>'

texts = st.text(max_size=20)
contents = texts | st.lists(texts.map(lambda t: {"type": "text", "text": t}), min_size=1, max_size=2)
messages = st.lists(
    st.builds(HumanMessage, contents, id=st.none() | st.uuids().map(str))
    | st.builds(SystemMessage, contents)
    | st.builds(AIMessage, texts)
    | st.builds(lambda role, text: {"role": role, "content": text}, st.sampled_from(["user", "system", "assistant"]), texts)
    | st.tuples(st.sampled_from(["user", "system", "ai"]), texts),
    min_size=1,
    max_size=5,
)


def placed(given_messages, where):
    placement = Placement()
    return place(given_messages, BLOCK, where=where, placement=placement, message_id="lessons-1"), placement


@given(messages, st.sampled_from(["system", "human"]))
def test_what_is_placed_is_there_once_and_can_be_taken_out(before, where):
    kept = copy.deepcopy(before)
    seen, placement = placed(before, where)
    assert sum(has_block(m, placement) for m in seen) == 1
    assert restore(seen, placement) == before == kept
    assert restore({"messages": seen}, placement) == {"messages": before}


@given(messages, st.sampled_from(["system", "human"]))
def test_copies_of_what_was_placed_are_cleaned_too(before, where):
    seen, placement = placed(before, where)
    cleaned = restore(copy.deepcopy(seen), placement)
    assert not any(has_block(m, placement) for m in cleaned)


@given(messages)
def test_placing_twice_is_placing_once(before):
    placement = Placement()
    options = {"where": "system", "placement": placement, "message_id": "lessons-1"}
    once = place(before, BLOCK, **options)
    assert place(once, BLOCK, **options) == once


def test_a_result_without_lessons_is_the_very_same_object():
    _, placement = placed([HumanMessage("q")], "system")
    result = {"messages": [AIMessage("a")], "count": 3, "nested": {"list": [1, (2, 3)]}}
    assert restore(result, placement) is result


@pytest.mark.parametrize(
    ("content", "expected"),
    [("a", f"a\n\n{BLOCK}"), ([{"type": "text", "text": "a"}], [{"type": "text", "text": "a"}, {"type": "text", "text": BLOCK}])],
)
def test_blocks_are_appended_in_the_contents_own_form(content, expected):
    assert append_block(content, BLOCK) == expected
