"""Rows of reviews: questions to a person about lessons."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select, update

from langchain_reflect.errors import ReviewNotFound
from langchain_reflect.ledger import tables
from langchain_reflect.types import Namespace, Review, ReviewState


def append(connection: Connection, asked: Sequence[Review]) -> None:
    """Keep reviews; the same question again, however it was answered, is not asked twice."""
    insert = tables.insert(connection.dialect.name)
    for review in asked:
        if connection.execute(insert(tables.reviews).on_conflict_do_nothing(), _row(review)).rowcount:
            edges = [{"review_id": review.id, "lesson_id": lesson_id} for lesson_id in dict.fromkeys(review.lessons)]
            connection.execute(tables.review_lessons.insert(), edges)


def find(
    connection: Connection,
    *,
    namespace: Namespace | None,
    state: ReviewState | None,
    lesson_id: str | None,
    ids: Collection[str] | None,
    limit: int | None,
) -> list[Review]:
    """Reviews that match, oldest first."""
    table = tables.reviews.c
    query = select(table.body).order_by(table.at, table.id).limit(limit)
    if namespace is not None:
        query = query.where(table.namespace == namespace)
    if state is not None:
        query = query.where(table.state == state)
    if lesson_id is not None:
        edges = tables.review_lessons.c
        query = query.where(table.id.in_(select(edges.review_id).where(edges.lesson_id == lesson_id)))
    if ids is not None:
        query = query.where(table.id.in_(list(ids)))
    return [Review.model_validate(body) for body in connection.execute(query).scalars()]


def one(connection: Connection, review_id: str, namespace: Namespace) -> Review:
    """One review; that of another namespace answers like an unknown one."""
    found = find(connection, namespace=namespace, state=None, lesson_id=None, ids=[review_id], limit=None)
    if not found:
        raise ReviewNotFound(f"no review {review_id!r} in namespace {'/'.join(namespace)!r}; `reflect lessons reviews` lists them")
    return found[0]


def decide(connection: Connection, review: Review) -> bool:
    """Keep the decision of a review that was open; returns whether it still was."""
    table = tables.reviews
    still = (table.c.id == review.id, table.c.namespace == review.namespace, table.c.state == "open")
    return connection.execute(update(table).where(*still).values(_row(review))).rowcount == 1


def is_kept(connection: Connection, review: Review) -> bool:
    """Whether exactly this decision is kept already."""
    return find(connection, namespace=review.namespace, state=None, lesson_id=None, ids=[review.id], limit=None) == [review]


def erase(connection: Connection, *, actors: Collection[str], lessons: Collection[str]) -> None:
    """Reviews that these reflections asked for, or that are about these lessons, go: they quote what is erased."""
    table, edges = tables.reviews.c, tables.review_lessons.c
    about = select(edges.review_id).where(edges.lesson_id.in_(list(lessons)))
    ids = list(connection.execute(select(table.id).where(table.actor.in_(list(actors)) | table.id.in_(about))).scalars())
    connection.execute(delete(tables.review_lessons).where(edges.review_id.in_(ids)))
    connection.execute(delete(tables.reviews).where(table.id.in_(ids)))


def _row(review: Review) -> dict[str, Any]:
    said = {"id": review.id, "namespace": review.namespace, "state": review.state, "at": review.at, "actor": review.actor}
    return {**said, "body": review.model_dump(mode="json")}
