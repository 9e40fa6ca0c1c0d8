"""A task becomes lessons for the prompt: assignment -> embedding -> candidates -> ranking -> withholding -> rendering.

No model is called: recall is one embedding and one query. Whatever was eligible is accounted for in exposures, also where a run
deliberately goes without, because that is what lessons are judged by.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from langchain_core.runnables import run_in_executor

from langchain_reflect.index.base import Vector
from langchain_reflect.index.embeddings import Embedder
from langchain_reflect.lessons.counting import estimate_tokens
from langchain_reflect.recall.assignment import arm_of, is_withheld
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recall.ranking import Ranked, fit_floor_for, floor_for, rank
from langchain_reflect.recall.rendering import CountTokens, fit, frame, item
from langchain_reflect.recall.searching import Book, Words, search
from langchain_reflect.types import Arm, Exposure, Match, Namespace, Recalled

SPARE: Final = 8
"""Candidates asked for beyond `k`, to replace near-twins."""


class LessonSource(Book, Protocol):
    """What recall needs of a `LessonBook`."""

    def is_empty(self, namespace: Namespace) -> bool:
        """Whether the namespace has no servable lesson, so that nothing needs to be embedded."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for, as `Recaller.recall` describes it."""

    task: str
    namespace: Namespace
    policy: RecallPolicy
    unit: str | None
    episode_id: UUID | None


class Recaller:
    """Finds the lessons that fit a task.

    Args:
        book: Where lessons come from.
        embedder: The embedder that the book's lessons were embedded with.
        words: Finds lessons by their words as well; None: only by meaning.
        count_tokens: Counts the tokens of a text for the model that will read it; the default guesses carefully.
    """

    def __init__(
        self, book: LessonSource, embedder: Embedder, *, words: Words | None = None, count_tokens: CountTokens = estimate_tokens
    ) -> None:
        self._book = book
        self._words = words
        self._embedder = embedder
        self._count = count_tokens

    def recall(
        self, task: str, *, namespace: Namespace, policy: RecallPolicy, unit: str | None = None, episode_id: UUID | None = None
    ) -> Recalled:
        """The prompt block for a task, and an account of every lesson considered.

        Args:
            task: What is asked.
            namespace: Whose lessons may be shown.
            policy: How many, how close, how often none.
            unit: What chance is drawn for, normally the run's id; None: a person asks, so there is neither holdout nor withholding.
            episode_id: The run that the exposures belong to; None: no exposures are made.

        Raises:
            ReflectError: The embedder, the index or the ledger failed.
        """
        asked = _Asked(task, namespace, policy, unit, episode_id)
        return self._nothing(asked) or self._compose(asked, self._embedder.embed_query(task))

    async def arecall(
        self, task: str, *, namespace: Namespace, policy: RecallPolicy, unit: str | None = None, episode_id: UUID | None = None
    ) -> Recalled:
        """Async `recall`."""
        asked = _Asked(task, namespace, policy, unit, episode_id)
        nothing = await run_in_executor(None, self._nothing, asked)
        if nothing is not None:
            return nothing
        return await run_in_executor(None, self._compose, asked, await self._embedder.aembed_query(task))

    def _nothing(self, asked: _Asked) -> Recalled | None:
        """The answer where there is nothing to find, so that an agent without lessons never waits for the embedder."""
        if asked.task.strip() and not self._book.is_empty(asked.namespace):
            return None
        return Recalled(task=asked.task, arm=_arm(asked), note="no lessons")

    def _compose(self, asked: _Asked, vector: Vector) -> Recalled:
        policy = asked.policy
        found = search(self._book, self._words, asked.task, vector, namespace=asked.namespace, limit=policy.k + SPARE)
        floor = (floor_for if found.fit is None else fit_floor_for)(self._embedder.id, policy.floor)
        ranked = rank(found.candidates, vectors=found.vectors, floor=floor, k=policy.k, fused=found.fused, fit=found.fit)
        arm = _arm(asked)
        _, matches = self._render([self._match(each) for each in ranked], policy)
        matches = [_assigned(match, arm, asked) for match in matches]
        # Fewer lessons leave more room, for examples and reasons.
        block, matches = self._render(matches, policy)
        return Recalled(
            task=asked.task,
            block=block,
            arm=arm,
            matches=tuple(matches),
            exposures=() if asked.episode_id is None else _exposures(matches, arm, asked, asked.episode_id),
            note="" if block else _why_nothing(matches, arm),
        )

    def _match(self, ranked: Ranked) -> Match:
        return Match(
            lesson=ranked.lesson,
            similarity=ranked.similarity,
            score=ranked.score,
            lexical=ranked.lexical,
            tokens=self._count(item(ranked.lesson)),
            kept=not ranked.dropped,
            reason=ranked.dropped or "shown",
        )

    def _render(self, matches: Sequence[Match], policy: RecallPolicy) -> tuple[str, list[Match]]:
        """The block of the matches that are kept, and all matches with those out for which there is no room."""
        kept = [match.lesson for match in matches if match.kept]
        ids = [lesson.id for lesson in kept]
        forms = fit(kept, ids=ids, max_tokens=policy.max_tokens, count_tokens=self._count)
        placed = dict(zip(ids, forms, strict=True))
        return frame(forms, ids=ids), [self._placed(match, placed[match.lesson.id]) if match.kept else match for match in matches]

    def _placed(self, match: Match, form: str) -> Match:
        if not form:
            return match.model_copy(update={"kept": False, "reason": "over budget"})
        return match.model_copy(update={"tokens": self._count(form)})


def _arm(asked: _Asked) -> Arm:
    if asked.unit is None:
        return "treated"
    return arm_of(asked.namespace, asked.unit, salt=asked.policy.salt, holdout=asked.policy.holdout)


def _assigned(match: Match, arm: Arm, asked: _Asked) -> Match:
    if not match.kept or asked.unit is None:
        return match
    if arm == "holdout":
        return match.model_copy(update={"kept": False, "reason": "holdout"})
    probability = asked.policy.withhold_probability(match.lesson.status)
    if is_withheld(asked.namespace, asked.unit, match.lesson.id, salt=asked.policy.salt, probability=probability):
        return match.model_copy(update={"kept": False, "reason": "withheld"})
    return match


def _exposures(matches: Sequence[Match], arm: Arm, asked: _Asked, episode_id: UUID) -> tuple[Exposure, ...]:
    """One for each lesson that was eligible, shown or not. The probability of being shown is that within the arm: 0 in a holdout run."""

    def probability(match: Match) -> float:
        if arm == "holdout":
            return 0.0
        return 1.0 if asked.unit is None else 1.0 - asked.policy.withhold_probability(match.lesson.status)

    eligible = [match for match in matches if match.kept or match.reason in ("withheld", "holdout")]
    return tuple(
        Exposure(
            episode_id=episode_id,
            lesson_id=match.lesson.id,
            revision=match.lesson.revision,
            shown=match.kept,
            probability=probability(match),
            arm=arm,
            rank=place,
            score=match.similarity,
            tokens=match.tokens,
        )
        for place, match in enumerate(eligible)
    )


def _why_nothing(matches: Sequence[Match], arm: Arm) -> str:
    if arm == "holdout":
        return "holdout"
    return matches[0].reason if matches else "no lessons"
