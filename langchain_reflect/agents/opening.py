"""How the episode of a run begins: what the run's configuration says of it, and what is still to be looked up. Quick and without I/O."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Final, Required
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langgraph.checkpoint.base import BaseCheckpointSaver
from typing_extensions import TypedDict

from langchain_reflect.agents.episodes import OpenEpisode, episode_in, new_id
from langchain_reflect.agents.forced import in_force
from langchain_reflect.agents.health import Health
from langchain_reflect.agents.judging import Keeps
from langchain_reflect.agents.namespaces import fill_namespace
from langchain_reflect.agents.recalling import Ahead, Recalls, asking, embedding_ahead, forced_lessons
from langchain_reflect.agents.shared import Shared
from langchain_reflect.agents.threads import Found, Intent, Lookup, Mark, read_mark, read_mark_async, saver_of
from langchain_reflect.agents.units import USER_KEYS, unit_of, user_of
from langchain_reflect.errors import TaskNotFound
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recording.plain import plain
from langchain_reflect.recording.task import task_of
from langchain_reflect.recording.tracer import Tape
from langchain_reflect.types import Namespace, Steering

TaskReader = Callable[[Any], str]

_INPUT_AS_TASK: Final = 2_000
"""Most characters of an input that stands for a task that could not be read."""
_RESUMING: Final = "__pregel_resuming"
"""Key of `configurable` by which LangGraph tells a nested graph that it goes on."""


@dataclass(frozen=True, kw_only=True)
class About:
    """What the way in knows of a run.

    Args:
        graph: The graph's name.
        bound: Config that is bound to the graph.
        task: Reads the task from the input.
        owner: Token of the wrapper.
        traced: Whether callbacks show the run's root with the episode's run id.
        resumes: Whether the input continues a thread instead of asking something new.
        saver: The graph's own checkpoint saver, if it is one.
        episode_id: Id of an episode that was opened before, maybe by another process.
        graph_hash: Of the graph's nodes and edges, if they are known.
    """

    graph: str
    bound: RunnableConfig | None = None
    task: TaskReader | None = None
    owner: object = None
    traced: bool = True
    resumes: bool = False
    saver: object = None
    episode_id: UUID | None = None
    graph_hash: str = ""


class AboutFields(TypedDict, total=False):
    """The same as keywords."""

    graph: Required[str]
    bound: RunnableConfig | None
    task: TaskReader | None
    owner: object
    traced: bool
    resumes: bool
    saver: object
    episode_id: UUID | None
    graph_hash: str


@dataclass(frozen=True, kw_only=True)
class Opener:
    """What all runs of one service have in common as they begin."""

    recaller: Recalls | None
    ledger: Keeps | None
    policy: RecallPolicy
    namespace: Namespace
    shared: Shared

    def begin(self, given: Any, config: RunnableConfig | None, about: About) -> tuple[OpenEpisode, "Search | None"]:
        """The episode without what it inherits, and the search for that; None if there is nothing to look up.

        Args:
            given: The graph's input.
            config: The run's config.
            about: What the way in knows.

        Raises:
            InvalidInput: A placeholder of the namespace has no value.
        """
        configs = [c for c in (var_child_runnable_config.get(), about.bound, config) if c]
        configurable = _merged(configs, "configurable")
        episode = self._episode(given, config, about, configs, configurable)
        intent = _intent(config, about, episode.parent, configurable)
        episode.task, readable = self._task(given, about.task, resumes=intent != "new")
        force = in_force()
        forced = forced_lessons(force, self.policy)
        if intent == "new" and (forced is not None or self.recaller is None or not readable):
            episode.shown = forced or episode.shown
            return episode, None
        steering = cache(partial(self._steering, episode))
        known = episode.id if about.episode_id is not None or episode.parent is not None else None
        lookup = Lookup(
            episode=episode,
            intent=intent,
            task=episode.task if readable else "",
            recall=asking(self.recaller, episode, self.policy, force, unit=self._unit(episode, configurable), steering=steering),
            halted=partial(self._halted, episode, steering) if force.arm is None else str,
            forced=forced,
            remembered=self.shared.of_thread(episode, exact=intent != "new"),
            of_id=self.shared.of_id,
            mark=lambda: Mark(known),
            ledger=self.ledger,
            policy=self.policy,
        )
        asks = known is None and intent != "new" and episode.thread_id is not None
        saver = saver_of(about.saver, configurable) if asks else None
        ahead = None if forced or intent != "new" else embedding_ahead(self.recaller, lookup.task, episode.namespace, self.shared)
        return episode, Search(lookup, saver, configurable, self.shared.health, ahead)

    def _episode(
        self,
        given: Any,
        config: RunnableConfig | None,
        about: About,
        configs: list[RunnableConfig],
        configurable: Mapping[str, Any],
    ) -> OpenEpisode:
        """The episode as the run's configuration has it, without its task; others can find it from now on."""
        parent = next((e for c in reversed(configs) if (e := episode_in(c.get("callbacks")))), None)
        chosen, root = self._ids(config, about, parent, configurable)
        thread = configurable.get("thread_id")
        episode = OpenEpisode(
            id=chosen,
            graph=about.graph,
            task="",
            namespace=fill_namespace(self.namespace, configurable),
            thread_id=None if thread is None else str(thread),
            parent=parent,
            record=in_force().record,
            owner=about.owner,
            given=given,
            metadata=_merged(configs, "metadata"),
            place=str(configurable.get("checkpoint_ns") or "") if about.traced else "",
            run_id=root,
            resumed=about.episode_id is not None or (parent is not None and parent.resumed),
            tape=Tape(root if about.traced else None),
            graph_hash=about.graph_hash,
        )
        for known_as in {chosen, root}:
            self.shared.remember_space(known_as, episode.namespace)
        if parent is not None:
            parent.tape.mute(root)
        return episode

    def _unit(self, episode: OpenEpisode, configurable: Mapping[str, Any]) -> str | None:
        user = user_of(configurable, episode.namespace) if self.policy.unit == "user" else None
        if self.policy.unit == "user" and user is None:
            names = " nor ".join(repr(key) for key in USER_KEYS)
            self.shared.health.note("no user", f"unit='user', but a run's configurable has neither {names}: drawn for its thread or itself")
        return unit_of(self.policy.unit, user=user, thread_id=episode.thread_id)

    def _steering(self, episode: OpenEpisode) -> Steering:
        return Steering() if self.ledger is None else self.ledger.steering(episode.namespace, episode.graph)

    def _halted(self, episode: OpenEpisode, steering: Callable[[], Steering]) -> str:
        state = steering()
        self.shared.heed(episode.namespace, episode.graph, state)
        return state.note if state.paused else ""

    def _ids(
        self,
        config: RunnableConfig | None,
        about: About,
        parent: OpenEpisode | None,
        configurable: Mapping[str, Any],
    ) -> tuple[UUID, UUID]:
        """Id of the episode and of the root run: equal, unless the caller uses one run id twice."""
        if about.episode_id is not None:
            return about.episode_id, about.episode_id
        wanted: Any = (config or {}).get("run_id") or (about.bound or {}).get("run_id")
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
            self.shared.health.note("task not found", f"no lessons for this run: {error}", error=error)
        return str(plain(given))[:_INPUT_AS_TASK], False


@dataclass(frozen=True, eq=False)
class Search:
    """What is to be looked up for a run, in a plain thread or in the event loop."""

    lookup: Lookup
    saver: BaseCheckpointSaver[Any] | None
    configurable: Mapping[str, Any]
    health: Health
    ahead: Ahead | None = None
    """What an event loop awaits first."""

    def here(self) -> Callable[[], Found]:
        """The whole search, to be called in a thread."""
        return self.lookup if self.saver is None else replace(self.lookup, mark=self._mark)

    async def after_mark(self, timeout: float) -> Callable[[], Found]:  # noqa: ASYNC109 - it ends the waiting, not the run
        """The rest of the search, once the saver has been asked, which some can only be in the event loop."""
        if self.saver is None:
            return self.lookup
        mark = Mark()
        try:
            mark = await asyncio.wait_for(read_mark_async(self.saver, self.configurable), timeout)
        except Exception as error:  # noqa: BLE001 - the agent's run must go on
            self._unread(error)
        return replace(self.lookup, mark=lambda: mark)

    def _mark(self) -> Mark:
        try:
            return Mark() if self.saver is None else read_mark(self.saver, self.configurable)
        except Exception as error:  # noqa: BLE001 - the agent's run must go on
            self._unread(error)
            return Mark()

    def _unread(self, error: Exception) -> None:
        hint = f"the thread's checkpoint could not be read, so the run may not continue its episode: {type(error).__name__}: {error}"
        self.health.note("thread not read", hint, error=error)


def inherit(episode: OpenEpisode, found: Found) -> OpenEpisode:
    """The episode with what was found for it."""
    episode.shown = found.shown
    episode.task = found.task or episode.task
    episode.forked_from = found.forked_from
    if found.resumes is not None:
        episode.id, episode.resumed = found.resumes.id, True
    return episode


def _intent(config: RunnableConfig | None, about: About, parent: OpenEpisode | None, configurable: Mapping[str, Any]) -> Intent:
    if parent is not None:  # its id is the same again, so what it did before is found by it
        return "resume" if parent.resumed else "new"
    if about.episode_id is not None:
        return "resume"
    if any((c or {}).get("configurable", {}).get("checkpoint_id") for c in (config, about.bound)) and not configurable.get(_RESUMING):
        return "fork"
    return "resume" if about.resumes or (about.traced and configurable.get(_RESUMING)) else "new"


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
