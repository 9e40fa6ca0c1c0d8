"""The graph that makes one general lesson of several: load -> distil (one per cluster, in parallel) -> settle.

A general lesson is a new one, on trial. It takes the place of its sources only if code finds that nothing of them is lost; what is not
certain stays as it was, and the report says why. What was refused is not asked again until one of the lessons changes.
"""

import asyncio
from collections.abc import Iterator, Mapping
from functools import partial, reduce
from operator import add
from typing import Any, Final, Unpack

from langchain_core.language_models import BaseChatModel
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.reflection.apart import apart
from langchain_reflect.reflection.consolidating import distil, load, new_consolidation_id, one_per_cluster, settle
from langchain_reflect.reflection.distilling import DistilPrompts
from langchain_reflect.reflection.merging import (
    ConsolidationInput,
    ConsolidationOptions,
    ConsolidationOutput,
    ConsolidationState,
    DistilParts,
    MergeGate,
    MergeVerdict,
)
from langchain_reflect.reflection.models import resolve_model
from langchain_reflect.reflection.own_parts import check_callable, check_kind
from langchain_reflect.reflection.policy import ReflectionPolicy
from langchain_reflect.types import SERVABLE, AppliedEdit, ReflectionReport

__all__ = [
    "ConsolidationGraph",
    "ConsolidationOptions",
    "DistilPrompts",
    "MergeGate",
    "MergeVerdict",
    "aconsolidate",
    "build_consolidation_graph",
    "consolidate",
]

ConsolidationGraph = CompiledStateGraph[ConsolidationState, None, ConsolidationInput, ConsolidationOutput]
_POLICY: Final = ReflectionPolicy()
_PROMPTS: Final = DistilPrompts()


def build_consolidation_graph(
    model: BaseChatModel | str | None,
    book: LessonBook,
    *,
    floor: float,
    policy: ReflectionPolicy = _POLICY,
    prompts: DistilPrompts = _PROMPTS,
    gate: MergeGate | None = None,
) -> ConsolidationGraph:
    """The graph that consolidates the lessons of one namespace.

    Args:
        model: A chat model, or `"provider:model"`.
        book: The lessons.
        floor: Least cosine of a task to a lesson for which recall takes it, see `lessons/floors.py`.
        policy: What makes a cluster, how large it may be, how many are asked about in one run, and how many lessons stay.
        prompts: What the model is asked.
        gate: Tries a general lesson against its sources, where tasks can be run again.

    Returns:
        A compiled graph; its input is a `ConsolidationInput`, its output a `ConsolidationOutput`.

    Raises:
        ModelMissing: `model` is None.
        InvalidInput: The name of the model cannot be used.
        MissingExtra: Its provider's package is not installed.
    """
    check_kind("policy", policy, ReflectionPolicy)
    check_kind("prompts", prompts, DistilPrompts)
    if gate is not None:
        check_callable("gate", gate)
    parts = DistilParts(resolve_model(model), book, policy, floor, prompts, gate)
    graph = StateGraph(ConsolidationState, input_schema=ConsolidationInput, output_schema=ConsolidationOutput)
    graph.add_node("load", load(parts))
    graph.add_node("distil", distil(parts))
    graph.add_node("settle", settle(parts))
    graph.add_edge(START, "load")
    graph.add_conditional_edges("load", one_per_cluster, ["distil", "settle"])
    graph.add_edge("distil", "settle")
    graph.add_edge("settle", END)
    return graph.compile(name="consolidation")


def consolidate(graph: ConsolidationGraph, book: LessonBook, **given: Unpack[ConsolidationOptions]) -> ReflectionReport:
    """Run the graph until no cluster is left to ask about, apart from any graph in whose node this is called.

    Args:
        graph: From `build_consolidation_graph`.
        book: The lessons that it was built with.
        **given: See `ConsolidationOptions`.
    """
    rounds = _Rounds(book, given)
    for step in rounds:
        output: Any = apart().run(partial(graph.invoke, step, given.get("config")))
        rounds.take(output)
    return rounds.report


async def aconsolidate(graph: ConsolidationGraph, book: LessonBook, **given: Unpack[ConsolidationOptions]) -> ReflectionReport:
    """Async `consolidate`."""
    rounds = await asyncio.to_thread(_Rounds, book, given)
    for step in rounds:
        rounds.take(await asyncio.create_task(graph.ainvoke(step, given.get("config")), context=apart()))
    return rounds.report


class _Rounds:
    """One input of the graph after the other: per namespace as long as the last run asked something and met no outage."""

    def __init__(self, book: LessonBook, given: ConsolidationOptions) -> None:
        namespace = given.get("namespace")
        served = {lesson.namespace for lesson in book.list(status=SERVABLE)} if namespace is None else {namespace}
        self._reports: list[ReflectionReport] = []
        self._spaces = sorted(served)
        self._flags: ConsolidationInput = {"dry_run": given.get("dry_run", False), "retry": given.get("retry", False)}
        self._asked: frozenset[frozenset[str]] = frozenset()
        self._done: tuple[AppliedEdit, ...] = ()
        self._goes_on = True

    @property
    def report(self) -> ReflectionReport:
        """All runs as one."""
        return reduce(add, self._reports) if self._reports else ReflectionReport(id=new_consolidation_id())

    def __iter__(self) -> Iterator[ConsolidationInput]:
        for space in self._spaces:
            self._asked, self._done, self._goes_on = frozenset(), (), True
            while self._goes_on:
                yield {**self._flags, "namespace": space, "apart": self._asked, "done": self._done, "id": new_consolidation_id()}

    def take(self, output: Mapping[str, Any]) -> None:
        """Add what a run did."""
        report: ReflectionReport = output["report"]
        clusters = output["clusters"]
        self._asked |= {frozenset(lesson.id for lesson in cluster) for cluster in clusters}
        self._goes_on = bool(clusters) and not report.outages
        self._done += report.edits
        self._reports.append(report)
