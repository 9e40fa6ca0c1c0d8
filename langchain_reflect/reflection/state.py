"""What flows through the reflection graph."""

import operator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from langchain_core.language_models import BaseChatModel
from typing_extensions import TypedDict

from langchain_reflect.ledger import Ledger
from langchain_reflect.ledger.claims import Claim
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.lessons.calibration import likeness_of
from langchain_reflect.reflection.curation import Curator, Judged, Measures, Proposal, measures_of
from langchain_reflect.reflection.drafting import Studied
from langchain_reflect.reflection.grouping import ready_groups
from langchain_reflect.reflection.leases import LeaseKeeper
from langchain_reflect.reflection.policy import Gate, Grouping, ReflectionPolicy
from langchain_reflect.reflection.prompts import Prompts
from langchain_reflect.types import AppliedEdit, Lesson, Namespace, ReflectionReport, RolloutGroup


class ReflectionInput(TypedDict, total=False):
    """What to reflect on; everything that is due if nothing is given."""

    namespace: Namespace | None  # only this namespace
    graph: str | None  # only episodes of this graph
    episodes: frozenset[UUID] | None  # only these of the due episodes; None: all
    retry: bool  # parked episodes are due again first
    groups: list[RolloutGroup]  # exactly these, ready or not; no job is taken
    limit: int  # most groups
    id: str  # of the reflection; default a new one


class ReflectionState(ReflectionInput, total=False):
    """The channels."""

    started: datetime  # set by load, as all of the next
    claims: list[Claim]  # the right to end each group's job; empty if groups were given
    shown: dict[str, Lesson]  # lessons that were shown in some rollout
    studied: Annotated[list[Studied], operator.add]  # contrast runs in parallel and appends
    read: int  # version of the book that curate compared with
    compared: str  # digest of the lessons that it compared with
    measures: Measures | None  # what curate went by; None if there was nothing to compare
    judged: list[Judged]  # what the curator said
    waiting: list[Studied]  # groups that have to wait, because it said nothing
    proposals: list[Proposal]  # set by curate, narrowed by check
    refused: list[AppliedEdit]  # set by curate, check appends
    lost: list[str]  # set by check: changes of lessons that a gate refused
    overtaken: int  # counted by commit: how often somebody changed the lessons meanwhile
    ended: datetime  # set by commit, as the next
    report: ReflectionReport


class ReflectionOutput(TypedDict):
    """What the graph returns."""

    report: ReflectionReport


class ContrastInput(TypedDict):
    """What `Send` gives to one contrast."""

    index: int
    group: RolloutGroup
    shown: dict[str, Lesson]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the nodes work with."""

    model: BaseChatModel
    book: LessonBook
    ledger: Ledger
    policy: ReflectionPolicy
    prompts: Prompts
    leases: LeaseKeeper
    gate: Gate | None = None
    grouping: Grouping = ready_groups
    curator: Curator | None = None
    """In place of the model."""

    @property
    def measures(self) -> Measures:
        """The numbers that curation goes by; they are calibrated when an embedder is first used."""
        return measures_of(self.policy, likeness_of(self.book.embedder, self.ledger))
