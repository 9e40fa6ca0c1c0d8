"""What becomes of lessons when the judgements that they rest on no longer count."""

from collections.abc import Collection, Sequence
from uuid import UUID

from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.types import SERVABLE, Lesson, Namespace


def quarantine_unsupported(book: LessonBook, episodes: Collection[UUID], *, namespace: Namespace, reason: str) -> Sequence[Lesson]:
    """Stop serving lessons none of whose evidence is judged any more.

    Args:
        book: The lessons.
        episodes: Episodes that lost judgements.
        namespace: Of both.
        reason: For their history.

    Returns:
        The lessons, now `quarantined`.
    """
    lost = set(episodes)
    touched = [lesson for lesson in book.list(namespace, status=SERVABLE) if lost & set(lesson.evidence)]
    evidence = {i for lesson in touched for i in lesson.evidence}
    judged = (
        {r.episode.id for r in book.ledger.rollouts(namespace=namespace, episodes=evidence, trajectories=False, limit=None)}
        if evidence
        else set()
    )
    gone = [lesson for lesson in touched if not judged & set(lesson.evidence)]
    return [book.quarantine(lesson.id, reason=reason, by="revocation", namespace=namespace) for lesson in gone]
