"""What a run inherits from its thread: the episode it resumes, the one it forks from, and the lessons that stay in the prompt.

A run that continues a thread after an interrupt, an error or a crash continues its episode. Which one that is stands in the thread's
newest checkpoint; where checkpoints carry no mark (`metadata=False`), the ledger's newest episode of the thread is meant. All of this reads
a saver or a ledger, so it is done where recall is done: off the event loop and under recall's deadline.

Lessons are pinned to a thread: a further question keeps the block of the one before unless recall brings a lesson that is not in it, or one
in it may not be shown any more. So a provider's prompt cache stays valid, and "yes, do that" does not lose its lessons. What chance
withheld is pinned likewise: else the turns that count for a lesson would depend on whether it was shown. And what was drawn for the thread
once stays drawn, with its probability, also when a lesson is promoted or the doses change meanwhile.

A paused graph shows nothing at its next run, whatever its threads were shown before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, Literal, Protocol
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from langchain_reflect.agents.episodes import METADATA_KEY, OpenEpisode, Shown
from langchain_reflect.errors import EpisodeNotFound, LessonNotFound, TaskNotFound
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recall.rendering import placebo, render
from langchain_reflect.recording.task import task_of
from langchain_reflect.types import SERVABLE, Episode, EpisodeStatus, Exposure, Lesson, LessonText, Namespace, Revision, Steering

Intent = Literal["new", "resume", "fork"]
_DRAWN: Final = 64
"""Most lessons of a thread whose draws are remembered."""

_SAVER: Final = "__pregel_checkpointer"
"""Key of `configurable` under which LangGraph hands a nested graph the saver of the graph around it."""
_UPDATES: Final = 20
"""How many unmarked checkpoints are followed back to a marked one."""
_RESUMABLE: Final[frozenset[EpisodeStatus]] = frozenset(
    {"running", "error", "interrupted", "handoff", "drained", "cancelled", "closed_early", "abandoned"}
)


class Ask(Protocol):
    """Asks recall."""

    def __call__(
        self, task: str, episode_id: UUID, *, forked_unit: str | None = None, drawn: Callable[[], Sequence[Exposure]] | None = None
    ) -> Shown:
        """Lessons for a task, for the episode of an id.

        Args:
            task: What is asked.
            episode_id: Of the exposures.
            forked_unit: What chance was drawn for in the episode that this one forks from.
            drawn: Exposures of the thread's earlier runs.
        """


class Past(Protocol):
    """What knows the episodes of other processes."""

    def episode(self, episode_id: UUID, *, namespace: Namespace | None) -> Episode:
        """One episode."""

    def episodes(
        self, *, namespace: Namespace | None, graph: str | None, thread_id: str | None, trajectories: bool, limit: int
    ) -> list[Episode]:
        """Episodes of a thread, newest first."""

    def exposures(self, *, episode_id: UUID | None, namespace: Namespace | None) -> list[Exposure]:
        """What an episode was shown."""

    def lesson(self, lesson_id: str, *, namespace: Namespace | None) -> Lesson:
        """A lesson as it is now."""

    def revisions(self, lesson_id: str, *, namespace: Namespace | None) -> list[Revision]:
        """A lesson as it was."""

    def steering(self, namespace: Namespace, graph: str) -> Steering:
        """Whether a graph is paused, and its doses."""


@dataclass(frozen=True)
class Before:
    """An earlier episode of the thread."""

    id: UUID
    namespace: Namespace
    status: EpisodeStatus
    task: str
    shown: Shown | None = None
    """None if it is not known what it was shown."""
    drawn: tuple[Exposure, ...] = ()
    """What chance decided in the thread so far: for each lesson the first exposure that is known."""

    def then(self, before: "Before | None") -> "Before":
        """With what was drawn before it."""
        known = {e.lesson_id: e for e in (*self.drawn, *(before.drawn if before else ()))}  # the earlier one wins
        return replace(self, drawn=tuple(known.values())[-_DRAWN:])

    @property
    def is_resumable(self) -> bool:
        """Whether a run that brings no new question continues it."""
        return self.status in _RESUMABLE


@dataclass(frozen=True)
class Found:
    """Lessons for a run, and what it inherits."""

    shown: Shown = field(default_factory=Shown)
    resumes: Before | None = None
    forked_from: UUID | None = None
    task: str = ""
    """What the thread was asked, where the run's input does not say."""


@dataclass(frozen=True)
class Mark:
    """What a checkpoint tells."""

    episode_id: UUID | None = None
    task: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class Lookup:
    """Finds what a run inherits; to be called where waiting is allowed.

    Args:
        episode: The run's own episode as it would be if it inherited nothing.
        intent: Whether the run asks something new, continues its thread, or begins at a chosen checkpoint.
        task: What recall is asked for; empty if the run's input does not say.
        recall: Gives lessons for a task, for the episode of an id.
        halted: Why the graph gets no lessons at all for the time being; empty if it does.
        forced: Lessons that the caller decided on.
        remembered: The last episode of the thread (or of the node in the thread) in this process.
        of_id: An episode of this process by its id.
        mark: Reads the checkpoint that the run begins at.
        ledger: Knows the episodes of other processes.
        policy: For lessons that have to be rendered again.
    """

    episode: OpenEpisode
    intent: Intent
    task: str
    recall: Ask
    halted: Callable[[], str] = str
    forced: Shown | None = None
    remembered: Before | None = None
    of_id: Callable[[UUID], Before | None] = lambda _: None
    mark: Callable[[], Mark] = Mark
    ledger: Past | None = None
    policy: RecallPolicy = field(default_factory=RecallPolicy)

    def __call__(self) -> Found:
        """What the run inherits, and its lessons."""
        own = self.episode.id
        halt = "" if self.forced else self.halted()
        stopped = Shown(arm="paused", note=halt) if halt else self.forced
        if self.intent == "new":
            return Found(stopped or self._pinned(self.recall(self.task, own, drawn=self._drawn)))
        mark = self.mark()
        before = self._before(mark) if self.intent == "resume" else None
        if before is None:
            task = self.task or mark.task
            forked_from = mark.episode_id if self.intent == "fork" else None
            shown = stopped or self.recall(task, own, forked_unit=self._unit_of(forked_from), drawn=self._drawn)
            return Found(shown, forked_from=forked_from, task=task)
        task, chosen = before.task or mark.task or self.task, before.id if before.is_resumable else own
        kept = before.shown if before.shown is None or before.shown.arm != "paused" else None
        shown = stopped or (self.recall(task, chosen, drawn=self._drawn) if kept is None else again(kept, chosen))
        return Found(shown, resumes=before if before.is_resumable else None, task=task)

    def _before(self, mark: Mark) -> Before | None:
        if mark.episode_id is None:
            return self.remembered or self._newest()
        found = self.of_id(mark.episode_id) or self._stored(mark.episode_id)
        if found is None:  # its process died before it was written
            return Before(mark.episode_id, self.episode.namespace, "running", mark.task)
        return found if found.namespace == self.episode.namespace else None  # a saver may be shared by tenants, episodes are not

    def _stored(self, episode_id: UUID) -> Before | None:
        try:
            return self._read(self.ledger.episode(episode_id, namespace=self.episode.namespace)) if self.ledger else None
        except EpisodeNotFound:
            return None

    def _newest(self) -> Before | None:
        """The thread's newest episode, also of another process; graphs inside graphs are found by their own marks only."""
        episode = self.episode
        if self.ledger is None or episode.thread_id is None or episode.place or episode.parent is not None:
            return None
        found = self.ledger.episodes(
            namespace=episode.namespace, graph=episode.graph, thread_id=episode.thread_id, trajectories=False, limit=5
        )
        newest = next((e for e in found if e.parent_id is None and e.id != episode.id), None)
        return None if newest is None else self._read(newest)

    def _read(self, earlier: Episode) -> Before:
        shown = shown_before(self.ledger, earlier, self.policy) if self.ledger else None
        return Before(earlier.id, earlier.namespace, earlier.status, earlier.task, shown, drawn_in(shown))

    @cached_property
    def _last(self) -> Before | None:
        return self.remembered or self._newest()

    def _drawn(self) -> Sequence[Exposure]:
        return self._last.drawn if self.episode.thread_id is not None and self._last else ()

    def _unit_of(self, forked_from: UUID | None) -> str | None:
        """What chance was drawn for in the episode that is forked, so that it is drawn alike."""
        if forked_from is None or self.policy.unit != "episode":
            return None
        before = self.of_id(forked_from) or self._stored(forked_from)
        return next((e.unit for e in before.drawn), None) if before and before.drawn else str(forked_from)

    def _pinned(self, fresh: Shown) -> Shown:
        if self.episode.thread_id is None or fresh.note in ("no lessons", "forced"):
            return fresh
        pinned = self._last.shown if self._last else None
        if pinned is None or pinned.arm != fresh.arm or not set(fresh.lessons) <= set(pinned.lessons):
            return fresh
        if not pinned.block:
            return self._still_withheld(pinned, fresh)
        if not all(self._stands(text, fresh) for text in pinned.texts):
            return fresh
        kept = again(pinned, self.episode.id)
        withheld = tuple(e for e in fresh.exposures if e.lesson_id not in {x.lesson_id for x in kept.exposures})
        return replace(kept, exposures=kept.exposures + withheld)

    def _still_withheld(self, pinned: Shown, fresh: Shown) -> Shown:
        """Nothing is shown, and what would be pinned if it had been counts in this turn too."""
        known = {e.lesson_id for e in fresh.exposures}
        carried = [e for e in again(pinned, self.episode.id).exposures if e.unit and not e.shown and e.lesson_id not in known]
        if self.ledger:
            space = self.episode.namespace
            carried = [e for e in carried if _as_shown(self.ledger, space, e.lesson_id, None) is not None]
        return replace(fresh, exposures=fresh.exposures + tuple(carried))

    def _stands(self, text: LessonText, fresh: Shown) -> bool:
        """Whether a pinned lesson may still be shown and still says the same."""
        if not isinstance(text, Lesson):
            return True
        recalled = next((t for t in fresh.texts if isinstance(t, Lesson) and t.id == text.id), None)
        now = recalled or (_as_shown(self.ledger, text.namespace, text.id, None) if self.ledger else text)
        return now is not None and now.text == text.text


def drawn_in(shown: Shown | None) -> tuple[Exposure, ...]:
    """The exposures in which chance had a part."""
    return tuple(e for e in shown.exposures if e.unit) if shown else ()


def again(shown: Shown, episode_id: UUID) -> Shown:
    """The same lessons for another episode."""
    return replace(shown, exposures=tuple(e.model_copy(update={"episode_id": episode_id}) for e in shown.exposures))


def shown_before(ledger: Past, earlier: Episode, policy: RecallPolicy) -> Shown | None:
    """What an episode of another process was shown, without lessons that have been retired since; None if nothing is left of it."""
    exposures = tuple(ledger.exposures(episode_id=earlier.id, namespace=earlier.namespace))
    if earlier.arm == "placebo":
        return Shown(placebo(policy.max_tokens, template=policy.block), arm="placebo", exposures=exposures)
    if earlier.arm == "holdout":
        return Shown(arm="holdout", exposures=exposures, note="holdout")
    if not earlier.shown:
        return Shown(exposures=exposures, note="withheld") if exposures and not any(e.shown for e in exposures) else None
    revisions = {e.lesson_id: e.revision for e in exposures}
    lessons = [found for id_ in earlier.shown if (found := _as_shown(ledger, earlier.namespace, id_, revisions.get(id_))) is not None]
    if not lessons:
        return None
    ids = tuple(lesson.id for lesson in lessons)
    return Shown(render(lessons, ids=ids, max_tokens=policy.max_tokens, template=policy.block), ids, tuple(lessons), exposures)


def _as_shown(ledger: Past, namespace: Namespace, lesson_id: str, revision: int | None) -> Lesson | None:
    try:
        lesson = ledger.lesson(lesson_id, namespace=namespace)
        if lesson.status not in SERVABLE:
            return None
        if revision in (None, lesson.revision):
            return lesson
        return next((r.lesson for r in ledger.revisions(lesson_id, namespace=namespace) if r.lesson.revision == revision), lesson)
    except LessonNotFound:
        return None


# Checkpoints


def saver_of(own: object, configurable: Mapping[str, Any]) -> BaseCheckpointSaver[Any] | None:
    """The saver that a graph will use: its own, or that of the graph around it."""
    for saver in (own, configurable.get(_SAVER)):
        if isinstance(saver, BaseCheckpointSaver):
            return saver
    return None


def read_mark(saver: BaseCheckpointSaver[Any], configurable: Mapping[str, Any]) -> Mark:
    """What the checkpoint tells at which a run with this configuration begins.

    `update_state` leaves checkpoints without a mark; they belong to the episode that they were made after.
    """
    first = found = saver.get_tuple(_place(configurable))
    for _ in range(_UPDATES):
        if found is None or _marked(found) or found.parent_config is None:
            break
        found = saver.get_tuple(found.parent_config)
    return Mark(_marked(found), _task(first))


async def read_mark_async(saver: BaseCheckpointSaver[Any], configurable: Mapping[str, Any]) -> Mark:
    """Async `read_mark`."""
    first = found = await saver.aget_tuple(_place(configurable))
    for _ in range(_UPDATES):
        if found is None or _marked(found) or found.parent_config is None:
            break
        found = await saver.aget_tuple(found.parent_config)
    return Mark(_marked(found), _task(first))


def _place(configurable: Mapping[str, Any]) -> RunnableConfig:
    wanted = {key: configurable[key] for key in ("thread_id", "checkpoint_id") if configurable.get(key)}
    return {"configurable": {**wanted, "checkpoint_ns": configurable.get("checkpoint_ns") or ""}}


def _marked(found: CheckpointTuple | None) -> UUID | None:
    text = (found.metadata or {}).get(METADATA_KEY) if found else None
    return UUID(str(text)) if text else None


def _task(found: CheckpointTuple | None) -> str:
    try:
        return task_of((found.checkpoint.get("channel_values") if found else None) or {})
    except TaskNotFound:
        return ""
