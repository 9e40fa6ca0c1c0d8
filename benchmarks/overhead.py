"""What wrapping costs: CPU time of a run bare and wrapped, in the same process, interleaved.

Recall is stubbed to give two lessons at once, so the figures are those of the wrapper: opening (with recall's thread), the views, the
callbacks, closing. The model is a fake that takes no time. Nothing is written during the measurement, because a real run is written in the
background; what that costs is printed below the table. Run it with `python benchmarks/overhead.py [ROUNDS]`.
"""

import asyncio
import gc
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from langchain_reflect import Ledger
from langchain_reflect.agents.service import AgentService
from langchain_reflect.agents.wrap import reflected
from langchain_reflect.recall.rendering import render
from langchain_reflect.recording.recorder import Recorder
from langchain_reflect.testing.conformance import AGENT_SCRIPT, TellingModel, agent
from langchain_reflect.types import Lesson, Match, Recalled

CALLS = 40
CROWD = 50
LESSONS = tuple(Lesson(id=f"L-{n}", when="asked for the weather", do="name the city in the answer") for n in range(2))
RECALLED = Recalled(
    block=render(LESSONS, ids=[lesson.id for lesson in LESSONS]),
    matches=tuple(Match(lesson=lesson, similarity=0.5, score=1.0, tokens=20, kept=True, reason="shown") for lesson in LESSONS),
)
ASKED = {"messages": [HumanMessage("How is the weather in Rome?", id="1")]}


class Stub:
    """Recall and recording that cost nothing themselves."""

    write_before_return = False
    jobs: list[Callable[[], Any]] = []  # noqa: RUF012 - one stub only
    keep: list[Any] | None = None

    def recall(self, *_: Any, **__: Any) -> Recalled:
        """The same two lessons."""
        return RECALLED

    def submit(self, make: Callable[[], Any], *_: Any, **__: Any) -> None:
        """Keep the last job, for measuring what the writer does with it."""
        self.jobs[:] = [make]
        if self.keep is not None:
            self.keep.append(make)

    def flush(self, *_: Any) -> bool:
        """Nothing waits."""
        return True


class Row(NamedTuple):
    """Microseconds of CPU time per run."""

    graph: str
    mode: str
    bare: float
    wrapped: float
    recorded: float


def one_node(**compiled: Any) -> Any:
    """A graph that does nothing, synchronously."""

    def node(_: MessagesState) -> dict[str, Any]:
        return {"messages": []}

    return StateGraph(MessagesState).add_node("node", node).add_edge(START, "node").compile(**compiled)


def one_async_node(**compiled: Any) -> Any:
    """A graph that does nothing, asynchronously."""

    async def node(_: MessagesState) -> dict[str, Any]:
        return {"messages": []}

    return StateGraph(MessagesState).add_node("node", node).add_edge(START, "node").compile(**compiled)


def an_agent() -> Any:
    """`create_agent` with a fake model that calls one tool."""
    return agent(TellingModel(script=AGENT_SCRIPT))


def config() -> dict[str, Any]:
    """A thread of its own for each run."""
    return {"configurable": {"thread_id": uuid4().hex}}


def timed(graph: Any) -> float:
    """CPU microseconds of one run, sync."""
    configs = [config() for _ in range(CALLS)]
    started = time.process_time()
    for one in configs:
        graph.invoke(ASKED, one)
    return (time.process_time() - started) / CALLS * 1e6


def timed_stream(graph: Any) -> float:
    """CPU microseconds of one run, streamed token by token."""
    configs = [config() for _ in range(CALLS)]
    started = time.process_time()
    for one in configs:
        for _ in graph.stream(ASKED, one, stream_mode="messages"):
            pass
    return (time.process_time() - started) / CALLS * 1e6


def timed_threads(graph: Any) -> float:
    """CPU microseconds of one run, 50 at once in threads."""
    with ThreadPoolExecutor(CROWD) as pool:
        list(pool.map(lambda _: None, range(CROWD)))
        started = time.process_time()
        list(pool.map(lambda _: graph.invoke(ASKED, config()), range(CROWD)))
        return (time.process_time() - started) / CROWD * 1e6


def timed_tasks(graph: Any) -> float:
    """CPU microseconds of one run, 50 at once in one event loop."""

    async def run() -> float:
        started = time.process_time()
        await asyncio.gather(*(graph.ainvoke(ASKED, config()) for _ in range(CROWD)))
        return (time.process_time() - started) / CROWD * 1e6

    return asyncio.run(run())


async def _stream(graph: Any, one: dict[str, Any]) -> None:
    async for _ in graph.astream(ASKED, one, stream_mode="messages"):
        pass


def timed_astream(graph: Any) -> float:
    """CPU microseconds of one run, streamed token by token in an event loop."""

    async def run() -> float:
        configs = [config() for _ in range(CALLS)]
        started = time.process_time()
        for one in configs:
            await _stream(graph, one)
        return (time.process_time() - started) / CALLS * 1e6

    return asyncio.run(run())


def timed_async(graph: Any) -> float:
    """CPU microseconds of one run, async, in a loop that is open already."""

    async def run() -> float:
        configs = [config() for _ in range(CALLS)]
        started = time.process_time()
        for one in configs:
            await graph.ainvoke(ASKED, one)
        return (time.process_time() - started) / CALLS * 1e6

    return asyncio.run(run())


def measure(name: str, build: Callable[[], Any], mode: str, rounds: int) -> Row:
    """The least of several rounds for bare, wrapped and wrapped without lessons, taking turns."""
    service, silent = AgentService(recaller=Stub(), recorder=Stub()), AgentService(recorder=Stub())
    graphs = [build(), reflected(build(), service), reflected(build(), silent)]
    clock = CLOCKS[mode]
    for graph in graphs:
        clock(graph)
    best = [float("inf")] * len(graphs)
    for _ in range(rounds):
        for at, graph in enumerate(graphs):
            gc.collect()
            best[at] = min(best[at], clock(graph))
    return Row(name, mode, *best)


CLOCKS: dict[str, Callable[[Any], float]] = {
    "sync": timed,
    "async": timed_async,
    "stream": timed_stream,
    "astream": timed_astream,
    "50 threads": timed_threads,
    "50 tasks": timed_tasks,
}


def memory() -> tuple[float, float]:
    """KiB that a queued agent run holds besides the messages its caller holds, and KiB that a run leaves behind once it is written."""
    held: list[Any] = []
    service = AgentService(recaller=Stub(), recorder=Stub())
    agent_ = reflected(an_agent(), service)
    results = [agent_.invoke(ASKED) for _ in range(5)]
    Stub.keep = held
    gc.collect()
    tracemalloc.start()
    results.extend(agent_.invoke(ASKED) for _ in range(CALLS))
    Stub.keep = None
    gc.collect()
    with_queue = tracemalloc.get_traced_memory()[0]
    for make in held:
        make()
    held.clear()
    gc.collect()
    without = tracemalloc.get_traced_memory()[0]
    del results
    gc.collect()
    left = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (with_queue - without) / CALLS / 1024, left / CALLS / 1024


def writer_cost() -> float:
    """CPU microseconds that the recorder's thread spends on one agent run, SQLite included."""
    service = AgentService(recaller=Stub(), recorder=Stub())
    reflected(an_agent(), service).invoke(ASKED)
    [make] = Stub.jobs
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "ledger.db") as ledger, Recorder(ledger) as recorder:
        started = time.process_time()
        for _ in range(CALLS):
            recorder.submit(make)
        recorder.flush()
        return (time.process_time() - started) / CALLS * 1e6


def main() -> None:
    """Measure all and print one table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    cases: list[tuple[str, Callable[[], Any], str]] = [
        ("1 sync node", one_node, "sync"),
        ("1 sync node", one_node, "async"),
        ("1 async node", one_async_node, "async"),
        ("1 node + InMemorySaver", lambda: one_node(checkpointer=InMemorySaver()), "sync"),
        ("1 node + InMemorySaver", lambda: one_node(checkpointer=InMemorySaver()), "async"),
        ("create_agent, 2 model calls + 1 tool", an_agent, "sync"),
        ("create_agent, 2 model calls + 1 tool", an_agent, "async"),
        ("the same, messages streamed", an_agent, "stream"),
        ("the same, messages streamed", an_agent, "astream"),
        ("the same", an_agent, "50 threads"),
        ("the same", an_agent, "50 tasks"),
    ]
    print(f"{'graph':38} {'mode':10} {'bare µs':>9} {'wrapped µs':>11} {'added':>7} {'ratio':>6} {'record only':>12} {'ratio':>6}")
    for case in cases:
        row = measure(*case, rounds)
        added = row.wrapped - row.bare
        print(
            f"{row.graph:38} {row.mode:10} {row.bare:9.0f} {row.wrapped:11.0f} {added:+7.0f} {row.wrapped / row.bare:6.2f} "
            f"{row.recorded:12.0f} {row.recorded / row.bare:6.2f}"
        )
    print(f"\nwrapping an agent: {build_time():.0f} µs; the writer's thread per agent run: {writer_cost():.0f} µs")
    queued, left = memory()
    print(f"memory: {queued:.1f} KiB per queued agent run, {left:.2f} KiB left per run once it is written")


def build_time() -> float:
    """CPU microseconds of wrapping an agent."""
    graph, service = an_agent(), AgentService(recaller=Stub(), recorder=Stub())
    started = time.process_time()
    for _ in range(200):
        reflected(graph, service)
    return (time.process_time() - started) / 200 * 1e6


if __name__ == "__main__":
    main()
