"""What flows through the consolidation graph, and what its nodes work with."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Protocol

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig
from pydantic import JsonValue
from typing_extensions import TypedDict

from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.lessons.calibration import likeness_of
from langchain_reflect.reflection.curation import measures_of
from langchain_reflect.reflection.distilling import DistilPrompts
from langchain_reflect.reflection.outages import Outage
from langchain_reflect.reflection.policy import ReflectionPolicy
from langchain_reflect.types import AppliedEdit, Lesson, LessonEdit, LessonText, Namespace, ReflectionReport, Usage

Cluster = tuple[Lesson, ...]


@dataclass(frozen=True, slots=True)
class MergeVerdict:
    """How runs with a general lesson compare with the same runs with its sources."""

    keep: bool
    general: float = 0.0
    """Mean reward with the general lesson."""
    sources: float = 0.0
    """Mean reward with the lessons that it takes the place of."""
    runs: int = 0
    """Runs that were made; 0: there was no task to try it on."""


class MergeGate(Protocol):
    """Tries a general lesson before it takes the place of others, usually by running the agent again; see `replay_gate`."""

    def __call__(self, general: LessonText, sources: Sequence[Lesson], namespace: Namespace) -> MergeVerdict:
        """Keep it or not. Called from worker threads, for several clusters at once."""
        ...


@dataclass(frozen=True, slots=True)
class DistilParts:
    """What the nodes work with."""

    model: BaseChatModel
    book: LessonBook
    policy: ReflectionPolicy
    floor: float
    """Least cosine for which recall takes a lesson."""
    prompts: DistilPrompts
    gate: MergeGate | None = None

    @property
    def kindred(self) -> float:
        """Cosine from which two tasks are of one kind."""
        return self.floor if self.policy.kindred is None else self.policy.kindred

    @property
    def near(self) -> float:
        """Cosine from which two lessons are near; calibrated for the embedder if the policy names none."""
        return measures_of(self.policy, likeness_of(self.book.embedder, self.book.ledger)).likeness.near


@dataclass(frozen=True, slots=True)
class Distilled:
    """What became of one cluster."""

    cluster: int
    """Its index."""
    edit: LessonEdit | None = None
    """What takes its place."""
    refused: AppliedEdit | None = None
    """Or why nothing does; not asked again until one of its lessons changes."""
    problem: str = ""
    """Or why that is not known yet."""
    outage: Outage | None = None
    """Set if the model may answer later."""
    usage: Usage = field(default_factory=Usage)
    replies: tuple[JsonValue, ...] = ()
    trial: MergeVerdict | None = None


class ConsolidationOptions(TypedDict, total=False):
    """What may be said of a consolidation."""

    namespace: Namespace | None
    """Only this one; None: every one that has served lessons."""
    dry_run: bool
    """Ask the model, and change nothing but the account of what it cost."""
    retry: bool
    """Ask again about lessons of which nothing came before."""
    config: RunnableConfig | None
    """For the runs of the graph."""


class ConsolidationInput(TypedDict, total=False):
    """What to consolidate."""

    namespace: Namespace  # whose lessons
    dry_run: bool  # propose and change nothing
    retry: bool  # ask again about what was refused before
    apart: frozenset[frozenset[str]]  # clusters, as ids, that are not asked about
    done: tuple[AppliedEdit, ...]  # what earlier runs did, or in a dry run would have done
    id: str  # of the consolidation; default a new one


class ConsolidationState(ConsolidationInput, total=False):
    """The channels."""

    started: datetime  # set by load, as the next
    clusters: list[Cluster]
    errors: list[str]
    distilled: Annotated[list[Distilled], operator.add]  # distil runs in parallel and appends
    report: ReflectionReport  # set by settle


class ConsolidationOutput(TypedDict):
    """What the graph returns."""

    report: ReflectionReport
    clusters: list[Cluster]


class DistilInput(TypedDict):
    """What `Send` gives to one distil."""

    index: int
    cluster: Cluster
