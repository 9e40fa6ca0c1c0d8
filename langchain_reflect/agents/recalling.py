"""Which lessons a run gets: those the caller forces, or those recall finds before its deadline, or none."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Protocol
from uuid import UUID

from langchain_reflect.agents.deadline import Late
from langchain_reflect.agents.episodes import OpenEpisode, Shown
from langchain_reflect.agents.forced import Forced
from langchain_reflect.agents.shared import Shared
from langchain_reflect.agents.threads import Ask, Found
from langchain_reflect.recall.policy import MOST, RecallPolicy
from langchain_reflect.recall.recaller import Recaller
from langchain_reflect.recall.rendering import placebo_like, render
from langchain_reflect.types import Exposure, Lesson, Namespace, Recalled, Steering

logger = logging.getLogger("langchain_reflect")
Ahead = Callable[[float], Awaitable[None]]
"""Given the seconds that it may take."""


class Recalls(Protocol):
    """What finds lessons."""

    def recall(
        self,
        task: str,
        *,
        namespace: Namespace,
        policy: RecallPolicy,
        unit: str | None,
        episode_id: UUID | None,
        drawn: Callable[[], Sequence[Exposure]] | None,
    ) -> Recalled:
        """Lessons for a task; `unit` drives the random arm, None leaves chance out; `drawn` tells what it decided for the unit before."""


def forced_lessons(force: Forced, policy: RecallPolicy) -> Shown | None:
    """What the caller decided; None if recall is to be asked."""
    if force.lessons is not None:
        ids = [lesson.id if isinstance(lesson, Lesson) else f"draft-{n}" for n, lesson in enumerate(force.lessons, 1)]
        block = render(force.lessons, ids=ids, max_tokens=policy.max_tokens, template=policy.block)
        shown = (tuple(ids), force.lessons) if block else ((), ())
        return Shown(block, *shown, arm=force.arm or "treated", note="forced")
    return Shown(arm="holdout", note="forced") if force.arm == "holdout" else None


def asking(
    recaller: Recalls | None,
    episode: OpenEpisode,
    policy: RecallPolicy,
    force: Forced,
    *,
    unit: str | None = None,
    steering: Callable[[], Steering] = Steering,
) -> Ask:
    """The call that asks recall for a task, on behalf of the episode of an id.

    Chance is drawn for the unit, so that a conversation is treated alike from turn to turn, or for the episode, by its first run's id, so
    that a retry of a run is drawn alike; not at all if the caller wants the run treated, or neutral text in place of what it would get.
    """
    policy = replace(policy, without=force.without) if force.without else policy

    def ask(task: str, episode_id: UUID, *, forked_unit: str | None = None, drawn: Callable[[], Sequence[Exposure]] | None = None) -> Shown:
        if recaller is None or not task.strip():
            return Shown(arm=force.arm or "treated")
        own = str(episode.run_id if episode_id == episode.id and episode.run_id else episode_id)
        by = None if force.arm else unit or forked_unit or own
        how = dosed(policy, steering()) if policy.k == "auto" else policy
        given = recaller.recall(task, namespace=episode.namespace, policy=how, unit=by, episode_id=episode_id, drawn=drawn)
        return _neutral(given, policy) if force.arm == "placebo" else shown_of(given)

    return ask


def _neutral(given: Recalled, policy: RecallPolicy) -> Shown:
    """Neutral text of about the length of the block; none where the run would have been shown nothing."""
    block = placebo_like(given.block, max_tokens=policy.max_tokens, template=policy.block)
    return Shown(block, arm="placebo", note="forced" if block else given.note)


def dosed(policy: RecallPolicy, steering: Steering) -> RecallPolicy:
    """The policy with the doses that evidence has come to."""
    known = {dose: share for dose, share in (steering.doses or {}).items() if 0 < dose <= MOST and share > 0}
    return policy if not known else _with_doses(policy, tuple(sorted(known.items())))


@lru_cache(maxsize=256)
def _with_doses(policy: RecallPolicy, doses: tuple[tuple[int, float], ...]) -> RecallPolicy:
    return replace(policy, doses=dict(doses))


def in_time(recall: Callable[[], Found], deadline: float, shared: Shared) -> Found:
    """What recall gives before the deadline; nothing if it is late or fails, and nothing at once while it keeps failing."""
    if not shared.recall_breaker.allows():
        return _paused(shared)
    try:
        found = shared.calls.run(recall, deadline)
    except Exception as error:  # noqa: BLE001 - the agent's run must go on
        return _failed(error, deadline, shared)
    return _well(found, shared)


async def ain_time(recall: Callable[[], Found], deadline: float, shared: Shared, *, ahead: Ahead | None = None) -> Found:
    """Async `in_time`; the event loop is never blocked.

    Args:
        recall: As for `in_time`.
        deadline: Likewise, for both.
        shared: Likewise.
        ahead: What is awaited first, see `embedding_ahead`.
    """
    if not shared.recall_breaker.allows():
        return _paused(shared)
    try:
        until = time.monotonic() + deadline
        if ahead is not None:
            await _awaited(ahead, deadline)
        found = await shared.calls.arun(recall, max(0.0, until - time.monotonic()))
    except Exception as error:  # noqa: BLE001 - the agent's run must go on
        return _failed(error, deadline, shared)
    return _well(found, shared)


def embedding_ahead(recaller: Recalls | None, task: str, namespace: Namespace, shared: Shared) -> Ahead | None:
    """Embeds a task in the event loop, so that recall need not in its thread; None if the embedder has no async method of its own."""
    if not isinstance(recaller, Recaller) or not recaller.embeds_async or not task.strip():
        return None

    async def embed(deadline: float) -> None:
        if not await shared.calls.arun(partial(recaller.is_empty, namespace), deadline):
            await recaller.aembed(task)

    return embed


async def _awaited(ahead: Ahead, deadline: float) -> None:
    waiter = asyncio.timeout(deadline)
    try:
        async with waiter:
            await ahead(deadline)
    except TimeoutError as error:
        raise (Late(f"not embedded within {deadline} s") if waiter.expired() else error) from None


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
        hint = f"recall took longer than deadline={deadline:.2g} s (the first one may still load the embedder), so this run gets no lessons"
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
