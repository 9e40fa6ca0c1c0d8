"""Which lessons have seen the held-out tasks: a lesson that came from a task is no evidence that it helps with new ones.

Such lessons are kept from the runs of the measurement and counted; the ledger is not touched. When a lesson has seen a task is a choice:

- `group` (default): it came from an episode of the rollout group that the task would be in: one with the same `task_key` (which is the
  family of a `PracticeTask` that names one), or a task as near to it by meaning as reflection demands of one group; or as below.
- `task`: it came from an episode of this very task, of the same key or with the same text but for case, white space and punctuation, or
  it shows the task as an example.

Where one practises on some tasks of a family and holds out others of it, `group` leaves nothing to measure, because lessons for the family
are what is wanted; `task` is for that. Where tasks are paraphrases of each other, `task` is too kind, which is why it has to be asked for.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from langchain_reflect.errors import EpisodeNotFound, InvalidInput
from langchain_reflect.ledger import Ledger
from langchain_reflect.runs import PracticeTask
from langchain_reflect.types import Lesson, Namespace

Leak = Literal["task", "group"]
LEAKS: Final = ("task", "group")
Embed = Callable[[Sequence[str]], NDArray[np.float32]]
_NO_WORD: Final = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Source:
    """A task that a lesson came from."""

    text: str
    key: str | None = None
    """The `task_key` of its episode."""


def sources_of(ledger: Ledger, lessons: Sequence[Lesson]) -> dict[str, list[Source]]:
    """The tasks that lessons came from, by the lesson's id; an episode that was erased is known by its text in the lesson alone.

    Args:
        ledger: Where their evidence is.
        lessons: Of any namespaces.
    """
    by_space: dict[Namespace, set[UUID]] = {}
    for lesson in lessons:
        by_space.setdefault(lesson.namespace, set()).update(lesson.evidence)
    known = {(space, at): source for space, ids in by_space.items() for at, source in _episodes(ledger, space, ids)}
    return {
        lesson.id: [
            *(Source(text) for text in (*lesson.tasks, *(example.input for example in lesson.examples))),
            *(known[lesson.namespace, at] for at in lesson.evidence if (lesson.namespace, at) in known),
        ]
        for lesson in lessons
    }


def leaking(
    sources: Mapping[str, Sequence[Source]], held_out: Sequence[PracticeTask], *, leak: Leak, similar: float, embed: Embed
) -> dict[str, str]:
    """Lessons that have seen a held-out task.

    Args:
        sources: What each lesson came from, by its id.
        held_out: The tasks.
        leak: How near is too near, see above.
        similar: Cosine from which two tasks are of one group.
        embed: Normalised vectors of texts; only called for `group`.

    Returns:
        The text of the first task that each of them has seen, by the lesson's id.
    """
    texts = {plain(task.text): task.text for task in reversed(held_out)}
    keys = {key: task.text for task in reversed(held_out) for key in _keys(task, leak) if key is not None}
    near = _near({s.text for some in sources.values() for s in some}, list(texts.values()), similar, embed) if leak == "group" else {}
    found = {
        lesson: next((seen for s in some if (seen := texts.get(plain(s.text)) or keys.get(s.key or "") or near.get(s.text))), None)
        for lesson, some in sources.items()
    }
    return {lesson: seen for lesson, seen in found.items() if seen is not None}


def plain(text: str) -> str:
    """A text without case, white space and punctuation.

    Args:
        text: Of a task.
    """
    return _NO_WORD.sub(" ", text.casefold()).strip() or text.strip()


def check_leak(leak: str) -> None:
    """Refuse what is no way to guard.

    Args:
        leak: As given.

    Raises:
        InvalidInput: It is not known.
    """
    if leak not in LEAKS:
        raise InvalidInput(f"leak={leak!r}; expected 'task' or 'group'")


def _keys(task: PracticeTask, leak: Leak) -> tuple[str | None, ...]:
    """Keys of episodes that are of this task; a task without a family is grouped by its own key, see `PracticeTask.group`."""
    return (task.key, task.group) if leak == "group" else (task.key,)


def _episodes(ledger: Ledger, space: Namespace, ids: set[UUID]) -> Iterable[tuple[UUID, Source]]:
    """Task and key of episodes: those that are judged in one go, the others one by one."""
    judged = [r.episode for r in ledger.rollouts(namespace=space, episodes=ids, trajectories=False, limit=None)] if ids else []
    for episode in judged:
        yield episode.id, Source(episode.task, episode.task_key)
    for at in ids - {episode.id for episode in judged}:
        with suppress(EpisodeNotFound):
            episode = ledger.episode(at, namespace=space)
            yield at, Source(episode.task, episode.task_key)


def _near(sources: set[str], held_out: Sequence[str], similar: float, embed: Embed) -> dict[str, str]:
    """For each source near enough to a held-out task, the nearest."""
    named = sorted(text for text in sources if text.strip())
    if not named:
        return {}
    cosines = embed(named) @ embed(held_out).T
    return {text: held_out[int(row.argmax())] for text, row in zip(named, cosines, strict=True) if row.max() >= similar}
