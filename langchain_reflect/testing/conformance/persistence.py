"""Checks 50-70: threads, checkpoints and their history, and going from bare to wrapped and back."""

from typing import Any

import pytest

from langchain_reflect.agents.episodes import METADATA_KEY
from langchain_reflect.agents.service import AgentService
from langchain_reflect.agents.wrap import reflected
from langchain_reflect.testing.conformance.base import Checks, nodes_of, thread
from langchain_reflect.testing.conformance.comparing import Pair


class PersistenceChecks(Checks):
    """What a checkpoint saver keeps."""

    @pytest.mark.asyncio
    async def test_050_the_state_of_a_thread(self, saved: Pair) -> None:
        """Before and after a run, sync and async."""

        async def states(graph: Any) -> Any:
            before = graph.get_state(thread())
            graph.invoke(saved.subject.given, thread())
            return before, graph.get_state(thread()), await graph.aget_state(thread()), graph.get_state(thread(), subgraphs=True)

        await saved.asame(states)

    @pytest.mark.asyncio
    async def test_051_the_history_of_a_thread(self, saved: Pair) -> None:
        """Values, next nodes, steps and sources, sync and async."""

        async def history(graph: Any) -> Any:
            graph.invoke(saved.subject.given, thread())
            return list(graph.get_state_history(thread())), [s async for s in graph.aget_state_history(thread())]

        sync, asynchronous = await saved.asame(history)
        assert len(sync) == len(asynchronous) > 1

    def test_053_number_and_place_of_checkpoints(self, saved: Pair) -> None:
        """As many, in the same namespaces, of the same channels."""

        def kept(graph: Any) -> Any:
            graph.invoke(saved.subject.given, thread())
            found = list(graph.checkpointer.list(None))
            return [(c.config["configurable"]["checkpoint_ns"], sorted(c.checkpoint["channel_values"])) for c in found]

        saved.same(kept)

    def test_054_a_bare_thread_goes_on_wrapped(self, saved: Pair) -> None:
        """So the wrapper can be added to a live deployment."""
        self._goes_on(saved, first="bare", then="wrapped")

    def test_055_a_wrapped_thread_goes_on_bare(self, saved: Pair) -> None:
        """And it can be taken out again."""
        self._goes_on(saved, first="wrapped", then="bare")

    def _goes_on(self, saved: Pair, *, first: str, then: str) -> None:
        expected = [saved.bare.invoke(saved.subject.given, thread("alone")) for _ in range(2)]
        got = getattr(saved, first).invoke(saved.subject.given, thread())
        other = getattr(saved, then).copy(update={"checkpointer": getattr(saved, first).checkpointer})
        Pair.equal([got, other.invoke(saved.subject.given, thread())], expected)

    def test_056_update_state_as_a_node(self, saved: Pair) -> None:
        """The checkpoint that is made, and what comes next."""
        names = nodes_of(saved.bare)

        def updated(graph: Any) -> Any:
            graph.invoke(saved.subject.given, thread())
            graph.update_state(thread(), None, as_node=names[-1])
            return graph.get_state(thread())

        saved.same(updated)

    @pytest.mark.parametrize("at", [0, 1])
    def test_058_replay(self, saved: Pair, at: int) -> None:
        """From an earlier checkpoint."""

        def replayed(graph: Any) -> Any:
            graph.invoke(saved.subject.given, thread())
            history = list(graph.get_state_history(thread()))
            result = graph.invoke(None, history[min(at + 1, len(history) - 1)].config)
            return result, [(s.next, s.metadata["source"], s.metadata["step"]) for s in graph.get_state_history(thread())]

        saved.same(replayed)

    def test_059_fork(self, saved: Pair) -> None:
        """From an earlier checkpoint, with the input given once more."""

        def forked(graph: Any) -> Any:
            graph.invoke(saved.subject.given, thread())
            first = list(graph.get_state_history(thread()))[-1]
            result = graph.invoke(saved.subject.given, first.config)
            return result, [(s.next, s.metadata["source"], s.metadata["step"]) for s in graph.get_state_history(thread())]

        saved.same(forked)

    @pytest.mark.parametrize("when", ["interrupt_before", "interrupt_after"])
    def test_064_static_breakpoints_everywhere_then_none(self, saved: Pair, when: Any) -> None:
        """`"*"`, and on with `None` until the end."""

        def stepwise(graph: Any) -> Any:
            steps = [graph.invoke(saved.subject.given, thread(), **{when: "*"})]
            for _ in range(20):
                state = graph.get_state(thread())
                steps.append((state.next, state.interrupts))
                if not state.next:
                    break
                steps.append(graph.invoke(None, thread(), **{when: "*"}))
            return steps

        saved.same(stepwise)

    @pytest.mark.asyncio
    @pytest.mark.parametrize("durability", ["sync", "async", "exit"])
    async def test_067_durability(self, saved: Pair, durability: Any) -> None:
        """The result and the checkpoints that are left."""

        async def durable(graph: Any) -> Any:
            results = graph.invoke(saved.subject.given, thread(1), durability=durability)
            asynchronous = await graph.ainvoke(saved.subject.given, thread(2), durability=durability)
            if durability == "async":  # which intermediate checkpoints were in time is chance
                return results, asynchronous, [graph.get_state(thread(n)) for n in (1, 2)]
            histories = [list(graph.get_state_history(thread(n))) for n in (1, 2)]
            return results, asynchronous, [[(s.next, s.values, s.metadata["source"], s.metadata["step"]) for s in h] for h in histories]

        await saved.asame(durable)

    def test_068_a_missing_thread_id_is_the_same_error(self, saved: Pair) -> None:
        """Its type and its message."""
        with pytest.raises(ValueError, match=r"thread_id|configurable"):
            saved.same(lambda g: g.invoke(saved.subject.given))

    def test_070_only_the_episodes_id_differs_in_a_checkpoint(self, saved: Pair, service: AgentService) -> None:
        """And nothing with `metadata=False`."""

        def keys(graph: Any) -> list[set[str]]:
            graph.invoke(saved.subject.given, thread())
            return [set(c.metadata or {}) for c in graph.checkpointer.list(None)]

        bare, wrapped = keys(saved.bare), keys(saved.wrapped)
        assert [w - b for w, b in zip(wrapped, bare, strict=True)] == [{METADATA_KEY}] * len(bare)
        silent = reflected(saved.original, service, **(saved.subject.options or {}), metadata=False)
        silent.checkpointer.delete_thread("1")
        assert keys(silent) == bare
