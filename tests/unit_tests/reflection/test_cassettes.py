"""Recorded answers of real models to the prompts of others are read where their shape allows, and else refused."""

import gzip
import json
from collections import Counter

import pytest
from langchain_core.messages import AIMessage

from langchain_reflect.reflection.answers import kept, read
from langchain_reflect.reflection.jsontext import json_values
from langchain_reflect.reflection.schemas import CurateAnswer, DraftAnswer, DraftsAnswer

pytestmark = pytest.mark.recorded
SCHEMAS = (DraftsAnswer, CurateAnswer, DraftAnswer)


@pytest.fixture(scope="module")
def cassettes(recorded_data):
    with gzip.open(recorded_data / "cassettes" / "dev" / "cassettes.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def message_of(response) -> AIMessage:
    """As a client of the provider makes it."""
    if "choices" in response:
        choice = response["choices"][0]
        calls = [
            (c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in choice["message"].get("tool_calls") or ()
        ]
        return made(choice["message"]["content"] or "", calls, {"finish_reason": choice["finish_reason"]})
    if isinstance(response.get("content"), list):
        calls = [(b["id"], b["name"], b["input"]) for b in response["content"] if b["type"] == "tool_use"]
        return made(response["content"], calls, {"stop_reason": response["stop_reason"]})
    return made(response["content"] if "content" in response else json.dumps(response, indent=1), (), {})


def made(content, calls, told) -> AIMessage:
    return AIMessage(content, tool_calls=[{"id": i, "name": n, "args": a} for i, n, a in calls], response_metadata=told)


def asked(response) -> list:
    """The objects that a recorded answer was meant to give."""
    message = message_of(response)
    return [call["args"] for call in message.tool_calls] or ([response] if "content" not in response else [])


def test_no_recorded_answer_makes_reading_raise_or_yields_a_lesson_by_accident(cassettes):
    ends = Counter()
    for cassette in cassettes:
        message = message_of(cassette["response"])
        for schema in SCHEMAS:
            value, problem = read(message, schema)
            assert value is None, cassette["id"]
            assert 10 < len(problem) < 400, "and says what is missing"
            ends[cassette["source"], problem.split(":")[0]] += schema is DraftsAnswer
    assert sum(ends.values()) == len(cassettes)
    unfit = {
        source for (source, problem), count in ends.items() if count and problem not in ("it holds no JSON object", "its JSON is malformed")
    }
    assert unfit == {"langmem", "tau2-judge"}, "objects of another form"


def test_every_recorded_object_is_found(cassettes):
    found, total = Counter(), Counter()
    for cassette in cassettes:
        for value in asked(cassette["response"]):
            kind = f"{cassette['source']}/{cassette['kind']}"
            total[kind] += 1
            text = json.dumps(value, indent=1)
            found[kind] += all(
                json_values(form) == ([value], "") for form in (text, f"Here:\n```json\n{text}\n```", f"<think>{{</think>{text}")
            )
    assert found == total
    assert total.total() > 200


def test_what_is_kept_of_a_recorded_answer_holds_all_it_said(cassettes):
    for cassette in cassettes:
        message, values = message_of(cassette["response"]), asked(cassette["response"])
        assert message.text.strip() in kept(message)
        assert all(json.dumps(value, ensure_ascii=False) in kept(message) for value in values if message.tool_calls)


def test_prose_is_refused_as_prose(cassettes):
    prose = [c for c in cassettes if c["source"] in ("gskill", "dynamic-cheatsheet")]
    problems = Counter(read(message_of(c["response"]), DraftsAnswer)[1] for c in prose)
    assert problems["it holds no JSON object"] >= len(prose) * 0.7


WRAPPED = {
    "plain": "{}",
    "fence": "```json\n{}\n```",
    "fence without a name": "```\n{}\n```",
    "prose around": 'Here is what I learned [1] from "R1":\n\n{}\n\nLet me know {{if}} you need more.',
    "thoughts": '<think>\nMaybe {{"lessons": []}}? No: {{"lessons": [\n</think>\n{}',
    "a draft before": '{{"lessons": []}}\nOn second thought:\n{}',
    "byte order mark": "\ufeff{}",
}


@pytest.mark.parametrize("form", WRAPPED.values(), ids=WRAPPED.keys())
def test_recorded_reflections_in_our_form_are_read_in_any_wrapping(cassettes, form):
    texts = [text for c in cassettes for text in lines_of(message_of(c["response"]))]
    assert len(texts) > 300
    for text in texts:
        answer = json.dumps({"lessons": [{"do": text, "when": "fixing a bug", "cites": ["R1"]}]}, ensure_ascii=len(text) % 2 == 0)
        value, problem = read(AIMessage(form.format(answer)), DraftsAnswer)
        assert value is not None, problem
        assert value.lessons[0].do[:40] == DraftAnswer(do=text).do[:40]


@pytest.mark.parametrize("form", WRAPPED.values(), ids=WRAPPED.keys())
def test_python_literals_of_recorded_reflections_are_read_right_or_refused(cassettes, form):
    texts = [text for c in cassettes for text in lines_of(message_of(c["response"]))]
    good = 0
    for text in texts:
        value, _ = read(AIMessage(form.format(str({"lessons": [{"do": text, "cites": ["R1"]}], "done": True}))), DraftsAnswer)
        assert value is None or not value.lessons or value.lessons[0].do == DraftAnswer(do=text).do
        good += bool(value and value.lessons)
    assert good >= 0.99 * len(texts)


def lines_of(message: AIMessage) -> list[str]:
    """Sentences of an answer that could be advice."""
    said = [message.text, *(v for call in message.tool_calls for v in call["args"].values() if isinstance(v, str))]
    found = (line.strip(" -*•\t") for text in said for line in text.splitlines())
    return [line for line in found if 40 < len(line) < 2000 and "think>" not in line]
