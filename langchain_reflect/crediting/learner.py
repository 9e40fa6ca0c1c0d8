"""What a learner does with the evidence about its lessons. `Learner` has it as methods."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

from langchain_reflect.crediting.pacing import BackgroundCredit
from langchain_reflect.crediting.running import credit
from langchain_reflect.crediting.terms import CreditReport
from langchain_reflect.crediting.utilities import KnownUtilities
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.recording.recorder import Recorder
from langchain_reflect.reporting import Report, report
from langchain_reflect.types import Namespace


class Crediting:
    """What a learner does with the evidence about its lessons."""

    ledger: Ledger
    lessons: LessonBook
    recorder: Recorder
    _crediting: threading.Lock
    _credit: BackgroundCredit
    _utilities: KnownUtilities

    def credit(self, *, namespace: Namespace | None = None) -> CreditReport:
        """Look at the evidence now, and carry out what follows: promote, retire, ask, pause, choose doses.

        It happens by itself after outcomes came in; calling it again changes nothing, and several processes may do so at once.

        Args:
            namespace: Only this one; default all.
        """
        self.recorder.flush()
        with self._crediting:
            try:
                return credit(self.ledger, self.lessons, namespace=namespace)
            finally:
                self._utilities.forget()

    async def acredit(self, *, namespace: Namespace | None = None) -> CreditReport:
        """Async `credit`."""
        return await asyncio.to_thread(partial(self.credit, namespace=namespace))

    def credit_if_affordable(self, *, apart: float = 10.0) -> None:
        """`credit`, unless it was called so lately that it would take more than a twentieth of the time; what fails is logged.

        Args:
            apart: Least seconds between two calls that do something.
        """
        self._credit.look_if_affordable(apart=apart)

    def report(
        self,
        namespace: Namespace | None = None,
        graph: str | None = None,
        *,
        since: datetime | None = None,
        lessons: Sequence[str] = (),
    ) -> Report:
        """What the evidence says: what lessons are worth as a whole, and each of them. Nothing is changed.

        Args:
            namespace: Default all.
            graph: Only runs of this one; default all.
            since: Only runs that began at this time or later; default all.
            lessons: Only these among single lessons; default all.
        """
        self.recorder.flush()
        return report(self.ledger, namespace=namespace, graph=graph, since=since, lessons=lessons)

    async def areport(
        self,
        namespace: Namespace | None = None,
        graph: str | None = None,
        *,
        since: datetime | None = None,
        lessons: Sequence[str] = (),
    ) -> Report:
        """Async `report`."""
        return await asyncio.to_thread(partial(self.report, namespace, graph, since=since, lessons=lessons))

    def utilities(self, lesson_ids: Sequence[str]) -> Mapping[str, float]:
        """How much of the effect of lessons on the reward is certain, by the last look; a lesson that is missing has none.

        Args:
            lesson_ids: Of any namespaces.
        """
        return self._utilities(lesson_ids)
