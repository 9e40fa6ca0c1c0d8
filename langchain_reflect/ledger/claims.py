"""Jobs: groups of episodes that one reflection takes, finishes and ends exactly once.

A job is planned when a group is ready, and claimed by one worker at a time, for as long as its lease lasts. Each claim gets a higher
number, the fence. The model is called outside any transaction; what it led to is written in one transaction that first checks the fence.
So a worker that was stopped, slept or was cut off may waste a model call, but can neither write twice nor overwrite what its successor
did: the effect is exactly once, the model call at least once.
"""

import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID, uuid4

from pydantic import JsonValue
from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, or_, select, text, update

from langchain_reflect.errors import ClaimLost
from langchain_reflect.ledger import dues, lessons, outcomes, tables
from langchain_reflect.types import Job, JobState, Namespace, ReflectionReport, Rollout, RolloutGroup, Usage, now

_PLANNING: Final = 0x706C616E
"""PostgreSQL's advisory lock: one plans at a time."""
_FIRST_WAIT: Final = timedelta(seconds=5)
_LONGEST_WAIT: Final = timedelta(hours=1)

End = Literal["done", "parked", "failed", "released"]


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to finish a job."""

    job_id: str
    fence: int


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of one claimed group."""

    claim: Claim
    end: End
    """`parked`: nothing could be learned, a person must look; `failed`: it is tried again later; `released`: it may be claimed at once."""
    rollouts: Sequence[Rollout] = ()
    """As the reflection read them; those that were judged anew since stay due."""
    problem: str | None = None
    retry_after: float | None = None
    """Seconds that a provider asked to wait."""


@dataclass(frozen=True, slots=True)
class Closing:
    """All that a reflection leaves behind, written in one transaction."""

    report: ReflectionReport
    namespace: Namespace
    endings: Sequence[Ending] = ()
    seen: Sequence[Rollout] = ()
    """Rollouts that were reflected on without a claim."""
    about: Collection[UUID] = ()
    """Further episodes that its texts may quote; they go if one of these is forgotten."""
    replies: JsonValue = None
    max_failures: int = 5
    """After so many a failed job is parked."""


def clock(connection: Connection) -> datetime:
    """The time by which leases are measured: the server's, because workers on several machines disagree."""
    if connection.dialect.name == "postgresql":
        found: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        return found
    return now()


def plan(connection: Connection, groups: Iterable[RolloutGroup]) -> int:
    """Make a job of each group that has an episode that is due; returns how many.

    A group that is being reflected on is left alone. One that waits, or is parked, is replaced if it has grown.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _PLANNING})
    made = 0
    for group in groups:
        mine = (tables.episodes.c.id.in_([r.episode.id for r in group.rollouts]), tables.episodes.c.namespace == group.namespace)
        ids = connection.execute(select(tables.episodes.c.id).where(*mine)).scalars().all()
        held = _holding(connection, ids)
        waiting = select(tables.due.c.episode_id).where(tables.due.c.episode_id.in_(ids)).limit(1)
        has_grown = set(ids) > {i for job in held for i in job.episodes} or not held
        if not has_grown or any(job.state == "leased" for job in held) or not connection.execute(waiting).first():
            continue
        if not _locked(connection, held):
            continue
        _remove(connection, [job.id for job in held])
        job_id, at = f"J-{uuid4().hex[:16]}", clock(connection)
        values = {"id": job_id, "namespace": group.namespace, "graph": group.graph, "key": group.key, "reason": group.reason}
        fresh = {"state": "ready", "fence": 0, "failures": 0, "created_at": at, "changed_at": at}
        tried = [job for job in held if job.state == "ready" and job.not_before is not None]
        if tried:  # an outage is not over because a group grew
            fresh |= {"failures": tried[0].failures, "not_before": tried[0].not_before, "problem": tried[0].problem}
        connection.execute(tables.jobs.insert().values(values | fresh))
        connection.execute(tables.job_episodes.insert(), [{"episode_id": i, "job_id": job_id} for i in ids])
        made += 1
    return made


def _holding(connection: Connection, ids: Collection[UUID]) -> list[Job]:
    """The jobs that hold one of these episodes."""
    of_them = select(tables.job_episodes.c.job_id).where(tables.job_episodes.c.episode_id.in_(ids))
    return [_job(connection, row) for row in connection.execute(select(tables.jobs).where(tables.jobs.c.id.in_(of_them))).all()]


def _locked(connection: Connection, jobs: Collection[Job]) -> bool:
    """Whether none of these was claimed or removed meanwhile; until the transaction ends nobody does."""
    free = select(tables.jobs.c.id).where(tables.jobs.c.id.in_([job.id for job in jobs]), tables.jobs.c.state != "leased")
    return len(connection.execute(free.order_by(tables.jobs.c.id).with_for_update()).all()) == len(jobs)


def _remove(connection: Connection, job_ids: Collection[str]) -> None:
    if job_ids:
        connection.execute(delete(tables.job_episodes).where(tables.job_episodes.c.job_id.in_(job_ids)))
        connection.execute(delete(tables.jobs).where(tables.jobs.c.id.in_(job_ids)))


def claim(
    connection: Connection,
    owner: str,
    *,
    limit: int,
    lease: timedelta,
    namespace: Namespace | None,
    graph: str | None,
    episodes: Collection[UUID] | None,
    daily_calls: int | None,
    daily_tokens: int | None,
    max_failures: int,
) -> list[Job]:
    """Take jobs that are ready or whose lease ran out, oldest first, at most `limit`, all of one namespace, within its budget of today."""
    at = clock(connection)
    conditions = [_claimable(at), *_within(namespace, graph)]
    if but := spent_out(connection, daily_calls, daily_tokens):
        conditions.append(tables.jobs.c.namespace.not_in(but))
    query = select(tables.jobs).where(*conditions).order_by(tables.jobs.c.created_at, tables.jobs.c.id)
    if episodes is None:
        member, kept_back = tables.job_episodes.c, tables.reserved.c
        kept = select(member.job_id).join_from(tables.job_episodes, tables.reserved, member.episode_id == kept_back.episode_id)
        query = query.where(tables.jobs.c.id.not_in(kept)).limit(limit)
    query = query.with_for_update(skip_locked=True)
    found = [_job(connection, row) for row in connection.execute(query)]
    found = [job for job in found if not _is_deadly(connection, job, at, max_failures)]
    if episodes is not None:
        found = [job for job in found if set(job.episodes) <= set(episodes)]
    if found and daily_calls is not None:
        limit = min(limit, daily_calls - _calls_today(connection, found[0].namespace, at))
    taken = [job for job in found if job.namespace == found[0].namespace][:limit]
    held = {"state": "leased", "owner": owner, "leased_until": at + lease, "changed_at": at}
    for job in taken:
        changes = {**held, "fence": job.fence + 1, "failures": job.failures + (job.state == "leased")}
        connection.execute(update(tables.jobs).where(tables.jobs.c.id == job.id).values(changes))
    return [job.model_copy(update={**held, "fence": job.fence + 1, "failures": job.failures + (job.state == "leased")}) for job in taken]


def _is_deadly(connection: Connection, job: Job, at: datetime, max_failures: int) -> bool:
    """Park a job whose lease ran out once more after many failures: whoever works on it dies."""
    if job.state != "leased" or job.failures + 1 < max_failures:
        return False
    problem = f"its worker ended {job.failures + 1} times before it was done; what of it kills a process?"
    values = {"state": "parked", "leased_until": None, "changed_at": at, "failures": job.failures + 1, "problem": problem}
    connection.execute(update(tables.jobs).where(tables.jobs.c.id == job.id).values(values))
    return True


def next_claim(connection: Connection) -> float | None:
    """Seconds until the next job may be claimed; a minute for one that may be already (its namespace's budget is used up)."""
    at, table = clock(connection), tables.jobs.c
    query = select(func.min(func.coalesce(table.leased_until, table.not_before, table.created_at))).where(
        table.state.in_(("ready", "leased"))
    )
    found = connection.execute(query).scalar()
    if found is None:
        return None
    wait = (found - at).total_seconds()
    return wait if wait > 0 else 60.0


def renew(connection: Connection, claims: Iterable[Claim], lease: timedelta) -> list[Claim]:
    """Prolong leases; returns the claims that are still held."""
    until = clock(connection) + lease
    return [c for c in claims if connection.execute(update(tables.jobs).where(*_held(c)).values(leased_until=until)).rowcount == 1]


def close(connection: Connection, closing: Closing) -> None:
    """Write what a reflection leaves behind: what became of its jobs, what it saw, what it cost, and its report.

    The same closing again (because the answer to its commit got lost) changes nothing.

    Raises:
        ClaimLost: One of the claims is no longer held.
    """
    at, report = clock(connection), closing.report
    if is_closed(connection, report.id):
        return
    for ending in closing.endings:
        _end(connection, ending, report.id, at, closing.max_failures)
    mark_reflected(connection, report.id, [*closing.seen, *(r for e in closing.endings if e.end == "done" for r in e.rollouts)])
    read = {r.episode.id for r in (*closing.seen, *(r for e in closing.endings for r in e.rollouts))}
    _note_studied(connection, report.id, read.union(closing.about))
    spend(connection, closing.namespace, report.usage, at)
    row = {"id": report.id, "namespace": closing.namespace, "at": at, "report": report.model_dump(mode="json"), "replies": closing.replies}
    connection.execute(tables.reflections.insert().values(row | {"version": lessons.version_of(connection)}))


def give_back(connection: Connection, endings: Iterable[Ending], *, max_failures: int) -> None:
    """End claims whose reflection broke off; those that are no longer held are passed over."""
    at = clock(connection)
    for ending in endings:
        if connection.execute(select(tables.jobs.c.id).where(*_held(ending.claim))).first() is not None:
            _end(connection, ending, "", at, max_failures)


def drop(connection: Connection, held: Iterable[Claim]) -> None:
    """Forget jobs that are held: their episodes stay due, and are planned anew."""
    for one in held:
        if connection.execute(select(tables.jobs.c.id).where(*_held(one))).first() is not None:
            _remove(connection, [one.job_id])


def is_closed(connection: Connection, reflection_id: str) -> bool:
    """Whether a reflection has been closed already."""
    return connection.execute(select(tables.reflections.c.id).where(tables.reflections.c.id == reflection_id)).first() is not None


def _note_studied(connection: Connection, reflection_id: str, ids: Collection[UUID]) -> None:
    if ids:
        rows = [{"episode_id": i, "reflection_id": reflection_id} for i in ids]
        connection.execute(tables.insert(connection.dialect.name)(tables.studied).on_conflict_do_nothing(), rows)


def _end(connection: Connection, ending: Ending, reflection_id: str, at: datetime, max_failures: int) -> None:
    table = tables.jobs
    held = connection.execute(select(table.c.failures).where(*_held(ending.claim)).with_for_update()).first()
    if held is None:
        raise ClaimLost(f"job {ending.claim.job_id!r} was taken over by another worker; what this one found is dropped")
    failures = held.failures + (ending.end == "failed")
    state: JobState = {"done": "done", "parked": "parked", "released": "ready", "failed": "ready"}[ending.end]  # type: ignore[assignment]
    values: dict[str, Any] = {"state": state, "leased_until": None, "changed_at": at, "failures": failures, "problem": ending.problem}
    if ending.end == "failed":
        values["not_before"] = at + _wait(failures, ending.retry_after)
        if failures >= max_failures:
            values |= {"state": "parked", "not_before": None}
    if values["state"] == "parked" and len(_unchanged(connection, ending.rollouts)) < len(ending.rollouts):
        drop(connection, [ending.claim])  # what this worker did not know of deserves another look
        return
    if ending.end == "done":
        values["reflection_id"] = reflection_id
        connection.execute(delete(tables.job_episodes).where(tables.job_episodes.c.job_id == ending.claim.job_id))
    connection.execute(update(table).where(table.c.id == ending.claim.job_id).values(values))


def _wait(failures: int, retry_after: float | None) -> timedelta:
    wait: timedelta = min(_FIRST_WAIT * int(2 ** (failures - 1)), _LONGEST_WAIT) * (0.75 + random.random() / 2)  # noqa: S311 - jitter, not a secret
    return wait if retry_after is None else max(wait, min(timedelta(seconds=retry_after), _LONGEST_WAIT))


def mark_reflected(connection: Connection, reflection_id: str, rollouts: Iterable[Rollout]) -> None:
    """Note that a reflection has seen these rollouts; one whose outcomes are others by now stays due.

    Whoever judges one of them at this moment is waited for: `outcomes.record` holds the other end of the lock.
    """
    insert, same = tables.insert(connection.dialect.name), _unchanged(connection, rollouts)
    for episode_id in same:
        values = {"reflection_id": reflection_id, "at": now()}
        statement = insert(tables.reflected).values(episode_id=episode_id, **values)
        connection.execute(statement.on_conflict_do_update(index_elements=["episode_id"], set_=values))
    for start in range(0, len(same), dues.CHUNK):
        connection.execute(delete(tables.due).where(tables.due.c.episode_id.in_(same[start : start + dues.CHUNK])))


def _unchanged(connection: Connection, rollouts: Iterable[Rollout]) -> list[UUID]:
    """The episodes whose outcomes still are those of the rollouts; until the transaction ends nobody judges them anew."""
    read = {r.episode.id: r for r in rollouts}
    ids, same = sorted(read), list[UUID]()
    for start in range(0, len(ids), dues.CHUNK):
        some = tables.episodes.c.id.in_(ids[start : start + dues.CHUNK])
        known = select(tables.episodes.c.id, tables.episodes.c.namespace).where(some).order_by(tables.episodes.c.id)
        rows = connection.execute(known.with_for_update()).all()
        locked = [row.id for row in rows if row.namespace == read[row.id].episode.namespace]
        current = outcomes.by_episode(connection, locked)
        same += [i for i in locked if current.get(i, []) == list(read[i].outcomes)]
    return same


def free(
    connection: Connection,
    *,
    namespace: Namespace | None,
    graph: str | None,
    job_ids: Collection[str] | None,
    episodes: Collection[UUID] | None,
) -> int:
    """Make parked jobs, and those that wait after a failure, claimable now; returns how many."""
    table = tables.jobs.c
    stuck = or_(table.state == "parked", and_(table.state == "ready", table.not_before.is_not(None)))
    conditions = [stuck, *_within(namespace, graph)]
    if job_ids is not None:
        conditions.append(table.id.in_(list(job_ids)))
    if episodes is not None:
        member = tables.job_episodes.c
        conditions.append(exists().where(member.job_id == table.id, member.episode_id.in_(list(episodes))))
    fresh = {"state": "ready", "not_before": None, "failures": 0, "changed_at": clock(connection)}
    return connection.execute(update(tables.jobs).where(*conditions).values(fresh)).rowcount


def find(connection: Connection, *, namespace: Namespace | None, state: JobState | None, limit: int) -> list[Job]:
    """Jobs, newest change first."""
    query = select(tables.jobs).where(*_within(namespace, None)).order_by(tables.jobs.c.changed_at.desc(), tables.jobs.c.id).limit(limit)
    if state is not None:
        query = query.where(tables.jobs.c.state == state)
    return [_job(connection, row) for row in connection.execute(query)]


def due(connection: Connection) -> int:
    """Number of episodes that are due and not held by a parked job."""
    held = select(tables.job_episodes.c.episode_id).join(tables.jobs, tables.jobs.c.id == tables.job_episodes.c.job_id)
    parked = held.where(tables.jobs.c.state == "parked")
    return connection.execute(select(func.count()).where(tables.due.c.episode_id.not_in(parked))).scalar_one()


def counts(connection: Connection) -> dict[str, int]:
    """Number of jobs in each state."""
    rows = connection.execute(select(tables.jobs.c.state, func.count()).group_by(tables.jobs.c.state)).all()
    return {state: number for state, number in rows}  # noqa: C416 - rows are no plain tuples


def spend(connection: Connection, namespace: Namespace, usage: Usage, at: datetime) -> None:
    """Add to what a namespace spent today (UTC)."""
    table, day = tables.spending, at.date().isoformat()
    tokens = usage.tokens_in + usage.tokens_out
    statement = tables.insert(connection.dialect.name)(table).values(namespace=namespace, day=day, calls=usage.calls, tokens=tokens)
    more = {"calls": table.c.calls + usage.calls, "tokens": table.c.tokens + tokens}
    connection.execute(statement.on_conflict_do_update(index_elements=["namespace", "day"], set_=more))


def _calls_today(connection: Connection, namespace: Namespace, at: datetime) -> int:
    """What a namespace spent today (UTC), with a call for each job that is being worked on."""
    table, jobs = tables.spending.c, tables.jobs.c
    spent = select(table.calls).where(table.namespace == namespace, table.day == at.date().isoformat())
    running = select(func.count()).where(jobs.namespace == namespace, jobs.state == "leased", jobs.leased_until >= at)
    return (connection.execute(spent).scalar() or 0) + connection.execute(running).scalar_one()


def spent_out(connection: Connection, calls: int | None, tokens: int | None) -> list[Namespace]:
    """Namespaces that have used up their calls or tokens of today (UTC); a claimed job counts as a call."""
    table, jobs, at = tables.spending.c, tables.jobs.c, clock(connection)
    running = and_(jobs.state == "leased", jobs.leased_until >= at)
    limits: list[ColumnElement[bool]] = []
    found: set[Namespace] = set()
    if calls is not None:
        beside = select(func.count()).where(jobs.namespace == table.namespace, running).scalar_subquery()
        limits.append(table.calls + beside >= calls)
        crowded = select(jobs.namespace).where(running).group_by(jobs.namespace).having(func.count() >= calls)
        found |= set(connection.execute(crowded).scalars())
    if tokens is not None:
        limits.append(table.tokens >= tokens)
    if limits:
        query = select(table.namespace).where(table.day == at.date().isoformat(), or_(*limits))
        found |= set(connection.execute(query).scalars())
    return sorted(found)


def _claimable(at: datetime) -> ColumnElement[bool]:
    table = tables.jobs.c
    ready = and_(table.state == "ready", or_(table.not_before.is_(None), table.not_before <= at))
    return or_(ready, and_(table.state == "leased", table.leased_until < at))


def _held(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    table = tables.jobs.c
    return table.id == claim.job_id, table.state == "leased", table.fence == claim.fence


def _within(namespace: Namespace | None, graph: str | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if namespace is not None:
        conditions.append(tables.jobs.c.namespace == namespace)
    if graph is not None:
        conditions.append(tables.jobs.c.graph == graph)
    return conditions


def _job(connection: Connection, row: Any) -> Job:
    members = select(tables.job_episodes.c.episode_id).where(tables.job_episodes.c.job_id == row.id)
    return Job(**row._asdict(), episodes=tuple(sorted(connection.execute(members).scalars())))
