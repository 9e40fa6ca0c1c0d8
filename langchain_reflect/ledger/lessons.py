"""Rows of lessons: revisions, the book folded from them, and vectors.

A vector belongs to a text and an embedder, not to a lesson, so nothing is ever embedded twice: a reworded lesson brings new
texts, a restored one finds its vectors again.

Every change gets a number from one counter, the version of the book. Taking a number locks the counter until the commit, so
numbers become visible in their order, and each index can remember how far it has read.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Integer, Text, and_, bindparam, cast, delete, exists, func, select, tuple_, update

from langchain_reflect.errors import BookChanged, InvalidInput, LessonNotFound, RevisionConflict
from langchain_reflect.ledger import tables, tombs
from langchain_reflect.ledger.columns import NamespaceText
from langchain_reflect.types import Lesson, LessonStatus, Namespace, Revision

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vector = npt.NDArray[np.float32]

_VERSION_KEY: Final = "lessons_version"


@dataclass(frozen=True, slots=True)
class LessonVectors:
    """The vectors of one lesson: its text first, then its source tasks."""

    lesson_id: str
    revision: int
    namespace: Namespace
    status: LessonStatus
    vectors: "Vector"
    """Shape (n, dimension), n >= 1, rows of length 1."""


def texts_of(lesson: Lesson) -> list[str]:
    """The texts by which a lesson is found: condition and advice first, then the tasks it came from."""
    return list(dict.fromkeys([lesson.key_text(), *lesson.tasks]))


def text_hash(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def append(connection: Connection, revisions: Sequence[Revision], *, since: int | None = None) -> None:
    """Keep revisions and refresh the folded lessons.

    Args:
        connection: Of a write transaction.
        revisions: At least one; with `since`, of one namespace.
        since: Version of the book that they were made for: nobody may have changed a lesson of the namespace since. None: does not matter.

    Raises:
        BookChanged: Somebody has.
        RevisionConflict: A revision does not follow the last one of its lesson, because somebody else changed the lesson meanwhile.
        InvalidInput: The lesson was erased.
    """
    version = next_version(connection)
    if since is not None and _has_changed(connection, revisions[0].lesson.namespace, since):
        if all(_is_kept(connection, revision) for revision in revisions):
            return  # the answer to the same commit got lost
        raise BookChanged(f"lessons of namespace {revisions[0].lesson.namespace!r} changed since version {since}; compare with them again")
    for revision in revisions:
        lesson = revision.lesson
        found = connection.execute(_HEAD, {"lesson": lesson.id}).first()
        is_foreign = found is not None and found.namespace != lesson.namespace
        head = 0 if found is None or is_foreign else found.revision
        if lesson.revision != head + 1:
            if _is_kept(connection, revision):
                continue  # the answer to the same commit got lost
            raise RevisionConflict(f"lesson {lesson.id!r} is at revision {head}, {lesson.revision} cannot follow; read it again and retry")
        if is_foreign:
            raise InvalidInput(f"the id {lesson.id!r} cannot be used in namespace {lesson.namespace!r}; give each lesson an id of its own")
        if head == 0 and tombs.is_set(connection, tombs.of_lesson(lesson.namespace, lesson.id)):
            raise InvalidInput(f"lesson {lesson.id!r} was erased and stays erased; add it with another wording")
        row = _row(revision)
        connection.execute(_ADD, row | {"version": version})
        _put_head(connection, lesson, version, row["body"])


def _has_changed(connection: Connection, namespace: Namespace, since: int) -> bool:
    table = tables.lessons.c
    changed = select(table.id).where(table.namespace == namespace, table.version > since).limit(1)
    return connection.execute(changed).first() is not None


def _row(revision: Revision) -> dict[str, Any]:
    said = {"kind": revision.kind, "actor": revision.actor, "reason": revision.reason, "at": revision.at}
    body = revision.lesson.model_dump(mode="json")
    return {"lesson_id": revision.lesson.id, "revision": revision.lesson.revision, **said, "body": body}


def _is_kept(connection: Connection, revision: Revision) -> bool:
    kept = history(connection, revision.lesson.id, revision.lesson.namespace)
    return any(known.model_copy(update={"version": revision.version}) == revision for known in kept)


def put_head(connection: Connection, lesson: Lesson, version: int) -> None:
    """Refresh what is folded from a lesson's revisions."""
    _put_head(connection, lesson, version, lesson.model_dump(mode="json"))


def _put_head(connection: Connection, lesson: Lesson, version: int, body: Any) -> None:
    said = {"namespace": lesson.namespace, "status": lesson.status, "revision": lesson.revision, "version": version, "body": body}
    connection.execute(_put(connection.dialect.name), {"id": lesson.id} | said)
    hashes = [text_hash(text) for text in texts_of(lesson)]
    if list(connection.execute(_TEXTS, {"lesson": lesson.id}).scalars()) != hashes:
        connection.execute(delete(tables.lesson_texts).where(tables.lesson_texts.c.lesson_id == lesson.id))
        rows = [{"lesson_id": lesson.id, "position": i, "text_hash": text} for i, text in enumerate(hashes)]
        connection.execute(tables.lesson_texts.insert(), rows)
    put_evidence(connection, lesson)


def put_evidence(connection: Connection, lesson: Lesson) -> None:
    """Keep which episodes a lesson rests on, to be found from either end."""
    evidence = set(lesson.evidence)
    if set(connection.execute(_EVIDENCE, {"lesson": lesson.id}).scalars()) == evidence:
        return
    connection.execute(delete(tables.evidence).where(tables.evidence.c.lesson_id == lesson.id))
    if evidence:
        connection.execute(tables.evidence.insert(), [{"lesson_id": lesson.id, "episode_id": episode_id} for episode_id in evidence])


# Statements of a lesson edit. To build one takes longer than to run it, so each is built once.

_HEAD: Final = select(tables.lessons.c.revision, tables.lessons.c.namespace).where(tables.lessons.c.id == bindparam("lesson"))
_ADD: Final = tables.revisions.insert()
_TEXTS: Final = (
    select(tables.lesson_texts.c.text_hash)
    .where(tables.lesson_texts.c.lesson_id == bindparam("lesson"))
    .order_by(tables.lesson_texts.c.position)
)
_EVIDENCE: Final = select(tables.evidence.c.episode_id).where(tables.evidence.c.lesson_id == bindparam("lesson"))


@cache
def _put(dialect: str) -> Any:
    statement = tables.insert(dialect)(tables.lessons)
    changed = ("namespace", "status", "revision", "version", "body")
    return statement.on_conflict_do_update(index_elements=["id"], set_={name: statement.excluded[name] for name in changed})


@cache
def _count_up(dialect: str) -> Any:
    first = tables.insert(dialect)(tables.meta).values(key=_VERSION_KEY, value="1")
    following = cast(cast(tables.meta.c.value, Integer) + 1, Text)
    return first.on_conflict_do_update(index_elements=["key"], set_={"value": following}).returning(tables.meta.c.value)


def version_of(connection: Connection) -> int:
    """The version of the book, 0 while it is empty."""
    return int(connection.exec_driver_sql(VERSION).scalar() or 0)


VERSION: Final = f"SELECT value FROM {tables.meta.fullname} WHERE key = '{_VERSION_KEY}'"  # noqa: S608 - names of our own
"""Asked at each recall, so it is put together once."""


def changed_since(connection: Connection, version: int, namespace: Namespace | None = None) -> list[str]:
    """Ids of the lessons, of one namespace or of all, that changed after this version of the book."""
    query = select(tables.lessons.c.id).where(tables.lessons.c.version > version, *_conditions(namespace, None, None))
    return list(connection.execute(query).scalars())


def next_version(connection: Connection) -> int:
    """Take the next version of the book; nobody else can until this transaction ends."""
    return int(connection.execute(_count_up(connection.dialect.name)).scalar_one())


def find(
    connection: Connection,
    *,
    namespace: Namespace | None,
    statuses: Collection[LessonStatus] | None,
    ids: Collection[str] | None,
    limit: int | None,
) -> list[Lesson]:
    """Lessons that match, by id."""
    query = select(tables.lessons.c.body).order_by(tables.lessons.c.id)
    for condition in _conditions(namespace, statuses, ids):
        query = query.where(condition)
    if limit is not None:
        query = query.limit(limit)
    return [Lesson.model_validate(body) for body in connection.execute(query).scalars()]


BODIES: Final = f"SELECT body FROM {tables.lessons.fullname} WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"  # noqa: S608 - as `VERSION`
"""Of lessons by id, in SQLite's SQL; each recall may read some."""


def matching(rows: Iterable[Sequence[str]], namespace: Namespace | None, statuses: Collection[LessonStatus] | None) -> list[Lesson]:
    """Those of the lessons in rows of `BODIES` that are of a namespace and have one of these statuses; None: any."""
    found = [Lesson.model_validate(json.loads(body)) for (body,) in rows]
    return [
        lesson
        for lesson in found
        if (namespace is None or lesson.namespace == namespace) and (statuses is None or lesson.status in statuses)
    ]


def said(
    connection: Connection, *, namespace: Namespace, statuses: Collection[LessonStatus], ids: Collection[str] | None
) -> list[tuple[str, str]]:
    """Id and words of the lessons that match: title, condition, advice and the tasks each came from, a line each."""
    query = select(tables.lessons.c.id, tables.lessons.c.body).where(*_conditions(namespace, statuses, ids))
    rows = connection.execute(query)
    # Unchecked, because they were checked when they were written, and this reads a whole namespace.
    return [(i, "\n".join((body.get("title", ""), body["when"], body["do"], *body.get("tasks", ())))) for i, body in rows]


def count(connection: Connection, namespace: Namespace, statuses: Collection[LessonStatus]) -> int:
    """Number of lessons of a namespace that have one of these statuses."""
    query = select(func.count()).select_from(tables.lessons).where(*_conditions(namespace, statuses, None))
    return int(connection.execute(query).scalar_one())


def one(connection: Connection, lesson_id: str, namespace: Namespace) -> Lesson:
    """One lesson; a lesson of another namespace answers like an unknown one."""
    found = find(connection, namespace=namespace, statuses=None, ids=[lesson_id], limit=None)
    if not found:
        raise LessonNotFound(f"no lesson {lesson_id!r} in namespace {'/'.join(namespace)!r}; `reflect lessons --all` lists those there are")
    return found[0]


def history(connection: Connection, lesson_id: str, namespace: Namespace) -> list[Revision]:
    """All revisions of a lesson of a namespace, oldest first."""
    return journal(connection, namespace, lesson_id=lesson_id)


def journal(
    connection: Connection,
    namespace: Namespace | None,
    *,
    lesson_id: str | None = None,
    actor: str | None = None,
    until: datetime | None = None,
    after: Revision | None = None,
    limit: int | None = None,
) -> list[Revision]:
    """Revisions in the order in which they were made; those of one commit by lesson."""
    table, known = tables.revisions, tables.lessons.c
    place = (table.c.version, table.c.lesson_id, table.c.revision)
    query = select(table).order_by(*place).limit(limit)
    if after is not None:
        query = query.where(tuple_(*place) > tuple_(after.version, after.lesson.id, after.lesson.revision))
    if namespace is not None:
        query = query.where(exists().where(known.id == table.c.lesson_id, known.namespace == namespace))
    if lesson_id is not None:
        query = query.where(table.c.lesson_id == lesson_id)
    if actor is not None:
        query = query.where(table.c.actor == actor)
    if until is not None:
        query = query.where(table.c.at <= until)
    return [_revision(row) for row in connection.execute(query)]


def _revision(row: Any) -> Revision:
    lesson = Lesson.model_validate(row.body)
    return Revision(lesson=lesson, kind=row.kind, actor=row.actor, reason=row.reason, at=row.at, version=row.version)


def put_vectors(connection: Connection, embedder: str, vectors: "Mapping[str, Vector]") -> None:
    """Keep the vectors of texts."""
    import numpy as np  # here, because a process that only records outcomes needs no vectors

    insert = tables.insert(connection.dialect.name)
    rows = [{"text_hash": text_hash(t), "embedder": embedder, "data": np.asarray(v, "<f4").tobytes()} for t, v in vectors.items()]
    connection.execute(insert(tables.vectors).on_conflict_do_nothing(), rows)


def adopt_vectors(connection: Connection, embedder: str, *, made_as: str, since: int, meta: Mapping[str, str]) -> bool:
    """Make the vectors that were put under another name those of an embedder, and keep small values with that.

    Takes a new version of the book, so that everybody looks again.

    Returns:
        False, and only the version is new, if lessons changed since.
    """
    if next_version(connection) != since + 1:
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
    hashes = [text_hash(text) for text in texts]
    unused = ~exists().where(tables.lesson_texts.c.text_hash == tables.vectors.c.text_hash)
    dropped = 0
    for start in range(0, len(hashes), 500):
        some = tables.vectors.c.text_hash.in_(hashes[start : start + 500])
        dropped += connection.execute(delete(tables.vectors).where(some, unused)).rowcount
    return dropped


def missing_texts(connection: Connection, embedder: str, lessons: Iterable[Lesson]) -> list[str]:
    """Texts of these lessons that have no vector by this embedder yet."""
    texts = {text_hash(text): text for lesson in lessons for text in texts_of(lesson)}
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
        .where(tables.vectors.c.text_hash.is_(None), *_conditions(namespace, statuses, ids))
    )
    return list(connection.execute(query).scalars())


def text_vectors(connection: Connection, embedder: str, texts: Iterable[str]) -> "dict[str, Vector]":
    """The vectors that are kept of these texts."""
    import numpy as np  # as in `put_vectors`

    named = {text_hash(text): text for text in texts}
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

    query = (
        select(tables.lessons.c.id, tables.lessons.c.revision, tables.lessons.c.namespace, tables.lessons.c.status, tables.vectors.c.data)
        .join(tables.lesson_texts, tables.lesson_texts.c.lesson_id == tables.lessons.c.id)
        .join(tables.vectors, and_(tables.vectors.c.text_hash == tables.lesson_texts.c.text_hash, tables.vectors.c.embedder == embedder))
        .order_by(tables.lessons.c.id, tables.lesson_texts.c.position)
    )
    for condition in _conditions(namespace, statuses, ids):
        query = query.where(condition)
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

    query = (
        select(tables.lessons.c.id, tables.vectors.c.data)
        .join(tables.lesson_texts, tables.lesson_texts.c.lesson_id == tables.lessons.c.id)
        .join(tables.vectors, and_(tables.vectors.c.text_hash == tables.lesson_texts.c.text_hash, tables.vectors.c.embedder == embedder))
        .order_by(tables.lessons.c.id, tables.lesson_texts.c.position)
        .where(*_conditions(namespace, statuses, ids))
    )
    found: dict[str, bytes] = {}
    sizes: dict[str, int] = {}
    for lesson_id, data in connection.execute(query):
        sizes[lesson_id] = sizes.get(lesson_id, 0) + 1
        found[lesson_id] = found[lesson_id] + data if lesson_id in found else data
    return [(lesson_id, np.frombuffer(data, "<f4").reshape(sizes[lesson_id], -1)) for lesson_id, data in found.items()]


def _conditions(namespace: Namespace | None, statuses: Collection[LessonStatus] | None, ids: Collection[str] | None) -> list[Any]:
    columns = tables.lessons.c
    conditions: list[Any] = []
    if namespace is not None:
        # With ids SQLite, which takes every namespace for a small one, would read all of its lessons; a cast keeps it from that index.
        column = columns.namespace if ids is None else cast(columns.namespace, NamespaceText)
        conditions.append(column == namespace)
    if statuses is not None:
        conditions.append(columns.status.in_(sorted(statuses)))
    if ids is not None:
        conditions.append(columns.id.in_(list(ids)))
    return conditions
