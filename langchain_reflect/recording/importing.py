"""Logged runs become episodes with outcomes, many in one transaction."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final

from langchain_reflect.ledger import Ledger
from langchain_reflect.ledger.outcomes import OutcomeFields
from langchain_reflect.recording.messages import read_row
from langchain_reflect.redaction import Redact
from langchain_reflect.types import Episode, Namespace, Outcome

_BATCH: Final = 200


def import_rows(ledger: Ledger, rows: Iterable[Mapping[str, Any]], *, namespace: Namespace, graph: str, redact: Redact) -> int:
    """Take in rows; those of erased episodes are passed over.

    Args:
        ledger: Where they go.
        rows: See `Learner.import_episodes`.
        namespace: Where a row names none.
        graph: Where a row names none.
        redact: Applied to every text.

    Returns:
        Number of rows read.

    Raises:
        InvalidInput: A row cannot be meant; the message has its number. Earlier rows have been kept.
    """
    count, batch, numbered = 0, list[tuple[Episode, Outcome | None]](), enumerate(rows, start=1)
    try:
        while some := list(islice(numbered, _BATCH)):
            for number, row in some:
                batch.append(read_row(row, number=number, namespace=namespace, graph=graph, clean=redact))
            count += _keep(ledger, batch)
            batch = []
    finally:
        count += _keep(ledger, batch)
    return count


def _keep(ledger: Ledger, batch: list[tuple[Episode, Outcome | None]]) -> int:
    if batch:
        ledger.save_episodes((episode, ()) for episode, _ in batch)
        erased = ledger.erased(episode for episode, _ in batch)
        ledger.record_outcomes((o.episode_id, _fields(o, e.namespace)) for e, o in batch if o is not None and e.id not in erased)
    return len(batch)


def _fields(outcome: Outcome, namespace: Namespace) -> OutcomeFields:
    return {
        "namespace": namespace,
        "reward": outcome.reward,
        "feedback": outcome.feedback,
        "source": outcome.source,
        "key": outcome.key,
        "observed_at": outcome.observed_at,
        "detail": outcome.detail,
    }
