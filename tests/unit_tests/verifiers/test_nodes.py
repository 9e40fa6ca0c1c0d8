"""A test of the user's judges a result, in a process of its own."""

import time
from pathlib import Path

import pytest

from langchain_reflect.errors import InvalidInput
from langchain_reflect.verifiers import ajudge, judge, pytest_node
from langchain_reflect.verifiers.nodes import given

TESTS = """
import os, subprocess, sys, time
from langchain_reflect.verifiers.nodes import given

def test_total():
    assert given()["outputs"]["total"] == given()["reference_outputs"], "the total has to have VAT in it"

def test_answer():
    assert given()["answer"] == "42"

def test_hangs():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print("child", child.pid, flush=True)
    time.sleep(60)

def test_dies():
    os.abort()

def test_environment():
    assert os.environ["MINE"] == "yes"
"""


@pytest.fixture
def tests(tmp_path):
    (tmp_path / "test_answer.py").write_text(TESTS)
    (tmp_path / "test_broken.py").write_text("import no_such_module\n\ndef test_it(): pass\n")
    return tmp_path


def run(tests, name, outputs=None, reference=None, **more):
    return judge(pytest_node(f"test_answer.py::{name}", folder=tests, **more), inputs={"q": 1}, outputs=outputs, reference=reference)


def test_a_test_that_passes_is_a_success(tests):
    assert run(tests, "test_total", {"total": 42}, 42).reward == 1.0


def test_a_test_that_fails_tells_what_failed(tests):
    verdict = run(tests, "test_total", {"total": 41}, 42)
    assert verdict.reward == 0.0
    assert "the total has to have VAT in it" in verdict.feedback
    assert verdict.detail == {"node": "test_answer.py::test_total", "exit_code": 1}


async def test_it_judges_messages_of_async_agents_by_their_text(tests):
    from langchain_core.messages import AIMessage

    verify = pytest_node("test_answer.py::test_answer", folder=tests)
    assert (await ajudge(verify, inputs="?", outputs={"messages": [AIMessage("42")]})).reward == 1.0


def test_one_that_hangs_is_ended_with_all_that_it_started(tests):
    began = time.monotonic()
    verdict = run(tests, "test_hangs", timeout=10, arguments=["-s"])
    assert time.monotonic() - began < 40
    assert verdict.reward == 0.0
    assert "did not end within 10 s" in verdict.feedback
    child = int(verdict.feedback.split("child ")[1].split()[0])
    assert any(is_gone(child) or time.sleep(0.1) for _ in range(50)), "the child goes on"


def is_gone(process):
    state = Path(f"/proc/{process}/stat")
    try:
        return state.read_text().split()[2] == "Z"
    except FileNotFoundError:
        return True


def test_one_that_dies_is_a_failure(tests):
    verdict = run(tests, "test_dies")
    assert verdict.reward == 0.0
    assert "exit code -6" in verdict.feedback


def test_it_gets_its_environment(tests):
    assert run(tests, "test_environment", env={"MINE": "yes"}).reward == 1.0


@pytest.mark.parametrize("node", ["test_answer.py::test_missing", "test_broken.py::test_it", "test_broken.py"])
def test_what_pytest_cannot_run_is_an_error_and_no_verdict(tests, node):
    with pytest.raises(InvalidInput, match=r"exit code \d"):
        judge(pytest_node(node, folder=tests), inputs=None, outputs=None)


@pytest.mark.parametrize("wrong", [{"node": "no.py::test"}, {"node": ""}, {"node": "--version"}, {"node": "test_answer.py", "timeout": 0}])
def test_arguments_that_cannot_be_meant_are_refused(tests, wrong):
    with pytest.raises(InvalidInput, match="expected"):
        pytest_node(**wrong, folder=tests)


def test_outside_a_verifier_nothing_is_given(monkeypatch):
    monkeypatch.delenv("REFLECT_GIVEN", raising=False)
    with pytest.raises(InvalidInput, match="runs under `pytest_node`"):
        given()
