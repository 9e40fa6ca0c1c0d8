"""Methods about episodes and what was shown in them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Connection

from langchain_reflect.ledger import dues, episodes, outcomes, runs
from langchain_reflect.ledger.methods.base import Methods
from langchain_reflect.types import Episode, EpisodeStatus, Exposure, Namespace, Rollout, now, resolve


class EpisodeMethods(Methods):
    """Keep and find episodes."""

    def save_episode(self, episode: Episode, exposures: Sequence[Exposure] = ()) -> None:
        """Insert or replace an episode by its id, with its exposures (the first report of an exposure stays).

        Raises:
            InvalidInput: The id belongs to an episode of another namespace.
        """
        self._write(episodes.save, episode, exposures)

    def save_episodes(self, batch: Iterable[tuple[Episode, Sequence[Exposure]]]) -> None:
        """`save_episode` for many in one transaction, which costs one disk flush."""
        given = list(batch)

        def save(connection: Connection) -> None:
            if len(given) > 1:
                dues.take_turns(connection, [i for episode, _ in given for i in (episode.id, *episode.run_ids)])
                dues.lock(connection, [episode.id for episode, _ in given])
            for episode, exposures in given:
                episodes.save(connection, episode, exposures)

        self._write(save)

    def episode(self, episode_id: UUID | str, *, namespace: Namespace | None = None) -> Episode:
        """One episode with its trajectory, by its id or by that of a run that resumed it.

        Args:
            episode_id: The id.
            namespace: Of the episode; default the ledger's own.

        Raises:
            EpisodeNotFound: The id is unknown in the namespace.
        """
        return self._read(episodes.load, outcomes.episode_id_of(episode_id), self._space(namespace))

    def episodes(
        self,
        *,
        namespace: Namespace | None = None,
        graph: str | None = None,
        status: EpisodeStatus | None = None,
        thread_id: str | None = None,
        metadata: Mapping[str, JsonValue] | None = None,
        trajectories: bool = True,
        limit: int = 100,
    ) -> list[Episode]:
        """Episodes that match all that is given, newest first; without `trajectories` their `steps` and `result` are empty."""
        wanted: dict[str, Any] = {"namespace": namespace, "graph": graph, "status": status, "thread_id": thread_id, "metadata": metadata}
        return self._read(episodes.find, **wanted, trajectories=trajectories, limit=limit)

    def sweep(self, older_than: timedelta = timedelta(hours=1), *, trajectories_older_than: timedelta | None = None) -> int:
        """Mark episodes as `abandoned` that began longer ago than this and still run; returns their number.

        One that does go on corrects its status as it ends.

        Args:
            older_than: How long a run may take.
            trajectories_older_than: Also drop the steps and results of episodes that began longer ago than this, unless they are due.
        """
        if trajectories_older_than is not None:
            self.trim(trajectories_older_than)
        return self._write(runs.sweep, before=now() - older_than)

    def trim(self, older_than: timedelta) -> int:
        """Drop steps and results of episodes that began longer ago than this, unless they are due; returns how many.

        The vectors of their tasks go as well, unless a lesson names the task.
        """
        return self._write(episodes.trim, before=now() - older_than)

    def exposures(
        self, *, episode_id: UUID | str | None = None, lesson_id: str | None = None, namespace: Namespace | None = None
    ) -> list[Exposure]:
        """Exposures of an episode, of a lesson, or all, of a namespace (default the ledger's own)."""
        wanted = None if episode_id is None else outcomes.episode_id_of(episode_id)
        return self._read(episodes.exposures_of, self._space(namespace), episode_id=wanted, lesson_id=lesson_id)

    def rollouts(
        self,
        *,
        namespace: Namespace | None = None,
        graph: str | None = None,
        episodes: Collection[UUID] | None = None,
        below: float | None = None,
        unreflected: bool = False,
        newest: bool = False,
        trajectories: bool = True,
        limit: int | None = 10_000,
    ) -> list[Rollout]:
        """Judged episodes with their outcomes and the resolved reward, oldest first.

        Args:
            namespace: Only this namespace.
            graph: Only this graph.
            episodes: Only these.
            below: Only those with a reward below it, or with feedback.
            unreflected: Only those no reflection has seen since their last outcome, and their siblings by `task_key`.
            newest: The last judged first.
            trajectories: False leaves `steps` and `result` empty, which is much faster.
            limit: At most so many; None: all.
        """
        return self._read(
            _rollouts,
            namespace=namespace,
            graph=graph,
            ids=episodes,
            below=below,
            unreflected=unreflected,
            newest=newest,
            trajectories=trajectories,
            limit=limit,
        )

    def seen_tasks(self, namespace: Namespace, graph: str, *, limit: int) -> list[tuple[UUID, str]]:
        """Id and task of episodes without a `task_key` that a reflection has seen or that wait for one, newest first.

        Args:
            namespace: Of the episodes.
            graph: Of the episodes.
            limit: Most of them.
        """
        return self._read(episodes.seen_tasks, namespace, graph, limit)


def _rollouts(connection: Connection, **wanted: Any) -> list[Rollout]:
    found = episodes.judged(connection, **wanted)
    judged = outcomes.by_episode(connection, [e.id for e in found])
    news = episodes.news(connection, list(judged))
    return [
        Rollout(episode=e, outcomes=tuple(judged[e.id]), reward=resolve(judged[e.id]), news=news[e.id]) for e in found if e.id in judged
    ]
