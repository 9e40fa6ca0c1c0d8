"""Forgetting: what was recorded goes, with all that was made of it, and stays gone.

An episode takes along its trajectory, outcomes, exposures, the model's replies about it and the reports that quote it. A lesson that rests
on erased episodes only goes as well; one that rests on others too stays without their tasks, and is named in the report. Tombstones keep
what comes in again out.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, and_, delete, or_, select, update

from langchain_reflect.errors import EpisodeNotFound
from langchain_reflect.ledger import dues, lessons, practices, reviews, runs, tables, tombs, vectors
from langchain_reflect.ledger.lessons import texts_of
from langchain_reflect.types import Erased, Lesson, Namespace

_CHUNK: Final = 400


def forget(
    connection: Connection,
    namespace: Namespace,
    *,
    episode: UUID | None,
    source: str | None,
    before: datetime | None,
    lesson: str | None,
) -> Erased:
    """Erase what one selector names, in a namespace; the others are None. The caller scrubs the files afterwards."""
    if lesson is not None:
        return _forget_lesson(connection, namespace, lesson)
    if source is not None:
        return _forget_source(connection, namespace, source)
    ids = [_episode(connection, namespace, episode)] if episode is not None else _older(connection, namespace, before)
    return _forget_episodes(connection, namespace, ids)


def _forget_lesson(connection: Connection, namespace: Namespace, lesson_id: str) -> Erased:
    if tombs.is_set(connection, tombs.of_lesson(namespace, lesson_id)):
        return Erased(lessons=(lesson_id,))  # forgotten already: the same once more, because an answer got lost
    found = lessons.one(connection, lesson_id, namespace)
    scrubbed = Erased(reflections=_scrub_reflections(connection, [], [found]))
    return _with_lessons(connection, namespace, scrubbed, gone=[found], kept=[])


def _episode(connection: Connection, namespace: Namespace, episode_id: UUID) -> UUID:
    """The episode's id; one that has outcomes only is known too.

    Raises:
        EpisodeNotFound: Nothing is known of it.
    """
    found = runs.episode_of(connection, episode_id, namespace)
    for table, column in ((tables.episodes, tables.episodes.c.id), (tables.outcomes, tables.outcomes.c.episode_id)):
        if connection.execute(select(column).where(column == found, table.c.namespace == namespace).limit(1)).first():
            return found
    if tombs.is_set(connection, tombs.of_episode(namespace, found)):
        return found  # forgotten already: the same once more, because an answer got lost
    raise EpisodeNotFound(f"no episode {str(episode_id)!r} in namespace {'/'.join(namespace)!r}; `reflect episodes` shows the namespaces")


def _older(connection: Connection, namespace: Namespace, before: datetime | None) -> list[UUID]:
    """Episodes that began before a time, and the ids of outcomes recorded before it whose episode never came."""
    table, said = tables.episodes.c, tables.outcomes.c
    known = select(table.id).where(table.namespace == namespace, table.started_at < before)
    lost = select(said.episode_id).where(said.namespace == namespace, said.recorded_at < before)
    return list(connection.execute(known.union(lost.where(said.episode_id.not_in(select(table.id))))).scalars())


def _forget_episodes(connection: Connection, namespace: Namespace, ids: Sequence[UUID]) -> Erased:
    total = Erased()
    dues.take_turns(connection, ids)
    for start in range(0, len(ids), _CHUNK):
        total += _forget_some(connection, namespace, ids[start : start + _CHUNK])
    changed = tuple(i for i in dict.fromkeys(total.changed) if i not in total.lessons)
    return total.model_copy(update={"changed": changed})


def _forget_some(connection: Connection, namespace: Namespace, ids: Sequence[UUID]) -> Erased:
    e, named = tables.episodes.c, ids
    mine = select(e.id, e.task).where(e.id.in_(named), e.namespace == namespace)
    known = connection.execute(mine.with_for_update()).all()  # an outcome that is being recorded comes first, or not at all
    ids, tasks = [row.id for row in known], {row.task for row in known}
    aliases = list(connection.execute(select(tables.runs.c.run_id).where(tables.runs.c.episode_id.in_(ids))).scalars())
    tombs.put(connection, {tombs.of_episode(namespace, i) for i in (*named, *aliases)})
    gone, kept = _resting_on(connection, namespace, named)
    reports = _scrub_reflections(connection, ids, gone)
    said = and_(tables.outcomes.c.episode_id.in_([*named, *aliases]), tables.outcomes.c.namespace == namespace)
    counted = {
        "outcomes": connection.execute(delete(tables.outcomes).where(said)).rowcount,
        "trajectories": connection.execute(delete(tables.trajectories).where(tables.trajectories.c.episode_id.in_(ids))).rowcount,
        "exposures": connection.execute(delete(tables.exposures).where(tables.exposures.c.episode_id.in_(ids))).rowcount,
        "episodes": connection.execute(delete(tables.episodes).where(e.id.in_(ids))).rowcount,
        "reflections": reports,
    }
    practices.scrub(connection, ids)
    for table in (tables.episode_metadata, tables.runs, tables.reflected, tables.due, tables.reserved):
        connection.execute(delete(table).where(table.c.episode_id.in_(ids)))
    dues.drop_jobs(connection, ids)
    stripped = [_without(connection, lesson, set(named), tasks) for lesson in kept]
    reviews.erase(connection, actors=[], lessons=[x.id for x in kept])  # what was asked about them may quote the task
    return _with_lessons(connection, namespace, Erased(**counted), gone=gone, kept=stripped, texts=tasks)


def _forget_source(connection: Connection, namespace: Namespace, source: str) -> Erased:
    table = tables.outcomes.c
    said = and_(table.namespace == namespace, table.source == source)
    slots = connection.execute(select(table.episode_id, table.key).distinct().where(said)).all()
    tombs.put(connection, {tombs.of_slot(namespace, row.episode_id, source, row.key) for row in slots})
    ids = list({row.episode_id for row in slots})
    total = Erased(outcomes=connection.execute(delete(tables.outcomes).where(said)).rowcount)
    for start in range(0, len(ids), _CHUNK):
        some = ids[start : start + _CHUNK]
        judged = set(connection.execute(select(table.episode_id).where(table.episode_id.in_(some), table.namespace == namespace)).scalars())
        unjudged = [i for i in some if i not in judged]
        gone, kept = _resting_on(connection, namespace, unjudged)
        mine = select(tables.episodes.c.id).where(tables.episodes.c.id.in_(some), tables.episodes.c.namespace == namespace)
        known = list(connection.execute(mine).scalars())
        total += Erased(reflections=_scrub_reflections(connection, known, gone))
        stripped = [_without(connection, lesson, set(unjudged), set()) for lesson in kept]
        total = _with_lessons(connection, namespace, total, gone=gone, kept=stripped)
        dues.drop_jobs(connection, known)
        dues.reopen(connection, known)
    return total


def _resting_on(connection: Connection, namespace: Namespace, ids: Collection[UUID]) -> tuple[list[Lesson], list[Lesson]]:
    """Lessons of a namespace that rest on these episodes only, and those that rest on others as well."""
    edges = tables.evidence.c
    touched = select(edges.lesson_id).where(edges.episode_id.in_(ids))
    mine = (tables.lessons.c.id.in_(touched), tables.lessons.c.namespace == namespace)
    bodies = connection.execute(select(tables.lessons.c.body).where(*mine)).scalars().all()
    found = [Lesson.model_validate(body) for body in bodies]
    return [x for x in found if set(x.evidence) <= set(ids)], [x for x in found if not set(x.evidence) <= set(ids)]


def _without(connection: Connection, lesson: Lesson, ids: set[UUID], tasks: set[str]) -> Lesson:
    """Rewrite all revisions of a lesson as if these episodes had never supported it; returns the lesson as it is now.

    A task stays if it was the lesson's own, and not only that of an erased episode; examples go, because they may quote one.
    """
    table, now_is = tables.revisions.c, lesson
    for row in connection.execute(select(tables.revisions).where(table.lesson_id == lesson.id).order_by(table.revision)).all():
        old = Lesson.model_validate(row.body)
        if set(old.evidence) & ids:
            evidence = tuple(i for i in old.evidence if i not in ids)
            now_is = old.model_copy(update={"evidence": evidence, "tasks": tuple(t for t in old.tasks if t not in tasks), "examples": ()})
            body = now_is.model_dump(mode="json")
            connection.execute(
                update(tables.revisions).where(table.lesson_id == lesson.id, table.revision == row.revision).values(body=body)
            )
    lessons.put_head(connection, now_is, lessons.next_version(connection))
    return now_is


def _scrub_reflections(connection: Connection, ids: Collection[UUID], gone: Sequence[Lesson]) -> int:
    """Take what the model said out of the reports of reflections that read these episodes or wrote these lessons."""
    read = select(tables.studied.c.reflection_id).where(tables.studied.c.episode_id.in_(ids))
    wrote = select(tables.revisions.c.actor).where(tables.revisions.c.lesson_id.in_([x.id for x in gone]))
    table = tables.reflections
    rows = connection.execute(select(table.c.id, table.c.report).where(or_(table.c.id.in_(read), table.c.id.in_(wrote)))).all()
    for row in rows:
        report = row.report | {"edits": [], "errors": []}
        connection.execute(update(table).where(table.c.id == row.id).values(report=report, replies=None))
        ended = update(tables.jobs).where(tables.jobs.c.reflection_id == row.id)
        connection.execute(ended.values(key="", problem=None))  # the key may be the task's
    connection.execute(delete(tables.studied).where(tables.studied.c.episode_id.in_(ids)))
    reviews.erase(connection, actors=[row.id for row in rows], lessons=[x.id for x in gone])
    return len(rows)


def _with_lessons(
    connection: Connection,
    namespace: Namespace,
    total: Erased,
    *,
    gone: Sequence[Lesson],
    kept: Sequence[Lesson],
    texts: Collection[str] = (),
) -> Erased:
    """Erase lessons, and the vectors of texts that nothing says any more."""
    ids = [x.id for x in gone]
    bodies = connection.execute(select(tables.revisions.c.body).where(tables.revisions.c.lesson_id.in_(ids))).scalars().all()
    said = {text for body in bodies for text in texts_of(Lesson.model_validate(body))} | set(texts)
    tombs.put(connection, {tombs.of_lesson(namespace, i) for i in ids})
    for table in (tables.revisions, tables.lesson_texts, tables.evidence, tables.exposures):
        connection.execute(delete(table).where(table.c.lesson_id.in_(ids)))
    connection.execute(delete(tables.lessons).where(tables.lessons.c.id.in_(ids)))
    if ids:
        lessons.next_version(connection)
    dropped = vectors.drop_unused_vectors(connection, said)
    return total + Erased(vectors=dropped, lessons=tuple(ids), changed=tuple(x.id for x in kept))
