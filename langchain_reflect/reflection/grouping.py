"""Judged rollouts become groups that are worth a reflection. Pure, and independent of the order of its input.

A task's rollouts make one group, unless one version of the agent has enough of them to be compared among themselves (`policy.mix`). What
the others have left then stays due: it makes a group of its own if it is ready by itself, else it joins the task's group once the first
one has been reflected on. So nothing is lost, and each reflection has news.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from langchain_reflect.reflection.clustering import Cluster, Vector, age, clusters
from langchain_reflect.reflection.policy import ReflectionPolicy
from langchain_reflect.reflection.versions import by_agent
from langchain_reflect.types import Rollout, RolloutGroup

Reason = Literal["contrast", "feedback", "failures", "age"]
Part = Sequence[Rollout]


def ready_groups(
    rollouts: Iterable[Rollout],
    *,
    vectors: Mapping[UUID, Vector] | None = None,
    policy: ReflectionPolicy,
    now: datetime,
) -> list[RolloutGroup]:
    """The groups that have something to teach, those with the oldest news first.

    Args:
        rollouts: Rollouts of any namespaces and graphs; those without any judgement are passed over. Those without news only give context.
        vectors: Normalised embedding of the task by episode id. Tasks without a key are grouped by it, those without a vector by text.
        policy: When a group is ready.
        now: The time by which age is told.

    Returns:
        Groups with their judged rollouts, and of those that a reflection knows already at most `policy.siblings`; `select` picks the ones
        to show. No rollout is in two of them.
    """
    judged = [r for r in rollouts if is_judged(r)]
    found = []
    for cluster in clusters(judged, vectors or {}, policy.similar):
        for part in _parts(cluster.rollouts, policy, now):
            reason = why_ready(part, policy=policy, now=now)
            if reason is not None and has_news(part, policy):
                found.append(_group(cluster, part, reason, policy))
    return sorted(found, key=lambda g: (min(age(r) for r in g.rollouts if r.news != "none"), g.key))


def is_judged(rollout: Rollout) -> bool:
    """Whether a rollout may be learned from: it has ended, and something was said of it."""
    return (rollout.reward is not None or bool(rollout.feedback)) and rollout.episode.status != "running"


def why_ready(rollouts: Sequence[Rollout], *, policy: ReflectionPolicy, now: datetime) -> Reason | None:
    """Why a group is worth a reflection, or None.

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


def has_news(rollouts: Sequence[Rollout], policy: ReflectionPolicy) -> bool:
    """Whether some of a group's rollouts say what a reflection on the others could not know.

    One more success where successes are known says nothing, else tasks that mostly succeed would be reflected on again with each run. Nor
    does one more failure of a task that always fails, unless it was corrected, or had been shown lessons.

    Args:
        rollouts: Judged rollouts of one task.
        policy: What counts as failure, and which rewards differ.
    """
    known = [r.reward for r in rollouts if r.news == "none" and r.reward is not None]
    return any(r.news == "changed" or (r.news == "new" and _tells(r, known, policy)) for r in rollouts)


def _tells(rollout: Rollout, known: Sequence[float], policy: ReflectionPolicy) -> bool:
    """Whether a new rollout says more than those whose rewards are given."""
    if rollout.reward is None or rollout.feedback or not known:
        return True
    if rollout.reward >= max(known) + policy.spread or rollout.reward <= min(known) - policy.spread:
        return True
    always_fails = len(known) >= policy.min_rollouts and max(known) < policy.success
    return rollout.reward < policy.success and (bool(rollout.episode.shown) or not always_fails)


def select(rollouts: Sequence[Rollout], size: int) -> tuple[Rollout, ...]:
    """The rollouts that a prompt shows: the best two, the worst two and the median, best first.

    Among equals those with news come first, then those with feedback, then the oldest.

    Args:
        rollouts: Judged rollouts of one group. One without a reward counts as a failure: somebody had to correct it.
        size: Most rollouts to take; sizes other than 5 take from both ends in turn, and an odd last one from the middle.
    """
    best = sorted(rollouts, key=lambda r: (-_reward(r), *_rank(r)))
    if len(best) <= size:
        return tuple(best)
    ends = size // 2
    worst = sorted(best[ends:], key=lambda r: (_reward(r), *_rank(r)))[:ends]
    chosen = {r.episode.id for r in (*best[:ends], *worst)}
    between = [r.episode.id for r in best if r.episode.id not in chosen]
    chosen.update([between[len(between) // 2]] if size % 2 else [])
    return tuple(r for r in best if r.episode.id in chosen)


def _parts(rollouts: Part, policy: ReflectionPolicy, now: datetime) -> list[Part]:
    """What of a task's rollouts may form a group together; none of them twice."""
    agents: list[Part] = [] if policy.mix == "always" else list(by_agent(rollouts))
    if policy.mix == "never":
        return agents
    alone = [a for a in agents if why_ready(a, policy=policy, now=now) == "contrast" and has_news(a, policy)]
    if not alone:
        return [rollouts]
    taken = {r.episode.id for a in alone for r in a}
    rest = [r for r in rollouts if r.episode.id not in taken]
    return [*alone, rest] if rest else alone


def _group(cluster: Cluster, part: Part, reason: Reason, policy: ReflectionPolicy) -> RolloutGroup:
    context = [r for r in part if r.news == "none"]
    kept = {r.episode.id for r in select(context, policy.siblings)} if context else set()
    shown = tuple(r for r in part if r.news != "none" or r.episode.id in kept)
    task = shown[0].episode.task
    return RolloutGroup(key=cluster.key, namespace=cluster.namespace, graph=cluster.graph, task=task, rollouts=shown, reason=reason)


def _all_succeeded(rewards: Sequence[float], policy: ReflectionPolicy) -> bool:
    return min(rewards) >= policy.success and max(rewards) - min(rewards) < policy.spread


def _reward(rollout: Rollout) -> float:
    return -1.0 if rollout.reward is None else rollout.reward


def _rank(rollout: Rollout) -> tuple[bool, bool, datetime, str]:
    return (rollout.news == "none", not rollout.feedback, *age(rollout))


def _judged_at(rollouts: Iterable[Rollout]) -> datetime:
    """When the first of them was judged."""
    times = [o.observed_at for r in rollouts for o in r.outcomes] or [r.episode.started_at for r in rollouts]
    return min(times)
