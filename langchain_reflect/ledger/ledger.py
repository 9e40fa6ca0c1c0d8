"""The ledger: the SQL record that everything else can be rebuilt from.

A process that only records outcomes needs this class and nothing more: no model, no embeddings, no Chroma. Every method opens
one transaction of its own, so an object can be shared by threads; several processes may use one ledger at once.
"""

import asyncio
import os
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Connection, func, select

from langchain_reflect.errors import InvalidInput
from langchain_reflect.ledger import episodes, lessons, migrations, outcomes, runs, tables
from langchain_reflect.ledger.engine import Durability, open_engine, transaction, url_of
from langchain_reflect.ledger.episodes import judged as judged_episodes
from langchain_reflect.ledger.episodes import retry_parked as free_parked
from langchain_reflect.ledger.lessons import LessonVectors
from langchain_reflect.ledger.outcomes import OutcomeFields
from langchain_reflect.redaction import Redact, redact
from langchain_reflect.types import (
    Episode,
    EpisodeStatus,
    Exposure,
    Lesson,
    LessonStatus,
    Namespace,
    Outcome,
    ReflectionReport,
    Revision,
    Rollout,
    now,
    resolve,
)

if TYPE_CHECKING:
    from langchain_reflect.ledger.lessons import Vector


class Ledger:
    """Episodes, outcomes, exposures, lessons and reflections in SQLite or PostgreSQL.

    Args:
        url: A folder (the file is `ledger.db` in it), a `.db` file, or a URL: `sqlite:///FILE`, `postgresql+psycopg://USER@HOST/NAME`.
        durability: `full`: an acknowledged write survives a power cut; `fast`: a killed process only (SQLite `synchronous=NORMAL`).
        redact: Applied to feedback and details before they are stored; default masks common secrets.

    Raises:
        LedgerError: The place cannot be written, or the database refuses.
        LedgerTooNew: The schema was written by a newer release.
        InvalidInput: The URL cannot be read.
    """

    def __init__(self, url: str | Path, *, durability: Durability = "full", redact: Redact = redact) -> None:
        if durability not in ("full", "fast"):
            raise InvalidInput(f"durability {durability!r} is unknown; expected 'full' or 'fast'")
        self.url = url_of(url)
        self._redact = redact
        self._engine = open_engine(self.url, durability)
        self._pid = os.getpid()
        self._lock = threading.Lock()
        with self._read() as connection:
            current = migrations.is_current(connection)
            if current:
                migrations.refuse_newer(connection)
        if not current:
            with self._write() as connection:
                migrations.migrate(connection)

    # Episodes

    def save_episode(self, episode: Episode, exposures: Sequence[Exposure] = ()) -> None:
        """Insert or replace an episode by its id, with its exposures (the first report of an exposure stays)."""
        with self._write() as connection:
            episodes.save(connection, episode, exposures)

    def save_episodes(self, batch: Iterable[tuple[Episode, Sequence[Exposure]]]) -> None:
        """`save_episode` for many in one transaction, which costs one disk flush."""
        with self._write() as connection:
            for episode, exposures in batch:
                episodes.save(connection, episode, exposures)

    def episode(self, episode_id: UUID | str) -> Episode:
        """One episode with its trajectory, by its id or by that of a run that resumed it.

        Raises:
            EpisodeNotFound: The id is unknown.
        """
        with self._read() as connection:
            return episodes.load(connection, outcomes.episode_id_of(episode_id))

    def episodes(
        self,
        *,
        namespace: Namespace | None = None,
        graph: str | None = None,
        status: EpisodeStatus | None = None,
        thread_id: str | None = None,
        metadata: Mapping[str, JsonValue] | None = None,
        trajectories: bool = True,
        limit: int = 100,
    ) -> list[Episode]:
        """Episodes that match all that is given, newest first; without `trajectories` their `steps` and `result` are empty."""
        wanted: dict[str, Any] = {"namespace": namespace, "graph": graph, "status": status, "thread_id": thread_id, "metadata": metadata}
        with self._read() as connection:
            return episodes.find(connection, **wanted, trajectories=trajectories, limit=limit)

    def sweep(self, older_than: timedelta = timedelta(hours=1)) -> int:
        """Mark episodes as `abandoned` that began longer ago than this and still run; returns their number.

        One that does go on corrects its status as it ends.
        """
        with self._write() as connection:
            return runs.sweep(connection, before=now() - older_than)

    def exposures(self, *, episode_id: UUID | str | None = None, lesson_id: str | None = None) -> list[Exposure]:
        """Exposures of an episode, of a lesson, or all."""
        wanted = None if episode_id is None else outcomes.episode_id_of(episode_id)
        with self._read() as connection:
            return episodes.exposures_of(connection, episode_id=wanted, lesson_id=lesson_id)

    # Outcomes

    def record_outcome(self, episode_id: UUID | str, **given: Unpack[OutcomeFields]) -> Outcome:
        """Keep a judgement of an episode; durable when this returns.

        Idempotent by (episode, source, key): the same content again changes nothing; another content counts if its `observed_at`
        is later. The episode may be recorded later.

        Args:
            episode_id: Id of the episode, which is the run's root `run_id` (or that of a run that resumed it).
            **given: `reward` in [0, 1] or a bool; `feedback` text; `source`, default `user`; `key` that tells several outcomes of
                one source apart; `observed_at`, default now; `detail`, plain JSON; `strict`: another content for a known key is an
                error.

        Returns:
            The outcome that counts now for this (episode, source, key).

        Raises:
            InvalidInput: The reward is not in [0, 1], or neither reward nor feedback is given.
            OutcomeConflict: `strict=True` and another content is known.
        """
        return self.record_outcomes([(episode_id, given)])[0]

    async def arecord_outcome(self, episode_id: UUID | str, **given: Unpack[OutcomeFields]) -> Outcome:
        """Async `record_outcome`."""
        return await asyncio.to_thread(partial(self.record_outcome, episode_id, **given))

    def record_outcomes(self, batch: Iterable[tuple[UUID | str, OutcomeFields]]) -> list[Outcome]:
        """`record_outcome` for many in one transaction: all or none."""
        checked = [
            (outcomes.redacted(outcomes.validated(episode_id, given), self._redact), given.get("strict", False))
            for episode_id, given in batch
        ]
        with self._write() as connection:
            return [outcomes.record(connection, outcome, strict=strict) for outcome, strict in checked]

    def outcomes(self, episode_id: UUID | str) -> list[Outcome]:
        """The outcomes that count for an episode, oldest judgement first; empty if there are none."""
        with self._read() as connection:
            wanted = runs.episode_of(connection, outcomes.episode_id_of(episode_id))
            return outcomes.by_episode(connection, [wanted]).get(wanted, [])

    def rollouts(
        self,
        *,
        namespace: Namespace | None = None,
        graph: str | None = None,
        episodes: Collection[UUID] | None = None,
        below: float | None = None,
        unreflected: bool = False,
        newest: bool = False,
        trajectories: bool = True,
        limit: int | None = 10_000,
    ) -> list[Rollout]:
        """Judged episodes with their outcomes and the resolved reward, oldest first.

        Args:
            namespace: Only this namespace.
            graph: Only this graph.
            episodes: Only these.
            below: Only those with a reward below it, or with feedback.
            unreflected: Only those no reflection has seen since their last outcome, and their siblings by `task_key`.
            newest: The last judged first.
            trajectories: False leaves `steps` and `result` empty, which is much faster.
            limit: At most so many; None: all.
        """
        with self._read() as connection:
            found = judged_episodes(
                connection,
                namespace=namespace,
                graph=graph,
                ids=episodes,
                below=below,
                unreflected=unreflected,
                newest=newest,
                trajectories=trajectories,
                limit=limit,
            )
            judged = outcomes.by_episode(connection, [e.id for e in found])
        return [Rollout(episode=e, outcomes=tuple(judged[e.id]), reward=resolve(judged[e.id])) for e in found]

    # Reflections

    def mark_reflected(self, reflection_id: str, rollouts: Iterable[Rollout], *, parked: bool = False) -> None:
        """Note that a reflection has seen these rollouts; a new outcome of one clears its mark.

        Args:
            reflection_id: Of the reflection.
            rollouts: As the reflection read them. One that was judged anew since is not marked, so it stays due.
            parked: Nothing could be learned from them yet; they wait for `retry_parked` or a new outcome.
        """
        with self._write() as connection:
            episodes.mark_reflected(connection, reflection_id, rollouts, parked=parked)

    def retry_parked(
        self, *, namespace: Namespace | None = None, graph: str | None = None, episodes: Collection[UUID] | None = None
    ) -> int:
        """Make parked episodes due again.

        Args:
            namespace: Only this namespace.
            graph: Only this graph.
            episodes: Only these.

        Returns:
            How many.
        """
        with self._write() as connection:
            return free_parked(connection, namespace=namespace, graph=graph, ids=episodes)

    def parked(self) -> int:
        """Number of episodes that wait for `retry_parked`."""
        with self._read() as connection:
            return episodes.count_parked(connection)

    def save_reflection(self, report: ReflectionReport, *, replies: JsonValue = None) -> None:
        """Keep what a reflection did and the model's raw replies."""
        with self._write() as connection:
            row = {"id": report.id, "at": now(), "report": report.model_dump(mode="json"), "replies": replies}
            statement = tables.insert(connection.dialect.name)(tables.reflections).values(row)
            changes = {k: statement.excluded[k] for k in ("report", "replies")}
            connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changes))

    def reflections(self, limit: int = 100) -> list[ReflectionReport]:
        """Reports of reflections, newest first."""
        with self._read() as connection:
            query = select(tables.reflections.c.report).order_by(tables.reflections.c.at.desc()).limit(limit)
            return [ReflectionReport.model_validate(report) for report in connection.execute(query).scalars()]

    def reflection_replies(self, reflection_id: str) -> JsonValue:
        """The model's raw replies of one reflection; None if it is unknown."""
        with self._read() as connection:
            query = select(tables.reflections.c.replies).where(tables.reflections.c.id == reflection_id)
            replies: JsonValue = connection.execute(query).scalar()
            return replies

    # Lessons

    def append_revisions(self, revisions: Sequence[Revision]) -> None:
        """Apply changes to lessons, all or none.

        Raises:
            LedgerError: Somebody else changed one of the lessons meanwhile.
        """
        if not revisions:
            return
        with self._write() as connection:
            lessons.append(connection, revisions)

    def lesson(self, lesson_id: str, *, namespace: Namespace | None = None) -> Lesson:
        """One lesson.

        Raises:
            LessonNotFound: The id is unknown (in this namespace).
        """
        with self._read() as connection:
            return lessons.one(connection, lesson_id, namespace)

    def lessons(
        self,
        *,
        namespace: Namespace | None = None,
        statuses: Collection[LessonStatus] | None = None,
        ids: Collection[str] | None = None,
        limit: int | None = None,
    ) -> list[Lesson]:
        """Lessons that match all that is given, by id."""
        with self._read() as connection:
            return lessons.find(connection, namespace=namespace, statuses=statuses, ids=ids, limit=limit)

    def revisions(self, lesson_id: str) -> list[Revision]:
        """All revisions of a lesson, oldest first; empty if the id is unknown."""
        with self._read() as connection:
            return lessons.history(connection, lesson_id)

    # Vectors

    def missing_texts(self, embedder: str, of: Iterable[Lesson]) -> list[str]:
        """Texts of these lessons that have no vector by this embedder yet."""
        with self._read() as connection:
            return lessons.missing_texts(connection, embedder, of)

    def put_vectors(self, embedder: str, vectors: "Mapping[str, Vector]") -> None:
        """Keep the vectors of texts; known ones stay as they are."""
        if not vectors:
            return
        with self._write() as connection:
            lessons.put_vectors(connection, embedder, vectors)

    def text_vectors(self, embedder: str, texts: Iterable[str]) -> "dict[str, Vector]":
        """The vectors that are kept of these texts; others are left out."""
        with self._read() as connection:
            return lessons.text_vectors(connection, embedder, texts)

    def vectors(
        self,
        embedder: str,
        *,
        namespace: Namespace | None = None,
        statuses: Collection[LessonStatus] | None = None,
        ids: Collection[str] | None = None,
    ) -> list[LessonVectors]:
        """Vectors of the lessons that match."""
        with self._read() as connection:
            return lessons.read_vectors(connection, embedder, namespace=namespace, statuses=statuses, ids=ids)

    def lessons_version(self) -> int:
        """A number that grows whenever lessons change, by whatever process."""
        with self._read() as connection:
            return lessons.version_of(connection)

    def lessons_changed_since(self, version: int) -> tuple[int, list[str]]:
        """The version of the book, and the ids of the lessons that changed after the given one."""
        with self._read() as connection:
            return lessons.version_of(connection), lessons.changed_since(connection, version)

    # Everything else

    def meta(self, key: str) -> str | None:
        """A small value kept beside the data."""
        with self._read() as connection:
            return connection.execute(select(tables.meta.c.value).where(tables.meta.c.key == key)).scalar()

    def set_meta(self, key: str, value: str) -> None:
        """Keep a small value beside the data."""
        with self._write() as connection:
            statement = tables.insert(connection.dialect.name)(tables.meta).values(key=key, value=value)
            connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"value": statement.excluded.value}))

    def counts(self) -> dict[str, int]:
        """Rows by noun, for status displays."""
        counted = {
            "episodes": tables.episodes,
            "outcomes": tables.outcomes,
            "exposures": tables.exposures,
            "lessons": tables.lessons,
            "revisions": tables.revisions,
            "reflections": tables.reflections,
        }
        with self._read() as connection:
            return {name: connection.execute(select(func.count()).select_from(table)).scalar_one() for name, table in counted.items()}

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Ledger({self.url.render_as_string(hide_password=True)!r})"

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        self._forget_after_fork()
        with transaction(self._engine, write=False) as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        self._forget_after_fork()
        with transaction(self._engine, write=True) as connection:
            yield connection

    def _forget_after_fork(self) -> None:
        if self._pid != os.getpid():
            with self._lock:
                self._engine.dispose(close=False)
                self._pid = os.getpid()
