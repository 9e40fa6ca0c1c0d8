"""What the ways in share: opening an episode with its lessons, and closing it with its record and its judgement.

Inside a run nothing is raised: recall has a deadline, recording is queued, and every failure is counted and logged once
(`AgentService.health`). A namespace with a missing placeholder is treated alike: the run gets no lessons and leaves no episode, because a
guess would mix tenants.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, Unpack

from langchain_core.runnables import RunnableConfig

from langchain_reflect.agents.deadline import Late
from langchain_reflect.agents.episodes import OpenEpisode, announce, close_episode, joined, to_episode
from langchain_reflect.agents.health import Health
from langchain_reflect.agents.judging import Keeps, Verify, judge
from langchain_reflect.agents.namespaces import check_template
from langchain_reflect.agents.opening import About, AboutFields, Opener, Search, inherit
from langchain_reflect.agents.recalling import Recalls, ain_time, in_time
from langchain_reflect.agents.shared import Shared
from langchain_reflect.errors import EpisodeNotFound, InvalidInput, TaskNotFound
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recording.task import task_of
from langchain_reflect.redaction import Redact, redact
from langchain_reflect.types import Episode, Exposure, Namespace, Outcome


class Records(Protocol):
    """What keeps episodes."""

    write_before_return: bool

    def submit(
        self,
        make: Callable[[], tuple[Episode, tuple[Exposure, ...]]],
        then: Callable[[Episode], None] | None = None,
        *,
        after_others: bool = False,
    ) -> None:
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
    durable_start: bool = False
    """Whether a run waits until its start is in the ledger, so that a process that is killed leaves an episode."""
    shared: Shared = field(default_factory=Shared, repr=False)

    def __post_init__(self) -> None:
        check_template(self.namespace)

    @property
    def health(self) -> Health:
        """What went wrong in runs so far."""
        return self.shared.health

    # Opening

    def open(self, given: Any, config: RunnableConfig | None, **about: Unpack[AboutFields]) -> OpenEpisode | None:
        """Begin the episode of a run; None if that fails, and then the run goes on without us.

        Args:
            given: The graph's input.
            config: The run's config.
            **about: See `About`.
        """
        try:
            episode, search = self._begin(given, config, About(**about))
            if search is not None:
                inherit(episode, in_time(search.here(), self.policy.deadline, self.shared))
            announce(episode)
            if self._begun_ahead(episode):
                self._note_written(self._flushed())
        except Exception as error:  # noqa: BLE001 - the agent's run must go on
            self._failed_to_open(error)
            return None
        return episode

    async def aopen(self, given: Any, config: RunnableConfig | None, **about: Unpack[AboutFields]) -> OpenEpisode | None:
        """Async `open`; the event loop is never blocked."""
        try:
            episode, search = self._begin(given, config, About(**about))
            if search is not None:
                until = time.monotonic() + self.policy.deadline
                rest = await search.after_mark(self.policy.deadline)
                inherit(episode, await ain_time(rest, max(0.0, until - time.monotonic()), self.shared, ahead=search.ahead))
            announce(episode)
            if self._begun_ahead(episode):
                self._note_written(await self._aflushed())
        except Exception as error:  # noqa: BLE001 - the agent's run must go on
            self._failed_to_open(error)
            return None
        return episode

    def _begin(self, given: Any, config: RunnableConfig | None, about: About) -> tuple[OpenEpisode, Search | None]:
        opener = Opener(recaller=self.recaller, ledger=self.ledger, policy=self.policy, namespace=self.namespace, shared=self.shared)
        return opener.begin(given, config, about)

    def _begun_ahead(self, episode: OpenEpisode) -> bool:
        """Queue the start of a run, and tell whether to wait for it."""
        if not self.durable_start or self.recorder is None or not episode.record:
            return False
        self.begin(episode)
        return self.shared.write_breaker.allows()

    def _flushed(self) -> bool:
        return self.recorder is None or self.recorder.flush(self.policy.deadline)

    async def _aflushed(self) -> bool:
        try:
            return await self.shared.calls.arun(self._flushed, 2 * self.policy.deadline)
        except Late:
            return False

    def _note_written(self, written: bool) -> None:  # noqa: FBT001 - one value
        """A ledger that is slow or stuck delays a few runs by the deadline, then none."""
        if written:
            self.shared.write_breaker.succeeded()
            return
        self.shared.write_breaker.failed()
        self.health.note("not written in time", f"a run went on before it was in the ledger: that took more than {self.policy.deadline} s")

    def _failed_to_open(self, error: Exception) -> None:
        if isinstance(error, InvalidInput):
            self.health.note(f"not opened: {error}", f"no lessons and no episode: {error}", error=error, level=logging.ERROR)
        else:
            self.health.note("not opened", f"no lessons and no episode: {type(error).__name__}: {error}", error=error)

    # Episodes that live longer than one call of ours: middleware and plain nodes

    def begin(self, episode: OpenEpisode) -> None:
        """Record an episode as running, so that a run that never gets to its end leaves a trace."""
        if self.recorder is not None and episode.record:
            self.recorder.submit(partial(self._record, episode), after_others=episode.resumed)

    def continued(self, given: Any, **about: Unpack[AboutFields]) -> OpenEpisode | None:
        """The episode of an id that another process opened, without asking for lessons again; None if that fails."""
        try:
            return self._begin(given, None, About(**about))[0]
        except Exception as error:  # noqa: BLE001 - the agent's run must go on
            self._failed_to_open(error)
            return None

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
            self.shared.remember_thread(episode)
            if episode.shown.block and not episode.placed and episode.status == "ok" and episode.given is not None and not episode.resumed:
                hint = f"lessons for {episode.graph!r} were shown to no model: no node has messages; inject= puts them into its state"
                self.health.note("not placed", hint, level=logging.INFO)
            if self.recorder is None or not episode.record:
                return
            verify = verifier or self.verifier
            judging = partial(self._judge, episode, verify) if verify is not None and episode.status == "ok" else None
            last = self.shared.kept(episode.id) is None
            self.recorder.submit(partial(self._record, episode, last=last), judging, after_others=episode.resumed)
            if self.recorder.write_before_return and not _in_event_loop() and self.shared.write_breaker.allows():
                self._note_written(self._flushed())
        except Exception as failed:  # noqa: BLE001 - the agent's run must go on
            self.health.note("not recorded", f"an episode was not recorded: {type(failed).__name__}: {failed}", error=failed)

    @contextmanager
    def finishing(self, episode: OpenEpisode, *, verifier: Verify | None = None) -> Iterator[None]:
        """`finish` when the block ends, however it ends."""
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            self.finish(episode, error, verifier=verifier)
            error = None  # whose traceback holds this frame

    async def asettle(self) -> None:
        """After an async run: wait for the record if the recorder is to write before the run returns."""
        if self.recorder is not None and self.recorder.write_before_return and self.shared.write_breaker.allows():
            self._note_written(await self._aflushed())

    def _record(self, episode: OpenEpisode, *, last: bool = False) -> tuple[Episode, tuple[Exposure, ...]]:
        """The episode as it is stored; after the last time its events go, because callers may hold on to it."""
        if not episode.task:
            first = next((e.input for e in episode.tape.events if e.kind == "model" and isinstance(e.input, list)), None)
            episode.task = "(continued)"
            with suppress(TaskNotFound):
                episode.task = task_of(first)
        stored, exposures = to_episode(episode, self.redact)
        if episode.resumed and self.ledger is not None:
            with suppress(EpisodeNotFound):
                episode.earlier = episode.earlier or self.ledger.episode(episode.id, namespace=episode.namespace)
                stored = joined(episode.earlier, stored)
        if last:
            episode.tape.events, episode.tape.first, episode.earlier = [], None, None
        return stored, exposures

    def _judge(self, episode: OpenEpisode, verify: Verify, _: Episode) -> None:
        if self.ledger is None:
            return
        outcome = judge(episode, verify, self.ledger, self.health)
        if outcome is not None and self.on_outcome is not None:
            self.on_outcome(outcome)


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
