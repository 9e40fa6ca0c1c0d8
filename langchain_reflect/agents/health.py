"""What went wrong inside agents' runs: counted always, logged once per kind."""

import logging
import threading
from collections import Counter

logger = logging.getLogger("langchain_reflect")


class Health:
    """Counts failures by kind, such as `recall late`."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def note(self, kind: str, message: str, *, error: BaseException | None = None, level: int = logging.WARNING) -> None:
        """Count a failure and log its first occurrence.

        Args:
            kind: Short name; failures of one kind are logged once.
            message: What happened and the way out.
            error: The exception behind it; its traceback goes into the log at debug level.
            level: Level of the log line.
        """
        with self._lock:
            self._counts[kind] += 1
            first = self._counts[kind] == 1
        if first:
            logger.log(level, "%s (logged once; the run goes on)", message)
        if error is not None:
            logger.debug("%s", message, exc_info=error)

    @property
    def counts(self) -> dict[str, int]:
        """Failures so far, by kind."""
        with self._lock:
            return dict(self._counts)
