"""Methods about lessons and their vectors. The lesson book (`lessons/book.py`) is who changes lessons."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select

from langchain_reflect.errors import RevisionConflict
from langchain_reflect.ledger import claims, facts, lessons, reviews, tables, tombs
from langchain_reflect.ledger import vectors as kept
from langchain_reflect.ledger.claims import Closing
from langchain_reflect.ledger.facts import LessonFacts
from langchain_reflect.ledger.methods.base import Methods
from langchain_reflect.ledger.vectors import LessonVectors
from langchain_reflect.types import Lesson, LessonStatus, Namespace, Review, ReviewState, Revision

if TYPE_CHECKING:
    from langchain_reflect.ledger.vectors import Vector


class LessonMethods(Methods):
    """Keep lessons, their revisions and vectors."""

    def append_revisions(
        self,
        revisions: Sequence[Revision],
        *,
        asked: Sequence[Review] = (),
        decided: Sequence[Review] = (),
        closing: Closing | None = None,
        since: int | None = None,
    ) -> None:
        """Apply changes to lessons, all or none.

        Args:
            revisions: The changes.
            asked: Reviews that wait for a person.
            decided: Reviews that were open, with their decisions.
            closing: Of the reflection that made them, written in the same transaction.
            since: Version of the book that the changes were made for; None: does not matter.

        Raises:
            BookChanged: Somebody changed a lesson of their namespace since.
            RevisionConflict: Somebody else changed one of the lessons, or decided one of the reviews, meanwhile.
            ClaimLost: Somebody else took over what the reflection was about.
        """
        if revisions or asked or decided or closing is not None:
            self._write(_append, revisions, asked, decided, closing=closing, since=since)

    def lesson(self, lesson_id: str, *, namespace: Namespace | None = None) -> Lesson:
        """One lesson of a namespace (default the ledger's own).

        Raises:
            LessonNotFound: The id is unknown in the namespace.
        """
        return self._read(lessons.one, lesson_id, self._space(namespace))

    def lessons(
        self,
        *,
        namespace: Namespace | None = None,
        statuses: Collection[LessonStatus] | None = None,
        ids: Collection[str] | None = None,
        limit: int | None = None,
    ) -> list[Lesson]:
        """Lessons that match all that is given, by id."""
        rows = self._database.glance(lessons.BODIES, (json.dumps(list(ids)),)) if ids is not None and limit is None else None
        if rows is not None:
            return lessons.matching(rows, None if namespace is None else self._space(namespace), statuses)
        return self._read(lessons.find, namespace=namespace, statuses=statuses, ids=ids, limit=limit)

    def lesson_texts(
        self, *, namespace: Namespace, statuses: Collection[LessonStatus], ids: Collection[str] | None = None
    ) -> list[tuple[str, str]]:
        """Id and words of the lessons that match: title, condition, advice and the tasks each came from, a line each."""
        return self._read(lessons.said, namespace=self._space(namespace), statuses=statuses, ids=ids)

    def lesson_count(self, *, namespace: Namespace, statuses: Collection[LessonStatus]) -> int:
        """Number of lessons of a namespace that have one of these statuses."""
        return self._read(lessons.count, namespace, statuses)

    def revisions(self, lesson_id: str, *, namespace: Namespace | None = None) -> list[Revision]:
        """All revisions of a lesson of a namespace, oldest first; empty if the id is unknown there."""
        return self._read(lessons.history, lesson_id, self._space(namespace))

    def journal(
        self,
        *,
        namespace: Namespace | None = None,
        actor: str | None = None,
        until: datetime | None = None,
        after: Revision | None = None,
        limit: int | None = None,
    ) -> list[Revision]:
        """Revisions of all lessons in the order in which they were made.

        Args:
            namespace: Only this one; default all.
            actor: Only those made by it, such as a reflection's id.
            until: Only those made by then.
            after: Only those that come after this one of the journal, to read it page by page.
            limit: Most revisions.
        """
        return self._read(lessons.journal, namespace, actor=actor, until=until, after=after, limit=limit)

    def reviews(
        self,
        *,
        namespace: Namespace | None = None,
        state: ReviewState | None = "open",
        lesson_id: str | None = None,
        ids: Collection[str] | None = None,
        limit: int | None = None,
    ) -> list[Review]:
        """Reviews that match, oldest first; by default those that wait for a decision.

        Args:
            namespace: Only this one; default all.
            state: None: whatever was decided.
            lesson_id: Only those about this lesson.
            ids: Only these.
            limit: Most reviews.
        """
        return self._read(reviews.find, namespace=namespace, state=state, lesson_id=lesson_id, ids=ids, limit=limit)

    def review(self, review_id: str, *, namespace: Namespace | None = None) -> Review:
        """One review of a namespace (default the ledger's own).

        Raises:
            ReviewNotFound: The id is unknown in the namespace.
        """
        return self._read(reviews.one, review_id, self._space(namespace))

    def decide(self, review: Review, revisions: Sequence[Revision] = ()) -> bool:
        """Keep a review's decision with the changes that follow from it; returns False, and changes nothing, if it was decided before."""
        return self._write(_decide, review, revisions)

    def is_erased(self, lesson_id: str, *, namespace: Namespace | None = None) -> bool:
        """Whether a lesson of a namespace (default the ledger's own) was erased on request, and stays out."""
        return self._read(tombs.is_set, tombs.of_lesson(self._space(namespace), lesson_id))

    def knows_reflection(self, reflection_id: str, *, namespace: Namespace | None = None) -> bool:
        """Whether a namespace (default the ledger's own) has the report of a reflection or consolidation."""
        table = tables.reflections.c
        query = select(table.id).where(table.id == reflection_id, table.namespace == self._space(namespace))
        return self._read(lambda c: c.execute(query).first() is not None)

    def lesson_facts(self, *, namespace: Namespace | None = None) -> LessonFacts:
        """What is known of lessons beyond themselves, of one namespace or of all: how often they were shown, and what they rest on."""
        return self._read(facts.of_lessons, namespace)

    def missing_texts(self, embedder: str, of: Iterable[Lesson]) -> list[str]:
        """Texts of these lessons that have no vector by this embedder yet."""
        return self._read(kept.missing_texts, embedder, list(of))

    def unembedded(
        self, embedder: str, *, namespace: Namespace, statuses: Collection[LessonStatus], ids: Collection[str] | None = None
    ) -> list[str]:
        """Ids of the lessons that match and have a text without a vector by this embedder."""
        return self._read(kept.unembedded, embedder, namespace=namespace, statuses=statuses, ids=ids)

    def put_vectors(self, embedder: str, vectors: "Mapping[str, Vector]") -> None:
        """Keep the vectors of texts; known ones stay as they are."""
        if vectors:
            self._write(kept.put_vectors, embedder, vectors)

    def adopt_vectors(self, embedder: str, *, made_as: str, since: int, meta: Mapping[str, str]) -> bool:
        """Make the vectors that were put under another name those of an embedder, and keep small values, all at once.

        Args:
            embedder: Whose vectors they become.
            made_as: The name that they were put under; may be the embedder's own.
            since: Version of the book that they are complete for.
            meta: Kept beside the data, see `set_meta`.

        Returns:
            False, and nothing is adopted, if lessons changed since.
        """
        return self._write(kept.adopt_vectors, embedder, made_as=made_as, since=since, meta=meta)

    def drop_vectors(self, embedder: str | None = None, *, but: str | None = None) -> int:
        """Delete the vectors of an embedder, or of all `but` one; how many there were."""
        return self._write(kept.drop_vectors, embedder, but)

    def text_vectors(self, embedder: str, texts: Iterable[str]) -> "dict[str, Vector]":
        """The vectors that are kept of these texts; others are left out."""
        return self._read(kept.text_vectors, embedder, list(texts))

    def vectors(
        self,
        embedder: str,
        *,
        namespace: Namespace | None = None,
        statuses: Collection[LessonStatus] | None = None,
        ids: Collection[str] | None = None,
    ) -> list[LessonVectors]:
        """Vectors of the lessons that match."""
        return self._read(kept.read_vectors, embedder, namespace=namespace, statuses=statuses, ids=ids)

    def lesson_vectors(
        self, embedder: str, *, namespace: Namespace, statuses: Collection[LessonStatus], ids: Collection[str] | None = None
    ) -> "list[tuple[str, Vector]]":
        """Id and vectors of the lessons that match, by id: what `vectors` tells, without what else it tells."""
        return self._read(kept.bare_vectors, embedder, namespace=self._space(namespace), statuses=statuses, ids=ids)

    def lessons_version(self) -> int:
        """A number that grows whenever lessons change, by whatever process."""
        rows = self._database.glance(lessons.VERSION)
        return self._read(lessons.version_of) if rows is None else int(rows[0][0]) if rows else 0

    def lessons_changed_since(self, version: int, *, namespace: Namespace | None = None) -> tuple[int, list[str]]:
        """The version of the book, and the ids of the lessons, of one namespace or of all, that changed after the given one."""
        only = None if namespace is None else self._space(namespace)
        return self._read(lambda c: (lessons.version_of(c), lessons.changed_since(c, version, only)))


def _append(
    connection: Connection,
    revisions: Sequence[Revision],
    asked: Sequence[Review],
    decided: Sequence[Review],
    *,
    closing: Closing | None,
    since: int | None,
) -> None:
    if closing is not None and claims.is_closed(connection, closing.report.id):
        return  # the answer to the same commit got lost
    for review in decided:
        if not reviews.decide(connection, review) and not reviews.is_kept(connection, review):
            raise RevisionConflict(f"review {review.id!r} was decided by somebody else meanwhile; read it again and retry")
    if revisions:
        lessons.append(connection, revisions, since=since)
    if asked:
        reviews.append(connection, asked)
    if closing is not None:
        claims.close(connection, closing)


def _decide(connection: Connection, review: Review, revisions: Sequence[Revision]) -> bool:
    if not reviews.decide(connection, review):
        return reviews.is_kept(connection, review)  # the answer to the same decision may have got lost
    if revisions:
        lessons.append(connection, revisions)
    return True
