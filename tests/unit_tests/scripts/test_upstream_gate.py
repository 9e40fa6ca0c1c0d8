"""Check 125 on a small tree: the gate finds exactly the test that asserts which messages a node sees."""

import subprocess
import sys
from pathlib import Path

GATE = Path(__file__).parents[3] / "scripts" / "upstream_gate.py"

SUITE = """
from langchain_core.messages import HumanMessage
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph

SEEN = []


def graph():
    def node(state: MessagesState):
        SEEN.append(len(state["messages"]))
        return {"messages": []}

    return StateGraph(MessagesState).add_node("node", node).add_edge(START, "node").compile()


def test_result():
    assert [m.content for m in graph().invoke({"messages": [HumanMessage("hi")]})["messages"]] == ["hi"]


def test_what_the_node_sees():
    SEEN.clear()
    graph().invoke({"messages": [HumanMessage("hi")]})
    assert SEEN == [1]


def test_workflow():
    @entrypoint()
    def double(number: int) -> int:
        return 2 * number

    assert double.invoke(2) == 4


def test_that_always_fails():
    assert graph() is None
"""


def test_125_only_a_test_of_the_exact_messages_differs_and_only_with_lessons(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_small.py").write_text(SUITE, encoding="utf-8")
    command = [sys.executable, GATE, tmp_path, "-p", "no:cacheprovider", "-o", "addopts="]
    done = subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.startswith(("bare ", "record ", "lessons "))}
    assert rows == {"bare": ["4", "3", "1", "0"], "record": ["4", "3", "1", "0"], "lessons": ["4", "2", "2", "1"]}
    assert "only lessons: tests/test_small.py::test_what_the_node_sees: passed -> failed" in done.stdout


def test_a_source_that_is_not_there_is_told(tmp_path):
    done = subprocess.run([sys.executable, str(GATE), str(tmp_path / "none")], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "SOURCE" in done.stderr
