"""The open episode of a run: what it is made of, who can find it, and how it is closed.

It travels on the callback handler. So it is found in nodes, tools, middleware, nested graphs, threads and tasks alike, is never
serialised, and nothing of it reaches the code that consumes a stream.
"""

import asyncio
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.runnables.config import var_child_runnable_config
from langgraph.errors import GraphDrained, GraphInterrupt, ParentCommand

from langchain_reflect.agents.placement import Placement
from langchain_reflect.recording.fingerprint import fingerprint_of
from langchain_reflect.recording.messages import read_messages
from langchain_reflect.recording.plain import Clean, clean_text, describe_error, plain
from langchain_reflect.recording.task import messages_of
from langchain_reflect.recording.tracer import EpisodeHandler, Tape
from langchain_reflect.recording.trajectory import model_of, steps_of, strip_block, total_usage
from langchain_reflect.types import Arm, Episode, EpisodeStatus, Exposure, LessonText, Namespace, now

METADATA_KEY: Final = "reflect_episode_id"
"""Key of a run's metadata, and so of its checkpoints', that holds the episode's id."""
TASK_KEY: Final = "reflect_task_key"
"""Key of a run's metadata under which the caller may say which task this is: runs with the same one form a rollout group."""

_INTERNAL: Final = ("langgraph_", "checkpoint_", "__", "ls_integration", "lc_versions", METADATA_KEY, TASK_KEY)


@dataclass(frozen=True)
class Shown:
    """What recall gave for one run."""

    block: str = ""
    lessons: tuple[str, ...] = ()
    """Ids of the lessons in the block, best first."""
    texts: tuple[LessonText, ...] = ()
    """What they say."""
    exposures: tuple[Exposure, ...] = ()
    arm: Arm = "treated"
    note: str = ""
    """Why the block is empty, if it is."""


@dataclass(eq=False)
class OpenEpisode:
    """An episode while its run goes on. After the run its `status` is final; the ledger has the rest."""

    id: UUID
    graph: str
    task: str
    namespace: Namespace = ("default",)
    thread_id: str | None = None
    parent: "OpenEpisode | None" = None
    shown: Shown = Shown()
    status: EpisodeStatus = "running"
    record: bool = True
    owner: object = None
    """Whose run it is: the wrapper's own token, so that a view never shows the lessons of another graph."""
    given: Any = None
    """The graph's input, for a verifier."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    started_at: datetime = field(default_factory=now)
    ended_at: datetime | None = None
    error: str | None = None
    placed: bool = False
    """Whether the block really was put before a model."""
    reached: bool = False
    """Whether the run came to where lessons are shown, also if it had none to show."""
    tape: Tape = field(default_factory=lambda: Tape(None))
    placement: Placement = field(default_factory=Placement)
    in_state: bool = False
    """Whether a node of the user's own graph has taken the block, so that no view shows it a second time."""
    place: str = ""
    """Where in the graphs around it the run takes place: LangGraph's checkpoint namespace; empty at the root."""
    run_id: UUID | None = None
    """Root run id of this run; another than the episode's if the run resumes it."""
    resumed: bool = False
    """Whether this run continues an episode that has a row in the ledger, or may have one."""
    earlier: Episode | None = None
    """That row, once it has been read."""
    forked_from: UUID | None = None
    graph_hash: str = ""
    """Hash of the graph's nodes and edges, if they are known."""
    looked_up: dict[str, Exposure] = field(default_factory=dict)
    """Lessons that the model searched for itself, by id."""
    children: int = 0
    """Episodes of wrapped graphs inside this one, so far."""

    @property
    def depth(self) -> int:
        """How many wrapped graphs enclose this run."""
        return 0 if self.parent is None else self.parent.depth + 1

    @property
    def block(self) -> str:
        """The lessons as text for a prompt, empty if there are none. Whoever reads it is taken to show it to a model."""
        self.placed, self.reached = self.placed or bool(self.shown.block), True
        return self.shown.block

    def next_child(self, place: str) -> UUID:
        """Id of the next episode inside this one: the same again when the run is replayed."""
        self.children += 1
        return uuid5(self.id, f"{place}#{self.children}")


_COLLECTORS: Final[ContextVar[tuple[list[OpenEpisode], ...]]] = ContextVar("reflect_collectors", default=())


@contextmanager
def collect_episodes() -> Iterator[list[OpenEpisode]]:
    """Collect the episodes of the runs that start inside, in the order they start, so an enclosing graph's before those nested in it.

    Example:
        ```python
        with collect_episodes() as episodes:
            agent.invoke({"messages": [("user", "Move my flight")]})
        learner.record_outcome(episodes[0].id, reward=1.0)
        ```
    """
    found: list[OpenEpisode] = []
    token = _COLLECTORS.set((*_COLLECTORS.get(), found))
    try:
        yield found
    finally:
        _COLLECTORS.reset(token)


def current_episode() -> OpenEpisode | None:
    """The episode of the run in which a node, a tool or a middleware is called; None outside of one."""
    config = var_child_runnable_config.get()
    return episode_in(config.get("callbacks") if config else None)


def announce(episode: OpenEpisode) -> None:
    """Tell those who collect."""
    for found in _COLLECTORS.get():
        found.append(episode)


def episode_in(callbacks: object) -> OpenEpisode | None:
    """The innermost episode among the handlers of a config's callbacks."""
    handlers = callbacks.handlers if isinstance(callbacks, BaseCallbackManager) else callbacks
    if not isinstance(handlers, list):
        return None
    deepest: EpisodeHandler | None = None
    for handler in handlers:
        if isinstance(handler, EpisodeHandler) and (deepest is None or handler.depth > deepest.depth):
            deepest = handler
    return deepest.episode if deepest else None


def new_id() -> UUID:
    """A time-ordered UUID (version 7). Not `uuid.uuid4`, because people patch that one in tests."""
    random = int.from_bytes(os.urandom(10), "big")
    stamp = time.time_ns() // 1_000_000
    high, low = random >> 62 & 0xFFF, random & (1 << 62) - 1
    return UUID(int=stamp << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)


def status_of(error: BaseException | None, *, interrupted: bool) -> EpisodeStatus:
    """How a run ended, told by the exception that left it."""
    if error is None:
        return "interrupted" if interrupted else "ok"
    known: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], EpisodeStatus], ...] = (
        (GeneratorExit, "closed_early"),
        ((asyncio.CancelledError, KeyboardInterrupt, SystemExit), "cancelled"),
        (GraphInterrupt, "interrupted"),
        (ParentCommand, "handoff"),
        (GraphDrained, "drained"),
    )
    return next((status for kinds, status in known if isinstance(error, kinds)), "error")


def close_episode(episode: OpenEpisode, error: BaseException | None) -> None:
    """Note how and when the run ended. Keeps no exception, because its traceback would keep the run's frames."""
    episode.status = status_of(error, interrupted=episode.tape.interrupted)
    episode.ended_at = now()
    if error is not None and episode.status == "error":
        episode.error = describe_error(error)


def to_episode(episode: OpenEpisode, clean: Clean) -> tuple[Episode, tuple[Exposure, ...]]:
    """The episode and its exposures, as they are stored."""
    output, events = episode.tape.output, list(episode.tape.events)
    steps = (
        steps_of(events, clean, left_out=episode.tape.left_out)
        or read_messages(messages_of(output), clean=lambda text: clean(strip_block(text))).steps
    )
    shown = episode.shown
    stored = Episode(
        id=episode.id,
        namespace=episode.namespace,
        graph=episode.graph,
        task=clean_text(episode.task, clean),
        task_key=_task_key(episode),
        status=episode.status,
        arm=shown.arm,
        thread_id=episode.thread_id,
        started_at=episode.started_at,
        ended_at=episode.ended_at,
        result=plain(output, lambda text: clean(strip_block(text))),
        error=None if episode.error is None else clean_text(episode.error, clean),
        steps=steps,
        shown=tuple(dict.fromkeys((*(shown.lessons if episode.placed else ()), *episode.looked_up))),
        model=model_of(steps),
        usage=total_usage(steps),
        parent_id=episode.parent.id if episode.parent else None,
        run_ids=(episode.run_id,) if episode.resumed and episode.run_id not in (None, episode.id) else (),
        forked_from=episode.forked_from,
        fingerprint=fingerprint_of(episode.tape.first, graph=episode.graph_hash, messages=messages_of(output), clean=clean),
        metadata={
            clean_text(key, clean): plain(value, clean) for key, value in episode.metadata.items() if not str(key).startswith(_INTERNAL)
        },
    )
    return stored, _exposures(episode)


def joined(earlier: Episode, later: Episode) -> Episode:
    """An episode and the run that resumed it, as one."""
    return later.model_copy(
        update={
            "task": earlier.task or later.task,
            "task_key": earlier.task_key or later.task_key,
            "arm": earlier.arm,
            "started_at": min(earlier.started_at, later.started_at),
            "steps": earlier.steps + later.steps,
            "shown": tuple(dict.fromkeys((*earlier.shown, *later.shown))),
            "model": later.model or earlier.model,
            "usage": earlier.usage + later.usage,
            "parent_id": earlier.parent_id or later.parent_id,
            "metadata": earlier.metadata | later.metadata,
            "run_ids": earlier.run_ids + tuple(run_id for run_id in later.run_ids if run_id not in earlier.run_ids),
            "forked_from": earlier.forked_from or later.forked_from,
            "fingerprint": earlier.fingerprint or later.fingerprint,
        }
    )


def _task_key(episode: OpenEpisode) -> str | None:
    """As the caller said; graphs nested in the run inherit its metadata, but theirs are other tasks."""
    given = episode.metadata.get(TASK_KEY)
    return None if given is None or episode.parent is not None else str(given)


def _exposures(episode: OpenEpisode) -> tuple[Exposure, ...]:
    """Those of recall, unless the run never came to where lessons are shown: then nothing was tried, whatever its arm.

    A lesson that the model found itself as well is that of recall.
    """
    drawn = episode.shown.exposures if episode.placed or (episode.reached and not episode.shown.block) else ()
    known = {exposure.lesson_id for exposure in drawn}
    return drawn + tuple(exposure for exposure in episode.looked_up.values() if exposure.lesson_id not in known)
