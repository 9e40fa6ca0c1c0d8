"""Checks 16-49: a wrapped graph runs like the graph, chunk for chunk."""

import copy
from collections.abc import Callable
from typing import Any, Final

import pytest
from langchain_core.callbacks import BaseCallbackHandler, CallbackManager

from langchain_reflect.agents.episodes import METADATA_KEY
from langchain_reflect.agents.service import AgentService
from langchain_reflect.agents.wrap import reflected
from langchain_reflect.testing.conformance.base import Checks, collect, thread
from langchain_reflect.testing.conformance.comparing import Pair, normal

_ALONE: Final = ("values", "updates", "messages", "tasks")
_NEED_A_SAVER: Final = ("checkpoints", "debug")
MODES: Final = (*_ALONE, *_NEED_A_SAVER, "custom")


class RunChecks(Checks):
    """Every way to run a graph."""

    def test_016_invoke(self, both: Pair, told: Callable[..., None]) -> None:
        """The result."""
        both.same(lambda g: g.invoke(both.subject.given))
        told()

    @pytest.mark.asyncio
    async def test_017_ainvoke(self, both: Pair, told: Callable[..., None]) -> None:
        """The result."""
        await both.asame(lambda g: g.ainvoke(both.subject.given))
        told()

    def test_018_without_a_checkpointer(self, both: Pair) -> None:
        """Twice, so that nothing is carried over."""
        both.same(lambda g: [g.checkpointer, g.invoke(both.subject.given), g.invoke(both.subject.given)])

    def test_019_two_turns_of_a_thread(self, saved: Pair) -> None:
        """No reducer sees a value twice."""
        saved.same(lambda g: [g.invoke(saved.subject.given, thread()), g.invoke(saved.subject.given, thread())])

    def test_020_version_2(self, both: Pair) -> None:
        """`GraphOutput`."""
        both.same(lambda g: g.invoke(both.subject.given, version="v2"))

    def test_021_output_keys(self, both: Pair) -> None:
        """Of `invoke` and `stream`."""
        keys = [both.bare.output_channels] if isinstance(both.bare.output_channels, str) else list(both.bare.output_channels)
        both.same(lambda g: g.invoke(both.subject.given, output_keys=keys[:1]))
        both.same(lambda g: list(g.stream(both.subject.given, output_keys=keys[0], stream_mode="values")))

    @pytest.mark.parametrize("mode", ["values", "updates", "messages", ["updates", "values"]])
    def test_022_invoke_with_a_stream_mode(self, both: Pair, mode: Any) -> None:
        """A list of chunks."""
        both.same(lambda g: g.invoke(both.subject.given, stream_mode=mode))

    @pytest.mark.parametrize("mode", _ALONE)
    def test_023_to_026_stream(self, both: Pair, mode: str) -> None:
        """Chunk for chunk."""
        both.same(lambda g: list(g.stream(both.subject.given, stream_mode=mode)))

    @pytest.mark.parametrize("mode", [*_ALONE, *_NEED_A_SAVER])
    def test_023_to_028_stream_with_a_saver(self, saved: Pair, mode: str) -> None:
        """Chunk for chunk, with their metadata."""
        saved.same(lambda g: list(g.stream(saved.subject.given, thread(), stream_mode=mode)))

    @pytest.mark.parametrize("mode", [*_ALONE, *_NEED_A_SAVER])
    def test_023_to_028_stream_without_our_mark(self, saved: Pair, service: AgentService, mode: str) -> None:
        """With `metadata=False` not even the episode's id differs."""
        silent = reflected(saved.original, service, **(saved.subject.options or {}), metadata=False)
        chunks = list(silent.stream(saved.subject.given, thread(), stream_mode=mode))
        assert METADATA_KEY not in repr(chunks)
        assert normal(chunks) == normal(list(saved.bare.stream(saved.subject.given, thread(), stream_mode=mode)))

    @pytest.mark.asyncio
    @pytest.mark.parametrize("mode", _ALONE)
    async def test_029_to_032_astream(self, both: Pair, mode: str) -> None:
        """Chunk for chunk."""
        await both.asame(lambda g: collect(g.astream(both.subject.given, stream_mode=mode)))

    @pytest.mark.asyncio
    @pytest.mark.parametrize("mode", [*_ALONE, *_NEED_A_SAVER])
    async def test_029_to_034_astream_with_a_saver(self, saved: Pair, mode: str) -> None:
        """Chunk for chunk, with their metadata."""
        await saved.asame(lambda g: collect(g.astream(saved.subject.given, thread(), stream_mode=mode)))

    @pytest.mark.asyncio
    async def test_035_custom(self, both: Pair) -> None:
        """What nodes write by themselves."""
        both.same(lambda g: list(g.stream(both.subject.given, stream_mode="custom")))
        await both.asame(lambda g: collect(g.astream(both.subject.given, stream_mode="custom")))

    def test_036_tools(self, both: Pair) -> None:
        """What tools stream."""
        both.same(lambda g: list(g.stream(both.subject.given, stream_mode="tools")))

    def test_037_a_list_of_modes(self, both: Pair) -> None:
        """With the mode of each chunk."""
        both.same(lambda g: list(g.stream(both.subject.given, stream_mode=["updates", "messages", "custom", "values"])))

    @pytest.mark.asyncio
    async def test_038_the_default_mode(self, both: Pair) -> None:
        """Whatever it is for the graph."""
        both.same(lambda g: list(g.stream(both.subject.given)))
        await both.asame(lambda g: collect(g.astream(both.subject.given)))

    @pytest.mark.parametrize("mode", ["updates", "messages", ["values", "messages"]])
    def test_039_namespaces_of_subgraphs(self, both: Pair, mode: Any) -> None:
        """`subgraphs=True`."""
        both.same(lambda g: list(g.stream(both.subject.given, stream_mode=mode, subgraphs=True)))

    def test_041_stream_version_2(self, both: Pair) -> None:
        """Typed chunks."""
        both.same(lambda g: list(g.stream(both.subject.given, stream_mode=["updates", "messages"], version="v2")))

    @pytest.mark.asyncio
    async def test_042_astream_events_version_2(self, both: Pair) -> None:
        """Kind, name and depth of every event."""

        async def events(graph: Any) -> list[Any]:
            return [(e["event"], e["name"], len(e["parent_ids"])) async for e in graph.astream_events(both.subject.given, version="v2")]

        await both.asame(events)

    @pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
    def test_043_stream_events_version_3(self, both: Pair) -> None:
        """Method and namespace of every event, and the output."""

        def run(graph: Any) -> Any:
            stream = graph.stream_events(both.subject.given, version="v3")
            return [(e["method"], e["params"]["namespace"]) for e in stream], stream.output

        both.same(run)

    @pytest.mark.asyncio
    @pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
    async def test_044_astream_events_version_3(self, both: Pair) -> None:
        """The same asynchronously."""

        async def run(graph: Any) -> Any:
            stream = await graph.astream_events(both.subject.given, version="v3")
            return [(e["method"], e["params"]["namespace"]) async for e in stream]

        await both.asame(run)

    @pytest.mark.asyncio
    async def test_045_batch(self, both: Pair) -> None:
        """Sync and async, with and without exceptions as results."""
        given = [both.subject.given] * 3
        both.same(lambda g: g.batch(given))
        both.same(lambda g: g.batch(given, return_exceptions=True))
        await both.asame(lambda g: g.abatch(given, return_exceptions=True))

    def test_046_print_mode(self, both: Pair, capsys: pytest.CaptureFixture[str]) -> None:
        """What is printed."""
        printed = []
        for graph in (both.bare, both.wrapped):
            graph.invoke(both.subject.given, print_mode="updates")
            printed.append(normal(capsys.readouterr().out))
        assert printed[0] == printed[1] != ""

    def test_047_early_close_then_go_on(self, saved: Pair) -> None:
        """A consumer that leaves, then `invoke(None)`."""

        def run(graph: Any) -> Any:
            stream = graph.stream(saved.subject.given, thread(), stream_mode="updates")
            first = next(stream)
            stream.close()
            return first, graph.get_state(thread()).next, graph.invoke(None, thread())

        saved.same(run)

    def test_049_input_and_config_are_not_changed(self, both: Pair) -> None:
        """Nor a callback manager in it."""
        handler, manager = BaseCallbackHandler(), CallbackManager(handlers=[BaseCallbackHandler()])
        given, handlers = copy.deepcopy(both.subject.given), list(manager.handlers)
        config: Any = {"callbacks": [handler], "metadata": {"a": 1}, "tags": ["t"], "configurable": {"b": 2}}
        both.wrapped.invoke(given, config)
        both.wrapped.invoke(given, {"callbacks": manager})
        assert normal(given) == normal(both.subject.given)
        assert config == {"callbacks": [handler], "metadata": {"a": 1}, "tags": ["t"], "configurable": {"b": 2}}
        assert manager.handlers == handlers
