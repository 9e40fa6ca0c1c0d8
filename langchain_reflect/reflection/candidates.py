"""From drafts to candidates for the book: each with its vectors, in the order of the groups. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from langchain_reflect.index.base import Vector
from langchain_reflect.lessons.edits import MAX_TASK_CHARS
from langchain_reflect.reflection.curation import Candidate
from langchain_reflect.reflection.drafting import Studied
from langchain_reflect.types import LessonDraft, Namespace, RolloutGroup


@dataclass(frozen=True, slots=True)
class Placed:
    """A draft, the index of its group, and the group's namespace."""

    draft: LessonDraft
    group: int
    namespace: Namespace


def placed(studied: Iterable[Studied], groups: Sequence[RolloutGroup]) -> list[Placed]:
    """The drafts of all groups, in the order of the groups.

    Args:
        studied: What each group gave, in any order.
        groups: The groups.
    """
    ordered = sorted(studied, key=lambda s: s.group)
    return [Placed(_as_kept(draft), s.group, groups[s.group].namespace) for s in ordered for draft in s.drafts]


def candidates(drafts: Iterable[Placed], vectors: Mapping[str, Vector]) -> list[Candidate]:
    """The drafts with their vectors.

    Args:
        drafts: From `placed`.
        vectors: Of what each says and of each task, by text.
    """
    return [_candidate(each, vectors) for each in drafts]


def had(groups: Iterable[RolloutGroup]) -> dict[UUID, Sequence[str]]:
    """Ids of the lessons that were shown in each episode.

    Args:
        groups: All that are reflected on.
    """
    return {r.episode.id: r.episode.shown for g in groups for r in g.rollouts}


def _as_kept(draft: LessonDraft) -> LessonDraft:
    """With its tasks as long as a lesson keeps them: the same task must look the same on both sides."""
    return draft.model_copy(update={"tasks": tuple(task[:MAX_TASK_CHARS] for task in draft.tasks)})


def _candidate(each: Placed, vectors: Mapping[str, Vector]) -> Candidate:
    tasks = [vectors[task] for task in each.draft.tasks]
    rows = np.stack(tasks) if tasks else np.zeros((0, 0), np.float32)
    return Candidate(each.draft, each.group, each.namespace, vectors[each.draft.key_text()], rows)
