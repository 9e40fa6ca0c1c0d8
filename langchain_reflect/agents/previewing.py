"""Recall without a run: what a task would get, and the preparation that no run should wait for. `Learner` has it as methods."""

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from dataclasses import replace
from functools import partial
from typing import Literal, overload

from langchain_reflect.agents.shared import Shared
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.recall.explaining import Explanation
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recall.recaller import Recaller
from langchain_reflect.types import SERVABLE, Namespace, Recalled, check_namespace

logger = logging.getLogger(__name__)


class Previewing(ABC):
    """What a learner offers to those who ask what a run would be shown."""

    ledger: Ledger
    lessons: LessonBook
    recaller: Recaller
    _policy: RecallPolicy
    _shared: Shared

    @abstractmethod
    def _own_namespace(self) -> Namespace:
        """The learner's namespace where no run fills its placeholders."""

    @overload
    def recall(
        self, task: str, *, k: int | None = None, namespace: Namespace | None = None, explain: Literal[False] = False
    ) -> Recalled: ...

    @overload
    def recall(self, task: str, *, k: int | None = None, namespace: Namespace | None = None, explain: Literal[True]) -> Explanation: ...

    def recall(
        self, task: str, *, k: int | None = None, namespace: Namespace | None = None, explain: bool = False
    ) -> Recalled | Explanation:
        """The lessons a task would get, with the score and the fate of every lesson considered.

        Args:
            task: What would be asked.
            k: Most lessons; default the learner's.
            namespace: Default the learner's own.
            explain: Tell also the parts of every score, the floor, what answered, and lessons that a run would not have ranked.
        """
        space, policy = namespace or self._own_namespace(), self._policy_for(k)
        if not explain:
            return self.recaller.recall(task, namespace=space, policy=policy)
        return self._with_pause(self.recaller.explain(task, namespace=space, policy=policy))

    @overload
    async def arecall(
        self, task: str, *, k: int | None = None, namespace: Namespace | None = None, explain: Literal[False] = False
    ) -> Recalled: ...

    @overload
    async def arecall(
        self, task: str, *, k: int | None = None, namespace: Namespace | None = None, explain: Literal[True]
    ) -> Explanation: ...

    async def arecall(
        self, task: str, *, k: int | None = None, namespace: Namespace | None = None, explain: bool = False
    ) -> Recalled | Explanation:
        """Async `recall`."""
        space, policy = namespace or self._own_namespace(), self._policy_for(k)
        if not explain:
            return await self.recaller.arecall(task, namespace=space, policy=policy)
        return await asyncio.to_thread(self._with_pause, await self.recaller.aexplain(task, namespace=space, policy=policy))

    def _with_pause(self, found: Explanation) -> Explanation:
        """Whether runs of the namespace get lessons at the moment."""
        held = {graph: state for (space, graph), state in self.ledger.paused().items() if space == found.namespace}
        said = [state.note if not graph else f"graph {graph!r}: {state.note}" for graph, state in sorted(held.items())]
        said += ["recall keeps failing"] if self._shared.recall_breaker.is_open else []
        return found.model_copy(update={"paused": "; ".join(said)}) if said else found

    @property
    def policy(self) -> RecallPolicy:
        """How recall behaves where no graph says otherwise."""
        return self._policy

    def _policy_for(self, k: int | None) -> RecallPolicy:
        return self._policy if k is None else replace(self._policy, k=k)

    def warm_up(self, *, namespace: Namespace | None = None, only_if_used: bool = False) -> None:
        """Load the embedder, and a namespace's lessons, now instead of in the first run.

        Args:
            namespace: Whose lessons; None: those of one namespace that has some. Each namespace's first run in a process reads its lessons,
                which takes a second or more from some 5,000 on, so where tenants have large books, warm up each of them.
            only_if_used: Do nothing while there are no lessons to find.

        Raises:
            InvalidInput: The namespace is none.
        """
        space = None if namespace is None else check_namespace(namespace)
        try:
            known = self.ledger.lessons(namespace=space, statuses=SERVABLE, limit=1)
            if known or not only_if_used:
                self.lessons.search("warm-up", namespace=("warm-up",), limit=1)
                self.lessons.calibrate()
            for lesson in known:  # all that a run's recall needs, such as the words of the lessons
                self.recaller.recall("warm-up", namespace=lesson.namespace, policy=self._policy)
                self._is_warm = True
        except Exception as error:  # noqa: BLE001 - the run itself reports what fails, and goes on
            logger.warning("recall could not be prepared, runs go on without lessons: %s", error)

    def _prepare(self) -> None:
        """Warm up, beside the event loop if there is one: servers make their graphs inside it."""
        self._serves = True
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self.warm_up(only_if_used=True)
        else:
            threading.Thread(target=partial(self.warm_up, only_if_used=True), name="reflect-warm-up", daemon=True).start()

    def _warm_up_once(self) -> None:
        """After the first lessons came into a process that has agents, so that their first run need not wait."""
        if self._serves and not self._is_warm:
            self.warm_up(only_if_used=True)
