"""Rows of practices: which of its runs are finished, and which episodes are kept for its own reflection.

What a run was worth and the outcome of its episode are written in one transaction, so that a run either counts in both or is made again.
Rows hold numbers and names, no text of a task; the group names in a practice's body go when one of its episodes is forgotten.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import Connection, delete, exists, select, update

from langchain_reflect.errors import ClaimLost, InvalidInput
from langchain_reflect.ledger import dues, outcomes, tables
from langchain_reflect.ledger.claims import clock
from langchain_reflect.types import Namespace, Outcome, Practice, PracticeRun, ReflectionReport, now

_CHUNK: Final = 500
_TRIALS: Final = "trials"
"""Key of an epoch in a body that names groups, which may be called after a task."""
_STOPPED: Final = "stopped"
"""Key of a body that says why it ended early, which it has not once it goes on."""


def begin(connection: Connection, namespace: Namespace, name: str, digest: str, *, fresh: bool, lease: timedelta | None) -> Practice:
    """Go on with the practice of this name, or begin it; from now on only the caller may write to it.

    Raises:
        InvalidInput: The name stands for another practice.
    """
    table, at = tables.practices, clock(connection)
    mine = (table.c.namespace == namespace, table.c.name == name)
    found = connection.execute(select(table).where(*mine).with_for_update()).first()
    if found is not None and fresh:
        _remove(connection, found.id)
        found = None
    if found is not None and found.digest != digest:
        raise InvalidInput(
            f"the practice {name!r} was begun on {found.started_at:%Y-%m-%d} with other tasks, validation, rollouts, control, placebo, "
            "gate or seed; pass these again, another name=, or fresh=True to begin anew"
        )
    if found is None:
        row = {"namespace": namespace, "name": name, "id": f"P-{uuid4().hex[:12]}", "digest": digest, "fence": 0, "finished": 0}
        body = {} if lease is None else {"lease": lease.total_seconds()}
        values = row | {"seconds": 0.0, "body": body, "started_at": at, "changed_at": at}
        connection.execute(tables.insert(connection.dialect.name)(table).values(values).on_conflict_do_nothing())
    changed: dict[str, Any] = {"fence": table.c.fence + 1, "changed_at": at}
    if found is not None:
        changed["body"] = {key: value for key, value in found.body.items() if key != _STOPPED}
    connection.execute(update(table).where(*mine).values(changed))
    return _practice(connection.execute(select(table).where(*mine)).one())


def _remove(connection: Connection, practice_id: str) -> None:
    release(connection, practice_id)
    connection.execute(delete(tables.practice_runs).where(tables.practice_runs.c.practice_id == practice_id))
    connection.execute(delete(tables.practices).where(tables.practices.c.id == practice_id))


def reserve(connection: Connection, practice_id: str, ids: Iterable[UUID], *, lasting: bool) -> None:
    """Keep episodes away from other reflections before their runs begin; `lasting`: from all reflections, for ever."""
    rows: list[dict[str, Any]] = [{"episode_id": i, "practice_id": practice_id, "lasting": int(lasting)} for i in ids]
    for start in range(0, len(rows), _CHUNK):
        connection.execute(tables.insert(connection.dialect.name)(tables.reserved).on_conflict_do_nothing(), rows[start : start + _CHUNK])
    if lasting:
        dues.settle(connection, [row["episode_id"] for row in rows])


def release(connection: Connection, practice_id: str) -> None:
    """Let other reflections take its episodes, but for those of control arms."""
    held = tables.reserved.c
    connection.execute(delete(tables.reserved).where(held.practice_id == practice_id, held.lasting == 0))


def release_dead(connection: Connection) -> int:
    """Let other reflections take the episodes of practices with a lease whose process was not heard of for so long; returns how many."""
    table, held = tables.practices.c, tables.reserved.c
    keeps = exists().where(held.practice_id == table.id, held.lasting == 0)
    open_ = [_practice(row) for row in connection.execute(select(tables.practices).where(table.finished == 0, keeps))]
    at = clock(connection)
    dead = [one.id for one in open_ if one.lease is not None and one.changed_at + one.lease < at]
    for practice_id in dead:
        release(connection, practice_id)
    return len(dead)


def renew(connection: Connection, practice: Practice) -> None:
    """Note that its process lives.

    Raises:
        ClaimLost: Somebody else goes on with it.
    """
    _write(connection, practice)


def keep(
    connection: Connection,
    practice: Practice,
    runs: Sequence[PracticeRun],
    judged: Sequence[tuple[Namespace, Outcome]],
    *,
    seconds: float,
) -> None:
    """Note finished runs and what was said of them.

    Raises:
        ClaimLost: Somebody else goes on with the practice.
    """
    _write(connection, practice, seconds=seconds)
    for namespace, outcome in judged:
        outcomes.record(connection, outcome, namespace=namespace, timed=False)
    rows = [{**run.model_dump(), "practice_id": practice.id, "failed": int(run.failed), "shown": list(run.shown)} for run in runs]
    if rows:
        connection.execute(tables.insert(connection.dialect.name)(tables.practice_runs).on_conflict_do_nothing(), rows)


def note(connection: Connection, practice: Practice) -> None:
    """Write its body, its state and its time.

    Raises:
        ClaimLost: Somebody else goes on with it.
    """
    _write(connection, practice, seconds=practice.seconds, body=practice.body, finished=int(practice.finished))


def _write(connection: Connection, practice: Practice, **values: Any) -> None:
    table = tables.practices
    mine = (table.c.id == practice.id, table.c.fence == practice.fence)
    if connection.execute(update(table).where(*mine).values(**values, changed_at=clock(connection))).rowcount == 0:
        raise ClaimLost(
            f"the practice {practice.name!r} was taken over by another process, or begun anew; that one counts, and this one ends"
        )


def undo_epoch(connection: Connection, practice: Practice, epoch: int) -> None:
    """Forget the runs of an epoch, so that they are made again."""
    _write(connection, practice)
    table = tables.practice_runs.c
    connection.execute(delete(tables.practice_runs).where(table.practice_id == practice.id, table.epoch == epoch))


def runs_of(connection: Connection, practice_id: str) -> list[PracticeRun]:
    """Its finished runs."""
    table = tables.practice_runs
    rows = connection.execute(select(table).where(table.c.practice_id == practice_id).order_by(table.c.epoch, table.c.key))
    return [PracticeRun.model_validate({k: v for k, v in row._asdict().items() if k != "practice_id"}) for row in rows]


def find(connection: Connection, namespace: Namespace, name: str | None) -> list[Practice]:
    """Practices of a namespace, the last changed first."""
    table = tables.practices
    query = select(table).where(table.c.namespace == namespace).order_by(table.c.changed_at.desc(), table.c.id)
    if name is not None:
        query = query.where(table.c.name == name)
    return [_practice(row) for row in connection.execute(query)]


def end(connection: Connection, namespace: Namespace, name: str) -> bool:
    """Let other reflections take the episodes of a practice that nobody will go on with; returns whether there is one."""
    for practice in find(connection, namespace, name):
        release(connection, practice.id)
        return True
    return False


def reports_of(connection: Connection, practice_id: str) -> list[ReflectionReport]:
    """Reports of the reflections that read one of its rollouts, oldest first."""
    run, read, made = tables.practice_runs.c, tables.studied.c, tables.reflections.c
    mine = select(read.reflection_id).join_from(tables.studied, tables.practice_runs, run.episode_id == read.episode_id)
    query = select(made.report).where(made.id.in_(mine.where(run.practice_id == practice_id))).order_by(made.at, made.id)
    return [ReflectionReport.model_validate(report) for report in connection.execute(query).scalars()]


def reclaim(connection: Connection, practice_id: str) -> int:
    """Take jobs with its episodes back from whoever works on them: a process that died. Returns how many.

    One that lives all the same cannot finish them any more, because the next claim has a higher fence.
    """
    member, held, jobs = tables.job_episodes.c, tables.reserved.c, tables.jobs.c
    mine = select(member.job_id).join_from(tables.job_episodes, tables.reserved, member.episode_id == held.episode_id)
    wanted = (jobs.id.in_(mine.where(held.practice_id == practice_id)), jobs.state == "leased")
    free = {"state": "ready", "fence": jobs.fence + 1, "leased_until": None, "not_before": None, "changed_at": now()}
    return connection.execute(update(tables.jobs).where(*wanted).values(free)).rowcount


def scrub(connection: Connection, ids: Collection[UUID]) -> None:
    """Forget runs with their episodes, and what the practices say of groups."""
    run, table = tables.practice_runs.c, tables.practices
    theirs = select(table).where(exists().where(run.practice_id == table.c.id, run.episode_id.in_(ids)))
    for row in connection.execute(theirs).all():
        epochs = [{k: v for k, v in epoch.items() if k != _TRIALS} for epoch in row.body.get("epochs", [])]
        connection.execute(update(table).where(table.c.id == row.id).values(body=row.body | {"epochs": epochs}))
    connection.execute(delete(tables.practice_runs).where(run.episode_id.in_(ids)))


def _practice(row: Any) -> Practice:
    return Practice.model_validate(row._asdict())
