"""The vector of a task that was searched with is kept with its episode, so that whoever reflects on it need not embed it again.

Costs some 0.5 ms in the recorder's thread and 2 KB for each new task, until its trajectory is trimmed; saves an embedding of 5 to 80 ms.
"""

import logging
from collections.abc import Iterable

from langchain_reflect.index.embeddings import Embedder
from langchain_reflect.ledger import Ledger
from langchain_reflect.ledger.outcomes import storable
from langchain_reflect.recording.recorder import Record

logger = logging.getLogger(__name__)


class TaskKeeper:
    """An `EpisodeStore` that also keeps what the embedder has in memory about the episodes' tasks; nothing is embedded here.

    Args:
        ledger: Where both go.
        embedder: Has searched with the tasks.
    """

    def __init__(self, ledger: Ledger, embedder: Embedder) -> None:
        self._ledger = ledger
        self._embedder = embedder

    def save_episodes(self, batch: Iterable[Record]) -> None:
        """Keep episodes with their exposures in one transaction, then the vectors of their tasks."""
        records = list(batch)
        self._ledger.save_episodes(records)
        # A text that was masked before it is stored is not the one that was searched with, so nothing of it is kept.
        tasks = {e.task for e, _ in records if e.status != "running"}
        known = {storable(task): vector for task in tasks if (vector := self._embedder.known_document(task)) is not None}
        try:
            self._ledger.put_vectors(self._embedder.id, known)
        except Exception:  # the episodes are kept, and what is missing is embedded when it is needed
            logger.debug("vectors of tasks were not kept", exc_info=True)
