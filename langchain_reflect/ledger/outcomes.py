"""Rows of outcomes: every report is kept, and the one that counts is derived.

The reports of one (episode, source, key) differ in content or in `observed_at`; the one with the latest `observed_at` counts, ties are
broken by the content's hash. If that one is a retraction, nothing of the source counts, and nothing of a revoked source does. So any
order of arrival gives the same state. An outcome may arrive before its episode; it joins by namespace and id when the episode does.
"""

import hashlib
import json
import math
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cache
from numbers import Complex, Real
from typing import Any, Final, SupportsFloat, cast
from uuid import UUID

from pydantic import JsonValue, ValidationError
from sqlalchemy import BindParameter, ColumnElement, Connection, bindparam, delete, exists, func, select
from sqlalchemy import cast as sql_cast
from typing_extensions import TypedDict

from langchain_reflect.errors import EpisodeNotFound, InvalidInput, OutcomeConflict, shown
from langchain_reflect.ledger import dues, runs, tables, tombs
from langchain_reflect.ledger.counting import counts
from langchain_reflect.ledger.prepared import Prepared
from langchain_reflect.redaction import Redact, redact_json
from langchain_reflect.types import Namespace, Outcome, now

MAX_FEEDBACK: Final = 16_000
"""Most characters of a feedback text."""
MAX_DETAIL: Final = 64_000
"""Most characters of a detail as JSON."""
MAX_NAME: Final = 200
"""Most characters of a source or key."""
AHEAD: Final = timedelta(days=1)
"""How far a caller's clock may be ahead."""


class OutcomeFields(TypedDict, total=False):
    """What `record_outcome` takes besides the episode's id."""

    reward: float | bool | None
    feedback: str | None
    source: str
    key: str | None
    observed_at: datetime | None
    detail: JsonValue
    strict: bool
    namespace: Namespace | None


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
            f"episode id {shown(value)} is not a UUID; pass the run_id of the run, or an id that `reflect episodes` lists"
        ) from error


def validated(episode_id: UUID | str, given: OutcomeFields) -> Outcome:
    """An `Outcome` from what a caller gave.

    Raises:
        InvalidInput: The reward is no number in [0, 1], both reward and feedback are missing, or another value cannot be meant.
    """
    unknown = [name for name in given if name not in OutcomeFields.__annotations__]
    if unknown:
        raise InvalidInput(f"an outcome has no {shown(unknown[0])}; expected {', '.join(OutcomeFields.__annotations__)}")
    reward, feedback = given.get("reward"), given.get("feedback")
    reward = None if reward is None else _reward(reward)
    if feedback is not None and not isinstance(feedback, str):
        raise InvalidInput(f"feedback {shown(feedback, 200)} is a {type(feedback).__name__}; expected text")
    feedback = storable(feedback or "").strip() or None
    if feedback is not None and len(feedback) > MAX_FEEDBACK:
        raise InvalidInput(
            f"feedback has {len(feedback)} characters; expected at most {MAX_FEEDBACK}, so give a summary or cut it yourself"
        )
    if reward is None and feedback is None:
        raise InvalidInput("an outcome needs a reward in [0, 1], a feedback text, or both; got neither")
    source, key = given.get("source"), given.get("key")
    try:
        return Outcome(
            episode_id=episode_id_of(episode_id),
            reward=reward,
            feedback=feedback,
            source="user" if source is None else name_of("source", source),
            key="" if key is None else name_of("key", key),
            observed_at=_time(given.get("observed_at")),
            detail=_json(given.get("detail")),
        )
    except ValidationError as error:
        raise InvalidInput("detail is nested too deeply; expected at most 200 levels") from error


def retraction(episode_id: UUID | str, source: str, key: str | None, observed_at: datetime | None) -> Outcome:
    """The report that a source takes back what it said."""
    return Outcome(
        episode_id=episode_id_of(episode_id),
        source=name_of("source", source),
        key="" if key is None else name_of("key", key),
        observed_at=_time(observed_at),
        retracted=True,
    )


def name_of(what: str, value: object) -> str:
    """A source or a key: a text of at most 200 characters without control characters; a source is not empty.

    Raises:
        InvalidInput: It is none.
    """
    if not isinstance(value, str):
        raise InvalidInput(f"{what} {shown(value, 200)} is a {type(value).__name__}; expected text")
    if what == "source" and not value.strip():
        raise InvalidInput(f"source {value!r:.200} is empty; expected who judged, such as 'human', 'verifier' or the name of a system")
    if len(value) > MAX_NAME or any(unicodedata.category(c) in {"Cc", "Cs"} for c in value):
        raise InvalidInput(f"{what} {value!r:.200} cannot be used; expected at most {MAX_NAME} characters, none of them control characters")
    return value


def storable(text: str) -> str:
    """The text without what a database refuses: halves of surrogate pairs and NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def _reward(value: object) -> float:
    kind, wanted = type(value).__name__, "expected a number in [0, 1] or a bool"
    imaginary = isinstance(value, Complex) and not isinstance(value, Real)
    if imaginary or isinstance(value, str | Fraction) or not hasattr(value, "__float__"):
        raise InvalidInput(f"reward {shown(value, 200)} is a {kind}; {wanted}")
    try:
        reward = float(cast("SupportsFloat", value))
    except OverflowError as error:
        raise InvalidInput(f"reward is a {kind} that is too large; {wanted}") from error
    except Exception as error:  # arrays of several numbers, tensors on other devices
        raise InvalidInput(f"reward of type {kind} is not one number ({error}); {wanted}") from error
    if not math.isfinite(reward) or not 0.0 <= reward <= 1.0:
        raise InvalidInput(f"reward {reward!r} is outside [0, 1]; scale it, for example (score - worst) / (best - worst)")
    return reward + 0.0  # -0.0 is the same number with another text


def _time(value: object) -> datetime:
    if value is None:
        return now()
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise InvalidInput(f"observed_at {shown(value)} has no time zone; expected a datetime such as datetime.now(UTC)")
    try:
        told = value.astimezone(UTC)
    except OverflowError as error:
        raise InvalidInput(f"observed_at {value.isoformat()} lies outside the years 1 to 9999 in UTC; check the clock") from error
    if told > now() + AHEAD:
        raise InvalidInput(
            f"observed_at {value.isoformat()} lies in the future, so it would win over every later judgement; check the clock"
        )
    return told


def _json(value: JsonValue) -> JsonValue:
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        expected = "pass strings, finite numbers, lists and dicts"
        raise InvalidInput(f"detail {shown(value, 200)} is not plain JSON ({error}); {expected}") from error
    if len(text) > MAX_DETAIL:
        raise InvalidInput(f"detail has {len(text)} characters as JSON; expected at most {MAX_DETAIL}")
    parsed: JsonValue = json.loads(text)
    return parsed


def redacted(outcome: Outcome, redact: Redact) -> Outcome:
    """The outcome without secrets, because feedback becomes advice and advice becomes prompts."""
    feedback = None if outcome.feedback is None else redact(outcome.feedback)
    return outcome.model_copy(update={"feedback": feedback, "detail": redact_json(outcome.detail, redact)})


def content_hash(outcome: Outcome) -> str:
    """SHA-256 of what the outcome says."""
    said = json.dumps([outcome.reward, outcome.feedback, outcome.detail, *(["retracted"] if outcome.retracted else [])], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def record(
    connection: Connection, outcome: Outcome, *, namespace: Namespace, strict: bool = False, timed: bool = True, locked: bool = False
) -> Outcome | None:
    """Keep a report; the same again is a no-op. Returns what counts now for (episode, source, key), None if that is nothing.

    Args:
        connection: Of a write transaction.
        outcome: The report.
        namespace: Of its episode.
        strict: Refuse another content for a known (episode, source, key), and an unknown episode.
        timed: Whether the caller told when the judgement was made. If not, a content that is known already is known for good.
        locked: Whether `dues.lock` has the lock of the episode already.

    Raises:
        OutcomeConflict: `strict` and another content is known.
        EpisodeNotFound: `strict` and the episode is not (in this namespace).
        EpisodeErased: The episode, or what this source said of it, was erased.
    """
    named, digest = outcome.episode_id, content_hash(outcome)
    if _kept_as_first(connection, outcome, namespace, digest, locked=locked):
        return outcome
    episode_id, is_known = _located(connection, named, namespace)
    if not is_known and dues.take_turns(connection, [named]):
        episode_id, is_known = _located(connection, named, namespace)
    outcome = outcome.model_copy(update={"episode_id": episode_id})
    for run_id in {named, episode_id}:
        tombs.refuse_erased(connection, namespace, outcome.model_copy(update={"episode_id": run_id}))
    if strict and not is_known:
        raise EpisodeNotFound(
            f"no episode {str(outcome.episode_id)!r} in namespace {'/'.join(namespace)!r}; strict=False keeps the outcome until it comes"
        )
    slot = {"namespace": namespace, "episode_id": outcome.episode_id, "source": outcome.source, "key": outcome.key}
    known = connection.execute(_REPORTS, slot).all()
    if strict and known and all(row.content != digest for row in known):
        raise OutcomeConflict(
            f"episode {str(outcome.episode_id)!r} already has another outcome from source {outcome.source!r} with key {outcome.key!r}; "
            "use another key=, or strict=False to let the later judgement win"
        )
    same = [row for row in known if row.content == digest]
    if outcome.retracted and not timed and max(known, key=lambda row: (row.observed_at, row.content), default=None) not in same:
        same = []  # something was said since it was taken back before
    if not same or (timed and all(row.observed_at != outcome.observed_at for row in same)):
        connection.execute(_inserted(connection.dialect.name), _row(outcome, namespace, digest))
        if is_known:
            dues.reopen(connection, [outcome.episode_id])
    found = connection.execute(_counting_in_slot(), slot).first()
    return None if found is None else _outcome(found._asdict())


def _kept_as_first(connection: Connection, outcome: Outcome, namespace: Namespace, digest: str, *, locked: bool) -> bool:
    """Keep what is by far the most common in as few statements as can be: what a source that said nothing yet says of a known episode.

    Returns:
        Whether it was that. If not, nothing was done, and what else it may be is looked at step by step.
    """
    if outcome.retracted:
        return False
    row = _row(outcome, namespace, digest)
    given = {f"given_{name}": value for name, value in row.items()}
    given["episode_tomb"] = tombs.of_episode(namespace, outcome.episode_id)
    given["slot_tomb"] = tombs.of_slot(namespace, outcome.episode_id, outcome.source, outcome.key)
    if connection.dialect.name == "postgresql":
        locked = locked or connection.execute(_LOCKED, row).first() is not None
        return locked and _FIRST_AND_DUE.run(connection, given) == 1
    return _FIRST.run(connection, given) == 1 and _DUE.run(connection, given) == 1


def _first(dialect: str) -> Any:
    o, e, revoked = tables.outcomes.c, tables.episodes.c, tables.revoked_sources.c
    in_the_way = (
        exists().where(tables.runs.c.run_id == _GIVEN["episode_id"]),
        exists().where(tables.reflected.c.episode_id == _GIVEN["episode_id"]),
        exists().where(tables.job_episodes.c.episode_id == _GIVEN["episode_id"]),
        exists().where(tables.reserved.c.episode_id == _GIVEN["episode_id"], tables.reserved.c.lasting == 1),
        exists().where(revoked.namespace == _GIVEN["namespace"], revoked.source == _GIVEN["source"]),
        exists().where(tables.tombstones.c.digest.in_([bindparam("episode_tomb"), bindparam("slot_tomb")])),
        exists().where(*(o[name] == _GIVEN[name] for name in _SLOT)),
    )
    row = select(*(sql_cast(value, value.type) for value in _GIVEN.values())).select_from(tables.episodes)
    row = row.where(e.id == _GIVEN["episode_id"], e.namespace == _GIVEN["namespace"], *(~one for one in in_the_way))
    return tables.insert(dialect)(tables.outcomes).from_select(list(_GIVEN), row)


def _first_and_due(dialect: str) -> Any:
    kept = _first(dialect).returning(tables.outcomes.c.episode_id, tables.outcomes.c.recorded_at).cte("kept")
    return dues.now_due(dialect, select(kept.c.episode_id).scalar_subquery(), select(kept.c.recorded_at).scalar_subquery())


_SLOT: Final = ("namespace", "episode_id", "source", "key")
_GIVEN: Final[dict[str, BindParameter[Any]]] = {c.name: bindparam(f"given_{c.name}", type_=c.type) for c in tables.outcomes.c}
_FIRST: Final = Prepared(_first)
_DUE: Final = Prepared(lambda dialect: dues.now_due(dialect, _GIVEN["episode_id"], _GIVEN["recorded_at"]))
_FIRST_AND_DUE: Final = Prepared(_first_and_due)


def _row(outcome: Outcome, namespace: Namespace, digest: str) -> dict[str, Any]:
    values = {name: getattr(outcome, name) for name in Outcome.model_fields}
    return values | {"namespace": namespace, "content": digest, "recorded_at": now(), "retracted": int(outcome.retracted)}


@cache
def _inserted(dialect: str) -> Any:
    return tables.insert(dialect)(tables.outcomes).on_conflict_do_nothing()


def _located(connection: Connection, run_id: UUID, namespace: Namespace) -> tuple[UUID, bool]:
    """Id of the episode that a run belongs to, and whether it is known; if so, other outcomes and reflections wait for this one."""
    episode_id = runs.episode_of(connection, run_id, namespace)
    locked = connection.execute(_LOCKED, {"episode_id": episode_id, "namespace": namespace})
    return episode_id, locked.first() is not None


def _in_slot() -> list[ColumnElement[bool]]:
    return [tables.outcomes.c[name] == bindparam(name) for name in _SLOT]


@cache
def _counting_in_slot() -> Any:
    return select(tables.outcomes).where(*_in_slot(), counts())


_LOCKED: Final = (
    select(tables.episodes.c.id)
    .where(tables.episodes.c.id == bindparam("episode_id"), tables.episodes.c.namespace == bindparam("namespace"))
    .with_for_update(key_share=True)
)
_REPORTS: Final = select(tables.outcomes.c.content, tables.outcomes.c.observed_at).where(*_in_slot())


def by_episode(connection: Connection, episode_ids: Sequence[UUID]) -> dict[UUID, list[Outcome]]:
    """The outcomes that count for each of these known episodes, oldest judgement first."""
    found: dict[UUID, list[Outcome]] = defaultdict(list)
    e, o = tables.episodes.c, tables.outcomes.c
    for start in range(0, len(episode_ids), 500):
        joined = exists().where(e.id == o.episode_id, e.namespace == o.namespace)
        some = (o.episode_id.in_(episode_ids[start : start + 500]), joined)
        for (_, episode_id, _, _), outcome in _counting(connection, some).items():
            found[episode_id].append(outcome)
    return {episode_id: _ordered(several) for episode_id, several in found.items()}


def of(connection: Connection, namespace: Namespace, episode_id: UUID) -> list[Outcome]:
    """The outcomes that count for an id in a namespace, whether the episode is known yet or not, oldest judgement first."""
    table = tables.outcomes.c
    return _ordered(_counting(connection, (table.namespace == namespace, table.episode_id == episode_id)).values())


def _ordered(outcomes: Iterable[Outcome]) -> list[Outcome]:
    return sorted(outcomes, key=lambda o: (o.observed_at, o.source, o.key))


def _counting(connection: Connection, conditions: Iterable[ColumnElement[bool]]) -> dict[tuple[Namespace, UUID, str, str], Outcome]:
    """The outcomes that count among the rows that fit, by (namespace, episode, source, key)."""
    rows = connection.execute(select(tables.outcomes).where(*conditions, counts()))
    return {(row.namespace, row.episode_id, row.source, row.key): _outcome(row._asdict()) for row in rows}


def _outcome(row: Mapping[str, Any]) -> Outcome:
    return Outcome(**{name: row[name] for name in Outcome.model_fields if name != "retracted"})


def revoke(connection: Connection, namespace: Namespace, source: str, reason: str) -> list[UUID]:
    """Let nothing that a source said or will say count; returns the episodes it had judged."""
    values = {"namespace": namespace, "source": source, "at": now(), "reason": reason}
    connection.execute(tables.insert(connection.dialect.name)(tables.revoked_sources).values(values).on_conflict_do_nothing())
    return _reopen_judged_by(connection, namespace, source)


def trust(connection: Connection, namespace: Namespace, source: str) -> list[UUID]:
    """Undo `revoke`; returns the episodes that the source judged."""
    revoked = tables.revoked_sources.c
    connection.execute(delete(tables.revoked_sources).where(revoked.namespace == namespace, revoked.source == source))
    return _reopen_judged_by(connection, namespace, source)


def _reopen_judged_by(connection: Connection, namespace: Namespace, source: str) -> list[UUID]:
    table, known = tables.outcomes.c, tables.episodes.c
    judged = exists().where(known.id == table.episode_id, known.namespace == table.namespace)
    query = select(table.episode_id).distinct().where(table.namespace == namespace, table.source == source, judged)
    ids = list(connection.execute(query).scalars())
    for start in range(0, len(ids), 500):
        dues.drop_jobs(connection, ids[start : start + 500])  # also of a reflection that is under way, which read what no longer counts
        dues.reopen(connection, ids[start : start + 500])
    return ids


def orphans(connection: Connection) -> int:
    """Number of reports whose episode has not come."""
    said, known = tables.outcomes.c, tables.episodes.c
    mine = exists().where(known.id == said.episode_id, known.namespace == said.namespace)
    return connection.execute(select(func.count()).select_from(tables.outcomes).where(~mine)).scalar_one()
