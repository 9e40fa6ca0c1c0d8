"""The rows of a Chroma collection: each lesson's vectors, written, forgotten and searched.

A row's id is `namespace:lesson_id#n`, with the namespace hashed, so that the ids alone tell what belongs where.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from langchain_reflect.index.base import Hit, IndexEntry, Vector
from langchain_reflect.types import Namespace

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection

T = TypeVar("T")

BATCH: Final = 2000
"""Rows per write to a server; Chroma's own limit is 5461."""
EMBEDDED_BATCH: Final = 50
"""Rows per write to an embedded Chroma. Its core keeps the interpreter's lock throughout, so all threads of the agent stand still."""
_REST: Final = 0.01
"""Seconds between two writes to an embedded Chroma, in which other threads get on."""
IDS_PER_FILTER: Final = 500
"""Lesson ids per `$in` filter; each is a variable of an SQL statement."""


def write(collection: "Collection", entries: Sequence[IndexEntry], *, is_embedded: bool) -> None:
    """Put each lesson's vectors in place of those it had.

    Args:
        collection: Where they are kept.
        entries: The lessons; of one that is named twice, the last holds.
        is_embedded: Whether Chroma runs in this process: it is then given few rows at a time, with rests between.
    """
    batch = EMBEDDED_BATCH if is_embedded else BATCH
    latest = {entry.lesson_id: entry for entry in entries}
    rows = [(_row_id(entry, n), vector, entry) for entry in latest.values() for n, vector in enumerate(entry.vectors)]
    for some in _paced(_chunks(rows, batch), rests=is_embedded):
        collection.upsert(
            ids=[row_id for row_id, _, _ in some],
            embeddings=np.stack([vector for _, vector, _ in some]),
            metadatas=[{"lesson_id": e.lesson_id, "revision": e.revision, "namespace": _hashed(e.namespace)} for _, _, e in some],
        )
    # A lesson that has fewer vectors than before: the new ones are in place, so nothing is missing at any moment.
    kept = {row_id for row_id, _, _ in rows}
    for ids in _chunks(latest, IDS_PER_FILTER):
        stale = set(collection.get(where=_any_lesson(ids), include=[])["ids"]) - kept
        for some_stale in _paced(_chunks(sorted(stale), batch), rests=is_embedded):
            collection.delete(ids=some_stale)


def forget(collection: "Collection", lesson_ids: Iterable[str], *, is_embedded: bool) -> None:
    """Drop all rows of these lessons; unknown ids are passed over."""
    for some in _paced(_chunks(lesson_ids, EMBEDDED_BATCH if is_embedded else IDS_PER_FILTER), rests=is_embedded):
        collection.delete(where=_any_lesson(some))


def nearest(collection: "Collection", vector: Vector, namespace: Namespace, limit: int) -> list[Hit]:
    """The lessons of a namespace that are nearest, best first, each once.

    It is asked without a filter first: Chroma reads all rows that match one before it searches, some 300 ms for 100,000. If too few of what
    is near belong to the namespace, it is a small part of the collection, and a filter is cheap.
    """
    space = _hashed(namespace)
    found = _found(collection, vector, space, limit * 4, where=None)
    rows = limit * 4
    while len(found) < limit:
        found = _found(collection, vector, space, rows, where={"namespace": space})
        if found.rows < rows:
            break
        rows *= 4  # each lesson may have several rows
    hits = [Hit(lesson_id, similarity) for lesson_id, similarity in found.items()]
    return sorted(hits, key=lambda hit: (-hit.similarity, hit.lesson_id))[:limit]


class _Found(dict[str, float]):
    """Lessons of a namespace with the cosine of their nearest row."""

    rows = 0
    """Number of rows that were found, of whatever namespace."""


def _found(collection: "Collection", vector: Vector, space: str, rows: int, where: Any) -> _Found:
    asked: list[Sequence[float]] = [vector.tolist()]
    answer = collection.query(query_embeddings=asked, n_results=rows, where=where, include=["distances"])
    ids, distances = answer["ids"][0], (answer["distances"] or [[]])[0]
    found = _Found()
    found.rows = len(ids)
    for row_id, distance in zip(ids, distances, strict=True):
        own, _, lesson = row_id.partition(":")
        if own == space:
            found.setdefault(lesson.rpartition("#")[0], min(1.0, max(-1.0, 1.0 - distance)))
    return found


def _hashed(namespace: Namespace) -> str:
    return hashlib.sha256(json.dumps(namespace).encode()).hexdigest()[:32]


def _row_id(entry: IndexEntry, number: int) -> str:
    return f"{_hashed(entry.namespace)}:{entry.lesson_id}#{number}"


def _any_lesson(lesson_ids: Sequence[str]) -> Any:
    return {"lesson_id": {"$in": list(lesson_ids)}}


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while some := list(islice(remaining, size)):
        yield some


def _paced(items: Iterable[T], *, rests: bool) -> Iterator[T]:
    """The items, with a rest between each and the next if wanted."""
    for number, item in enumerate(items):
        if rests and number:
            time.sleep(_REST)
        yield item
