"""What a reflection is about: jobs that nobody else has, planned from what is ready if there are none."""

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Final
from uuid import UUID

from langchain_reflect.errors import InvalidInput, ReflectError, ReflectionFailed
from langchain_reflect.index.base import Vector
from langchain_reflect.ledger.claims import Claim
from langchain_reflect.lessons.shelf import vectors_of
from langchain_reflect.reflection.clustering import near
from langchain_reflect.reflection.own_parts import put_down
from langchain_reflect.reflection.state import Parts, ReflectionState
from langchain_reflect.types import Job, Rollout, RolloutGroup, now

_EACH: Final = 5
"""So many times the siblings that come along are read of each text of a task, to choose from."""


def taken(parts: Parts, state: ReflectionState, reflection_id: str) -> tuple[list[Claim], list[RolloutGroup]]:
    """Jobs that nobody else has, and their groups as they are by now; what is ready is planned if there is no job yet."""
    jobs = _claimed(parts, state) or _planned(parts, state)
    claims = [Claim(job.id, job.fence) for job in jobs]
    parts.leases.hold(reflection_id, claims)
    ids = [i for job in jobs for i in job.episodes]
    full = {r.episode.id: r for r in parts.ledger.rollouts(episodes=ids, limit=None)} if ids else {}
    pairs = [(claim, _group(job, [full[i] for i in job.episodes if i in full])) for claim, job in zip(claims, jobs, strict=True)]
    parts.ledger.drop([claim for claim, group in pairs if group is None])  # what was said of them changed meanwhile
    kept = [(claim, group) for claim, group in pairs if group is not None]
    parts.leases.hold(reflection_id, [claim for claim, _ in kept], [group.rollouts for _, group in kept])
    return [claim for claim, _ in kept], [group for _, group in kept]


def _planned(parts: Parts, state: ReflectionState) -> list[Job]:
    """Jobs of what is ready, whoever was the first to plan them."""
    ready = _ready(parts, state)
    parts.ledger.plan(ready)
    return _claimed(parts, state) if ready else []


def _claimed(parts: Parts, state: ReflectionState) -> list[Job]:
    return parts.ledger.claim(
        parts.leases.owner,
        limit=state.get("limit") or parts.policy.max_groups,
        lease=parts.policy.lease,
        namespace=state.get("namespace"),
        graph=state.get("graph"),
        episodes=state.get("episodes"),
        daily_calls=parts.policy.daily_calls,
        daily_tokens=parts.policy.daily_tokens,
        max_failures=parts.policy.max_failures,
    )


def _group(job: Job, rollouts: Sequence[Rollout]) -> RolloutGroup | None:
    if not rollouts:
        return None
    oldest = tuple(sorted(rollouts, key=lambda r: (r.episode.started_at, str(r.episode.id))))
    task = oldest[0].episode.task
    return RolloutGroup(key=job.key, namespace=job.namespace, graph=job.graph, task=task, rollouts=oldest, reason=job.reason)


def _ready(parts: Parts, state: ReflectionState) -> list[RolloutGroup]:
    """The groups that are ready now, without trajectories: what waits may be much more than what is ready."""
    rollouts = _waiting(parts, state)
    vectors = _task_vectors(parts, rollouts)
    try:
        found = parts.grouping(rollouts, vectors=vectors, policy=parts.policy, now=now())
    except ReflectError:
        raise
    except Exception as error:
        raise ReflectionFailed(f"the grouping failed, and nothing was changed: {type(error).__name__}: {error}") from error
    return _groups(found)


def _groups(found: object) -> list[RolloutGroup]:
    """What a grouping, which may be a user's, has found."""
    for group in found if isinstance(found, Sequence) else [found]:
        if not isinstance(group, RolloutGroup):
            put_down(group)
            raise InvalidInput(f"the grouping returned {group!r:.80}; expected a list of RolloutGroup; it cannot be async")
    return list(found) if isinstance(found, Sequence) else []


def _waiting(parts: Parts, state: ReflectionState) -> list[Rollout]:
    """Due rollouts without trajectories, so many that successes, which mostly stay due for ever, keep no failure out."""
    read = partial(
        parts.ledger.rollouts,
        namespace=state.get("namespace"),
        graph=state.get("graph"),
        episodes=state.get("episodes"),
        unreflected=True,
        newest=True,
        trajectories=False,
        limit=parts.policy.window,
    )
    newest = read()
    due = newest if len(newest) < parts.policy.window else [*newest, *read(below=parts.policy.success)]
    return due if state.get("episodes") is not None else [*due, *_seen_before(parts, due)]


def _seen_before(parts: Parts, due: Sequence[Rollout]) -> list[Rollout]:
    """Rollouts of tasks without a key that are like one that is due; those with a key came along by it."""
    free = [r.episode for r in due if r.episode.task_key is None]
    ids: list[UUID] = []
    for space in {(e.namespace, e.graph) for e in free}:
        seen = parts.ledger.seen_tasks(*space, limit=parts.policy.lookback)
        tasks = {e.task for e in free if (e.namespace, e.graph) == space}
        others = {task for _, task in seen}
        vectors = (
            vectors_of(parts.ledger, parts.book.embedder, list(tasks)) | parts.ledger.text_vectors(parts.book.embedder.id, others)
            if others
            else {}
        )
        alike = near(tasks, others, vectors, parts.policy.similar)
        ids += _newest(seen, alike, _EACH * parts.policy.siblings)[: parts.policy.window]
    return parts.ledger.rollouts(episodes=ids, trajectories=False, limit=None) if ids else []


def _newest(seen: Sequence[tuple[UUID, str]], tasks: Collection[str], each: int) -> list[UUID]:
    """The first episodes of each of the tasks."""
    found: dict[str, list[UUID]] = {task: [] for task in tasks}
    for episode_id, task in seen:
        if task in found and len(found[task]) < each:
            found[task].append(episode_id)
    return [i for ids in found.values() for i in ids]


def _task_vectors(parts: Parts, rollouts: Sequence[Rollout]) -> dict[UUID, Vector]:
    """Vectors of the tasks without a key."""
    free = [r.episode for r in rollouts if r.episode.task_key is None]
    rows = _embedded(parts, [e.task for e in free])
    return {e.id: rows[e.task] for e in free}


def _embedded(parts: Parts, tasks: Iterable[str]) -> dict[str, Vector]:
    return vectors_of(parts.ledger, parts.book.embedder, list(tasks))
