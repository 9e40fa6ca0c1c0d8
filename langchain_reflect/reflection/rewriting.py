"""A change of a lesson, made again on the lesson as it is elsewhere. Pure."""

from datetime import datetime
from typing import Any, Final

from langchain_reflect.types import Lesson, Revision

_OWN: Final = frozenset({"id", "namespace", "revision", "updated_at", "created_at", "origin", "evidence", "tasks"})
"""Fields that are a lesson's own, or are treated as lists."""


def remade(revision: Revision, had: Lesson | None, head: Lesson | None) -> Revision | None:
    """The same change on another lesson.

    Args:
        revision: As it was made.
        had: The lesson before it; None if the revision added it.
        head: The lesson as it is where the change is made again; None if it is not there.

    Returns:
        The revision to make; None if there is nothing to change.
    """
    if head is None:
        return revision.model_copy(update={"lesson": revision.lesson.model_copy(update={"revision": 1})}) if had is None else None
    if had is None:
        return None
    lesson = head.model_copy(update={**_changed(had, revision.lesson, head), "revision": head.revision + 1, "updated_at": revision.at})
    if had.model_copy(update={"revision": head.revision}) == head:
        lesson = revision.lesson.model_copy(update={"revision": head.revision + 1})
    return revision.model_copy(update={"lesson": lesson})


def rewritten(before: Lesson | None, after: Lesson | None, *, actor: str, reason: str, at: datetime) -> Revision:
    """The revision that makes one lesson into the other.

    Args:
        before: As it is; None if there is none.
        after: As it is to be; None: it is retired.
        actor: Who does so.
        reason: Why.
        at: When.
    """
    if before is None:
        assert after is not None, "there is nothing to write"
        return Revision(lesson=after.model_copy(update={"revision": 1}), kind="add", actor=actor, reason=reason, at=at)
    kept = before.model_copy(update={"status": "retired"}) if after is None else after
    lesson = kept.model_copy(update={"revision": before.revision + 1, "updated_at": at, "created_at": before.created_at})
    kind = "retire" if after is None else "revise" if before.text != kept.text else "status" if before.status != kept.status else "merge"
    return Revision(lesson=lesson, kind=kind, actor=actor, reason=reason, at=at)


def _changed(had: Lesson, lesson: Lesson, head: Lesson) -> dict[str, Any]:
    """The fields that the change gave another value; of lists, what it added and what it took away."""
    plain = [name for name in Lesson.model_fields if name not in _OWN]
    fields: dict[str, Any] = {n: getattr(lesson, n) for n in plain if getattr(lesson, n) != getattr(had, n)}
    for name in ("evidence", "tasks"):
        was, now_is, here = (getattr(x, name) for x in (had, lesson, head))
        kept = [x for x in here if x in now_is or x not in was]
        fields[name] = tuple(dict.fromkeys([*kept, *(x for x in now_is if x not in was)]))
    return fields
