"""The kill switch: stop showing lessons, in every process, and show them again. `Learner` has it as methods."""

import asyncio
from abc import ABC, abstractmethod
from functools import partial

from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.authors import check_person
from langchain_reflect.types import Namespace, Steered


class Pausing(ABC):
    """What a person decides about showing lessons at all."""

    ledger: Ledger

    @abstractmethod
    def _own_namespace(self) -> Namespace:
        """The learner's namespace where no run fills its placeholders."""

    def pause(self, *, reason: str, by: str = "human", graph: str = "", namespace: Namespace | None = None) -> Steered:
        """Show no lessons from the next run on, in every process; runs are still recorded, with the arm `paused`.

        Args:
            reason: Why; runs say it until lessons are shown again.
            by: Who decides.
            graph: Only this one; empty: all graphs of the namespace.
            namespace: Default the learner's own.
        """
        space = namespace or self._own_namespace()
        return self.ledger.steer("paused", space, graph, by=check_person(by), reason=reason)

    async def apause(self, *, reason: str, by: str = "human", graph: str = "", namespace: Namespace | None = None) -> Steered:
        """Async `pause`."""
        return await asyncio.to_thread(partial(self.pause, reason=reason, by=by, graph=graph, namespace=namespace))

    def resume(self, *, reason: str, by: str = "human", graph: str = "", namespace: Namespace | None = None) -> Steered:
        """Show lessons again, also where evidence had switched them off: see `pause`."""
        space = namespace or self._own_namespace()
        return self.ledger.steer("resumed", space, graph, by=check_person(by), reason=reason)

    async def aresume(self, *, reason: str, by: str = "human", graph: str = "", namespace: Namespace | None = None) -> Steered:
        """Async `resume`."""
        return await asyncio.to_thread(partial(self.resume, reason=reason, by=by, graph=graph, namespace=namespace))
