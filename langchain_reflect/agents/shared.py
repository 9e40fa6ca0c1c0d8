"""What the services of one learner have in common: threads for recall, the count of failures, and what they remember of runs."""

import threading
from collections import OrderedDict
from typing import Any, Final
from uuid import UUID, uuid5

from langchain_reflect.agents.deadline import DaemonCalls
from langchain_reflect.agents.episodes import OpenEpisode, Shown
from langchain_reflect.agents.health import Health

_RUN_IDS: Final = 10_000
_THREADS: Final = 2_000
_OPEN: Final = 500
"""Open episodes of middleware and plain nodes; those of runs that never end must not pile up."""


class Shared:
    """Bounded memories that any thread may use; the oldest entries go first."""

    def __init__(self) -> None:
        self.health = Health()
        self.calls = DaemonCalls()
        self._lock = threading.Lock()
        self._attempts: OrderedDict[UUID, int] = OrderedDict()
        self._threads: OrderedDict[tuple[str, ...], tuple[str, Shown]] = OrderedDict()
        self._open: OrderedDict[UUID, OpenEpisode] = OrderedDict()

    def episode_id(self, run_id: UUID) -> UUID:
        """Id of the next episode with this run id: the run id itself, then one made from it for each further attempt."""
        with self._lock:
            attempt = self._attempts.get(run_id, 0) + 1
            _remember(self._attempts, run_id, attempt, _RUN_IDS)
        return run_id if attempt == 1 else uuid5(run_id, f"attempt-{attempt}")

    def remember_thread(self, episode: OpenEpisode) -> None:
        """Remember what was asked and shown last in the episode's thread."""
        if episode.thread_id is not None:
            with self._lock:
                _remember(self._threads, _thread(episode), (episode.task, episode.shown), _THREADS)

    def of_thread(self, episode: OpenEpisode) -> tuple[str, Shown] | None:
        """Task and lessons of the last episode of the same thread, graph and namespace."""
        return self._threads.get(_thread(episode))

    def keep(self, episode: OpenEpisode | None) -> OpenEpisode | None:
        """Keep an open episode for `kept`."""
        if episode is not None:
            with self._lock:
                _remember(self._open, episode.id, episode, _OPEN)
        return episode

    def kept(self, episode_id: UUID | None) -> OpenEpisode | None:
        """The open episode of this id, if it was opened in this process."""
        return None if episode_id is None else self._open.get(episode_id)

    def let_go(self, episode_id: UUID) -> None:
        """Forget an open episode."""
        with self._lock:
            self._open.pop(episode_id, None)


def _thread(episode: OpenEpisode) -> tuple[str, ...]:
    """A thread belongs to one namespace: equal thread ids of two tenants are two threads."""
    return (*episode.namespace, episode.graph, episode.thread_id or "")


def _remember(known: "OrderedDict[Any, Any]", key: Any, value: Any, limit: int) -> None:
    known[key] = value
    known.move_to_end(key)
    while len(known) > limit:
        known.popitem(last=False)
