import time
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_reflect.recording.trajectory import Event, model_of, path_of, steps_of, strip_block, total_usage
from langchain_reflect.types import Usage

BLOCK = '<lessons id="1f">\n1. When: x\n   Do: y\n</lessons>'


def model(given, answer, place="model:1", **more):
    return Event("model", uuid4(), "m", place, 0.0, given, answer, ended=0.5, **more)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (BLOCK, ""),
        (f"{BLOCK}\n\nquestion", "question"),
        (f"Be short.\n\n{BLOCK}", "Be short."),
        (f"a\n{BLOCK}\nb", "a\n\nb"),
        (f"{BLOCK} and {BLOCK}", "and"),
        ("no lessons here <lesson>", "no lessons here <lesson>"),
    ],
)
def test_the_block_is_taken_out(text, left):
    assert strip_block(text) == left


@given(st.text(), st.text())
def test_no_block_survives(before, after):
    assert BLOCK not in strip_block(before + BLOCK + after)


def test_a_model_call_has_the_messages_that_were_new_to_it():
    question, answer, more = HumanMessage("q"), AIMessage("a"), HumanMessage("more")
    first, second = steps_of([model([question], answer), model([question, answer, more], AIMessage("b"), "model:2")])
    assert first.input == [{"role": "user", "content": "q"}]
    assert second.input == [{"role": "user", "content": "more"}]


def test_a_rewritten_history_is_new_again():
    call = model([HumanMessage("q")], AIMessage("a"))
    [_, second] = steps_of([call, model([HumanMessage("summary")], AIMessage("b"))])
    assert second.input == [{"role": "user", "content": "summary"}]


def test_a_recorded_tools_answer_is_told_once():
    asked = AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1"}])
    result = ToolMessage("42", tool_call_id="1")
    tool = Event("tool", uuid4(), "f", "tools:1", 0.0, {}, result, ended=0.1)
    steps = steps_of([model([HumanMessage("q")], asked), tool, model([HumanMessage("q"), asked, result], AIMessage("a"))])
    assert [s.kind for s in steps] == ["model", "tool", "model"]
    assert steps[1].output == "42"
    assert steps[2].input is None


def test_our_own_block_is_in_no_step():
    given = [SystemMessage(BLOCK), SystemMessage(f"Be short.\n\n{BLOCK}"), HumanMessage("q")]
    [step] = steps_of([model(given, AIMessage("a"))])
    assert step.input == [{"role": "system", "content": "Be short."}, {"role": "user", "content": "q"}]


def test_a_node_is_a_step_only_if_nothing_inside_it_is():
    events = [
        model([HumanMessage("q")], AIMessage("a"), "talk:1"),
        Event("node", uuid4(), "talk", "talk:1", 0.0, output={}),
        Event("node", uuid4(), "leaf", "sub:1|leaf:2", 0.0, output={"x": 1}),
        Event("node", uuid4(), "sub", "sub:1", 0.0, output={}),
        Event("node", uuid4(), "count", "count:1", 0.0, output={"n": 1}),
    ]
    assert [(s.kind, s.name, s.path) for s in steps_of(events)] == [("model", "m", ""), ("node", "leaf", "sub"), ("node", "count", "")]


def test_usage_is_summed_and_the_last_model_named():
    answer = AIMessage("a", usage_metadata={"input_tokens": 3, "output_tokens": 2, "total_tokens": 5})
    steps = steps_of([model([], answer), model([], AIMessage("b"))])
    assert total_usage(steps) == Usage(calls=2, tokens_in=3, tokens_out=2)
    assert model_of(steps) == "m"
    assert model_of(()) is None


def test_errors_and_latency_are_kept():
    [step] = steps_of([model([], None, error="ConnectionError: down")])
    assert (step.error, step.latency_ms) == ("ConnectionError: down", 500.0)


def test_every_text_is_cleaned():
    [step] = steps_of([model([HumanMessage("secret")], AIMessage("secret"), error="secret")], lambda text: text.replace("secret", "***"))
    assert "secret" not in step.model_dump_json()


def test_paths_name_the_graphs_around_a_node():
    assert [path_of(place) for place in ("", "model:1", "research:1|search:2", "a:1|2|b:3|c:4")] == ["", "", "research", "a/b"]


@pytest.mark.parametrize("piece", ["<lessons>", "<lessons ", "<lessons>a</lessons>", " <lessons"])
def test_hostile_texts_are_stripped_in_no_time(piece):
    text = piece * (1_000_000 // len(piece)) + " " * 100_000
    started = time.process_time()
    strip_block(text)
    assert time.process_time() - started < 2.0
