"""The tables of the ledger, for SQLite and PostgreSQL alike.

Times are ISO 8601 text in UTC with microseconds, so they sort as they are. Namespaces are canonical JSON text, compared by equality only.
An outcome's row is one report; the reports of one (episode, source, key) are all kept and the one that counts is derived. `lessons` is the
fold of `revisions`, kept as a table so that reading the book is one query. A change here needs a migration (`migrations.py`).
"""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.types import JSON, TypeDecorator

from langchain_reflect.types import Namespace


class UtcTime(TypeDecorator[datetime]):
    """A timezone-aware time as fixed-width ISO text in UTC."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - the interface's parameter
        """To text."""
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the interface's parameter
        """From text."""
        return None if value is None else datetime.fromisoformat(value)


class NamespaceText(TypeDecorator[tuple[str, ...]]):
    """A namespace as canonical JSON text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Namespace | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - the interface's parameter
        """To text."""
        return None if value is None else json.dumps(list(value), separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Namespace | None:  # noqa: ARG002 - the interface's parameter
        """From text."""
        return None if value is None else tuple(json.loads(value))


def _json() -> JSON:
    return JSON(none_as_null=True)


metadata = MetaData()

migrations = Table(
    "schema_migrations",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("applied_at", UtcTime, nullable=False),
)

meta = Table("meta", metadata, Column("key", String(200), primary_key=True), Column("value", Text, nullable=False))

episodes = Table(
    "episodes",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("namespace", NamespaceText, nullable=False),
    Column("graph", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("task_key", Text),
    Column("status", String(20), nullable=False),
    Column("arm", String(20), nullable=False),
    Column("thread_id", Text),
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("error", Text),
    Column("shown", _json(), nullable=False),
    Column("model", Text),
    Column("usage", _json(), nullable=False),
    Column("parent_id", Uuid),
    Column("metadata", _json(), nullable=False),
    Column("run_ids", _json(), nullable=False, server_default="[]"),
    Column("forked_from", Uuid),
    Index("episodes_by_thread", "thread_id"),
    Index("episodes_by_time", "namespace", "graph", "started_at"),
    Index("episodes_by_task", "namespace", "graph", "task_key"),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", Uuid, primary_key=True, doc="root run id of a run that resumed an episode"),
    Column("episode_id", Uuid, nullable=False),
)

trajectories = Table(
    "trajectories",
    metadata,
    Column("episode_id", Uuid, primary_key=True),
    Column("data", LargeBinary, nullable=False, doc="zlib of a JSON object with `steps` and `result`"),
)

episode_metadata = Table(
    "episode_metadata",
    metadata,
    Column("episode_id", Uuid, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False, doc="JSON text of a scalar value"),
    Index("episodes_by_metadata", "key", "value"),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("episode_id", Uuid, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("content", String(64), primary_key=True, doc="SHA-256 of reward, feedback and detail"),
    Column("reward", Float),
    Column("feedback", Text),
    Column("detail", _json()),
    Column("observed_at", UtcTime, nullable=False),
    Column("recorded_at", UtcTime, nullable=False),
    CheckConstraint("reward IS NULL OR (reward >= 0 AND reward <= 1)", name="reward_in_range"),
    CheckConstraint("reward IS NOT NULL OR feedback IS NOT NULL", name="says_something"),
)

exposures = Table(
    "exposures",
    metadata,
    Column("episode_id", Uuid, primary_key=True),
    Column("lesson_id", String(40), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("shown", Integer, nullable=False),
    Column("probability", Float, nullable=False),
    Column("arm", String(20), nullable=False),
    Column("rank", Integer, nullable=False),
    Column("score", Float, nullable=False),
    Column("tokens", Integer, nullable=False),
    CheckConstraint("probability >= 0 AND probability <= 1", name="probability_in_range"),
    Index("exposures_by_lesson", "lesson_id"),
)

lessons = Table(
    "lessons",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("namespace", NamespaceText, nullable=False),
    Column("status", String(20), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("version", Integer, nullable=False, doc="of the lesson book, when this lesson last changed"),
    Column("body", _json(), nullable=False),
    Index("lessons_by_namespace", "namespace", "status"),
    Index("lessons_by_version", "version"),
)

revisions = Table(
    "revisions",
    metadata,
    Column("lesson_id", String(40), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("body", _json(), nullable=False),
)

vectors = Table(
    "vectors",
    metadata,
    Column("text_hash", String(64), primary_key=True, doc="SHA-256 of the text that was embedded"),
    Column("embedder", String(200), primary_key=True),
    Column("data", LargeBinary, nullable=False, doc="little-endian float32"),
)

lesson_texts = Table(
    "lesson_texts",
    metadata,
    Column("lesson_id", String(40), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("text_hash", String(64), nullable=False),
)

reflections = Table(
    "reflections",
    metadata,
    Column("id", String(60), primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("report", _json(), nullable=False),
    Column("replies", _json()),
    Index("reflections_by_time", "at"),
)

reflected = Table(
    "reflected",
    metadata,
    Column("episode_id", Uuid, primary_key=True),
    Column("reflection_id", String(60), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("parked", Integer, nullable=False, doc="1: nothing was learned from it yet, it waits for `retry_parked`"),
    Index("reflected_by_parked", "parked"),
)


def insert(dialect: str) -> Any:
    """The engine's own `INSERT` construct, which knows `ON CONFLICT`."""
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert
    from sqlalchemy.dialects import sqlite

    return sqlite.insert
