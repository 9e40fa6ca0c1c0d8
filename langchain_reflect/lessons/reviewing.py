"""Which edits of a model wait for a person, and the questions that are asked then. Pure.

A model may only add support to a lesson whose wording a person approved. Whatever else it wants becomes an open review, as do edits that
would serve what is quarantined, and where `review="required"` those that change a served lesson's words or status.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from langchain_reflect.errors import InvalidInput
from langchain_reflect.lessons.edits import named
from langchain_reflect.types import SERVABLE, Lesson, LessonEdit, Namespace, Review, ReviewState, Revision


def why_waits(made: Sequence[Revision], heads: Mapping[str, Lesson], *, required: bool) -> str | None:
    """Why a model may not make an edit by itself, or None if it may.

    Args:
        made: The revisions that the edit would make.
        heads: The lessons as they are before it; one that is missing here is added.
        required: Whether a person reviews all changes of what is served.
    """
    pairs = [(heads[r.lesson.id], r.lesson) for r in made if r.lesson.id in heads]
    return next((why for before, after in pairs if (why := _why(before, after, required=required))), None)


def edit_review(edit: LessonEdit, heads: Mapping[str, Lesson], *, asks: Mapping[str, Any], attempt: int = 0) -> Review:
    """The question whether an edit may be made.

    Its id comes from what would change and from the lessons' present words: the same question is asked once, whoever asks.

    Args:
        edit: What waits.
        heads: The lessons that it names.
        asks: Namespace, actor, reason and time of the review.
        attempt: Counts how often the same question was approved before, and is asked again.
    """
    wanted = edit.model_dump_json(exclude={"name", "evidence", "tasks", "reason", "expected"})
    words = [heads[i].text.model_dump_json() for i in named(edit)]
    review_id = _id("edit", asks["namespace"], wanted, *words, str(attempt))
    return Review(id=review_id, kind="edit", lessons=tuple(named(edit)), edit=edit, **asks)


def contradiction(edit: LessonEdit, *, asks: Mapping[str, Any]) -> Review:
    """The question which of several lessons is true; the same one whatever the order in which they are named.

    Args:
        edit: Of kind `contradict`.
        asks: Namespace, actor, reason and time of the review.
    """
    sides = tuple(sorted(set(named(edit))))
    return Review(id=_id("contradiction", asks["namespace"], *sides), kind="contradiction", lessons=sides, edit=edit, **asks)


def decided(review: Review, state: ReviewState, *, by: str, reason: str, at: datetime) -> Review:
    """A review after its decision.

    Raises:
        InvalidInput: It was decided before.
    """
    if review.state != "open":
        when = f" on {review.decided_at:%Y-%m-%d %H:%M} UTC" if review.decided_at else ""
        raise InvalidInput(f"review {review.id!r} was {review.state} by {review.by!r}{when}: {review.answer or 'no reason given'}")
    return review.model_copy(update={"state": state, "by": by, "answer": reason, "decided_at": at})


def _why(before: Lesson, after: Lesson, *, required: bool) -> str | None:
    if after.text == before.text and after.status == before.status:
        return None
    if before.approved_by:
        return f"{before.id} was approved by {before.approved_by}"
    if before.status == "quarantined" and after.status in SERVABLE:
        return f"{before.id} is quarantined"
    is_served = before.status in SERVABLE or after.status in SERVABLE
    return f"a person reviews what is served, as {before.id}" if required and is_served else None


def _id(kind: str, namespace: Namespace, *parts: str) -> str:
    said = "\0".join((kind, repr(namespace), *parts))
    return f"V-{hashlib.sha256(said.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
