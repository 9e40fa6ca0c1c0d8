"""Does the ledger agree with itself? What is derived is derived anew and compared with what is kept."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, func, select

from langchain_reflect.ledger import dues, outcomes, steering, tables
from langchain_reflect.ledger.lessons import text_hash, texts_of
from langchain_reflect.types import Lesson, Outcome

_SHOWN = 20


def problems(connection: Connection) -> list[str]:
    """One line for each contradiction, at most 20 of a kind."""
    checks = (_file, _lessons, _outcomes, _dues, _jobs, _steering, _edges)
    return [line for check in checks for line in check(connection)]


def _file(connection: Connection) -> Iterator[str]:
    if connection.dialect.name == "sqlite":
        found = [row[0] for row in connection.exec_driver_sql(f"PRAGMA quick_check({_SHOWN})")]
        yield from (f"the file is damaged: {line}" for line in found if line != "ok")


def _lessons(connection: Connection) -> Iterator[str]:
    last = {row.lesson_id: row for row in connection.execute(select(tables.revisions).order_by(tables.revisions.c.revision))}
    per_lesson = select(tables.revisions.c.lesson_id, func.count()).group_by(tables.revisions.c.lesson_id)
    counted: dict[str, int] = {row[0]: row[1] for row in connection.execute(per_lesson)}
    texts, edges = _by(connection, tables.lesson_texts, "text_hash"), _by(connection, tables.evidence, "episode_id")
    for row in connection.execute(select(tables.lessons)):
        lesson, head = Lesson.model_validate(row.body), last.pop(row.id, None)
        if head is None or head.body != row.body or head.revision != row.revision:
            yield f"lesson {row.id} is not the fold of its revisions"
        elif counted[row.id] != row.revision:
            yield f"lesson {row.id} is at revision {row.revision}, but has {counted[row.id]}"
        if (row.status, row.namespace, row.revision) != (lesson.status, lesson.namespace, lesson.revision):
            yield f"lesson {row.id} has columns that differ from its body"
        if texts.get(row.id, set()) != {text_hash(text) for text in texts_of(lesson)}:
            yield f"lesson {row.id} is not found by its own texts"
        if edges.get(row.id, set()) != set(lesson.evidence):
            yield f"lesson {row.id} has other evidence than its body says"
    yield from (f"revisions of lesson {lesson_id} belong to no lesson" for lesson_id in list(last)[:_SHOWN])


def _by(connection: Connection, table: Any, column: str) -> dict[str, set[Any]]:
    found: dict[str, set[Any]] = {}
    for row in connection.execute(select(table.c.lesson_id, table.c[column])):
        found.setdefault(row[0], set()).add(row[1])
    return found


def _outcomes(connection: Connection) -> Iterator[str]:
    for row in connection.execution_options(yield_per=1000).execute(select(tables.outcomes)):
        said = Outcome(**{n: getattr(row, n) for n in Outcome.model_fields if n != "retracted"}, retracted=bool(row.retracted))
        if outcomes.content_hash(said) != row.content:
            yield f"an outcome of episode {row.episode_id} by {row.source!r} was changed after it was recorded"


def _dues(connection: Connection) -> Iterator[str]:
    wanted = {row[0] for row in connection.execute(dues.derived())}
    kept = set(connection.execute(select(tables.due.c.episode_id)).scalars())
    yield from (f"episode {i} is due, but is not listed as such" for i in sorted(wanted - kept)[:_SHOWN])
    yield from (f"episode {i} is listed as due, but is not" for i in sorted(kept - wanted)[:_SHOWN])


def _jobs(connection: Connection) -> Iterator[str]:
    open_jobs = set(connection.execute(select(tables.jobs.c.id).where(tables.jobs.c.state != "done")).scalars())
    members = set(connection.execute(select(tables.job_episodes.c.job_id).distinct()).scalars())
    yield from (f"job {i} has no episodes" for i in sorted(open_jobs - members)[:_SHOWN])
    yield from (f"episodes are held by job {i}, which is not open" for i in sorted(members - open_jobs)[:_SHOWN])


def _steering(connection: Connection) -> Iterator[str]:
    for entry in steering.find(connection):
        if entry.kind == "doses" and steering.doses_in(entry.body) is None:
            yield f"entry {entry.number} of the steering log has doses that cannot be drawn from"


def _edges(connection: Connection) -> Iterator[str]:
    known = select(tables.episodes.c.id)
    for table in (tables.trajectories, tables.episode_metadata, tables.runs, tables.reflected):
        lost = connection.execute(select(func.count()).where(table.c.episode_id.not_in(known))).scalar_one()
        if lost:
            yield f"{lost} rows of {table.name} belong to no episode"
