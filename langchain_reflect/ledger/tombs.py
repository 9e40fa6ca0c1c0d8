"""What was erased stays erased: a tombstone holds the hash of what may not come in again, and nothing else of it."""

import hashlib
import json
from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, bindparam, select

from langchain_reflect.errors import EpisodeErased
from langchain_reflect.ledger import tables
from langchain_reflect.types import Namespace, Outcome, now

_AMONG: Final = select(tables.tombstones.c.digest).where(tables.tombstones.c.digest.in_(bindparam("digests", expanding=True)))


def of_episode(namespace: Namespace, episode_id: UUID) -> str:
    """Digest of an episode's id."""
    return _digest("episode", namespace, str(episode_id))


def of_slot(namespace: Namespace, episode_id: UUID, source: str, key: str) -> str:
    """Digest of (episode, source, key)."""
    return _digest("outcome", namespace, str(episode_id), source, key)


def of_lesson(namespace: Namespace, lesson_id: str) -> str:
    """Digest of a lesson's id."""
    return _digest("lesson", namespace, lesson_id)


def put(connection: Connection, digests: Collection[str]) -> None:
    """Set tombstones."""
    insert = tables.insert(connection.dialect.name)(tables.tombstones)
    if digests:
        connection.execute(insert.on_conflict_do_nothing(), [{"digest": d, "at": now()} for d in sorted(digests)])


def among(connection: Connection, digests: Sequence[str]) -> set[str]:
    """Those of the digests that have a tombstone."""
    found = set[str]()
    for start in range(0, len(digests), 500):
        found |= set(connection.execute(_AMONG, {"digests": digests[start : start + 500]}).scalars())
    return found


def is_set(connection: Connection, *digests: str) -> bool:
    """Whether one of them has a tombstone."""
    return bool(among(connection, digests))


def refuse_erased(connection: Connection, namespace: Namespace, outcome: Outcome) -> None:
    """Raise `EpisodeErased` if what the outcome is about was erased."""
    slot = of_slot(namespace, outcome.episode_id, outcome.source, outcome.key)
    if is_set(connection, of_episode(namespace, outcome.episode_id), slot):
        raise EpisodeErased(f"episode {str(outcome.episode_id)!r} (or what {outcome.source!r} said of it) was erased; nothing was kept")


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
