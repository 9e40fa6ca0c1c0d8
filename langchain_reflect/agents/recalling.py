"""Which lessons a run gets: those the caller forces, or those recall finds before its deadline, or none."""

import logging
from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from langchain_reflect.agents.deadline import Late
from langchain_reflect.agents.episodes import OpenEpisode, Shown
from langchain_reflect.agents.forced import Forced
from langchain_reflect.agents.shared import Shared
from langchain_reflect.agents.threads import Found
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recall.rendering import placebo, render
from langchain_reflect.types import Lesson, Namespace, Recalled

logger = logging.getLogger("langchain_reflect")


class Recalls(Protocol):
    """What finds lessons."""

    def recall(self, task: str, *, namespace: Namespace, policy: RecallPolicy, unit: str | None, episode_id: UUID | None) -> Recalled:
        """Lessons for a task; `unit` drives the random arm, None leaves chance out."""


def forced_lessons(force: Forced, policy: RecallPolicy) -> Shown | None:
    """What the caller decided; None if recall is to be asked."""
    if force.lessons is not None:
        ids = [lesson.id if isinstance(lesson, Lesson) else f"draft-{n}" for n, lesson in enumerate(force.lessons, 1)]
        block = render(force.lessons, ids=ids, max_tokens=policy.max_tokens)
        shown = (tuple(ids), force.lessons) if block else ((), ())
        return Shown(block, *shown, arm=force.arm or "treated", note="forced")
    if force.arm in ("holdout", "placebo"):
        block = placebo(policy.max_tokens) if force.arm == "placebo" else ""
        return Shown(block, arm=force.arm, note="forced")
    return None


def asking(recaller: Recalls | None, episode: OpenEpisode, policy: RecallPolicy, force: Forced) -> Callable[[str, UUID], Shown]:
    """The call that asks recall for a task, on behalf of the episode of an id.

    Chance is drawn for the thread, so that a conversation is treated alike from turn to turn, or for the episode; not at all if the caller
    wants the run treated.
    """
    thread = episode.thread_id if policy.unit == "thread" else None

    def ask(task: str, episode_id: UUID) -> Shown:
        if recaller is None or not task.strip():
            return Shown()
        unit = None if force.arm == "treated" else thread or str(episode_id)
        return shown_of(recaller.recall(task, namespace=episode.namespace, policy=policy, unit=unit, episode_id=episode_id))

    return ask


def in_time(recall: Callable[[], Found], deadline: float, shared: Shared) -> Found:
    """What recall gives before the deadline; nothing if it is late or fails, and nothing at once while it keeps failing."""
    if not shared.recall_breaker.allows():
        return _paused(shared)
    try:
        found = shared.calls.run(recall, deadline)
    except Exception as error:  # noqa: BLE001 - the agent's run must go on
        return _failed(error, deadline, shared)
    return _well(found, shared)


async def ain_time(recall: Callable[[], Found], deadline: float, shared: Shared) -> Found:
    """Async `in_time`; the event loop is never blocked."""
    if not shared.recall_breaker.allows():
        return _paused(shared)
    try:
        found = await shared.calls.arun(recall, deadline)
    except Exception as error:  # noqa: BLE001 - the agent's run must go on
        return _failed(error, deadline, shared)
    return _well(found, shared)


def _well(found: Found, shared: Shared) -> Found:
    if shared.recall_breaker.succeeded():
        logger.warning("recall works again")
    return found


def _paused(shared: Shared) -> Found:
    hint = f"recall keeps failing and is left alone for {shared.recall_breaker.pause:.0f} s, runs get no lessons"
    shared.health.note("recall paused", hint, level=logging.DEBUG)
    return Found(Shown(note="paused: recall keeps failing"))


def _failed(error: Exception, deadline: float, shared: Shared) -> Found:
    if shared.recall_breaker.failed():
        logger.warning("recall failed %d times in a row and is left alone for a while", shared.recall_breaker.failures)
    if isinstance(error, Late):
        hint = f"recall took longer than deadline={deadline} s (the first one may still load the embedder), so this run gets no lessons"
        shared.health.note("recall late", hint, error=error)
        return Found(Shown(note="late"))
    shared.health.note("recall failed", f"recall failed, so this run gets no lessons: {type(error).__name__}: {error}", error=error)
    return Found(Shown(note=f"failed: {type(error).__name__}: {error}"))


def shown_of(recalled: Recalled) -> Shown:
    """What of a recall concerns a run."""
    return Shown(
        block=recalled.block,
        lessons=tuple(lesson.id for lesson in recalled.lessons) if recalled.block else (),
        texts=recalled.lessons if recalled.block else (),
        exposures=recalled.exposures,
        arm=recalled.arm,
        note=recalled.note,
    )
