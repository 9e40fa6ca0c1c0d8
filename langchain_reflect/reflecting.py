"""What a learner does with what was recorded: reflect, consolidate, replay, audit. `Learner` has them as methods."""

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Final, Unpack
from uuid import UUID

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig

from langchain_reflect.errors import ClaimLost
from langchain_reflect.index.embeddings import Embedder
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.auditing import Audit
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.recording.recorder import Recorder
from langchain_reflect.reflection.consolidation import (
    ConsolidationOptions,
    DistilPrompts,
    MergeGate,
    aconsolidate,
    build_consolidation_graph,
    consolidate,
)
from langchain_reflect.reflection.curation import Curator
from langchain_reflect.reflection.graph import build_reflection_graph
from langchain_reflect.reflection.graph import reflect as run_reflection
from langchain_reflect.reflection.leases import LeaseKeeper
from langchain_reflect.reflection.policy import Gate, Grouping, ReflectionPolicy
from langchain_reflect.reflection.prompts import Prompts
from langchain_reflect.reflection.replaying import Replay, apply, replay
from langchain_reflect.settings import ReflectSettings, refuse_unknown
from langchain_reflect.types import Namespace, ReflectionReport

logger = logging.getLogger(__name__)
_TRIES: Final = 3


class Reflecting(ABC):
    """What a learner does with what was recorded."""

    ledger: Ledger
    lessons: LessonBook
    embedder: Embedder
    recorder: Recorder
    settings: ReflectSettings
    leases: LeaseKeeper
    reflection: ReflectionPolicy
    prompts: Prompts
    _grouping: Grouping
    _curator: Curator | None
    _reflecting: threading.Lock

    @property
    @abstractmethod
    def model(self) -> BaseChatModel:
        """The chat model that reflects."""

    @abstractmethod
    def _own_namespace(self) -> Namespace:
        """The learner's namespace where no run fills its placeholders."""

    def reflect(
        self,
        *,
        namespace: Namespace | None = None,
        episodes: Collection[UUID] | None = None,
        gate: Gate | None = None,
        retry: bool = False,
        config: RunnableConfig | None = None,
    ) -> ReflectionReport:
        """Work off what is due now: groups of judged rollouts become lesson edits.

        Several processes may do so at once: each group is taken by one of them.

        Args:
            namespace: Only this one; default all.
            episodes: Only groups of these episodes; default all that are due.
            gate: Tries drafts before they are believed; see `practice`.
            retry: Take up parked groups again as well.
            config: For the reflection graph's run.

        Raises:
            ModelMissing: The learner has no model.
        """
        self.recorder.flush()
        with self._reflecting:  # what the background began is finished first
            graph = self.reflection_graph(gate=gate)
            once = partial(_not_overtaken, run_reflection, graph, namespace=namespace, episodes=episodes, leases=self.leases, config=config)
            total = step = once(retry=retry)
            while step.groups and not step.outages and not step.interrupted:  # one run takes groups of one namespace
                step = once()
                total += step
        return total

    async def areflect(
        self,
        *,
        namespace: Namespace | None = None,
        episodes: Collection[UUID] | None = None,
        gate: Gate | None = None,
        retry: bool = False,
        config: RunnableConfig | None = None,
    ) -> ReflectionReport:
        """Async `reflect`."""
        run = partial(self.reflect, namespace=namespace, episodes=episodes, gate=gate, retry=retry, config=config)
        return await asyncio.to_thread(run)

    def consolidate(
        self, *, gate: MergeGate | None = None, prompts: DistilPrompts | None = None, **given: Unpack[ConsolidationOptions]
    ) -> ReflectionReport:
        """Make one general lesson of several near ones, where nothing of them is lost; retire the least valuable above the cap.

        Args:
            gate: Tries a general lesson against its sources; see `replay_gate`.
            prompts: In place of the library's own.
            **given: See `ConsolidationOptions`.

        Raises:
            ModelMissing: The learner has no model.
        """
        return consolidate(self.consolidation_graph(gate=gate, prompts=prompts), self.lessons, **_known(given))

    async def aconsolidate(
        self, *, gate: MergeGate | None = None, prompts: DistilPrompts | None = None, **given: Unpack[ConsolidationOptions]
    ) -> ReflectionReport:
        """Async `consolidate`."""
        return await aconsolidate(self.consolidation_graph(gate=gate, prompts=prompts), self.lessons, **_known(given))

    def consolidation_graph(self, *, gate: MergeGate | None = None, prompts: DistilPrompts | None = None) -> Any:
        """The graph as `consolidate` runs it, for one namespace: an ordinary compiled graph."""
        floor, _ = self.lessons.floors.in_force(self.settings.floor, words=True)  # by which recall decides, see `recall/among.py`
        return build_consolidation_graph(
            self.model, self.lessons, floor=floor, policy=self.reflection, prompts=prompts or DistilPrompts(), gate=gate
        )

    def replay(self, *, namespace: Namespace | None = None, write: bool = False, reason: str = "", leave_out: bool = False) -> list[Replay]:
        """Build the lessons anew from what was recorded and what the model said, with today's code; no model is asked.

        Args:
            namespace: Only this one; default each that has lessons.
            write: Write what comes out differently as further revisions; else nothing is changed.
            reason: For their history.
            leave_out: Write it although some advice was left out, because nothing is stored about it; see `Replay.unanswered`.

        Returns:
            What came out, one for each namespace.
        """
        self.recorder.flush()
        spaces = sorted({lesson.namespace for lesson in self.ledger.lessons()}) if namespace is None else [namespace]
        with self._reflecting:
            made = [replay(self.lessons, policy=self.reflection, prompts=self.prompts, namespace=space) for space in spaces]
            for each in made if write else ():
                apply(self.lessons, each, reason=reason, leave_out=leave_out)
            return made

    def audit(self, namespace: Namespace | None = None) -> Audit:
        """The health of the lessons of a namespace, or of all: near-twins, unsupported lessons, tokens, open questions. Nothing is changed.

        Args:
            namespace: Default all.
        """
        return self.lessons.audit(namespace, cap=self.reflection.max_lessons)

    def reflection_graph(self, *, gate: Gate | None = None) -> Any:
        """The reflection graph as `reflect` runs it: an ordinary compiled graph, to be traced, streamed or shown."""
        return build_reflection_graph(
            self.model,
            self.lessons,
            ledger=self.ledger,
            policy=self.reflection,
            gate=gate,
            prompts=self.prompts,
            grouping=self._grouping,
            curator=self._curator,
            leases=self.leases,
        )


def _known(given: ConsolidationOptions) -> ConsolidationOptions:
    """The options, if all of them exist: a misspelt `dry_run` must not run in earnest."""
    refuse_unknown(Reflecting.consolidate, given, ConsolidationOptions)
    return given


def _not_overtaken(run: Callable[..., ReflectionReport], *given: Any, **named: Any) -> ReflectionReport:
    """Run a reflection again if what it was about was taken over or forgotten meanwhile."""
    for _ in range(_TRIES):
        try:
            return run(*given, **named)
        except ClaimLost as error:
            logger.warning("a reflection was overtaken, and what is left of it is taken up again: %s", error)
    return run(*given, **named)
