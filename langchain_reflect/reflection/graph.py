"""The graph itself: load -> contrast (one per group, in parallel) -> curate -> check -> commit.

If somebody else changed the lessons meanwhile, the drafts are compared with them once more: from commit back to curate.

An ordinary compiled graph: it can be traced, streamed, checkpointed, and used as a node of another graph. Use one thread per reflection.
"""

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final
from uuid import UUID

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.reflection.apart import apart
from langchain_reflect.reflection.curation import Curator
from langchain_reflect.reflection.grouping import ready_groups
from langchain_reflect.reflection.leases import LeaseKeeper
from langchain_reflect.reflection.models import resolve_model
from langchain_reflect.reflection.nodes import again_if_overtaken, check, commit, contrast, curate, load, new_id, one_per_group
from langchain_reflect.reflection.own_parts import check_callable, check_kind
from langchain_reflect.reflection.policy import Gate, Grouping, ReflectionPolicy
from langchain_reflect.reflection.prompts import Prompts
from langchain_reflect.reflection.state import Parts, ReflectionInput, ReflectionOutput, ReflectionState
from langchain_reflect.types import Namespace, ReflectionReport

ReflectionGraph = CompiledStateGraph[ReflectionState, None, ReflectionInput, ReflectionOutput]
_POLICY: Final = ReflectionPolicy()
_PROMPTS: Final = Prompts()


def build_reflection_graph(
    model: BaseChatModel | str | None,
    book: LessonBook,
    *,
    ledger: Ledger,
    policy: ReflectionPolicy = _POLICY,
    gate: Gate | None = None,
    prompts: Prompts = _PROMPTS,
    grouping: Grouping = ready_groups,
    curator: Curator | None = None,
    leases: LeaseKeeper | None = None,
) -> ReflectionGraph:
    """The graph that turns rollouts and rewards into lessons.

    Args:
        model: A chat model, or `"provider:model"`.
        book: Where the lessons go.
        ledger: Where the rollouts are.
        policy: When a group is ready, and what becomes of its drafts.
        gate: Tries several drafts and keeps the best or none, where tasks can be run again.
        prompts: What the model is asked.
        grouping: Finds the groups that are ready among judged rollouts.
        curator: Says how a draft goes together with lessons near to it, in place of the model.
        leases: Keeps the jobs that the graph takes from others while it runs; default one of its own.

    Returns:
        A compiled graph; its input is a `ReflectionInput`, its output `{"report": ReflectionReport}`.

    Raises:
        ModelMissing: `model` is None.
        InvalidInput: The name of the model cannot be used.
        MissingExtra: Its provider's package is not installed.
    """
    check_kind("policy", policy, ReflectionPolicy)
    check_kind("prompts", prompts, Prompts)
    check_callable("grouping", grouping)
    if curator is not None:
        check_callable("curator", curator)
    held = leases or LeaseKeeper(ledger, policy.lease, policy.max_failures)
    parts = Parts(resolve_model(model), book, ledger, policy, prompts, held, gate, grouping, curator)
    graph = StateGraph(ReflectionState, input_schema=ReflectionInput, output_schema=ReflectionOutput)
    graph.add_node("load", load(parts))
    graph.add_node("contrast", contrast(parts))
    graph.add_node("curate", curate(parts))
    graph.add_node("check", check(parts))
    graph.add_node("commit", commit(parts))
    graph.add_edge(START, "load")
    graph.add_conditional_edges("load", one_per_group, ["contrast", "commit"])
    graph.add_edge("contrast", "curate")
    graph.add_edge("curate", "check")
    graph.add_edge("check", "commit")
    graph.add_conditional_edges("commit", again_if_overtaken, ["curate", END])
    return graph.compile(name="reflection")


def reflect(
    graph: ReflectionGraph,
    *,
    namespace: Namespace | None = None,
    episodes: Collection[UUID] | None = None,
    retry: bool = False,
    limit: int | None = None,
    leases: LeaseKeeper | None = None,
    config: RunnableConfig | None = None,
) -> ReflectionReport:
    """Run a reflection now, apart from any graph in whose node this is called: its callbacks and streams see nothing of it.

    Args:
        graph: From `build_reflection_graph`.
        namespace: Only this namespace.
        episodes: Only these of the due episodes; no other is grouped, judged by a gate or marked as seen. None: all.
        retry: Parked groups (of those chosen) are taken up again.
        limit: Most groups; None: as the policy says.
        leases: The ones that the graph was built with: jobs of a run that breaks off are then given back at once, else when they run out.
        config: Of the run.
    """
    given = _input(namespace, episodes, retry=retry, limit=limit)
    with _given_back(given, leases):
        output = apart().run(partial(graph.invoke, given, config))
    report: ReflectionReport = output["report"]
    return report


async def areflect(
    graph: ReflectionGraph,
    *,
    namespace: Namespace | None = None,
    episodes: Collection[UUID] | None = None,
    retry: bool = False,
    limit: int | None = None,
    leases: LeaseKeeper | None = None,
    config: RunnableConfig | None = None,
) -> ReflectionReport:
    """Async `reflect`."""
    given = _input(namespace, episodes, retry=retry, limit=limit)
    with _given_back(given, leases):
        output = await asyncio.create_task(graph.ainvoke(given, config), context=apart())
    report: ReflectionReport = output["report"]
    return report


def _input(namespace: Namespace | None, episodes: Collection[UUID] | None, *, retry: bool, limit: int | None) -> ReflectionInput:
    chosen = None if episodes is None else frozenset(episodes)
    given: ReflectionInput = {"id": new_id(), "namespace": namespace, "episodes": chosen, "retry": retry}
    return given if limit is None else {**given, "limit": limit}


@contextmanager
def _given_back(given: ReflectionInput, leases: LeaseKeeper | None) -> Iterator[None]:
    """If the run breaks off, whatever the reason, its jobs are given back."""
    try:
        yield
    except BaseException as error:
        if leases is not None:
            leases.give_up(given["id"], error)
        raise
