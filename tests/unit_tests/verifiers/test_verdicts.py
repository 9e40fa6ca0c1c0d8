"""Whatever a verifier returns is read into one verdict, or refused with the way out."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from langchain_reflect.errors import InvalidInput
from langchain_reflect.verifiers import Verdict, ajudge, answer_text, coerce, exact_match, judge

OPENEVALS = {"key": "correctness", "score": 0.5, "comment": "half right", "metadata": None}


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (True, Verdict(1.0)),
        (False, Verdict(0.0)),
        (0.25, Verdict(0.25)),
        (1, Verdict(1.0)),
        (np.float32(0.5), Verdict(0.5)),
        (np.bool_(True), Verdict(1.0)),  # noqa: FBT003 - the value is the point
        ((0.5, "nearly"), Verdict(0.5, "nearly")),
        ((True, None), Verdict(1.0)),
        (OPENEVALS, Verdict(0.5, "half right", {"key": "correctness"})),
        ({"key": "style", "score": True, "comment": None}, Verdict(1.0, None, {"key": "style"})),
        ({"key": "style", "score": None, "comment": "too long"}, Verdict(None, "too long", {"key": "style"})),
        ([OPENEVALS, {"key": "style", "score": True}], Verdict(0.75, "correctness: half right", {"correctness": 0.5, "style": 1.0})),
        ([True, (0.0, "no")], Verdict(0.5, "2: no", {"1": 1.0, "2": 0.0})),
    ],
)
def test_every_form_is_read(result, expected):
    assert coerce(result) == expected


@given(st.floats(0, 1), st.none() | st.text(min_size=1))
def test_a_verdict_stays_what_it_is(reward, feedback):
    verdict = Verdict(reward, feedback)
    assert coerce(verdict) == verdict
    assert coerce((reward, feedback)) == verdict


@pytest.mark.parametrize(
    "result", ["yes", [], [None], [True, None], (), object(), {"comment": "no score"}, 1.5, -0.1, float("nan"), [0.5, "x"], {"score": 7}]
)
def test_what_is_no_judgement_is_refused_with_its_value(result):
    with pytest.raises(InvalidInput, match=r"verifier returned .*expected"):
        coerce(result)


def test_a_verdict_needs_a_reward_or_words():
    with pytest.raises(InvalidInput, match="says nothing"):
        Verdict(None)


def plain(*, inputs, outputs):
    return inputs == outputs


def referring(*, inputs, outputs, reference_outputs):
    return outputs == reference_outputs


async def asynchronous(*, inputs, outputs, **rest):
    return outputs == rest["reference_outputs"], "checked"


@pytest.mark.parametrize(("verifier", "reference"), [(plain, None), (referring, 1), (asynchronous, 1)])
async def test_verifiers_are_called_with_what_they_take(verifier, reference):
    assert (await ajudge(verifier, inputs=1, outputs=1, reference=reference)).reward == 1.0


@pytest.mark.parametrize(("verifier", "reference"), [(plain, None), (referring, 1), (asynchronous, 1)])
def test_verifiers_are_called_from_sync_code_too(verifier, reference):
    assert judge(verifier, inputs=1, outputs=1, reference=reference).reward == 1.0


async def test_an_async_verifier_in_a_sync_call_inside_a_loop_names_the_way_out():
    with pytest.raises(InvalidInput, match="apractice"):
        judge(asynchronous, inputs=1, outputs=1, reference=1)


@pytest.mark.parametrize("outputs", ["Oslo", " Oslo\n", {"messages": [AIMessage("Oslo")]}, AIMessage("Oslo"), {"answer": "Oslo"}])
def test_exact_match_reads_the_answer_from_any_output(outputs):
    assert exact_match(outputs=outputs, reference_outputs="Oslo") == Verdict(1.0)


def test_exact_match_says_what_it_expected():
    verdict = exact_match(outputs={"messages": [{"role": "assistant", "content": "Rome"}]}, reference_outputs="Oslo")
    assert verdict == Verdict(0.0, "expected 'Oslo', got 'Rome'", {"expected": "Oslo"})


def test_an_output_without_a_text_is_compared_as_json():
    assert answer_text({"b": 1, "a": 2}) == answer_text({"a": 2, "b": 1})


def test_importing_it_loads_nothing_heavy():
    code = "import sys, langchain_reflect.verifiers; assert not {'langchain_core', 'numpy', 'langgraph'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
