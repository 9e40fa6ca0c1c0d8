"""Checks 1-15: a wrapped graph looks like the graph."""

from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from langgraph.pregel.remote import RemoteGraph
from langgraph.store.memory import InMemoryStore

from langchain_reflect.agents.wrap import Reflected, reflected


def test_001_is_an_instance_of_the_graphs_class(each):
    assert isinstance(each.wrapped, type(each.bare))
    assert isinstance(each.wrapped, Pregel)
    assert type(each.wrapped).__name__ == type(each.bare).__name__


def test_001_a_remote_graph_stays_a_remote_graph(service):
    remote = RemoteGraph("assistant", url="http://localhost:9")
    assert isinstance(reflected(remote, service), RemoteGraph)


def test_002_has_the_graphs_name(each):
    each.same(lambda g: (g.name, g.get_name(), g.get_name("Input")))


def test_003_has_the_same_input_schema(each):
    each.same(lambda g: (g.get_input_jsonschema(), g.input_schema.model_json_schema()))


def test_004_has_the_same_output_schema(each):
    each.same(lambda g: (g.get_output_jsonschema(), g.output_schema.model_json_schema()))


def test_005_has_the_same_context_schema(each):
    each.same(lambda g: (g.get_context_jsonschema(), g.context_schema))


def test_006_has_the_same_config_specs(each):
    each.same(lambda g: g.config_specs)


def test_007_has_the_same_types(each):
    each.same(lambda g: (g.InputType, g.OutputType))


def test_008_has_the_same_nodes_and_channels(each):
    each.same(lambda g: (list(g.nodes), list(g.channels), g.input_channels, g.output_channels, g.stream_channels))
    each.same(lambda g: [(n.triggers, n.channels, n.tags, n.metadata) for n in g.nodes.values()])


def test_009_is_drawn_the_same(each):
    each.same(lambda g: (g.get_graph().draw_mermaid(), g.get_graph().to_json()))


async def test_009_is_drawn_the_same_asynchronously(each):
    async def drawn(graph):
        return (await graph.aget_graph(xray=True)).to_json()

    await each.asame(drawn)


def test_010_shows_the_same_subgraphs(each):
    each.same(lambda g: (g.get_graph(xray=True).to_json(), [name for name, _ in g.get_subgraphs(recurse=True)]))


def test_011_with_config_returns_a_wrapped_graph(each):
    bound = each.wrapped.with_config(tags=["t"], configurable={"a": 1})
    assert isinstance(bound, type(each.bare))
    assert isinstance(bound, Reflected)
    assert bound.config == each.bare.with_config(tags=["t"], configurable={"a": 1}).config
    each.same(lambda g: g.with_config(tags=["t"]).invoke(each.subject.given))


def test_012_copy_keeps_reflection_and_takes_the_new_saver(pair):
    both = pair("single")
    saver, store = InMemorySaver(), InMemoryStore()
    copied = both.wrapped.copy(update={"checkpointer": saver, "store": store})
    copied.invoke(both.subject.given, {"configurable": {"thread_id": "1"}})
    assert copied.checkpointer is saver
    assert copied.store is store
    assert isinstance(copied, Reflected)
    assert "<lessons" in both.model.prompts[0][0].content
    assert list(saver.list({"configurable": {"thread_id": "1"}}))


def test_013_version_2_returns_the_state_class(pair):
    for name in ("pydantic", "dataclass"):
        both = pair(name)
        bound = both.wrapped.with_config(tags=["t"])
        expected = both.bare.invoke(both.subject.given, version="v2").value
        assert type(bound.invoke(both.subject.given, version="v2").value) is type(expected)
        both.same(lambda g, given=both.subject.given: g.invoke(given, version="v2"))


def test_014_wrapping_twice_is_wrapping_once(each, service, ledger, recorder):
    twice = reflected(each.wrapped, service, **(each.subject.options or {}))
    twice.invoke(each.subject.given)
    assert type(twice).__mro__.count(Reflected) == 1
    assert all("".join(str(m.content) for m in prompt).count("<lessons") == 1 for prompt in each.model.prompts)
    recorder.flush()
    assert ledger.counts()["episodes"] == 1


def test_015_wrapping_leaves_the_graph_as_it_was(each):
    before = {key: value for key, value in each.bare.__dict__.items() if key != "nodes"}
    nodes = {name: (node, node.bound) for name, node in each.original.nodes.items()}
    each.wrapped.invoke(each.subject.given)
    assert list(each.original.__dict__) == [*before, "nodes"] or set(each.original.__dict__) == {*before, "nodes"}
    assert all(each.original.nodes[name] is node and node.bound is bound for name, (node, bound) in nodes.items())
    assert not isinstance(each.original, Reflected)
    each.model.prompts.clear()
    each.original.invoke(each.subject.given)
    assert not any("<lessons" in str(m.content) for prompt in each.model.prompts for m in prompt)


def test_015_isinstance_of_a_state_graph_still_holds(pair):
    assert isinstance(pair("agent").wrapped, CompiledStateGraph)
    assert pair("single").wrapped.invoke({"messages": [HumanMessage("hi", id="1")]})["messages"][0].id == "1"
