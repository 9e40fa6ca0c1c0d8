import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from langchain_reflect.reflection.answers import kept, read
from langchain_reflect.reflection.schemas import CurateAnswer, DraftsAnswer
from langchain_reflect.reflection.structured import UnfitReply, ask
from langchain_reflect.types import Usage

GOOD = {"lessons": [{"when": "naming", "do": "begin with acme_", "cites": ["R1"]}]}
TEXT = json.dumps(GOOD)
OTHER = {"lessons": []}


def called(*args, **given):
    return AIMessage("", tool_calls=[{"name": "Drafts", "args": each, "id": str(n)} for n, each in enumerate(args)], **given)


@pytest.mark.parametrize("name", ["finish_reason", "stop_reason", "stopReason", "done_reason"])
@pytest.mark.parametrize("reason", ["length", "max_tokens", "MAX_TOKENS"])
def test_a_call_that_was_cut_off_is_no_answer_but_whole_json_is(name, reason):
    told = {name: reason}
    assert read(called(GOOD, response_metadata=told), DraftsAnswer)[1] == "it was cut off at its limit of tokens (it is empty)"
    assert read(AIMessage(TEXT[:-2], response_metadata=told), DraftsAnswer)[0] is None
    assert read(AIMessage(f"{TEXT}\nI hope that", response_metadata=told), DraftsAnswer)[0] is not None


@pytest.mark.parametrize("reason", ["content_filter", "refusal", "SAFETY", "RECITATION", "guardrail_intervened"])
def test_a_filtered_answer_is_none_whatever_it_holds(reason):
    value, problem = read(AIMessage(TEXT, response_metadata={"finish_reason": reason}), DraftsAnswer)
    assert (value, problem) == (None, f"the model refused: {reason.lower()}")


def test_a_refusal_is_told_in_its_words():
    for message in (AIMessage("", additional_kwargs={"refusal": "No."}), AIMessage([{"type": "refusal", "refusal": "No."}])):
        assert read(message, DraftsAnswer) == (None, "the model refused: No.")
        assert "No." in kept(message)


def test_several_calls_must_agree():
    assert read(called(GOOD, GOOD), DraftsAnswer)[0] is not None
    assert read(called(GOOD, OTHER), DraftsAnswer)[1] == "it makes several tool calls that differ; make one"


def test_arguments_that_the_client_could_not_read_are_read_here():
    broken = [{"name": "Drafts", "args": f"{TEXT[:-1]},}}", "id": "1", "error": "not JSON", "type": "invalid_tool_call"}]
    assert read(AIMessage("", invalid_tool_calls=broken), DraftsAnswer)[0] is not None
    cut = [{**broken[0], "args": TEXT[:-3]}]
    assert read(AIMessage("", invalid_tool_calls=cut), DraftsAnswer) == (None, "its JSON does not end")


def test_of_several_values_in_a_text_the_last_that_fits_counts():
    value, _ = read(AIMessage(f'{json.dumps(OTHER)} but see {TEXT} for {{"x": 1}}'), DraftsAnswer)
    assert value == DraftsAnswer.model_validate(GOOD)


SAID = ["", TEXT, "prose", TEXT[:-2], f"<think>{TEXT}", f"{TEXT} or {json.dumps(OTHER)}"]
BROKEN = [None, TEXT, TEXT[:-3], f"{TEXT[:-1]},}}"]


@given(
    st.lists(st.sampled_from([GOOD, OTHER, {"query": "x"}]), max_size=2),
    st.sampled_from(SAID),
    st.sampled_from(BROKEN),
    st.sampled_from(["stop", "length", "content_filter"]),
)
def test_a_replay_reads_from_what_is_kept_what_was_read(args, text, broken, reason):
    wrong = [{"name": "Drafts", "args": broken, "id": "9", "error": "", "type": "invalid_tool_call"}] if broken else []
    message = called(*args, invalid_tool_calls=wrong, response_metadata={"finish_reason": reason}).model_copy(update={"content": text})
    assert read(AIMessage(kept(message)), DraftsAnswer)[0] == read(message, DraftsAnswer)[0]
    for part in (text, broken or "", *map(json.dumps, args)):
        assert part in kept(message)


def test_a_replay_reads_nothing_from_an_exception():
    assert read(AIMessage(kept(ValueError(f"Invalid output: {TEXT}"))), DraftsAnswer)[0] is None
    assert kept(RuntimeError("down")) == "RuntimeError: down"


@given(st.text(), st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_no_content_makes_reading_raise(text, data):
    for schema in (DraftsAnswer, CurateAnswer):
        read(AIMessage(text), schema)
        read(called({"lessons": data, "action": data, "ids": data, "do": data, "cites": data}), schema)
    assert isinstance(kept(called({"x": data})), str)


def test_arguments_nested_too_deeply_are_refused_and_told():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    assert read(called({"lessons": [{"do": "x", "cites": deep}]}), DraftsAnswer)[0] is None
    assert "cannot be written down" in kept(called({"lessons": deep}))


def openai_says(message, finish="stop", status=200):
    """OpenAI's own client, with a server that answers this."""
    openai = pytest.importorskip("langchain_openai")

    def answer(request):
        bodies.append(json.loads(request.content))
        if status != 200 and "response_format" in bodies[-1]:
            return httpx.Response(status, json={"error": {"message": "response_format is not supported", "type": "invalid_request_error"}})
        choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
        usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
        return httpx.Response(
            200, json={"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
        )

    bodies: list = []
    client = httpx.Client(transport=httpx.MockTransport(answer))
    return openai.ChatOpenAI(model="gpt-4o", api_key="k", http_client=client, max_retries=0), bodies


def test_openais_client_is_asked_with_a_json_schema():
    model, bodies = openai_says({"content": TEXT})
    reply = ask(model, DraftsAnswer, "?")
    assert (reply.value, reply.raw, reply.usage) == (DraftsAnswer.model_validate(GOOD), [TEXT], Usage(calls=1, tokens_in=3, tokens_out=4))
    assert bodies[0]["response_format"]["json_schema"]["schema"]["required"] == ["lessons"]


@pytest.mark.parametrize(
    ("message", "finish", "problem", "raw"),
    [
        ({"content": TEXT[:30]}, "length", r"its JSON does not end", TEXT[:30]),
        ({"content": None, "refusal": "I cannot"}, "stop", "the model refused: I cannot", "(refused: I cannot)"),
        ({"content": ""}, "content_filter", "the model refused: content_filter", "(refused: content_filter)"),
        ({"content": "hello"}, "stop", "it holds no JSON object", "hello"),
    ],
)
def test_what_openais_client_raises_is_an_answer_that_is_kept_and_paid_for(message, finish, problem, raw):
    model, _ = openai_says(message, finish)
    with pytest.raises(UnfitReply, match=problem) as caught:
        ask(model, DraftsAnswer, "?")
    assert caught.value.raw == [raw, raw]
    assert caught.value.usage == Usage(calls=2, tokens_in=6, tokens_out=8)


def test_a_server_without_schemas_is_asked_in_plain_text():
    model, bodies = openai_says({"content": TEXT}, status=400)
    assert ask(model, DraftsAnswer, "?").usage.calls == 2
    assert ["response_format" in body for body in bodies] == [True, False]


def anthropic_says(monkeypatch, content, stop="end_turn", status=200):
    """Anthropic's own client, with a server that answers this; it refuses schemas of answers, as for older models, if a status is given."""
    anthropic, http = pytest.importorskip("langchain_anthropic.chat_models"), pytest.importorskip("httpx2")

    def answer(request):
        bodies.append(json.loads(request.content))
        if status != 200 and "output_config" in bodies[-1]:
            return http.Response(status, json={"type": "error", "error": {"type": "invalid_request_error", "message": "no output_config"}})
        usage = {"input_tokens": 3, "output_tokens": 4}
        told = {"stop_reason": stop, "stop_sequence": None, "usage": usage, "content": content}
        return http.Response(200, json={"id": "1", "type": "message", "role": "assistant", "model": "m", **told})

    bodies: list = []
    client = http.Client(transport=http.MockTransport(answer), base_url="https://api.anthropic.com")
    monkeypatch.setattr(anthropic, "_get_default_httpx_client", lambda **_: client)
    return anthropic.ChatAnthropic(model="claude-simulated", api_key="k", max_retries=0), bodies


@pytest.mark.parametrize("status", [200, 400])
def test_anthropics_client_is_asked_with_a_json_schema_then_in_plain_text(monkeypatch, status):
    model, bodies = anthropic_says(monkeypatch, [{"type": "text", "text": TEXT}], status=status)
    assert ask(model, DraftsAnswer, "?").value == DraftsAnswer.model_validate(GOOD)
    assert ["output_config" in body for body in bodies] == ([True] if status == 200 else [True, False])


@pytest.mark.parametrize(
    ("content", "stop", "problem"),
    [
        ([], "refusal", "the model refused: refusal"),
        ([{"type": "text", "text": TEXT[:30]}], "max_tokens", "cut off at its limit of tokens"),
        ([{"type": "tool_use", "id": "1", "name": "Drafts", "input": GOOD}], "max_tokens", "cut off at its limit of tokens"),
        (
            [{"type": "thinking", "thinking": TEXT, "signature": "s"}, {"type": "text", "text": "Done."}],
            "end_turn",
            "it holds no JSON object",
        ),
    ],
)
def test_what_anthropics_client_says_of_half_and_refused_answers_is_understood(monkeypatch, content, stop, problem):
    model, _ = anthropic_says(monkeypatch, content, stop)
    with pytest.raises(UnfitReply, match=problem) as caught:
        ask(model, DraftsAnswer, "?")
    assert len(caught.value.raw) == caught.value.usage.calls == 2
