"""Rows of lessons: revisions, and the book folded from them.

Every change gets a number from one counter, the version of the book. Taking a number locks the counter until the commit, so
numbers become visible in their order, and each index can remember how far it has read.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Integer, Text, bindparam, cast, delete, exists, func, select, tuple_

from langchain_reflect.errors import BookChanged, InvalidInput, LessonNotFound, RevisionConflict
from langchain_reflect.ledger import tables, tombs
from langchain_reflect.ledger.columns import NamespaceText
from langchain_reflect.types import Lesson, LessonStatus, Namespace, Revision

_VERSION_KEY: Final = "lessons_version"


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
    query = select(tables.lessons.c.id).where(tables.lessons.c.version > version, *conditions(namespace, None, None))
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
    for condition in conditions(namespace, statuses, ids):
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
    query = select(tables.lessons.c.id, tables.lessons.c.body).where(*conditions(namespace, statuses, ids))
    rows = connection.execute(query)
    # Unchecked, because they were checked when they were written, and this reads a whole namespace.
    return [(i, "\n".join((body.get("title", ""), body["when"], body["do"], *body.get("tasks", ())))) for i, body in rows]


def count(connection: Connection, namespace: Namespace, statuses: Collection[LessonStatus]) -> int:
    """Number of lessons of a namespace that have one of these statuses."""
    query = select(func.count()).select_from(tables.lessons).where(*conditions(namespace, statuses, None))
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


def conditions(namespace: Namespace | None, statuses: Collection[LessonStatus] | None, ids: Collection[str] | None) -> list[Any]:
    """What rows of lessons that match have to fulfil; None: anything."""
    columns = tables.lessons.c
    found: list[Any] = []
    if namespace is not None:
        # With ids SQLite, which takes every namespace for a small one, would read all of its lessons; a cast keeps it from that index.
        column = columns.namespace if ids is None else cast(columns.namespace, NamespaceText)
        found.append(column == namespace)
    if statuses is not None:
        found.append(columns.status.in_(sorted(statuses)))
    if ids is not None:
        found.append(columns.id.in_(list(ids)))
    return found
