"""Checks 1-15: a wrapped graph looks like the graph."""

from collections.abc import Callable
from typing import Any

import pytest
from langgraph.pregel.protocol import PregelProtocol
from langgraph.store.memory import InMemoryStore

from langchain_reflect.agents.service import AgentService
from langchain_reflect.agents.wrap import Reflected, reflected
from langchain_reflect.testing.conformance.base import Checks, thread
from langchain_reflect.testing.conformance.comparing import MARK, Pair


class IdentityChecks(Checks):
    """What can be asked of a graph without running it."""

    def test_001_is_an_instance_of_the_graphs_class(self, both: Pair) -> None:
        """`isinstance` and the class's name stay."""
        assert isinstance(both.wrapped, type(both.bare))
        assert isinstance(both.wrapped, PregelProtocol)
        assert type(both.wrapped).__name__ == type(both.bare).__name__

    def test_002_has_the_graphs_name(self, both: Pair) -> None:
        """`name` and `get_name()`."""
        both.same(lambda g: (g.name, g.get_name(), g.get_name("Input")))

    def test_003_has_the_same_input_schema(self, both: Pair) -> None:
        """As JSON schema and as a model."""
        both.same(lambda g: (g.get_input_jsonschema(), g.input_schema.model_json_schema()))

    def test_004_has_the_same_output_schema(self, both: Pair) -> None:
        """As JSON schema and as a model."""
        both.same(lambda g: (g.get_output_jsonschema(), g.output_schema.model_json_schema()))

    def test_005_has_the_same_context_schema(self, both: Pair) -> None:
        """As JSON schema and as a type."""
        both.same(lambda g: (g.get_context_jsonschema(), g.context_schema))

    def test_006_has_the_same_config_specs(self, both: Pair) -> None:
        """`config_specs`."""
        both.same(lambda g: g.config_specs)

    def test_007_has_the_same_types(self, both: Pair) -> None:
        """`InputType` and `OutputType`."""
        both.same(lambda g: (g.InputType, g.OutputType))

    def test_008_has_the_same_nodes_and_channels(self, both: Pair) -> None:
        """Names, triggers, tags and metadata."""
        both.same(lambda g: (list(g.nodes), list(g.channels), g.input_channels, g.output_channels, g.stream_channels))
        both.same(lambda g: [(n.triggers, n.channels, n.tags, n.metadata) for n in g.nodes.values()])

    def test_009_is_drawn_the_same(self, both: Pair) -> None:
        """As a diagram and as JSON, with the nodes' data."""
        both.same(lambda g: (g.get_graph().draw_mermaid(), g.get_graph().to_json()))

    @pytest.mark.asyncio
    async def test_009_is_drawn_the_same_asynchronously(self, both: Pair) -> None:
        """`aget_graph`."""

        async def drawn(graph: Any) -> Any:
            return (await graph.aget_graph(xray=True)).to_json()

        await both.asame(drawn)

    def test_010_shows_the_same_subgraphs(self, both: Pair) -> None:
        """`xray=True` and `get_subgraphs(recurse=True)`."""
        both.same(lambda g: (g.get_graph(xray=True).to_json(), [name for name, _ in g.get_subgraphs(recurse=True)]))

    def test_011_with_config_returns_a_wrapped_graph(self, both: Pair) -> None:
        """Of the same kind, with the config bound."""
        bound: Any = both.wrapped.with_config(tags=["t"], configurable={"a": 1})
        assert bound.config == both.bare.with_config(tags=["t"], configurable={"a": 1}).config
        assert isinstance(bound, type(both.bare))
        assert isinstance(bound, Reflected)
        both.same(lambda g: g.with_config(tags=["t"]).invoke(both.subject.given))

    def test_012_a_copy_keeps_reflection_and_takes_the_new_saver(self, both: Pair, saved: Pair, told: Callable[..., None]) -> None:
        """As the Agent Server copies graphs for every run."""
        saver, store = saved.wrapped.checkpointer, InMemoryStore()
        copied = both.wrapped.copy(update={"checkpointer": saver, "store": store})
        copied.invoke(both.subject.given, thread())
        assert copied.checkpointer is saver
        assert copied.store is store
        assert isinstance(copied, Reflected)
        assert list(saver.list(thread()))
        told()

    def test_013_version_2_returns_the_state_class(self, both: Pair) -> None:
        """A Pydantic model or dataclass comes back as one, also after `with_config`."""
        expected = both.bare.invoke(both.subject.given, version="v2").value
        bound = both.wrapped.with_config(tags=["t"])
        assert type(bound.invoke(both.subject.given, version="v2").value) is type(expected)
        both.same(lambda g: g.invoke(both.subject.given, version="v2"))

    def test_014_wrapping_twice_is_wrapping_once(self, both: Pair, service: AgentService, told: Callable[..., None]) -> None:
        """One episode, one block."""
        twice = reflected(both.wrapped, service, **(both.subject.options or {}))
        twice.invoke(both.subject.given)
        assert type(twice).__mro__.count(Reflected) == 1
        _written(service)
        assert service.ledger.counts()["episodes"] == 1  # type: ignore[union-attr]  # the checks' own ledger
        told()

    def test_015_wrapping_leaves_the_graph_as_it_was(self, both: Pair) -> None:
        """The original object and its nodes are untouched and show no lessons."""
        before = set(both.bare.__dict__)
        nodes = {name: (node, node.bound) for name, node in both.original.nodes.items()}
        both.wrapped.invoke(both.subject.given)
        assert set(both.original.__dict__) == before
        assert all(both.original.nodes[name] is node and node.bound is bound for name, (node, bound) in nodes.items())
        assert not isinstance(both.original, Reflected)
        both.model.prompts.clear()
        both.original.invoke(both.subject.given)
        assert MARK not in repr(both.model.prompts)


def _written(service: AgentService) -> None:
    if service.recorder is not None:
        service.recorder.flush()
