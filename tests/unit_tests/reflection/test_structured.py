import asyncio

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_reflect.errors import ReflectionFailed
from langchain_reflect.reflection.answers import KEPT
from langchain_reflect.reflection.schemas import DraftsAnswer
from langchain_reflect.reflection.structured import UnfitReply, aask, ask
from langchain_reflect.testing.models import ScriptedChatModel
from langchain_reflect.types import Usage

PROMPT = [HumanMessage("What do you learn?")]
GOOD = {"lessons": [{"when": "naming", "do": "begin with acme_", "cites": ["R1"]}]}
TEXT = '{"lessons": [{"when": "naming", "do": "begin with acme_", "cites": ["R1"]}]}'


@pytest.fixture(params=["sync", "async"])
def put(request):
    """`ask` or `aask`."""

    def run(model, **given):
        if request.param == "sync":
            return ask(model, DraftsAnswer, PROMPT, **given)
        return asyncio.run(aask(model, DraftsAnswer, PROMPT, **given))

    return run


@pytest.mark.parametrize("structured", [True, False])
def test_answer_is_read_with_and_without_structured_output(put, structured):
    reply = put(ScriptedChatModel(answers=[GOOD], structured=structured))
    assert reply.value == DraftsAnswer.model_validate(GOOD)
    assert reply.usage.calls == 1
    assert reply.usage.tokens_in > 0


@pytest.mark.parametrize("answer", [f"```json\n{TEXT}\n```", f"Use {{x}} as follows.\n{TEXT}\nDone.", TEXT[12:-1]])
def test_json_is_found_in_prose(put, answer):
    assert put(ScriptedChatModel(answers=[answer])).value.lessons[0].do == "begin with acme_"


@pytest.mark.parametrize("structured", [True, False])
def test_text_answer_of_a_model_with_tools_is_read_too(put, structured):
    assert put(ScriptedChatModel(answers=[TEXT], structured=structured)).value.lessons


BAD = [
    "",
    "I learned a lot.",
    TEXT[:-4],
    '{"lessons": [{"when": "x"}]}',
    '{"lessons": "many"}',
    '{"lessons": [{"do": 3, "wh',
    "[1, 2]",
    "null",
]


@pytest.mark.parametrize("answer", BAD)
def test_unfit_answer_is_sent_back_once_with_the_error(put, answer):
    model = ScriptedChatModel(answers=[answer, GOOD])
    reply = put(model)

    assert reply.value.lessons
    assert reply.raw[0] == answer
    assert reply.usage.calls == 2
    assert model.prompts[1][0] == PROMPT[0]
    assert model.prompts[1][-1].text.startswith("That answer cannot be used: ")


@pytest.mark.parametrize("answer", BAD)
def test_second_unfit_answer_fails_with_both_answers(put, answer):
    with pytest.raises(ReflectionFailed, match="no usable answer") as caught:
        put(ScriptedChatModel(answers=[answer, answer]))
    assert isinstance(caught.value, UnfitReply)
    assert caught.value.raw == [answer, answer]
    assert caught.value.usage.calls == 2


def test_failing_model_is_asked_again_in_plain_text(put):
    model = ScriptedChatModel(answers=[RuntimeError("response_format is not supported"), TEXT], structured=True)
    assert put(model).value.lessons

    with pytest.raises(UnfitReply, match="RuntimeError: down"):
        put(ScriptedChatModel(answers=[RuntimeError("down"), RuntimeError("down")]))


def test_a_wish_beyond_the_form_is_sent_back_too(put):
    model = ScriptedChatModel(answers=[GOOD, {"lessons": []}])
    reply = put(model, check=lambda answer: "too many" if answer.lessons else None)
    assert reply.value.lessons == []
    assert "too many" in model.prompts[1][-1].text


def test_reported_tokens_are_added_up(put):
    cost = {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12}
    model = ScriptedChatModel(answers=[AIMessage("?", usage_metadata=cost), AIMessage(TEXT, usage_metadata=cost)])
    assert put(model).usage == Usage(calls=2, tokens_in=20, tokens_out=4)


@pytest.mark.parametrize("structured", ["function_calling", "json_schema", "refused", False])
def test_every_kind_of_structured_output_is_used_or_done_without(put, structured):
    model = ScriptedChatModel(answers=["I learned a lot.", GOOD], structured=structured)
    reply = put(model)
    assert reply.value == DraftsAnswer.model_validate(GOOD)
    assert reply.usage.calls == 2 + (structured == "refused"), "a refused schema is no answer, and costs no attempt"
    assert len(reply.raw) == reply.usage.calls


def test_a_client_that_fails_on_structured_output_is_asked_in_plain_text(put):
    class Odd(ScriptedChatModel):
        def with_structured_output(self, *args, **given):
            raise AttributeError("no such thing")

    assert put(Odd(answers=[TEXT])).value.lessons


def test_a_tool_call_that_does_not_fit_is_shown_to_the_model_again(put):
    model = ScriptedChatModel(answers=[{"lesson": "x"}, GOOD], structured=True)
    assert put(model).raw[0] == '{"lesson": "x"}'
    assert model.prompts[1][-2].text == '{"lesson": "x"}'


def test_answers_are_kept_whole_and_sent_back_short(put):
    answer = "I think. " * 20_000
    model = ScriptedChatModel(answers=[answer, "x" * KEPT + "END", GOOD])
    with pytest.raises(UnfitReply) as caught:
        put(model)
    assert caught.value.raw[0] == answer
    assert caught.value.raw[1].endswith("END")
    assert "[… 3 characters left out …]" in caught.value.raw[1]
    assert len(model.prompts[1][-2].text) <= 4000
