import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_reflect.lessons.counting import estimate_tokens
from langchain_reflect.recording.messages import read_messages
from langchain_reflect.reflection.digest import digests
from langchain_reflect.reflection.quoting import quotes_of
from langchain_reflect.reflection.reading import answer_of, lines_of
from langchain_reflect.types import LessonText, Step

PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo" + "aB1c" * 3000}}


@pytest.fixture
def texts(rollout):
    def run(*steps: Step, **given) -> list[str]:
        return [line.text for line in lines_of(rollout(1, 0.0, steps=steps, **given).episode)]

    return run


def model(output, given=None) -> Step:
    return Step(kind="model", input=given, output=output)


@pytest.mark.parametrize(
    "output",
    [
        {"content": "ok", "tool_calls": [{"name": "find", "args": {"id": 7}, "id": "c1"}]},
        {"content": "ok", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"id": 7}'}}]},
        {"content": "ok", "function_call": {"name": "find", "arguments": '{"id": 7}'}},
        {"content": [{"type": "text", "text": "ok"}, {"type": "tool_use", "id": "c1", "name": "find", "input": {"id": 7}}]},
        {"choices": [{"message": {"role": "assistant", "content": "ok", "tool_calls": [{"name": "find", "args": {"id": 7}}]}}]},
        {"generations": [[{"text": "", "message": {"content": "ok", "tool_calls": [{"name": "find", "args": {"id": 7}}]}}]]},
        {"lc": 1, "id": ["langchain", "AIMessage"], "kwargs": {"content": "ok", "tool_calls": [{"name": "find", "args": {"id": 7}}]}},
        {"type": "ai", "data": {"content": "ok", "tool_calls": [{"name": "find", "args": {"id": 7}}]}},
    ],
)
def test_calls_are_told_alike_whoever_wrote_them(texts, output):
    assert texts(model(output)) == ['agent: ok -> find({"id": 7})']


def test_arguments_that_are_no_json_are_told_as_they_stand(texts):
    assert texts(model({"content": None, "tool_calls": [{"function": {"name": "find", "arguments": "{id: 7"}}]})) == [
        "agent: -> find({id: 7)"
    ]


def test_a_result_that_follows_its_call_does_not_repeat_the_arguments(texts):
    call = model({"content": "", "tool_calls": [{"name": "find", "args": {"b": 1, "a": 2}}]})
    assert (
        texts(call, Step(kind="tool", name="find", input={"a": 2, "b": 1}, output=[{"type": "text", "text": "gone"}]))[1]
        == "tool find: gone"
    )


def test_pictures_become_placeholders_wherever_they_stand(texts):
    told = texts(
        Step(kind="message", name="user", output=[{"type": "text", "text": "see"}, PICTURE]),
        Step(kind="tool", name="shot", output={"image": PICTURE, "ok": True}),
        model("raw", [{"role": "user", "content": [{"type": "tool_result", "content": [PICTURE]}]}]),
    )
    assert told == [
        "user: see\n[image/png 9 kB]",
        'tool shot(): {"image": "[image/png 9 kB]", "ok": true}',
        "user: [image/png 9 kB]",
        "agent: raw",
    ]


@pytest.mark.parametrize(
    ("output", "failed"),
    [
        ("Error: no such order", True),
        ("Traceback (most recent call last):\n...", True),
        ("KeyError: 'a'", True),
        ({"error": "not found"}, True),
        ({"status": "error", "text": "x"}, True),
        ({"error": None, "rows": 3}, False),
        ("No errors found", False),
        ("errors: 0", False),
        (None, False),
    ],
)
def test_a_result_that_tells_of_an_error_counts_as_one(rollout, output, failed):
    (line,) = lines_of(rollout(1, 0.0, steps=(Step(kind="tool", name="t", output=output),)).episode)
    assert line.failed is failed


def test_an_imported_error_is_told_once(texts):
    steps = read_messages([{"role": "tool", "name": "t", "tool_call_id": "x", "content": "no funds", "status": "error"}]).steps
    assert texts(*steps) == ["tool t(): no funds"]


def test_lone_surrogates_do_not_reach_the_prompt(rollout):
    broken = Step.model_construct(**{**dict(Step(kind="tool", name="t")), "output": "a\ud83d", "input": {"k\udc00": "\ud800"}})
    (line,) = lines_of(rollout(1, 0.0, steps=()).episode.model_copy(update={"steps": (broken,)}))
    assert line.text.encode()


def test_deep_junk_is_told_to_some_depth(rollout):
    deep: object = "end"
    for _ in range(5000):
        deep = [{"content": deep, "type": "tool_result"}]
    tool = Step.model_construct(**{**dict(Step(kind="tool", name="t")), "output": deep})
    said = Step.model_construct(**{**dict(Step(kind="model")), "output": deep, "input": deep})
    episode = rollout(1, 0.0, steps=()).episode.model_copy(update={"steps": (tool, said), "result": deep})
    assert len(lines_of(episode)) >= 2
    assert "…" in answer_of(episode)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
NAMES = ("content", "tool_calls", "function", "name", "args", "arguments", "type", "text", "messages", "role", "data", "lc", "kwargs")
MEDIA = ("source", "image_url", "url", "media", "bytes", "choices", "generations", "message", "function_call", "input", "id", "error")
KEYS = st.sampled_from([*NAMES, *MEDIA])
WORDS = st.sampled_from(["text", "image", "image_url", "tool_use", "tool_result", "ai", "human", "system", "thinking", "file"])
JSON = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=5),
    max_leaves=12,
)
ANY = st.builds(
    Step,
    kind=st.sampled_from(["message", "model", "tool", "node"]),
    name=st.text(max_size=8),
    input=JSON,
    output=JSON,
    error=st.none() | st.text(max_size=20),
    latency_ms=st.none() | st.floats(),
)
QUOTES = quotes_of([LessonText(when="a text of some words that agents get", do="say the same words again and again and again")])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(st.lists(st.tuples(st.lists(ANY, max_size=8), JSON, st.booleans()), min_size=1, max_size=3), st.integers(10, 400))
def test_no_json_makes_it_raise_or_exceed_the_budget(rollout, given, budget):
    episodes = [rollout(1, 0.0, steps=tuple(steps), result=result).episode for steps, result, _ in given]
    texts = digests(episodes, good=[good for _, _, good in given], budget=budget, quotes=QUOTES)
    assert sum(map(estimate_tokens, texts)) <= budget
    assert all(QUOTES.left_out(answer_of(episode)).encode() is not None for episode in episodes)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.dictionaries(KEYS, JSON, max_size=5), max_size=6))
def test_whatever_was_imported_can_be_digested(rollout, messages):
    steps = read_messages(json.loads(json.dumps(messages))).steps
    assert len(digests([rollout(1, 0.0, steps=steps).episode], good=[True], budget=300)) == 1
