"""Rows of outcomes: every report is kept, and the one that counts is derived.

The reports of one (episode, source, key) differ in content; the one with the later `observed_at` counts, ties are broken by the
content's hash. So any order of arrival gives the same state. An outcome may arrive before its episode; it joins by id when the
episode does.
"""

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, SupportsFloat, cast
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Connection, delete, select
from typing_extensions import TypedDict

from langchain_reflect.errors import InvalidInput, OutcomeConflict
from langchain_reflect.ledger import runs, tables
from langchain_reflect.redaction import Redact, redact_json
from langchain_reflect.types import Outcome, now


class OutcomeFields(TypedDict, total=False):
    """What `record_outcome` takes besides the episode's id."""

    reward: float | bool | None
    feedback: str | None
    source: str
    key: str | None
    observed_at: datetime | None
    detail: JsonValue
    strict: bool


def episode_id_of(value: UUID | str) -> UUID:
    """A UUID from a UUID or its text.

    Raises:
        InvalidInput: It is neither.
    """
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except (ValueError, AttributeError, TypeError) as error:
        raise InvalidInput(
            f"episode id {value!r} is not a UUID; pass the run_id of the run, or an id that `reflect episodes` lists"
        ) from error


def validated(episode_id: UUID | str, given: OutcomeFields) -> Outcome:
    """An `Outcome` from what a caller gave.

    Raises:
        InvalidInput: The reward is no number in [0, 1], both reward and feedback are missing, or the detail is no JSON.
    """
    reward, feedback = given.get("reward"), given.get("feedback")
    reward = None if reward is None else _reward(reward)
    if feedback is not None and not isinstance(feedback, str):
        raise InvalidInput(f"feedback {feedback!r} is a {type(feedback).__name__}; expected text")
    feedback = (feedback or "").encode("utf-8", "replace").decode().replace("\0", "").strip() or None
    if reward is None and feedback is None:
        raise InvalidInput("an outcome needs a reward in [0, 1], a feedback text, or both; got neither")
    source = given.get("source") or "user"
    if not isinstance(source, str):
        raise InvalidInput(f"source {source!r} is a {type(source).__name__}; expected text such as 'verifier', 'human' or a system's name")
    observed_at = given.get("observed_at") or now()
    if observed_at.tzinfo is None:
        observed_at = observed_at.replace(tzinfo=UTC)
    return Outcome(
        episode_id=episode_id_of(episode_id),
        reward=reward,
        feedback=feedback,
        source=source,
        key=str(given.get("key") or ""),
        observed_at=observed_at.astimezone(UTC),
        detail=_json(given.get("detail")),
    )


def _reward(value: object) -> float:
    if isinstance(value, str) or not hasattr(value, "__float__"):
        raise InvalidInput(f"reward {value!r} is a {type(value).__name__}; expected a number in [0, 1] or a bool")
    reward = float(cast("SupportsFloat", value))
    if not math.isfinite(reward) or not 0.0 <= reward <= 1.0:
        raise InvalidInput(f"reward {value!r} is outside [0, 1]; scale it, for example (score - worst) / (best - worst)")
    return reward


def _json(value: JsonValue) -> JsonValue:
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"detail {value!r} is not plain JSON ({error}); pass strings, finite numbers, lists and dicts") from error
    parsed: JsonValue = json.loads(text)
    return parsed


def redacted(outcome: Outcome, redact: Redact) -> Outcome:
    """The outcome without secrets, because feedback becomes advice and advice becomes prompts."""
    feedback = None if outcome.feedback is None else redact(outcome.feedback)
    return outcome.model_copy(update={"feedback": feedback, "detail": redact_json(outcome.detail, redact)})


def content_hash(outcome: Outcome) -> str:
    """SHA-256 of what the outcome says."""
    said = json.dumps([outcome.reward, outcome.feedback, outcome.detail], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def record(connection: Connection, outcome: Outcome, *, strict: bool) -> Outcome:
    """Keep a report; the same content again is a no-op. Returns what counts now for (episode, source, key).

    Raises:
        OutcomeConflict: `strict` and another content is known for the same (episode, source, key).
    """
    table = tables.outcomes
    outcome = outcome.model_copy(update={"episode_id": runs.episode_of(connection, outcome.episode_id)})
    episode = select(tables.episodes.c.id).where(tables.episodes.c.id == outcome.episode_id)
    connection.execute(episode.with_for_update(read=True, key_share=True))  # a reflection must not mark it as seen meanwhile
    same = (table.c.episode_id == outcome.episode_id, table.c.source == outcome.source, table.c.key == outcome.key)
    known = {row.content: row for row in connection.execute(select(table).where(*same))}
    digest = content_hash(outcome)
    if strict and known and digest not in known:
        raise OutcomeConflict(
            f"episode {str(outcome.episode_id)!r} already has another outcome from source {outcome.source!r} with key {outcome.key!r}; "
            "use another key=, or strict=False to let the later judgement win"
        )
    if digest not in known:
        values = outcome.model_dump() | {"content": digest, "recorded_at": now()}
        connection.execute(tables.insert(connection.dialect.name)(table).values(values).on_conflict_do_nothing())
        connection.execute(delete(tables.reflected).where(tables.reflected.c.episode_id == outcome.episode_id))
    return counting(connection, [outcome.episode_id])[outcome.episode_id, outcome.source, outcome.key]


def counting(connection: Connection, episode_ids: Sequence[UUID]) -> dict[tuple[UUID, str, str], Outcome]:
    """The outcomes that count, by (episode, source, key)."""
    table = tables.outcomes
    best: dict[tuple[UUID, str, str], Any] = {}
    for start in range(0, len(episode_ids), 500):
        query = select(table).where(table.c.episode_id.in_(episode_ids[start : start + 500]))
        for row in connection.execute(query):
            slot = (row.episode_id, row.source, row.key)
            if slot not in best or (row.observed_at, row.content) > (best[slot].observed_at, best[slot].content):
                best[slot] = row
    return {slot: _outcome(row._asdict()) for slot, row in best.items()}


def by_episode(connection: Connection, episode_ids: Sequence[UUID]) -> dict[UUID, list[Outcome]]:
    """The outcomes that count for each episode, oldest judgement first."""
    found: dict[UUID, list[Outcome]] = defaultdict(list)
    for (episode_id, _, _), outcome in counting(connection, episode_ids).items():
        found[episode_id].append(outcome)
    for several in found.values():
        several.sort(key=lambda o: (o.observed_at, o.source, o.key))
    return found


def _outcome(row: Mapping[str, Any]) -> Outcome:
    return Outcome(**{name: row[name] for name in Outcome.model_fields})
