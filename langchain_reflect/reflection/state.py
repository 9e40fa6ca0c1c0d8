"""What flows through the reflection graph."""

import operator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from langchain_core.language_models import BaseChatModel
from typing_extensions import TypedDict

from langchain_reflect.ledger import Ledger
from langchain_reflect.ledger.claims import Claim
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.reflection.curation import Proposal
from langchain_reflect.reflection.drafting import Studied
from langchain_reflect.reflection.leases import LeaseKeeper
from langchain_reflect.reflection.policy import Gate, ReflectionPolicy
from langchain_reflect.reflection.prompts import Prompts
from langchain_reflect.types import AppliedEdit, Lesson, Namespace, ReflectionReport, RolloutGroup

CURATE: Final = -1
"""Group index of what the curator cost."""


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
    studied: Annotated[list[Studied], operator.add]  # contrast runs in parallel and appends; curate appends its own cost
    proposals: list[Proposal]  # set by curate, narrowed by check
    refused: Annotated[list[AppliedEdit], operator.add]  # curate and check append
    report: ReflectionReport  # set by commit


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
