"""What the ways in share: opening an episode with its lessons, and closing it with its record and its judgement.

Inside a run nothing is raised: recall has a deadline, recording is queued, and every failure is counted and logged once
(`AgentService.health`). A namespace with a missing placeholder is treated alike: the run gets no lessons and leaves no episode, because a
guess would mix tenants.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config

from langchain_reflect.agents.episodes import OpenEpisode, Shown, announce, close_episode, episode_in, new_id, to_episode
from langchain_reflect.agents.forced import in_force
from langchain_reflect.agents.health import Health
from langchain_reflect.agents.judging import Keeps, Verify, judge
from langchain_reflect.agents.namespaces import check_namespace, fill_namespace
from langchain_reflect.agents.recalling import Recalls, again, ain_time, asking, forced_lessons, in_time
from langchain_reflect.agents.shared import Shared
from langchain_reflect.errors import EpisodeNotFound, InvalidInput, TaskNotFound
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recording.plain import plain
from langchain_reflect.recording.task import task_of
from langchain_reflect.recording.tracer import Tape
from langchain_reflect.redaction import Redact, redact
from langchain_reflect.types import Episode, Exposure, Namespace, Outcome

TaskReader = Callable[[Any], str]

_INPUT_AS_TASK: Final = 2_000
"""Most characters of an input that stands for a task that could not be read."""


class Records(Protocol):
    """What keeps episodes."""

    write_before_return: bool

    def submit(self, make: Callable[[], tuple[Episode, tuple[Exposure, ...]]], then: Callable[[Episode], None] | None = None) -> None:
        """Queue an episode."""

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all is written."""


@dataclass(eq=False, kw_only=True)
class AgentService:
    """All that a wrapped graph, a middleware or a node needs.

    Args:
        recaller: Finds lessons; None: record only.
        recorder: Keeps episodes; None: recall only.
        ledger: Keeps the verifier's outcomes.
        policy: How many lessons, the holdout, the deadline.
        namespace: Template of the runs' namespace, with `{placeholders}` from `config["configurable"]`.
        verifier: Judges each run that ended well, in the recorder's thread: `verifier(inputs=..., outputs=...)`.
        on_outcome: Told of each outcome that the verifier gave.
        redact: Applied to every text before it is stored.
        shared: What several services have in common; `dataclasses.replace` makes a service with other settings that shares it.

    Raises:
        InvalidInput: The namespace cannot be meant.
    """

    recaller: Recalls | None = None
    recorder: Records | None = None
    ledger: Keeps | None = None
    policy: RecallPolicy = field(default_factory=RecallPolicy)
    namespace: Namespace = ("default",)
    verifier: Verify | None = None
    on_outcome: Callable[[Outcome], None] | None = None
    redact: Redact = redact
    shared: Shared = field(default_factory=Shared, repr=False)

    def __post_init__(self) -> None:
        check_namespace(self.namespace)

    @property
    def health(self) -> Health:
        """What went wrong in runs so far."""
        return self.shared.health

    # Opening

    def open(self, given: Any, config: RunnableConfig | None, **options: Any) -> OpenEpisode | None:
        """Begin the episode of a run; None if that fails, and then the run goes on without us.

        Args:
            given: The graph's input.
            config: The run's config.
            **options: See `_prepare`.
        """
        try:
            episode, recall = self._prepare(given, config, **options)
            if recall is not None:
                episode.shown = in_time(recall, self.policy.deadline, self.shared)
            return self._opened(episode)
        except Exception as error:  # noqa: BLE001 - the agent's run must go on
            self._failed_to_open(error)
            return None

    async def aopen(self, given: Any, config: RunnableConfig | None, **options: Any) -> OpenEpisode | None:
        """Async `open`; the event loop is never blocked."""
        try:
            episode, recall = self._prepare(given, config, **options)
            if recall is not None:
                episode.shown = await ain_time(recall, self.policy.deadline, self.shared)
            return self._opened(episode)
        except Exception as error:  # noqa: BLE001 - the agent's run must go on
            self._failed_to_open(error)
            return None

    def _prepare(
        self,
        given: Any,
        config: RunnableConfig | None,
        *,
        graph: str,
        bound: RunnableConfig | None = None,
        task: TaskReader | None = None,
        owner: object = None,
        traced: bool = True,
        resumes: bool = False,
        episode_id: UUID | None = None,
    ) -> tuple[OpenEpisode, Callable[[], Shown] | None]:
        """The episode without its lessons, and the call that gets them (None if there is nothing to ask).

        Args:
            given: The graph's input.
            config: The run's config.
            graph: The graph's name.
            bound: Config that is bound to the graph.
            task: Reads the task from the input.
            owner: Token of the wrapper.
            traced: Whether callbacks show the run's root with the episode's run id.
            resumes: Whether the input continues a thread instead of asking something new.
            episode_id: Id of an episode that was opened before.
        """
        configs: list[RunnableConfig] = [c for c in (var_child_runnable_config.get(), bound, config) if c]
        configurable = _merged(configs, "configurable")
        parent = next((e for c in reversed(configs) if (e := episode_in(c.get("callbacks")))), None)
        force = in_force()
        chosen, root = (episode_id, episode_id) if episode_id else self._ids(config, bound, parent, configurable)
        thread = configurable.get("thread_id")
        episode = OpenEpisode(
            id=chosen,
            graph=graph,
            task="",
            namespace=fill_namespace(self.namespace, configurable),
            thread_id=None if thread is None else str(thread),
            parent=parent,
            record=force.record,
            owner=owner,
            given=given,
            metadata=_merged(configs, "metadata"),
            tape=Tape(root if traced else None),
        )
        if parent is not None:
            parent.tape.mute(root)
        given_lessons = forced_lessons(force, self.policy)
        known = self.shared.of_thread(episode) if resumes else None
        if known is not None:
            episode.task, episode.shown = known[0], given_lessons or again(known[1], chosen)
            return episode, None
        episode.task, readable = self._task(given, task, resumes=resumes)
        if given_lessons is not None or self.recaller is None or not readable:
            episode.shown = given_lessons or Shown()
            return episode, None
        return episode, asking(self.recaller, episode, self.policy, force)

    def _ids(
        self, config: RunnableConfig | None, bound: RunnableConfig | None, parent: OpenEpisode | None, configurable: Mapping[str, Any]
    ) -> tuple[UUID, UUID]:
        """Id of the episode and of the root run: equal, unless the caller uses one run id twice."""
        wanted: Any = (config or {}).get("run_id") or (bound or {}).get("run_id")
        if wanted is None:
            made = new_id() if parent is None else parent.next_child(str(configurable.get("checkpoint_ns") or ""))
            return made, made
        root = wanted if isinstance(wanted, UUID) else UUID(str(wanted))
        return self.shared.episode_id(root), root

    def _task(self, given: Any, read: TaskReader | None, *, resumes: bool) -> tuple[str, bool]:
        """The task's text and whether recall may use it; an input that cannot be read stands for itself, so that the episode is kept."""
        try:
            if read is not None:
                return _read_task(read, given), True
            return task_of(given), True
        except Exception as error:  # noqa: BLE001 - `task=` is the user's code, and the run must go on
            if resumes:
                return "", False
            self.health.note("task not found", f"no lessons for this run: {error}", error=error)
        return str(plain(given))[:_INPUT_AS_TASK], False

    def _opened(self, episode: OpenEpisode) -> OpenEpisode:
        self.shared.remember_thread(episode)
        announce(episode)
        return episode

    def _failed_to_open(self, error: Exception) -> None:
        if isinstance(error, InvalidInput):
            self.health.note(f"not opened: {error}", f"no lessons and no episode: {error}", error=error, level=logging.ERROR)
        else:
            self.health.note("not opened", f"no lessons and no episode: {type(error).__name__}: {error}", error=error)

    # Episodes that live longer than one call of ours: middleware and plain nodes

    def begin(self, episode: OpenEpisode) -> None:
        """Record an episode as running, so that a run that never gets to its end leaves a trace."""
        if self.recorder is not None and episode.record:
            self.recorder.submit(partial(self._record, episode))

    def continued(self, episode_id: UUID, given: Any, *, graph: str, task: TaskReader | None) -> OpenEpisode | None:
        """An episode that another process opened, without asking for lessons again; None if that fails."""
        try:
            episode, _ = self._prepare(given, None, graph=graph, task=task, traced=False, episode_id=episode_id)
        except Exception as error:  # noqa: BLE001 - the agent's run must go on
            self._failed_to_open(error)
            return None
        episode.begun_elsewhere = True
        return episode

    # Closing

    def finish(self, episode: OpenEpisode, error: BaseException | None = None, *, verifier: Verify | None = None) -> None:
        """End an episode: its record is queued, and a verifier judges it there. Never raises and, under asyncio, never waits.

        Args:
            episode: From `open`.
            error: What left the run, if anything did.
            verifier: Instead of the service's own.
        """
        try:
            close_episode(episode, error)
            if episode.shown.block and not episode.placed and episode.status == "ok":
                hint = f"lessons for {episode.graph!r} were shown to no model: no node has messages; inject= puts them into its state"
                self.health.note("not placed", hint, level=logging.INFO)
            if self.recorder is None or not episode.record:
                return
            verify = verifier or self.verifier
            judging = partial(self._judge, episode, verify) if verify is not None and episode.status == "ok" else None
            last = self.shared.kept(episode.id) is None
            self.recorder.submit(partial(self._record, episode, last=last), judging)
            if self.recorder.write_before_return and not _in_event_loop():
                self.recorder.flush()
        except Exception as failed:  # noqa: BLE001 - the agent's run must go on
            self.health.note("not recorded", f"an episode was not recorded: {type(failed).__name__}: {failed}", error=failed)

    async def asettle(self) -> None:
        """After an async run: wait for the record if the recorder is to write before the run returns."""
        if self.recorder is not None and self.recorder.write_before_return:
            await asyncio.to_thread(self.recorder.flush)

    def _record(self, episode: OpenEpisode, *, last: bool = False) -> tuple[Episode, tuple[Exposure, ...]]:
        """The episode as it is stored; after the last time its events go, because callers may hold on to it."""
        if not episode.task:
            first = next((e.input for e in episode.tape.events if e.kind == "model" and isinstance(e.input, list)), None)
            episode.task = "(continued)"
            with suppress(TaskNotFound):
                episode.task = task_of(first)
        stored, exposures = to_episode(episode, self.redact)
        if last:
            episode.tape.events = []
        if episode.begun_elsewhere and self.ledger is not None:
            with suppress(EpisodeNotFound):
                earlier = self.ledger.episode(episode.id)
                kept = {name: getattr(earlier, name) for name in ("started_at", "shown", "arm", "task", "task_key")}
                stored = stored.model_copy(update=kept)
        return stored, exposures

    def _judge(self, episode: OpenEpisode, verify: Verify, _: Episode) -> None:
        if self.ledger is None:
            return
        outcome = judge(episode, verify, self.ledger, self.health)
        if outcome is not None and self.on_outcome is not None:
            self.on_outcome(outcome)


def _read_task(read: Callable[[Any], object], given: Any) -> str:
    text = read(given)
    if not isinstance(text, str) or not text.strip():
        raise TaskNotFound(f"task= returned {text!r}; expected the task's text")
    return text


def _merged(configs: list[RunnableConfig], key: str) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for config in configs:
        value = config.get(key)
        if isinstance(value, Mapping):
            merged.update(value)
    return merged


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
