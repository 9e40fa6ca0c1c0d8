"""Judged rollouts become groups that are worth a reflection. Pure, and independent of the order of its input."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from langchain_reflect.reflection.policy import ReflectionPolicy
from langchain_reflect.types import Namespace, Rollout, RolloutGroup

Reason = Literal["contrast", "feedback", "failures", "age"]
Vector = NDArray[np.float32]
K = TypeVar("K", bound=Hashable)
_TASK_LETTERS: Final = 80


def ready_groups(
    rollouts: Iterable[Rollout],
    *,
    vectors: Mapping[UUID, Vector] | None = None,
    policy: ReflectionPolicy,
    now: datetime,
) -> list[RolloutGroup]:
    """The groups that have something to teach, those with the oldest rollouts first.

    Args:
        rollouts: Rollouts of any namespaces and graphs; those without any judgement are passed over.
        vectors: Normalised embedding of the task by episode id. Tasks without a key are grouped by it, those without a vector by text.
        policy: When a group is ready.
        now: The time by which age is told.

    Returns:
        Groups with all their judged rollouts; `select` picks the ones to show.
    """
    judged = {r.episode.id: r for r in rollouts if (r.reward is not None or r.feedback) and r.episode.status != "running"}
    ordered = sorted(judged.values(), key=_age)
    groups = []
    for (namespace, graph), members in _by(ordered, lambda r: (r.episode.namespace, r.episode.graph)):
        for key, same in _same_task(members, vectors or {}, policy.similar):
            reason = why_ready(same, policy=policy, now=now)
            if reason is not None:
                groups.append(_group(key, namespace, graph, same, reason))
    return sorted(groups, key=lambda g: (_age(g.rollouts[0]), g.key))


def why_ready(rollouts: Sequence[Rollout], *, policy: ReflectionPolicy, now: datetime) -> Reason | None:
    """Why a group is worth a reflection now, or None.

    A group in which every rollout succeeded is never: there is nothing to contrast, and praise is no correction.

    Args:
        rollouts: Judged rollouts of one task.
        policy: The thresholds.
        now: The time by which age is told.
    """
    rewards = [r.reward for r in rollouts if r.reward is not None]
    differ = bool(rewards) and max(rewards) - min(rewards) >= policy.spread and max(rewards) > min(rewards)
    if differ and len(rewards) >= policy.min_rollouts:
        return "contrast"
    if any(r.feedback for r in rollouts) and not (len(rewards) == len(rollouts) and _all_succeeded(rewards, policy)):
        return "feedback"
    if len(rewards) >= policy.min_rollouts and max(rewards) < policy.success:
        return "failures"
    if differ and now - _judged_at(rollouts) >= policy.max_age:
        return "age"
    return None


def select(rollouts: Sequence[Rollout], size: int) -> tuple[Rollout, ...]:
    """The rollouts that a prompt shows: the best two, the worst two and the median, best first.

    Args:
        rollouts: Judged rollouts of one group. One without a reward counts as a failure: somebody had to correct it.
        size: Most rollouts to take; sizes other than 5 take from both ends in turn, and an odd last one from the middle.
    """
    ordered = sorted(rollouts, key=_rank)
    if len(ordered) <= size:
        return tuple(ordered)
    ends = size // 2
    middle = ordered[ends : len(ordered) - ends]
    return (*ordered[:ends], *([middle[len(middle) // 2]] if size % 2 else []), *ordered[len(ordered) - ends :])


def _all_succeeded(rewards: Sequence[float], policy: ReflectionPolicy) -> bool:
    return min(rewards) >= policy.success and max(rewards) - min(rewards) < policy.spread


def _rank(rollout: Rollout) -> tuple[float, bool, datetime, str]:
    """Best first; among equals those with feedback, then the oldest."""
    reward = -1.0 if rollout.reward is None else rollout.reward
    return (-reward, not rollout.feedback, *_age(rollout))


def _age(rollout: Rollout) -> tuple[datetime, str]:
    return rollout.episode.started_at, str(rollout.episode.id)


def _judged_at(rollouts: Iterable[Rollout]) -> datetime:
    """When the first of them was judged."""
    times = [o.observed_at for r in rollouts for o in r.outcomes] or [r.episode.started_at for r in rollouts]
    return min(times)


def _same_task(rollouts: Sequence[Rollout], vectors: Mapping[UUID, Vector], similar: float) -> list[tuple[str, list[Rollout]]]:
    """Rollouts of one graph by task: by key, else by meaning, else by text."""
    keyed = [r for r in rollouts if r.episode.task_key is not None]
    free = [r for r in rollouts if r.episode.task_key is None]
    embedded = [r for r in free if r.episode.id in vectors]
    plain = [r for r in free if r.episode.id not in vectors]
    named = [(f"key:{key}", members) for key, members in _by(keyed, lambda r: r.episode.task_key)]
    near = [(f"like:{_short(members[0])}", members) for members in _clusters(embedded, vectors, similar)]
    exact = [(f"text:{_short(members[0])}", members) for _, members in _by(plain, lambda r: " ".join(r.episode.task.split()))]
    return [*named, *near, *exact]


def _clusters(rollouts: Sequence[Rollout], vectors: Mapping[UUID, Vector], similar: float) -> list[list[Rollout]]:
    """Leader clustering: each rollout, oldest first, joins the nearest leader that is near enough, or becomes a leader."""
    if not rollouts:
        return []
    tasks = {r.episode.task: vectors[r.episode.id] for r in reversed(rollouts)}
    leaders = np.empty((len(tasks), len(next(iter(tasks.values())))), np.float32)
    clusters: list[list[Rollout]] = []
    place: dict[str, int] = {}
    for rollout in rollouts:
        task = rollout.episode.task
        if task not in place:
            scores = leaders[: len(clusters)] @ tasks[task]
            place[task] = int(scores.argmax()) if scores.size and scores.max() >= similar else len(clusters)
            if place[task] == len(clusters):
                leaders[len(clusters)] = tasks[task]
                clusters.append([])
        clusters[place[task]].append(rollout)
    return clusters


def _short(rollout: Rollout) -> str:
    return " ".join(rollout.episode.task.split())[:_TASK_LETTERS]


def _by(rollouts: Sequence[Rollout], key: Callable[[Rollout], K]) -> list[tuple[K, list[Rollout]]]:
    """Rollouts by key, in the order in which the keys first come."""
    found: dict[K, list[Rollout]] = {}
    for rollout in rollouts:
        found.setdefault(key(rollout), []).append(rollout)
    return list(found.items())


def _group(key: str, namespace: Namespace, graph: str, rollouts: Sequence[Rollout], reason: Reason) -> RolloutGroup:
    return RolloutGroup(key=key, namespace=namespace, graph=graph, task=rollouts[0].episode.task, rollouts=tuple(rollouts), reason=reason)
