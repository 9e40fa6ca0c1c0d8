import random
import time

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph

from langchain_reflect.recall.rendering import placebo, render
from langchain_reflect.recording.fingerprint import FirstCall, fingerprint_of, graph_hash, prompt_hash, tools_hash
from langchain_reflect.types import Fingerprint, LessonText

BLOCK = render([LessonText(when="asked for 3 files", do="name each")], ids=["L-1"])
QUESTION = HumanMessage("How many?")


def schema(name, about="", **arguments):
    return {"type": "function", "function": {"name": name, "description": about, "parameters": {"properties": arguments}}}


@tool
def lookup(city: str) -> str:
    """Find a city."""
    return city


def test_a_prompt_with_lessons_is_the_same_prompt():
    bare = prompt_hash([SystemMessage("Be brief.\n"), QUESTION])
    assert prompt_hash([SystemMessage(f"Be brief.\n\n\n{BLOCK}"), QUESTION]) == bare
    assert prompt_hash([SystemMessage([{"type": "text", "text": "Be brief."}, {"type": "text", "text": BLOCK}]), QUESTION]) == bare
    assert prompt_hash([SystemMessage(f"Be brief.\n\n{placebo()}"), HumanMessage(f"{BLOCK}\n\nHow many?")]) == bare
    assert prompt_hash([SystemMessage("Be polite."), QUESTION]) != bare


def test_an_agent_without_a_prompt_is_the_same_with_lessons():
    assert prompt_hash([SystemMessage(BLOCK), QUESTION]) == prompt_hash([QUESTION]) != ""
    assert prompt_hash("a text for a plain model") == ""


@given(st.text(max_size=200), st.text(max_size=50))
def test_lessons_in_any_prompt_leave_its_hash(before, after):
    if "<lessons" not in before + after:
        assert prompt_hash([SystemMessage(f"{before}\n\n{BLOCK}\n\n{after}")]) == prompt_hash([SystemMessage(f"{before}\n\n{after}")])


def test_the_date_and_the_customers_number_make_no_other_agent():
    one = "Today is Thursday, November 26, 2026, 3:48:49.123 PM (2026-11-26T15:48:49Z). Customer A-1042, order 5ab3-77ff."
    other = "Today is Friday, May 1, 2027, 11:08:01 AM (2027-05-01T11:08:01.5+02:00). Customer B-7, order 9c-1."
    assert prompt_hash([SystemMessage(one)]) == prompt_hash([SystemMessage(other)])
    assert prompt_hash([SystemMessage(one)]) != prompt_hash([SystemMessage(one.replace("Customer", "Guest"))])


def test_long_prompts_take_no_time_to_speak_of():
    started = time.process_time()
    for text in ("a" * 200_000, "漢字" * 100_000, "<lessons " * 20_000, "1" * 200_000, "a1-" * 70_000):
        assert prompt_hash([SystemMessage(text)])
    assert time.process_time() - started < 2


def test_the_order_of_tools_tells_nothing_and_their_descriptions_do():
    tools = [schema("a", "adds", x={"type": "string"}), schema("b"), schema("c")]
    assert tools_hash(tools) == tools_hash(random.sample(tools, 3))
    assert tools_hash(tools) != tools_hash([schema("a", "adds two", x={"type": "string"}), *tools[1:]])
    assert tools_hash(tools) != tools_hash([schema("a", "adds", y={"type": "string"}), *tools[1:]])
    assert tools_hash([lookup]) == tools_hash([lookup]) != tools_hash([])
    assert tools_hash([{"name": "odd", "default": object()}]) == tools_hash([{"name": "odd", "default": object()}])


def node(state):
    return {}


def graph(*edges, names=("a", "b")):
    builder = StateGraph(MessagesState)
    for name in names:
        builder.add_node(name, node)
    for edge in edges:
        builder.add_edge(*edge)
    return builder.compile()


def test_a_graph_is_told_by_its_nodes_and_edges():
    one = graph((START, "a"), ("a", "b"))
    assert graph_hash(one) == graph_hash(graph((START, "a"), ("a", "b"))) != ""
    assert graph_hash(one) != graph_hash(graph((START, "b"), ("b", "a")))
    assert graph_hash(one) != graph_hash(graph((START, "a"), ("a", "c"), names=("a", "c")))


def test_a_changed_graph_inside_a_graph_is_another_one():
    def around(inner):
        return StateGraph(MessagesState).add_node("inner", inner).add_edge(START, "inner").compile()

    one, other = graph((START, "a"), ("a", "b")), graph((START, "a"))
    assert graph_hash(around(one)) != graph_hash(around(other))


def test_conditional_edges_count():
    def routed(ends):
        builder = StateGraph(MessagesState).add_node("a", node).add_node("b", node).add_edge(START, "a")
        return builder.add_conditional_edges("a", lambda s: "b", ends).compile()

    assert graph_hash(routed(["b"])) != graph_hash(routed(["b", "__end__"]))


def test_what_is_no_graph_has_no_hash():
    assert [graph_hash(other) for other in (None, "text", lookup)] == ["", "", ""]


class Hostile:
    """Fails whatever one asks of it."""

    def __getattribute__(self, name):
        raise RuntimeError(name)


def test_nothing_that_a_run_holds_makes_it_raise():
    assert graph_hash(Hostile()) == ""
    broken = FirstCall("m", [SystemMessage("x"), Hostile()], [Hostile(), {1: {2}}])
    assert fingerprint_of(broken) == Fingerprint(model="m")
    assert fingerprint_of(FirstCall("", None, None)) is None
    assert fingerprint_of(None, messages=[Hostile()]) is None


def test_without_a_call_the_answers_may_tell_the_model():
    before = AIMessage("hi", response_metadata={"model_name": "old"})
    said = [before, QUESTION, AIMessage("three", response_metadata={"model_name": "tiny-1"})]
    assert fingerprint_of(None, messages=said) == Fingerprint(model="tiny-1")
    assert fingerprint_of(None, messages=[QUESTION]) is None
