"""Which rollouts are of the same task: by key, else by meaning, else by text. Pure, and independent of the order of its input."""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from langchain_reflect.types import Namespace, Rollout

Vector = NDArray[np.float32]
K = TypeVar("K", bound=Hashable)
_TASK_LETTERS: Final = 80


@dataclass(frozen=True, slots=True)
class Cluster:
    """Rollouts of one task of one graph, oldest first."""

    key: str
    """`key:` and the task's key, else `like:` or `text:` and the beginning of the oldest task. It stays when newer rollouts join."""
    namespace: Namespace
    graph: str
    rollouts: tuple[Rollout, ...]


def clusters(rollouts: Iterable[Rollout], vectors: Mapping[UUID, Vector], similar: float) -> list[Cluster]:
    """Each rollout in exactly one cluster; one that is given twice counts once.

    Args:
        rollouts: Of any namespaces and graphs; these are never mixed.
        vectors: Normalised embedding of the task by episode id, for tasks without a key; those without a vector go by their text.
        similar: Cosine from which two tasks are the same.
    """
    ordered = sorted({r.episode.id: r for r in rollouts}.values(), key=age)
    spaces = by(ordered, lambda r: (r.episode.namespace, r.episode.graph))
    return [
        Cluster(key, namespace, graph, tuple(same))
        for (namespace, graph), members in spaces
        for key, same in _same_task(members, vectors, similar)
    ]


def near(tasks: Collection[str], others: Collection[str], vectors: Mapping[str, Vector], similar: float) -> set[str]:
    """Those of the other tasks that may share a cluster with one of the tasks: near to it, or near to one that is.

    Two steps, because a cluster is held together by its oldest task: two that are near to that need not be near to each other.

    Args:
        tasks: Texts.
        others: Texts to look through.
        vectors: Normalised embeddings by text; texts without one are left out.
        similar: As for `clusters`.
    """
    named = [text for text in others if text in vectors]
    start = [vectors[text] for text in tasks if text in vectors]
    if not named or not start:
        return set()
    matrix = np.stack([vectors[text] for text in named])
    first = (matrix @ np.stack(start).T).max(axis=1) >= similar
    if not first.any():
        return set()
    second = first | ((matrix @ matrix[first].T).max(axis=1) >= similar)
    return {text for text, is_near in zip(named, second, strict=True) if is_near}


def age(rollout: Rollout) -> tuple[datetime, str]:
    """Sorts the oldest first, and equally old ones in a fixed order."""
    return rollout.episode.started_at, str(rollout.episode.id)


def by(rollouts: Sequence[Rollout], key: Callable[[Rollout], K]) -> list[tuple[K, list[Rollout]]]:
    """Rollouts by key, in the order in which the keys first come."""
    found: dict[K, list[Rollout]] = {}
    for rollout in rollouts:
        found.setdefault(key(rollout), []).append(rollout)
    return list(found.items())


def _same_task(rollouts: Sequence[Rollout], vectors: Mapping[UUID, Vector], similar: float) -> list[tuple[str, list[Rollout]]]:
    keyed = [r for r in rollouts if r.episode.task_key is not None]
    free = [r for r in rollouts if r.episode.task_key is None]
    embedded = [r for r in free if r.episode.id in vectors]
    plain = [r for r in free if r.episode.id not in vectors]
    named = [(f"key:{key}", members) for key, members in by(keyed, lambda r: r.episode.task_key)]
    alike = [(f"like:{_short(members[0])}", members) for members in _around_leaders(embedded, vectors, similar)]
    exact = [(f"text:{_short(members[0])}", members) for _, members in by(plain, lambda r: " ".join(r.episode.task.split()))]
    return [*named, *alike, *exact]


def _around_leaders(rollouts: Sequence[Rollout], vectors: Mapping[UUID, Vector], similar: float) -> list[list[Rollout]]:
    """Leader clustering: each rollout, oldest first, joins the nearest leader that is near enough, or becomes a leader."""
    if not rollouts:
        return []
    tasks = {r.episode.task: vectors[r.episode.id] for r in reversed(rollouts)}
    leaders = np.empty((len(tasks), len(next(iter(tasks.values())))), np.float32)
    found: list[list[Rollout]] = []
    place: dict[str, int] = {}
    for rollout in rollouts:
        task = rollout.episode.task
        if task not in place:
            scores = leaders[: len(found)] @ tasks[task]
            place[task] = int(scores.argmax()) if scores.size and scores.max() >= similar else len(found)
            if place[task] == len(found):
                leaders[len(found)] = tasks[task]
                found.append([])
        found[place[task]].append(rollout)
    return found


def _short(rollout: Rollout) -> str:
    return " ".join(rollout.episode.task.split())[:_TASK_LETTERS]
