"""A grader that knows the house rules and posts outcomes to the webhook: late, some twice, and some after a judgement that is newer."""

import random
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx

from langchain_reflect import Ledger
from langchain_reflect.demo.world import Question, World

SOURCE = "grader"
_TRIES = 20


@dataclass(frozen=True)
class Run:
    """A run that somebody asked for."""

    id: UUID
    question: Question
    ticket: str


@dataclass
class Grader:
    """Judges runs and posts what it finds.

    Args:
        url: Where the webhook takes outcomes.
        world: Knows what is right.
    """

    url: str
    world: World
    acknowledged: dict[UUID, float] = field(default_factory=dict)
    """Reward that has to count in the end, by run."""
    posts: int = 0
    repeated: int = 0
    overtaken: int = 0
    """Judgements that arrived after a newer one of the same event."""
    _late: list[list[dict[str, object]]] = field(default_factory=list)
    _rng: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - to be repeated, no secret

    def reward(self, run: Run, answer: str) -> float:
        """How good an answer is."""
        return self.world.verify(outputs=answer, reference_outputs=run.question).reward or 0.0

    def take(self, runs: Iterable[Run], answers: Mapping[UUID, str]) -> None:
        """Judge runs, and post what was judged now and some of what was kept back before; the rest comes with the next call."""
        judged = [self._reports(run, answers[run.id]) for run in runs]
        self._rng.shuffle(judged)
        later = len(judged) // 4
        now, self._late = self._late + judged[later:], judged[:later]
        self._post(now)

    def finish(self) -> None:
        """Post what was kept back."""
        now, self._late = self._late, []
        self._post(now)

    def lost(self, ledger: Ledger) -> tuple[int, int]:
        """How many acknowledged outcomes the ledger does not have as they have to count, and how many count more than once."""
        lost = doubled = 0
        for run_id, reward in self.acknowledged.items():
            counting = [o.reward for o in ledger.outcomes(run_id) if o.source == SOURCE]
            lost += reward not in counting
            doubled += len(counting) > 1
        return lost, doubled

    def _reports(self, run: Run, answer: str) -> list[dict[str, object]]:
        """What is posted of a run, in this order."""
        verdict = self.world.verify(outputs=answer, reference_outputs=run.question)
        at = datetime.now(UTC)
        event = {"episode": str(run.id), "key": f"review-{run.ticket}", "source": SOURCE}
        right = event | {"reward": verdict.reward, "feedback": verdict.feedback, "observed_at": at.isoformat()}
        reports = [right]
        if self._rng.random() < 1 / 2:
            reports.append(right)
            self.repeated += 1
        if self._rng.random() < 1 / 3:
            hasty = event | {"reward": 0.5, "observed_at": (at - timedelta(minutes=5)).isoformat()}
            reports.append(hasty)
            self.overtaken += 1
        return reports

    def _post(self, judged: list[list[dict[str, object]]]) -> None:
        with ThreadPoolExecutor(4) as pool:
            for rewards in pool.map(self._deliver, judged):
                self.acknowledged |= rewards
        self.posts += sum(map(len, judged))

    def _deliver(self, reports: list[dict[str, object]]) -> dict[UUID, float]:
        """Post the reports of one run, each until it is acknowledged."""
        first = reports[0]
        for report in reports:
            time.sleep(random.uniform(0.0, 0.2))  # noqa: S311 - jitter, no secret
            _deliver(self.url, report)
        return {UUID(str(first["episode"])): float(str(first["reward"]))}


def _deliver(url: str, report: dict[str, object]) -> None:
    for again in range(_TRIES):
        try:
            answer = httpx.post(url, json=report, timeout=30)
        except httpx.TransportError:
            answer = None
        if answer is not None and not answer.is_server_error:
            answer.raise_for_status()
            return
        time.sleep(min(0.1 * 2**again, 2.0))
    raise SystemExit(f"{url} does not take outcomes")
