"""The learner composes the parts: ledger, index, lesson book, recall, recording and reflection. It has no logic of its own."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self, Unpack
from uuid import UUID

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from langchain_reflect.agents.namespaces import fill_namespace, has_placeholders
from langchain_reflect.agents.previewing import Previewing
from langchain_reflect.agents.service import AgentService
from langchain_reflect.agents.shared import Shared
from langchain_reflect.agents.ways_in import WaysIn
from langchain_reflect.crediting import BackgroundCredit, Crediting, KnownUtilities, Pausing
from langchain_reflect.index.base import VectorIndex
from langchain_reflect.index.chroma import ChromaIndex
from langchain_reflect.index.embeddings import Embedder, resolve_embedder
from langchain_reflect.ledger import Ledger
from langchain_reflect.ledger.methods.care import Selector
from langchain_reflect.ledger.outcomes import OutcomeFields, episode_id_of
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.lessons.support import quarantine_unsupported
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recall.recaller import Recaller
from langchain_reflect.recall.shelf import LexicalShelf
from langchain_reflect.recording.importing import import_rows
from langchain_reflect.recording.recorder import Recorder
from langchain_reflect.recording.tasks import TaskKeeper
from langchain_reflect.redaction import Redact
from langchain_reflect.redaction import redact as default_redact
from langchain_reflect.reflecting import Reflecting
from langchain_reflect.reflection.background import BackgroundReflection
from langchain_reflect.reflection.curation import Curator
from langchain_reflect.reflection.grouping import ready_groups
from langchain_reflect.reflection.leases import LeaseKeeper
from langchain_reflect.reflection.models import resolve_model
from langchain_reflect.reflection.own_parts import check_callable, check_kind
from langchain_reflect.reflection.policy import Grouping, ReflectionPolicy
from langchain_reflect.reflection.prompts import Prompts
from langchain_reflect.settings import Options, PerGraph, ReflectSettings, refuse_unknown, settings_from
from langchain_reflect.types import Erased, Lesson, Namespace, Outcome
from langchain_reflect.types.block import DEFAULT_BLOCK, BlockTemplate

logger = logging.getLogger(__name__)


class Learner(Previewing, WaysIn, Reflecting, Crediting, Pausing):
    """Lets agents learn from what happened.

    Args:
        path: Folder of the embedded default (SQLite and Chroma); made if missing. Default `./.reflect`, or `REFLECT_PATH`.
        ledger: A `Ledger` or its URL, in place of SQLite in `path`.
        index: A `VectorIndex`, a folder, or the URL of a Chroma server, in place of Chroma in `path`.
        model: Chat model that reflects, an instance or `provider:model`; without one, outcomes are kept but not reflected on.
        embeddings: LangChain embeddings, an instance or `provider:model`; default all-MiniLM-L6-v2 in process.
        block: The form of the prompt block, in place of the library's own.
        verifier: Judges each run of a wrapped graph as it ends: `verifier(inputs=..., outputs=...)`.
        redact: Applied to every text before it is stored; default masks common secrets.
        reflection: When groups are ready and how drafts are treated.
        prompts: In place of the library's own reflection prompts.
        grouping: Finds the groups that are ready, in place of `ready_groups`.
        curator: Says how a draft goes together with lessons near to it, in place of the model.
        settings: In place of the environment.
        **options: See `ReflectSettings`; an argument wins over the environment.

    Raises:
        InvalidInput: A setting is out of range, or does not exist.
        LedgerError: The folder or database cannot be used.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        ledger: Ledger | str | None = None,
        index: VectorIndex | str | None = None,
        model: BaseChatModel | str | None = None,
        embeddings: Embeddings | Embedder | str | None = None,
        block: BlockTemplate | None = None,
        verifier: Callable[..., Any] | None = None,
        redact: Redact | None = None,
        reflection: ReflectionPolicy | None = None,
        prompts: Prompts | None = None,
        grouping: Grouping | None = None,
        curator: Curator | None = None,
        settings: ReflectSettings | None = None,
        **options: Unpack[Options],
    ) -> None:
        refuse_unknown(Learner, options, Options)
        given = dict(options) | ({} if path is None else {"path": path})
        self.settings = settings_from(settings, given)
        where = self.settings.path
        self._redact = redact or default_redact
        place = ledger or self.settings.ledger_url or where
        self.ledger = place if isinstance(place, Ledger) else self._made_ledger(place)
        made = index or self.settings.chroma or str(where / "chroma")
        self.index: VectorIndex = ChromaIndex(made) if isinstance(made, str) else made
        self.embedder = resolve_embedder(embeddings or self.settings.embeddings)
        self.lessons = LessonBook(self.ledger, self.index, self.embedder, review=self.settings.review, namespace=self.settings.namespace)
        self.lessons.on_change = self._warm_up_once
        self._serves = self._is_warm = False
        self._utilities = KnownUtilities(self.ledger)
        self.recaller = Recaller(self.lessons, self.embedder, words=LexicalShelf(self.ledger), utilities=self._utilities)
        self.recorder = Recorder(TaskKeeper(self.ledger, self.embedder), write_before_return=self.settings.record == "before_return")
        self.reflection = check_kind("reflection", ReflectionPolicy() if reflection is None else reflection, ReflectionPolicy)
        self.prompts = check_kind("prompts", Prompts() if prompts is None else prompts, Prompts)
        self._grouping = check_callable("grouping", ready_groups if grouping is None else grouping)
        self._curator = None if curator is None else check_callable("curator", curator)
        self._model = model or self.settings.model
        self._verifier = verifier
        self._shared = Shared()  # of all graphs: the retrieve node's open episode is found by the record node
        self._policy = _usual_policy(self.settings, block)
        self._reflecting, self._crediting = threading.Lock(), threading.Lock()
        self.leases = LeaseKeeper(self.ledger, self.reflection.lease, self.reflection.max_failures)
        self._background = BackgroundReflection(self.reflect, next_look=self.ledger.next_claim)
        self._credit = BackgroundCredit(self.credit)

    def _made_ledger(self, place: str | Path) -> Ledger:
        own = ("default",) if has_placeholders(self.settings.namespace) else self.settings.namespace
        return Ledger(place, namespace=own, durability=self.settings.durability, redact=self._redact)

    @classmethod
    def from_settings(cls, settings: ReflectSettings | None = None, **overrides: Any) -> Self:
        """A learner as the environment (or the given settings) says; overrides are arguments of `Learner`."""
        return cls(settings=settings, **overrides)

    @property
    def redact(self) -> Redact:
        """What every text is put through before it is stored."""
        return self._redact

    @cached_property
    def model(self) -> BaseChatModel:
        """The chat model that reflects.

        Raises:
            ModelMissing: None was given.
        """
        return resolve_model(self._model)

    def _service(self, way: Callable[..., Any], per_graph: Mapping[str, Any], verifier: Callable[..., Any] | None = None) -> AgentService:
        refuse_unknown(way, per_graph, PerGraph)
        policy = {name: value for name, value in per_graph.items() if name not in ("namespace", "durable_start")}
        return AgentService(
            recaller=self.recaller,
            recorder=self.recorder,
            ledger=self.ledger,
            policy=replace(self._policy, **policy),
            namespace=per_graph.get("namespace", self.settings.namespace),
            durable_start=per_graph.get("durable_start", self.settings.durable_start),
            verifier=verifier or self._verifier,
            on_outcome=self._judged,
            redact=self._redact,
            shared=self._shared,
        )

    # Outcomes

    def record_outcome(self, episode_id: UUID | str, **given: Unpack[OutcomeFields]) -> Outcome:
        """Keep a judgement of an episode, see `Ledger.record_outcome`; credit, and with a model reflection, start by themselves.

        The namespace of a run of this process is known; for another's run it is the learner's own unless `namespace=` names it.
        """
        if given.get("namespace") is None:
            given["namespace"] = self.namespace_of(episode_id)
        outcome = self.ledger.record_outcome(episode_id, **given)
        self._judged(outcome)
        return outcome

    async def arecord_outcome(self, episode_id: UUID | str, **given: Unpack[OutcomeFields]) -> Outcome:
        """Async `record_outcome`."""
        return await asyncio.to_thread(partial(self.record_outcome, episode_id, **given))

    def import_episodes(self, rows: Iterable[Mapping[str, Any]], *, namespace: Namespace | None = None, graph: str = "agent") -> int:
        """Take in logged runs: messages with a reward or feedback.

        Args:
            rows: Each with `messages`, and optionally `id`, `reward`, `feedback`, `task`, `task_key`, `model`, `metadata`, `at`.
            namespace: Where a row names none; default the learner's.
            graph: Where a row names none.

        Returns:
            Number of episodes. Importing the same rows again changes nothing.

        Raises:
            InvalidInput: A row cannot be meant; the message has its number. Earlier rows have been kept.
        """
        into = namespace or self._own_namespace()
        try:
            return import_rows(self.ledger, rows, namespace=into, graph=graph, redact=self._redact)
        finally:
            self._look()
            if self._model is not None and self.settings.reflect == "background":
                self._background.poke()

    def namespace_of(self, episode_id: UUID | str) -> Namespace:
        """The namespace of a run of this process; of another run, the learner's own.

        Raises:
            InvalidInput: The learner's own has placeholders that only a run fills.
        """
        return self._shared.space_of(episode_id_of(episode_id)) or self._own_namespace()

    def _own_namespace(self) -> Namespace:
        """The learner's namespace where no run fills its placeholders."""
        return fill_namespace(self.settings.namespace, {})

    # Reflection

    @contextmanager
    def hold_reflection(self) -> Iterator[None]:
        """While the block runs, outcomes start neither reflection nor credit by themselves; `reflect` and `credit` still work.

        What came in is taken up afterwards.
        """
        with self._background.held(), self._credit.held():
            yield

    def _look(self) -> None:
        """Look at the evidence about lessons, soon."""
        if self.settings.reflect == "inline":
            self._credit.look_if_affordable()
        elif self.settings.reflect == "background":
            self._credit.poke()

    def _judged(self, _outcome: Outcome) -> None:
        self._look()
        if self._model is None or self.settings.reflect == "manual":
            return
        if self.settings.reflect == "inline" and not self._background.is_held:
            self.reflect()
        else:
            self._background.poke()

    # Taking back

    def revoke_source(self, source: str, *, reason: str = "", namespace: Namespace | None = None) -> Sequence[Lesson]:
        """Let nothing count that a source said or will say, see `Ledger.revoke_source`.

        Returns:
            Lessons that rest on its judgements alone; they are quarantined.
        """
        space = namespace or self._own_namespace()
        episodes = self.ledger.revoke_source(source, reason=reason, namespace=space)
        self._look()
        return quarantine_unsupported(self.lessons, episodes, namespace=space, reason=f"source {source!r} was revoked: {reason}")

    def forget(self, *, dry_run: bool = False, **selector: Unpack[Selector]) -> Erased:
        """Erase an episode, a source's outcomes, what is older than a time, or a lesson, see `Ledger.forget`; also from the index."""
        self.recorder.flush()
        selector["namespace"] = selector.get("namespace") or self._own_namespace()
        erased = self.ledger.forget(**selector, dry_run=dry_run)
        if not dry_run and (erased.lessons or erased.changed or not erased.episodes):
            self.lessons.reindex()
        return erased

    # The end

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until episodes are written, and reflection and credit in the background are done.

        Args:
            timeout: Most seconds for each of the three; None: as long as it takes.

        Returns:
            Whether all was done in time.
        """
        written = self.recorder.flush(timeout)
        reflected = self._background.flush(timeout)
        return self._credit.flush(timeout) and reflected and written

    def close(self, timeout: float | None = 30.0) -> None:
        """`flush`, then release threads, files and connections.

        Args:
            timeout: Most seconds to wait for each; a model or verifier that hangs must not keep the process. What is not reflected on
                by then stays due in the ledger.
        """
        self.recorder.flush(timeout)
        if not self._background.close(timeout):
            logger.warning("reflection failed, or took longer than %s s; the outcomes stay due for the next reflection", timeout)
        if not self._credit.close(timeout):
            logger.warning("looking at the evidence took longer than %s s; `reflect credit` or the next process does it", timeout)
        self.recorder.close(timeout)
        self.lessons.close()
        self.index.close()
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Learner({self.ledger!r}, {self.index!r}, namespace={self.settings.namespace!r})"


def _usual_policy(settings: ReflectSettings, block: BlockTemplate | None) -> RecallPolicy:
    """How recall behaves where no graph says otherwise."""
    return RecallPolicy(
        k=settings.k,
        max_tokens=settings.max_tokens,
        floor=settings.floor,
        holdout=settings.holdout,
        placebo=settings.placebo,
        withhold=settings.withhold,
        unit=settings.unit,
        deadline=settings.deadline,
        block=DEFAULT_BLOCK if block is None else block,
    )
