"""The demo with the real small model, where its weights are on this machine."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from langchain_reflect.demo.flow import run_demo
from langchain_reflect.demo.local_model import local_model
from langchain_reflect.demo.source import open_model
from langchain_reflect.demo.weights import find_weights
from langchain_reflect.errors import ModelMissing

pytestmark = [
    pytest.mark.slow,
    pytest.mark.enable_socket,
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def weights() -> Path:
    pytest.importorskip("xllamacpp")
    try:
        return find_weights(download=False)
    except ModelMissing as missing:
        pytest.skip(str(missing))


def test_the_model_keeps_to_a_schema(weights):
    schema = {"title": "Capital", "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    with local_model(weights) as model:
        found = model.with_structured_output(schema, method="json_schema").invoke("What is the capital of France?")
    assert isinstance(found["city"], str)


def test_one_seed_gives_one_answer_of_bounded_length(weights):
    screen = Console(file=io.StringIO())
    with open_model(None, seed=7, console=screen) as model:
        first, second = (model.chat.invoke("Tell me a long story.", **model.options(3)) for _ in range(2))
    assert first.content == second.content
    assert first.usage_metadata["output_tokens"] <= 60


def test_a_small_model_learns_from_its_outcomes(weights, tmp_path):
    screen = Console(file=io.StringIO(), width=150)
    result = run_demo(quick=True, path=tmp_path, console=screen)
    assert not result.simulated
    assert result.lessons
    assert result.uplift.difference("lessons", "bare").mean > 0
    assert result.picture is not None
    assert result.picture.stat().st_size > 0
