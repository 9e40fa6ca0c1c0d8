"""Methods about reflections and the jobs that they take."""

from collections.abc import Collection, Iterable
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Connection, select

from langchain_reflect.ledger import claims, outcomes, practices, tables
from langchain_reflect.ledger.claims import Claim, Ending
from langchain_reflect.ledger.methods.base import Methods
from langchain_reflect.types import Job, JobState, Namespace, ReflectionReport, RolloutGroup

LEASE: Final = timedelta(seconds=60)


class WorkMethods(Methods):
    """Plan, claim and end jobs; keep reports."""

    def plan(self, groups: Iterable[RolloutGroup]) -> int:
        """Make a job of each group that has an episode that is due, unless it has one already; returns how many.

        A group that is being reflected on is left alone; one that waits, or is parked, is replaced if it has grown.
        """
        return self._write(claims.plan, list(groups))

    def claim(
        self,
        owner: str,
        *,
        limit: int = 1,
        lease: timedelta = LEASE,
        namespace: Namespace | None = None,
        graph: str | None = None,
        episodes: Collection[UUID] | None = None,
        daily_calls: int | None = None,
        daily_tokens: int | None = None,
        max_failures: int = 5,
    ) -> list[Job]:
        """Take jobs that are ready, or whose worker let its lease run out; nobody else gets them until the lease ends.

        Args:
            owner: Who takes them, for people.
            limit: Most jobs; all are of one namespace.
            lease: How long they are taken for; `renew` prolongs it.
            namespace: Only this one.
            graph: Only of this graph.
            episodes: Only jobs all of whose episodes are among these.
            daily_calls: Namespaces that spent so many model calls today (UTC) wait; a job that is being worked on counts as a call.
            daily_tokens: Likewise for tokens.
            max_failures: A job whose workers died so often is parked.
        """
        take = partial(
            claims.claim,
            owner=owner,
            limit=limit,
            lease=lease,
            namespace=namespace,
            graph=graph,
            episodes=episodes,
            daily_calls=daily_calls,
            daily_tokens=daily_tokens,
            max_failures=max_failures,
        )

        def taken(connection: Connection) -> list[Job]:
            if episodes is None:
                practices.release_dead(connection)
            return take(connection)

        return self._write(taken)

    def renew(self, held: Iterable[Claim], lease: timedelta = LEASE) -> list[Claim]:
        """Prolong leases; returns the claims that are still held."""
        return self._write(claims.renew, list(held), lease)

    def give_back(self, endings: Iterable[Ending], *, max_failures: int = 5) -> None:
        """End claims whose reflection broke off; those that are no longer held are passed over."""
        self._write(claims.give_back, list(endings), max_failures=max_failures)

    def drop(self, held: Iterable[Claim]) -> None:
        """Forget jobs that are held: their episodes stay due, and are planned anew."""
        if claimed := list(held):
            self._write(claims.drop, claimed)

    def free(
        self,
        *,
        namespace: Namespace | None = None,
        graph: str | None = None,
        job_ids: Collection[str] | None = None,
        episodes: Collection[UUID] | None = None,
    ) -> int:
        """Make parked jobs, and those that wait after a failure, claimable now; returns how many.

        Args:
            namespace: Only of this namespace; default all, or with `job_ids` the ledger's own.
            graph: Only of this graph.
            job_ids: Only these.
            episodes: Only jobs with one of these.
        """
        space = self.namespace if namespace is None and job_ids is not None else namespace
        return self._write(claims.free, namespace=space, graph=graph, job_ids=job_ids, episodes=episodes)

    def jobs(self, *, namespace: Namespace | None = None, state: JobState | None = None, limit: int = 100) -> list[Job]:
        """Jobs that match, newest change first."""
        return self._read(claims.find, namespace=namespace, state=state, limit=limit)

    def orphans(self) -> int:
        """Number of outcomes whose episode has not come (in their namespace), over all namespaces."""
        return self._read(outcomes.orphans)

    def next_claim(self) -> float | None:
        """Seconds until the next open job may be claimed; a minute if one may be now and was not; None: there is none."""
        return self._read(claims.next_claim)

    def job_counts(self) -> dict[str, int]:
        """Number of jobs in each state, over all namespaces."""
        return self._read(claims.counts)

    def is_spent(self, namespace: Namespace, *, daily_calls: int | None, daily_tokens: int | None) -> bool:
        """Whether a namespace has used up its calls or tokens of today (UTC); None: no limit."""
        return self._space(namespace) in self._read(claims.spent_out, daily_calls, daily_tokens)

    def due(self) -> int:
        """Number of judged episodes that no reflection has seen since their last outcome, over all namespaces; without parked ones."""
        return self._read(claims.due)

    def reflections(self, limit: int = 100, *, namespace: Namespace | None = None, prefix: str = "") -> list[ReflectionReport]:
        """Reports of reflections (`R-…`) and consolidations (`C-…`), newest first.

        Args:
            limit: Most reports.
            namespace: Default all.
            prefix: How their ids begin.
        """
        query = select(tables.reflections.c.report).order_by(tables.reflections.c.at.desc()).limit(limit)
        if prefix:
            query = query.where(tables.reflections.c.id.startswith(prefix, autoescape=True))
        if namespace is not None:
            query = query.where(tables.reflections.c.namespace == namespace)
        return self._read(lambda c: [ReflectionReport.model_validate(report) for report in c.execute(query).scalars()])

    def reflection_records(self, *, namespace: Namespace | None = None) -> list[tuple[str, int, JsonValue]]:
        """Id, version of the book at its end, and record of each reflection of a namespace (default the ledger's own), in their order.

        The record of one whose texts were erased is None.
        """
        table = tables.reflections.c
        query = select(table.id, table.version, table.replies).where(table.namespace == self._space(namespace))
        ordered = query.order_by(table.version, table.at, table.id)
        return self._read(lambda c: [(row.id, row.version, row.replies) for row in c.execute(ordered)])

    def reflection_replies(self, reflection_id: str, *, namespace: Namespace | None = None) -> JsonValue:
        """The model's raw replies of one reflection of a namespace (default the ledger's own); None if it is unknown there."""
        table = tables.reflections.c
        query = select(table.replies).where(table.id == reflection_id, table.namespace == self._space(namespace))
        replies: JsonValue = self._read(lambda c: c.execute(query).scalar())
        return replies
