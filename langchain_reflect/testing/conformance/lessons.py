"""Checks 111-123: lessons are where they belong and nowhere else, and the caller knows the episode."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langchain_core.tracers.schemas import Run

from langchain_reflect.agents.service import AgentService
from langchain_reflect.agents.wrap import collect_episodes, current_episode
from langchain_reflect.testing.conformance.base import Checks, collect, thread
from langchain_reflect.testing.conformance.comparing import MARK, Pair
from langchain_reflect.testing.conformance.running import MODES


class LessonChecks(Checks):
    """What reflection adds."""

    @pytest.mark.asyncio
    async def test_111_the_model_sees_lessons_exactly_once_per_call(self, both: Pair, told: Callable[..., None]) -> None:
        """In every way to run."""
        both.wrapped.invoke(both.subject.given)
        await both.wrapped.ainvoke(both.subject.given)
        both.wrapped.batch([both.subject.given] * 2)
        list(both.wrapped.stream(both.subject.given, stream_mode="messages"))
        assert MARK not in repr(both.bare_model.prompts)
        told()

    def test_111_also_over_two_turns_of_a_thread(self, saved: Pair, told: Callable[..., None]) -> None:
        """A block of the first turn is not in the second."""
        saved.same(lambda g: [g.invoke(saved.subject.given, thread()), g.invoke(saved.subject.given, thread())])
        told(saved)

    @pytest.mark.asyncio
    async def test_112_lessons_are_in_no_chunk_state_history_or_saved_byte(self, saved: Pair) -> None:
        """Sync and async, all modes at once, subgraphs included."""
        given, modes = saved.subject.given, list(MODES)
        chunks = list(saved.wrapped.stream(given, thread(1), stream_mode=modes, subgraphs=True))
        chunks += await collect(saved.wrapped.astream(given, thread(2), stream_mode=modes, subgraphs=True))
        history = [list(saved.wrapped.get_state_history(thread(n))) for n in (1, 2)]
        saver = saved.wrapped.checkpointer
        for place in (chunks, history, dict(saver.storage), dict(saver.writes), dict(saver.blobs)):
            assert MARK not in repr(place)
            assert "lessons-" not in repr(place)

    def test_115_a_given_run_id_is_the_episodes_id(self, both: Pair, service: AgentService) -> None:
        """In the ledger as well."""
        run_id = uuid4()
        with collect_episodes() as episodes:
            both.wrapped.invoke(both.subject.given, {"run_id": run_id})
        assert [e.id for e in episodes] == [run_id]
        assert service.recorder is not None
        service.recorder.flush()
        assert service.ledger is not None
        assert service.ledger.episode(run_id, namespace=service.namespace).status == "ok"

    @pytest.mark.asyncio
    async def test_115_a_made_id_is_the_root_runs_id(self, both: Pair) -> None:
        """For every way to run."""
        collector = RunCollectorCallbackHandler()
        with collect_episodes() as episodes:
            both.wrapped.invoke(both.subject.given, {"callbacks": [collector]})
            list(both.wrapped.stream(both.subject.given, {"callbacks": [collector]}))
            await both.wrapped.ainvoke(both.subject.given, {"callbacks": [collector]})
        assert [e.id for e in episodes] == [run.id for run in collector.traced_runs]
        assert len({e.id for e in episodes}) == 3  # noqa: PLR2004 - three runs

    @pytest.mark.asyncio
    async def test_121_the_trace_has_the_same_tree_and_one_root(self, both: Pair) -> None:
        """Names, kinds and nesting, sync and async."""

        async def trees(graph: Any) -> Any:
            collector = RunCollectorCallbackHandler()
            graph.invoke(both.subject.given, {"callbacks": [collector]})
            await graph.ainvoke(both.subject.given, {"callbacks": [collector]})
            return [_tree(run) for run in collector.traced_runs]

        assert len(await both.asame(trees)) == 2  # noqa: PLR2004 - two runs

    @pytest.mark.asyncio
    async def test_122_the_consumer_of_a_stream_sees_no_episode(self, both: Pair) -> None:
        """Between chunks and after them."""
        for _ in both.wrapped.stream(both.subject.given):
            assert current_episode() is None
        async for _ in both.wrapped.astream(both.subject.given):
            assert current_episode() is None
        assert current_episode() is None

    @pytest.mark.asyncio
    async def test_123_the_caller_collects_the_episode(self, both: Pair) -> None:
        """However the graph is run."""
        given = both.subject.given
        with collect_episodes() as episodes:
            both.wrapped.invoke(given)
            await both.wrapped.ainvoke(given)
            both.wrapped.batch([given, given])
            await both.wrapped.abatch([given, given])
            await collect(both.wrapped.astream_events(given, version="v2"))
        assert len({e.id for e in episodes}) == 7  # noqa: PLR2004 - seven runs
        assert {e.status for e in episodes} == {"ok"}


def _tree(run: Run) -> tuple[Any, ...]:
    return run.name, run.run_type, bool(run.error), [_tree(child) for child in run.child_runs]
