"""What the services of one learner have in common: threads for recall, the count of failures, and what they remember of runs."""

import logging
import threading
from collections import OrderedDict
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from langchain_reflect.agents.breaker import Breaker
from langchain_reflect.agents.deadline import DaemonCalls
from langchain_reflect.agents.episodes import OpenEpisode
from langchain_reflect.agents.health import Health
from langchain_reflect.agents.threads import Before, drawn_in
from langchain_reflect.types import Namespace, Steering

logger = logging.getLogger("langchain_reflect")

_RUN_IDS: Final = 10_000
_THREADS: Final = 2_000
_OPEN: Final = 500
"""Open episodes of middleware and plain nodes; those of runs that never end must not pile up."""


class Shared:
    """Bounded memories that any thread may use; the oldest entries go first."""

    def __init__(self) -> None:
        self.health = Health()
        self.calls = DaemonCalls()
        self.recall_breaker = Breaker()
        self.write_breaker = Breaker()
        """For runs that wait for the ledger."""
        self._lock = threading.Lock()
        self._attempts: OrderedDict[UUID, int] = OrderedDict()
        self._spaces: OrderedDict[UUID, Namespace] = OrderedDict()
        self._threads: OrderedDict[tuple[str, ...], Before] = OrderedDict()
        self._by_id: OrderedDict[UUID, Before] = OrderedDict()
        self._open: OrderedDict[UUID, OpenEpisode] = OrderedDict()
        self._paused: OrderedDict[tuple[Namespace, str], datetime | None] = OrderedDict()
        self._unnamed: dict[tuple[Namespace, str], str | None] = {}

    def heed(self, namespace: Namespace, graph: str, steering: Steering) -> None:
        """Say loudly, once for each time, that a graph is paused, and that it goes on."""
        place = (namespace, graph)
        with self._lock:
            before = self._paused.get(place)
            if before == steering.since:
                return
            _remember(self._paused, place, steering.since, _THREADS)
        where = f"graph {graph!r} of namespace {'/'.join(namespace)!r}"
        if steering.paused:
            logger.warning("%s gets no lessons, its runs are still recorded; %s", where, steering.note)
        else:
            logger.warning("%s gets lessons again: %s (by %s)", where, steering.reason or "no reason given", steering.by)

    def tell_apart(self, namespace: Namespace, name: str, structure: str) -> None:
        """Say once that different graphs without a name are counted as one.

        Args:
            namespace: Of their runs, as it is set.
            name: What both are called.
            structure: From `graph_hash`; empty: not known.
        """
        place = (namespace, name)
        with self._lock:
            first = self._unnamed.setdefault(place, structure)
            if not structure or not first or first == structure:
                return
            self._unnamed[place] = None  # said once
        logger.warning(
            "different graphs without a name were wrapped: their runs all count as those of graph %r, and so does the evidence about "
            "their lessons; name each with `compile(name=...)`, `create_agent(..., name=...)` or `learner.wrap(graph, name=...)`",
            name,
        )

    def episode_id(self, run_id: UUID) -> UUID:
        """Id of the next episode with this run id: the run id itself, then one made from it for each further attempt."""
        with self._lock:
            attempt = self._attempts.get(run_id, 0) + 1
            _remember(self._attempts, run_id, attempt, _RUN_IDS)
        return run_id if attempt == 1 else uuid5(run_id, f"attempt-{attempt}")

    def remember_space(self, run_id: UUID, namespace: Namespace) -> None:
        """Remember whose run this is, so that its outcome need not name the namespace again."""
        with self._lock:
            _remember(self._spaces, run_id, namespace, _RUN_IDS)

    def space_of(self, run_id: UUID) -> Namespace | None:
        """The namespace of a run of this process."""
        return self._spaces.get(run_id)

    def remember_thread(self, episode: OpenEpisode) -> None:
        """Remember the thread's last episode, now that it has ended: what was asked and shown, and how it ended."""
        if episode.thread_id is not None:
            shown = episode.shown
            with self._lock:
                before = Before(episode.id, episode.namespace, episode.status, episode.task, shown, drawn_in(shown))
                before = before.then(self._threads.get(_thread(episode)))
                _remember(self._threads, _thread(episode), before, _THREADS)
                if episode.place:
                    _remember(self._threads, _thread(episode, exact=False), before, _THREADS)
                _remember(self._by_id, episode.id, before, _THREADS)

    def of_id(self, episode_id: UUID) -> Before | None:
        """An episode of a thread by its id, if this process remembers it."""
        return self._by_id.get(episode_id)

    def of_thread(self, episode: OpenEpisode, *, exact: bool = True) -> Before | None:
        """The last episode of the same thread, graph and namespace.

        Args:
            episode: The one that begins.
            exact: Of the same task in the graph around it, which a resumed run needs; else of the same node, in any turn of the thread.
        """
        return self._threads.get(_thread(episode, exact=exact))

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


def _thread(episode: OpenEpisode, *, exact: bool = True) -> tuple[str, ...]:
    """A thread belongs to one namespace: equal thread ids of two tenants are two threads."""
    place = episode.place if exact or not episode.place else "|".join(part.split(":")[0] for part in episode.place.split("|"))
    return (*episode.namespace, episode.graph, episode.thread_id or "", place)


def _remember(known: "OrderedDict[Any, Any]", key: Any, value: Any, limit: int) -> None:
    known[key] = value
    known.move_to_end(key)
    while len(known) > limit:
        known.popitem(last=False)
