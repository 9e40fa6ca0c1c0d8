"""Rows of vectors: one belongs to a text and an embedder, not to a lesson, so nothing is ever embedded twice.

A reworded lesson brings new texts, a restored one finds its vectors again.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, and_, delete, exists, select, update

from langchain_reflect.ledger import lessons, tables
from langchain_reflect.types import Lesson, LessonStatus, Namespace

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LessonVectors:
    """The vectors of one lesson: its text first, then its source tasks."""

    lesson_id: str
    revision: int
    namespace: Namespace
    status: LessonStatus
    vectors: "Vector"
    """Shape (n, dimension), n >= 1, rows of length 1."""


def put_vectors(connection: Connection, embedder: str, vectors: "Mapping[str, Vector]") -> None:
    """Keep the vectors of texts."""
    import numpy as np  # here, because a process that only records outcomes needs no vectors

    insert = tables.insert(connection.dialect.name)
    rows = [{"text_hash": lessons.text_hash(t), "embedder": embedder, "data": np.asarray(v, "<f4").tobytes()} for t, v in vectors.items()]
    connection.execute(insert(tables.vectors).on_conflict_do_nothing(), rows)


def adopt_vectors(connection: Connection, embedder: str, *, made_as: str, since: int, meta: Mapping[str, str]) -> bool:
    """Make the vectors that were put under another name those of an embedder, and keep small values with that.

    Takes a new version of the book, so that everybody looks again.

    Returns:
        False, and only the version is new, if lessons changed since.
    """
    if lessons.next_version(connection) != since + 1:
        return False
    table, insert = tables.vectors, tables.insert(connection.dialect.name)
    if made_as != embedder:
        connection.execute(delete(table).where(table.c.embedder == embedder))
        connection.execute(update(table).where(table.c.embedder == made_as).values(embedder=embedder))
    for key, value in meta.items():
        put = insert(tables.meta).values(key=key, value=value)
        connection.execute(put.on_conflict_do_update(index_elements=["key"], set_={"value": put.excluded["value"]}))
    return True


def drop_vectors(connection: Connection, embedder: str | None, but: str | None) -> int:
    """Delete the vectors of an embedder, or of all but one; how many there were."""
    column = tables.vectors.c.embedder
    return connection.execute(delete(tables.vectors).where(column == embedder if but is None else column != but)).rowcount


def drop_unused_vectors(connection: Connection, texts: Iterable[str]) -> int:
    """Delete the vectors of those of the texts that no lesson says; how many there were."""
    hashes = [lessons.text_hash(text) for text in texts]
    unused = ~exists().where(tables.lesson_texts.c.text_hash == tables.vectors.c.text_hash)
    dropped = 0
    for start in range(0, len(hashes), 500):
        some = tables.vectors.c.text_hash.in_(hashes[start : start + 500])
        dropped += connection.execute(delete(tables.vectors).where(some, unused)).rowcount
    return dropped


def missing_texts(connection: Connection, embedder: str, of: Iterable[Lesson]) -> list[str]:
    """Texts of these lessons that have no vector by this embedder yet."""
    texts = {lessons.text_hash(text): text for lesson in of for text in lessons.texts_of(lesson)}
    hashes = list(texts)
    for start in range(0, len(hashes), 500):
        query = select(tables.vectors.c.text_hash).where(
            tables.vectors.c.embedder == embedder, tables.vectors.c.text_hash.in_(hashes[start : start + 500])
        )
        for known in connection.execute(query).scalars():
            del texts[known]
    return list(texts.values())


def unembedded(
    connection: Connection,
    embedder: str,
    *,
    namespace: Namespace,
    statuses: Collection[LessonStatus],
    ids: Collection[str] | None = None,
) -> list[str]:
    """Ids of the lessons that match and have a text without a vector by this embedder."""
    query = (
        select(tables.lessons.c.id)
        .distinct()
        .join(tables.lesson_texts, tables.lesson_texts.c.lesson_id == tables.lessons.c.id)
        .outerjoin(
            tables.vectors, and_(tables.vectors.c.text_hash == tables.lesson_texts.c.text_hash, tables.vectors.c.embedder == embedder)
        )
        .where(tables.vectors.c.text_hash.is_(None), *lessons.conditions(namespace, statuses, ids))
    )
    return list(connection.execute(query).scalars())


def text_vectors(connection: Connection, embedder: str, texts: Iterable[str]) -> "dict[str, Vector]":
    """The vectors that are kept of these texts."""
    import numpy as np  # as in `put_vectors`

    named = {lessons.text_hash(text): text for text in texts}
    hashes, table = list(named), tables.vectors.c
    found: dict[str, Vector] = {}
    for start in range(0, len(hashes), 500):
        query = select(table.text_hash, table.data).where(table.embedder == embedder, table.text_hash.in_(hashes[start : start + 500]))
        found |= {named[row.text_hash]: np.frombuffer(row.data, "<f4") for row in connection.execute(query)}
    return found


def read_vectors(
    connection: Connection,
    embedder: str,
    *,
    namespace: Namespace | None,
    statuses: Collection[LessonStatus] | None,
    ids: Collection[str] | None,
) -> list[LessonVectors]:
    """Vectors of the lessons that match; lessons without any are left out."""
    import numpy as np  # as in `put_vectors`

    said = tables.lessons.c
    query = _with_data(said.id, said.revision, said.namespace, said.status, embedder=embedder)
    query = query.where(*lessons.conditions(namespace, statuses, ids))
    found: dict[str, tuple[Any, list[Vector]]] = {}
    for row in connection.execute(query):
        found.setdefault(row.id, (row, []))[1].append(np.frombuffer(row.data, "<f4"))
    return [LessonVectors(row.id, row.revision, row.namespace, row.status, np.stack(rows)) for row, rows in found.values()]


def bare_vectors(
    connection: Connection,
    embedder: str,
    *,
    namespace: Namespace,
    statuses: Collection[LessonStatus],
    ids: Collection[str] | None,
) -> "list[tuple[str, Vector]]":
    """Id and vectors of the lessons that match, by id, as `read_vectors` reads them, and nothing else of each."""
    import numpy as np  # as in `put_vectors`

    query = _with_data(tables.lessons.c.id, embedder=embedder).where(*lessons.conditions(namespace, statuses, ids))
    found: dict[str, bytes] = {}
    sizes: dict[str, int] = {}
    for lesson_id, data in connection.execute(query):
        sizes[lesson_id] = sizes.get(lesson_id, 0) + 1
        found[lesson_id] = found[lesson_id] + data if lesson_id in found else data
    return [(lesson_id, np.frombuffer(data, "<f4").reshape(sizes[lesson_id], -1)) for lesson_id, data in found.items()]


def _with_data(*columns: Any, embedder: str) -> Any:
    """Columns of lessons, and their vectors by an embedder, a row each, in order."""
    return (
        select(*columns, tables.vectors.c.data)
        .join(tables.lesson_texts, tables.lesson_texts.c.lesson_id == tables.lessons.c.id)
        .join(tables.vectors, and_(tables.vectors.c.text_hash == tables.lesson_texts.c.text_hash, tables.vectors.c.embedder == embedder))
        .order_by(tables.lessons.c.id, tables.lesson_texts.c.position)
    )
