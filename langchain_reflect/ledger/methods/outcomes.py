"""Methods about outcomes: what was said of an episode, by whom, and what of it counts."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Unpack
from uuid import UUID

from sqlalchemy import Connection

from langchain_reflect.errors import InvalidInput, shown
from langchain_reflect.ledger import dues, outcomes, runs
from langchain_reflect.ledger.methods.base import Methods
from langchain_reflect.ledger.outcomes import OutcomeFields
from langchain_reflect.types import Namespace, Outcome

MAX_BATCH = 10_000


class OutcomeMethods(Methods):
    """Keep outcomes and take them back."""

    def record_outcome(self, episode_id: UUID | str, **given: Unpack[OutcomeFields]) -> Outcome:
        """Keep a judgement of an episode; durable when this returns.

        Idempotent by (episode, source, key): the same content again changes nothing; another content counts if its `observed_at`
        is later. The episode may be recorded later.

        Args:
            episode_id: Id of the episode, which is the run's root `run_id` (or that of a run that resumed it).
            **given: `reward` in [0, 1] or a bool; `feedback` text; `source`, default `user`; `key` that tells several outcomes of
                one source apart; `observed_at`, default now; `detail`, plain JSON; `namespace` of the episode, default the ledger's own;
                `strict`: an unknown episode, and another content for a known key, are errors.

        Returns:
            The outcome that counts now for this (episode, source, key), or what was given where nothing does (a revoked source).

        Raises:
            InvalidInput: The reward is not in [0, 1], neither reward nor feedback is given, or another value cannot be meant.
            OutcomeConflict: `strict=True` and another content is known.
            EpisodeNotFound: `strict=True` and the episode is not known in the namespace.
            EpisodeErased: The episode, or what this source said of it, was erased.
        """
        return self.record_outcomes([(episode_id, given)])[0]

    async def arecord_outcome(self, episode_id: UUID | str, **given: Unpack[OutcomeFields]) -> Outcome:
        """Async `record_outcome`."""
        return await asyncio.to_thread(partial(self.record_outcome, episode_id, **given))

    def record_outcomes(self, batch: Iterable[tuple[UUID | str, OutcomeFields]]) -> list[Outcome]:
        """`record_outcome` for up to 10,000 in one transaction, which costs one disk flush: all or none."""
        given = list(islice(batch, MAX_BATCH + 1))
        if len(given) > MAX_BATCH:
            raise InvalidInput(f"more than {MAX_BATCH} outcomes at once; give them in several calls")
        for pair in given:
            if not _is_pair(pair):
                raise InvalidInput(f"{shown(pair)} is no outcome; expected a pair such as (episode_id, {{'reward': 1.0}})")
        checked = [(outcomes.redacted(outcomes.validated(episode_id, fields), self._redact), fields) for episode_id, fields in given]
        spaces = [self._space(fields.get("namespace")) for _, fields in checked]

        def record(connection: Connection) -> list[Outcome]:
            if several := len(checked) > 1:
                dues.lock(connection, [outcome.episode_id for outcome, _ in checked])
            return [
                outcomes.record(
                    connection,
                    outcome,
                    namespace=space,
                    strict=fields.get("strict", False),
                    timed=fields.get("observed_at") is not None,
                    locked=several,
                )
                or outcome
                for (outcome, fields), space in zip(checked, spaces, strict=True)
            ]

        return self._write(record)

    def retract_outcome(
        self,
        episode_id: UUID | str,
        *,
        source: str = "user",
        key: str | None = None,
        observed_at: datetime | None = None,
        namespace: Namespace | None = None,
    ) -> None:
        """Take back what a source said of an episode under a key; the report is kept, but no longer counts.

        A later report of the same source and key counts again if it says something else, or says when it was made (`observed_at`);
        the same once more is taken for a repetition.

        Args:
            episode_id: As for `record_outcome`.
            source: Who takes it back.
            key: Which of the source's outcomes.
            observed_at: When; default now. It takes back what was observed before.
            namespace: Of the episode; default the ledger's own.
        """
        report = outcomes.retraction(episode_id, source, key, observed_at)
        self._write(outcomes.record, report, namespace=self._space(namespace), timed=observed_at is not None)

    def revoke_source(self, source: str, *, reason: str = "", namespace: Namespace | None = None) -> list[UUID]:
        """Let nothing count that a source said or will say, in a namespace; the episodes that it judged are due again.

        Returns:
            Those episodes.
        """
        return self._write(outcomes.revoke, self._space(namespace), outcomes.name_of("source", source), reason)

    def trust_source(self, source: str, *, namespace: Namespace | None = None) -> list[UUID]:
        """Undo `revoke_source`; returns the episodes that the source judged."""
        return self._write(outcomes.trust, self._space(namespace), outcomes.name_of("source", source))

    def outcomes(self, episode_id: UUID | str, *, namespace: Namespace | None = None) -> list[Outcome]:
        """The outcomes that count for an episode, oldest judgement first; empty if there are none.

        Args:
            episode_id: As for `record_outcome`; the episode need not be known yet.
            namespace: Of the episode; default the ledger's own.
        """
        return self._read(_outcomes, self._space(namespace), outcomes.episode_id_of(episode_id))


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple | list) and [isinstance(part, Mapping) for part in value[1:]] == [True]


def _outcomes(connection: Connection, namespace: Namespace, episode_id: UUID) -> list[Outcome]:
    return outcomes.of(connection, namespace, runs.episode_of(connection, episode_id, namespace))
