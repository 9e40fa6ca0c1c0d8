"""The tables of the ledger, for SQLite and PostgreSQL alike.

Times are ISO 8601 text in UTC with microseconds, so they sort as they are. Namespaces are canonical JSON text, compared by equality only.
An outcome's row is one report; the reports of one (episode, source, key) are all kept and the one that counts is derived. `lessons` is
the fold of `revisions`, and `due` of outcomes and `reflected`, kept as tables so that reading them is one query. A change here needs a
migration (`migrations.py`).
"""

from typing import Any

from sqlalchemy import CheckConstraint, Column, Index, Integer, LargeBinary, MetaData, Table, Text

from langchain_reflect.ledger.columns import Id, JsonText, NamespaceText, Number, UtcTime

metadata = MetaData()


def _table(name: str, *parts: Any, **options: Any) -> Table:
    return Table(name, metadata, *parts, sqlite_strict=True, **options)


migrations = _table("schema_migrations", Column("name", Text, primary_key=True), Column("applied_at", UtcTime, nullable=False))

meta = _table("meta", Column("key", Text, primary_key=True), Column("value", Text, nullable=False))

episodes = _table(
    "episodes",
    Column("id", Id, primary_key=True),
    Column("namespace", NamespaceText, nullable=False),
    Column("graph", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("task_key", Text),
    Column("status", Text, nullable=False),
    Column("arm", Text, nullable=False),
    Column("thread_id", Text),
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("error", Text),
    Column("shown", JsonText, nullable=False),
    Column("model", Text),
    Column("usage", JsonText, nullable=False),
    Column("parent_id", Id),
    Column("metadata", JsonText, nullable=False),
    Column("run_ids", JsonText, nullable=False, server_default="[]"),
    Column("forked_from", Id),
    Column("fingerprint", JsonText),
    CheckConstraint("status <> '' AND arm <> ''", name="episode_has_status"),
    Index("episodes_by_thread", "thread_id"),
    Index("episodes_by_age", "started_at"),
    Index("episodes_by_time", "namespace", "graph", "started_at"),
    Index("episodes_by_task", "namespace", "graph", "task_key"),
    Index("episodes_by_status", "status", "started_at"),
)

runs = _table(
    "runs",
    Column("run_id", Id, primary_key=True, doc="root run id of a run that resumed an episode"),
    Column("episode_id", Id, primary_key=True, doc="each namespace may have one of its own with this run"),
    Index("runs_by_episode", "episode_id"),
)

trajectories = _table(
    "trajectories",
    Column("episode_id", Id, primary_key=True),
    Column("data", LargeBinary, nullable=False, doc="zlib of a JSON object with `steps` and `result`"),
)

episode_metadata = _table(
    "episode_metadata",
    Column("episode_id", Id, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False, doc="JSON text of a scalar value"),
    Index("episodes_by_metadata", "key", "value"),
)

outcomes = _table(
    "outcomes",
    Column("namespace", NamespaceText, primary_key=True),
    Column("episode_id", Id, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("content", Text, primary_key=True, doc="SHA-256 of reward, feedback and detail"),
    Column("observed_at", UtcTime, primary_key=True),
    Column("reward", Number),
    Column("feedback", Text),
    Column("detail", JsonText),
    Column("retracted", Integer, nullable=False, server_default="0", doc="1: takes back what the source said before"),
    Column("recorded_at", UtcTime, nullable=False),
    CheckConstraint("reward IS NULL OR (reward >= 0 AND reward <= 1)", name="reward_in_range"),
    CheckConstraint("reward IS NOT NULL OR feedback IS NOT NULL OR retracted = 1", name="says_something"),
    Index("outcomes_by_episode", "episode_id"),
    Index("outcomes_by_source", "namespace", "source"),
)

revoked_sources = _table(
    "revoked_sources",
    Column("namespace", NamespaceText, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("reason", Text, nullable=False),
)

exposures = _table(
    "exposures",
    Column("episode_id", Id, primary_key=True),
    Column("lesson_id", Text, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("shown", Integer, nullable=False),
    Column("probability", Number, nullable=False),
    Column("arm", Text, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("score", Number, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("fit", Number, nullable=False, server_default="0"),
    Column("unit", Text, nullable=False, server_default="", doc="what chance was drawn for"),
    Column("policy", Text, nullable=False, server_default="", doc="the settings by which it was drawn"),
    Column("dose", Integer, nullable=False, server_default="0", doc="most lessons that the run could be shown"),
    CheckConstraint("probability >= 0 AND probability <= 1", name="probability_in_range"),
    CheckConstraint("shown IN (0, 1)", name="shown_or_not"),
    Index("exposures_by_lesson", "lesson_id"),
)

lessons = _table(
    "lessons",
    Column("id", Text, primary_key=True),
    Column("namespace", NamespaceText, nullable=False),
    Column("status", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("version", Integer, nullable=False, doc="of the lesson book, when this lesson last changed"),
    Column("body", JsonText, nullable=False),
    CheckConstraint("revision >= 1", name="revision_counts"),
    Index("lessons_by_namespace", "namespace", "status"),
    Index("lessons_by_version", "version"),
)

revisions = _table(
    "revisions",
    Column("lesson_id", Text, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("body", JsonText, nullable=False),
    Column("version", Integer, nullable=False, server_default="0", doc="of the lesson book that it made; 0 where it is not known"),
    Index("revisions_by_version", "version"),
    Index("revisions_by_actor", "actor"),
)

reviews = _table(
    "reviews",
    Column("id", Text, primary_key=True),
    Column("namespace", NamespaceText, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("actor", Text, nullable=False, doc="who asks, such as a reflection's id"),
    Column("body", JsonText, nullable=False),
    CheckConstraint("state IN ('open', 'approved', 'rejected')", name="review_state_known"),
    Index("reviews_by_state", "namespace", "state", "at"),
    Index("reviews_by_actor", "actor"),
)

review_lessons = _table(
    "review_lessons",
    Column("review_id", Text, primary_key=True),
    Column("lesson_id", Text, primary_key=True),
    Index("reviews_by_lesson", "lesson_id"),
)

evidence = _table(
    "evidence",
    Column("episode_id", Id, primary_key=True),
    Column("lesson_id", Text, primary_key=True),
    Index("evidence_by_lesson", "lesson_id"),
)

vectors = _table(
    "vectors",
    Column("text_hash", Text, primary_key=True, doc="SHA-256 of the text that was embedded"),
    Column("embedder", Text, primary_key=True),
    Column("data", LargeBinary, nullable=False, doc="little-endian float32"),
)

lesson_texts = _table(
    "lesson_texts",
    Column("lesson_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("text_hash", Text, nullable=False),
    Index("lesson_texts_by_hash", "text_hash"),
)

reflections = _table(
    "reflections",
    Column("id", Text, primary_key=True),
    Column("namespace", NamespaceText, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("report", JsonText, nullable=False),
    Column("replies", JsonText),
    Column("version", Integer, nullable=False, server_default="0", doc="of the lesson book when it ended"),
    Index("reflections_by_time", "at"),
)

reflected = _table(
    "reflected",
    Column("episode_id", Id, primary_key=True),
    Column("reflection_id", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Index("reflected_by_reflection", "reflection_id"),
)

studied = _table(
    "studied",
    Column("episode_id", Id, primary_key=True, doc="an episode that a reflection read, whatever came of it"),
    Column("reflection_id", Text, primary_key=True),
)

due = _table(
    "due",
    Column("episode_id", Id, primary_key=True, doc="judged, and seen by no reflection since"),
    Column("namespace", NamespaceText, nullable=False),
    Column("graph", Text, nullable=False),
    Column("task_key", Text),
    Column("judged_at", UtcTime, nullable=False),
    sqlite_with_rowid=False,
)

jobs = _table(
    "jobs",
    Column("id", Text, primary_key=True),
    Column("namespace", NamespaceText, nullable=False),
    Column("graph", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("reason", Text, nullable=False, doc="why the group is ready"),
    Column("state", Text, nullable=False),
    Column("fence", Integer, nullable=False, doc="grows with each claim; whoever holds an older one may not finish"),
    Column("owner", Text),
    Column("leased_until", UtcTime),
    Column("not_before", UtcTime, doc="no claim until then, after a failure"),
    Column("failures", Integer, nullable=False),
    Column("problem", Text, doc="why it failed last"),
    Column("reflection_id", Text, doc="which finished it"),
    Column("created_at", UtcTime, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    CheckConstraint("state IN ('ready', 'leased', 'parked', 'done')", name="job_state_known"),
    Index("jobs_by_state", "state", "created_at"),
    Index("jobs_by_namespace", "namespace", "state"),
)

job_episodes = _table(
    "job_episodes",
    Column("episode_id", Id, primary_key=True, doc="of a job that is not done; an episode is in one at most"),
    Column("job_id", Text, nullable=False),
    Index("job_episodes_by_job", "job_id"),
)

spending = _table(
    "spending",
    Column("namespace", NamespaceText, primary_key=True),
    Column("day", Text, primary_key=True, doc="UTC, YYYY-MM-DD"),
    Column("calls", Integer, nullable=False),
    Column("tokens", Integer, nullable=False),
)

steering = _table(
    "steering",
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("namespace", NamespaceText, nullable=False),
    Column("graph", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("by", Text, nullable=False, doc="a person's name, or `credit`"),
    Column("reason", Text, nullable=False),
    Column("body", JsonText, nullable=False, doc="of `doses`: the probability of each dose"),
    Column("at", UtcTime, nullable=False),
    CheckConstraint("kind IN ('paused', 'resumed', 'doses')", name="steering_kind_known"),
    Index("steering_by_graph", "namespace", "graph", "number"),
)

practices = _table(
    "practices",
    Column("namespace", NamespaceText, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("id", Text, nullable=False),
    Column("digest", Text, nullable=False, doc="of what is practised"),
    Column("fence", Integer, nullable=False, doc="grows whenever somebody goes on with it"),
    Column("finished", Integer, nullable=False),
    Column("seconds", Number, nullable=False),
    Column("body", JsonText, nullable=False, doc="what its finished epochs led to"),
    Column("started_at", UtcTime, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    CheckConstraint("finished IN (0, 1)", name="practice_finished_or_not"),
    Index("practices_by_id", "id", unique=True),
)

practice_runs = _table(
    "practice_runs",
    Column("practice_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("arm", Text, nullable=False),
    Column("family", Text),
    Column("episode_id", Id),
    Column("reward", Number),
    Column("failed", Integer, nullable=False),
    Column("usage", JsonText, nullable=False),
    Column("shown", JsonText, nullable=False),
    Index("practice_runs_by_episode", "episode_id"),
)

reserved = _table(
    "reserved",
    Column("episode_id", Id, primary_key=True, doc="an episode that no reflection takes but that of its practice"),
    Column("practice_id", Text, nullable=False),
    Column("lasting", Integer, nullable=False, doc="1: of a control arm, so no reflection takes it at all"),
    CheckConstraint("lasting IN (0, 1)", name="lasting_or_not"),
    Index("reserved_by_practice", "practice_id"),
)

tombstones = _table(
    "tombstones",
    Column("digest", Text, primary_key=True, doc="SHA-256 of what was erased, so that it stays erased when it comes again"),
    Column("at", UtcTime, nullable=False),
)


def insert(dialect: str) -> Any:
    """The engine's own `INSERT` construct, which knows `ON CONFLICT`."""
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert
    from sqlalchemy.dialects import sqlite

    return sqlite.insert
