"""A task becomes lessons for the prompt: assignment -> embedding -> candidates -> ranking -> withholding -> rendering.

No model is called: recall is one embedding and one query. Whatever was eligible is accounted for in exposures, also where a run
deliberately goes without, because that is what lessons are judged by.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final, Protocol
from uuid import UUID

from langchain_core.runnables import run_in_executor

from langchain_reflect.errors import InvalidInput
from langchain_reflect.index.base import Vector
from langchain_reflect.index.embeddings import Embedder
from langchain_reflect.lessons.counting import estimate_tokens
from langchain_reflect.lessons.finding import Path
from langchain_reflect.lessons.floors import Floors
from langchain_reflect.recall.assignment import arm_of, dose_of, is_withheld
from langchain_reflect.recall.explaining import EXPLAINED, Explanation, explanation
from langchain_reflect.recall.policy import RecallPolicy, chances, is_drawn_alike
from langchain_reflect.recall.ranking import Ranked, rank
from langchain_reflect.recall.rendering import CountTokens, fit, frame, item, placebo_like
from langchain_reflect.recall.searching import Book, Searched, Words, search
from langchain_reflect.types import Arm, Exposure, Lesson, Match, Namespace, Recalled

SPARE: Final = 8
"""Candidates asked for beyond `k`, to replace near-twins."""
_SHOWN: Final = "shown"
"""The reason of a match that is in the block."""
_COUNTED: Final = 2048
"""Lessons whose tokens are remembered."""
_Forms = Mapping[str, str]
"""Of lessons that are to be shown, best first: by id the text for which there is room, or `""`."""


class LessonSource(Book, Protocol):
    """What recall needs of a `LessonBook`."""

    def is_empty(self, namespace: Namespace) -> bool:
        """Whether the namespace has no servable lesson, so that nothing needs to be embedded."""

    @property
    def floors(self) -> Floors:
        """Least cosines of lessons that may be shown, by this book's embedder."""

    def path(self, vector: Vector, namespace: Namespace) -> Path:
        """What answers where not every lesson is compared."""

    def nearest_texts(self, vector: Vector, lessons: Sequence[Lesson]) -> Mapping[str, str]:
        """For each lesson, which of its texts is nearest to a vector."""

    def served(self, namespace: Namespace) -> int:
        """Number of servable lessons."""


class Utilities(Protocol):
    """What is known of how much lessons help."""

    def __call__(self, lesson_ids: Sequence[str]) -> Mapping[str, float]:
        """By lesson id, the lower bound of its effect in reward points of 0 to 1; lessons of which nothing is known may be missing."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for, as `Recaller.recall` describes it."""

    task: str
    namespace: Namespace
    policy: RecallPolicy
    unit: str | None
    episode_id: UUID | None
    drawn: Callable[[], Sequence[Exposure]] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.task, str):
            raise InvalidInput(f"task={self.task!r} cannot be searched for: expected a text, what is asked of the agent.")


@dataclass(frozen=True, slots=True)
class _Draw:
    """What chance decided for a run."""

    arm: Arm
    dose: int
    """Most lessons it is shown, or would be if it were treated."""
    policy: str
    lessons: Mapping[str, tuple[bool, float]] = field(default_factory=dict)
    """For lessons that were drawn for the unit before: whether they are shown, and the probability of it then."""


class Recaller:
    """Finds the lessons that fit a task.

    Args:
        book: Where lessons come from.
        embedder: The embedder that the book's lessons were embedded with.
        words: Finds lessons by their words as well; None: only by meaning.
        count_tokens: Counts the tokens of a text for the model that will read it; the default guesses carefully. It is
            remembered, so it must depend on the text alone.
        utilities: Says how much lessons help, see `ranking.utility_of`; None: only their status counts.
    """

    def __init__(
        self,
        book: LessonSource,
        embedder: Embedder,
        *,
        words: Words | None = None,
        count_tokens: CountTokens = estimate_tokens,
        utilities: Utilities | None = None,
    ) -> None:
        self._book = book
        self._words = words
        self._embedder = embedder
        self._count = count_tokens
        self._tokens = lru_cache(maxsize=_COUNTED)(count_tokens)  # of single lessons, which come again and again
        self._utilities = utilities

    def recall(
        self,
        task: str,
        *,
        namespace: Namespace,
        policy: RecallPolicy,
        unit: str | None = None,
        episode_id: UUID | None = None,
        drawn: Callable[[], Sequence[Exposure]] | None = None,
    ) -> Recalled:
        """The prompt block for a task, and an account of every lesson considered.

        Args:
            task: What is asked.
            namespace: Whose lessons may be shown.
            policy: How many, how close, how often none.
            unit: What chance is drawn for, normally the run's id; None: a person asks, so there is neither holdout nor withholding.
            episode_id: The run that the exposures belong to; None: no exposures are made.
            drawn: Exposures of the unit's earlier runs, asked for if there are lessons. What was drawn for a lesson stays, with its
                probability, even if the lesson was promoted since; and so does the dose.

        Raises:
            InvalidInput: The task is no text.
            ReflectError: The embedder, the index or the ledger failed.
        """
        asked = _Asked(task, namespace, policy, unit, episode_id, drawn)
        return self._nothing(asked) or self._compose(asked, self._embedder.embed_query(task))

    async def arecall(
        self,
        task: str,
        *,
        namespace: Namespace,
        policy: RecallPolicy,
        unit: str | None = None,
        episode_id: UUID | None = None,
        drawn: Callable[[], Sequence[Exposure]] | None = None,
    ) -> Recalled:
        """Async `recall`."""
        asked = _Asked(task, namespace, policy, unit, episode_id, drawn)
        nothing = await run_in_executor(None, self._nothing, asked)
        if nothing is not None:
            return nothing
        return await run_in_executor(None, self._compose, asked, await self._embedder.aembed_query(task))

    @property
    def embeds_async(self) -> bool:
        """Whether `aembed` has something to do that `recall` would otherwise wait for in its thread."""
        return self._embedder.is_async

    def is_empty(self, namespace: Namespace) -> bool:
        """Whether a namespace has no lesson to be found."""
        return self._book.is_empty(namespace)

    async def aembed(self, task: str) -> None:
        """Embed a task in the event loop. It is remembered, so a `recall` that follows embeds nothing."""
        await self._embedder.aembed_query(task)

    def explain(self, task: str, *, namespace: Namespace, policy: RecallPolicy) -> Explanation:
        """What `recall` would show somebody who asks, with every part of every score; takes longer.

        Args:
            task: As for `recall`.
            namespace: As for `recall`.
            policy: As for `recall`.
        """
        asked = _Asked(task, namespace, policy, None, None)
        if (nothing := self._nothing(asked)) is not None:
            return explanation(nothing, namespace=namespace, policy=policy)
        return self._explained(asked, self._embedder.embed_query(task))

    async def aexplain(self, task: str, *, namespace: Namespace, policy: RecallPolicy) -> Explanation:
        """Async `explain`."""
        asked = _Asked(task, namespace, policy, None, None)
        if (nothing := await run_in_executor(None, self._nothing, asked)) is not None:
            return explanation(nothing, namespace=namespace, policy=policy)
        return await run_in_executor(None, self._explained, asked, await self._embedder.aembed_query(task))

    def _explained(self, asked: _Asked, vector: Vector) -> Explanation:
        usual = asked.policy.most + SPARE
        found = self._search(asked, vector, usual + EXPLAINED)
        floor, source = self._book.floors.in_force(asked.policy.floor, words=found.fit is not None)
        ranked, others = (self._ranked(each, floor, asked) for each in _parted(found, usual))
        recalled = self._recalled(ranked, asked)
        seen = [*recalled.matches, *(self._match(each, each.dropped or _SHOWN, {}, {}, asked.policy) for each in others)]
        return explanation(
            recalled,
            namespace=asked.namespace,
            policy=asked.policy,
            matches=seen,
            ranked={each.lesson.id: each for each in (*ranked, *others)},
            texts=self._book.nearest_texts(vector, [match.lesson for match in seen]),
            served=self._book.served(asked.namespace),
            floor=floor,
            floor_source=source,
            fit=found.fit,
            path=self._book.path(vector, asked.namespace) if found.fit is None else "memory",
            tokens=self._count(recalled.block) if recalled.block else 0,
        )

    def _nothing(self, asked: _Asked) -> Recalled | None:
        """The answer where there is nothing to find, so that an agent without lessons never waits for the embedder."""
        if asked.task.strip() and not self._book.is_empty(asked.namespace):
            return None
        return Recalled(task=asked.task, arm=_arm(asked), note="no lessons")

    def _compose(self, asked: _Asked, vector: Vector) -> Recalled:
        found = self._search(asked, vector, asked.policy.most + SPARE)
        floor, _ = self._book.floors.in_force(asked.policy.floor, words=found.fit is not None)
        return self._recalled(self._ranked(found, floor, asked), asked)

    def _search(self, asked: _Asked, vector: Vector, limit: int) -> Searched:
        where, without = asked.namespace, asked.policy.without
        return search(self._book, self._words, asked.task, vector, namespace=where, limit=limit, without=without)

    def _ranked(self, found: Searched, floor: float, asked: _Asked) -> list[Ranked]:
        ids = [lesson.id for lesson, _ in found.candidates]
        effects = self._utilities(ids) if self._utilities and ids else None
        most, near = asked.policy.most, found.vectors
        return rank(found.candidates, vectors=near, floor=floor, k=most, fused=found.fused, fit=found.fit, utilities=effects)

    def _recalled(self, ranked: Sequence[Ranked], asked: _Asked) -> Recalled:
        policy = asked.policy
        draw = _draw(asked) if ranked else _Draw(_arm(asked), 0, "")
        # The largest dose is fitted in first, so that every dose and every arm tells of the same runs.
        largest = self._forms([each.lesson for each in ranked if not each.dropped], policy)
        fates = _assigned(ranked, [each.dropped or _fate(largest[each.lesson.id]) for each in ranked], draw, asked)
        shown = [each.lesson for each, fate in zip(ranked, fates, strict=True) if fate == _SHOWN]
        # Fewer lessons leave more room, for examples and reasons.
        forms = largest if len(shown) == len(largest) else self._forms(shown, policy)
        matches = [self._match(each, fate, forms, largest, policy) for each, fate in zip(ranked, fates, strict=True)]
        if draw.arm == "placebo":
            whole = _block(largest, policy)
            block = placebo_like(whole, max_tokens=policy.max_tokens, count_tokens=self._count, template=policy.block)
        else:
            block = _block(forms, policy)
        return Recalled(
            task=asked.task,
            block=block,
            arm=draw.arm,
            matches=tuple(matches),
            exposures=() if asked.episode_id is None else _exposures(matches, draw, asked, asked.episode_id),
            note=_why_nothing(matches, draw.arm) if not block or draw.arm == "placebo" else "",
        )

    def _forms(self, lessons: Sequence[Lesson], policy: RecallPolicy) -> _Forms:
        ids = [lesson.id for lesson in lessons]
        forms = fit(lessons, ids=ids, max_tokens=policy.max_tokens, count_tokens=self._count, template=policy.block)
        return dict(zip(ids, forms, strict=True))

    def _match(self, ranked: Ranked, fate: str, shown: _Forms, largest: _Forms, policy: RecallPolicy) -> Match:
        lesson = ranked.lesson
        form = shown.get(lesson.id)
        if fate == _SHOWN and form is not None:
            fate = _fate(form)  # a counter that is not exact may find less room for fewer lessons
        return Match(
            lesson=lesson,
            similarity=ranked.similarity,
            score=ranked.score,
            lexical=ranked.lexical,
            tokens=self._tokens(form or largest.get(lesson.id) or item(lesson, template=policy.block)),
            kept=fate == _SHOWN,
            reason=fate,
        )


def _fate(form: str) -> str:
    return _SHOWN if form else "over budget"


def _block(forms: _Forms, policy: RecallPolicy) -> str:
    return frame(list(forms.values()), ids=list(forms), template=policy.block)


def _parted(found: Searched, usual: int) -> tuple[Searched, Searched]:
    """The candidates that are ranked for a run, and those beyond them."""
    return replace(found, candidates=found.candidates[:usual]), replace(found, candidates=found.candidates[usual:])


def _arm(asked: _Asked) -> Arm:
    if asked.unit is None:
        return "treated"
    policy = asked.policy
    return arm_of(asked.namespace, asked.unit, salt=policy.salt, holdout=policy.holdout, placebo=policy.placebo)


def _draw(asked: _Asked) -> _Draw:
    policy = asked.policy
    if asked.unit is None:
        return _Draw("treated", policy.usual, policy.version)
    arm = _arm(asked)
    known = asked.drawn() if asked.drawn else ()
    earlier = [e for e in known if e.unit == asked.unit and e.arm == arm and is_drawn_alike(e.policy, policy.version)]
    version = earlier[0].policy if earlier else policy.version
    dose = dose_of(asked.namespace, asked.unit, salt=policy.salt, doses=chances(version).doses)
    return _Draw(arm, dose, version, {e.lesson_id: (e.shown, e.probability) for e in reversed(earlier)})


def _assigned(ranked: Sequence[Ranked], fates: Sequence[str], draw: _Draw, asked: _Asked) -> list[str]:
    """What becomes of each lesson after chance: whether it is shown, or why not."""
    if asked.unit is not None and draw.arm != "treated":
        return [draw.arm if fate == _SHOWN else fate for fate in fates]
    after, places = list[str](), draw.dose
    for each, fate in zip(ranked, fates, strict=True):
        if fate != _SHOWN:
            after.append(fate)
            continue
        if places <= 0:
            after.append("over k")
        else:
            after.append(_SHOWN if _is_shown(each.lesson, draw, asked) else "withheld")
        places -= 1
    return after


def _is_shown(lesson: Lesson, draw: _Draw, asked: _Asked) -> bool:
    unit = asked.unit
    if unit is None or lesson.id in draw.lessons:
        return unit is None or draw.lessons[lesson.id][0]
    probability = asked.policy.withhold_probability(lesson.status)
    return not is_withheld(asked.namespace, unit, lesson.id, salt=asked.policy.salt, probability=probability)


def _exposures(matches: Sequence[Match], draw: _Draw, asked: _Asked, episode_id: UUID) -> tuple[Exposure, ...]:
    """One for each lesson that was eligible under the dose, or under the largest in a run without lessons, shown or not.

    The probability of being shown is that within arm and dose: 0 in a holdout or placebo run.
    """

    def probability(match: Match) -> float:
        if asked.unit is None:
            return 1.0
        if draw.arm != "treated":
            return 0.0
        known = draw.lessons.get(match.lesson.id)
        return 1.0 - asked.policy.withhold_probability(match.lesson.status) if known is None else known[1]

    eligible = [match for match in matches if match.kept or match.reason in ("withheld", "holdout", "placebo")]
    return tuple(
        Exposure(
            episode_id=episode_id,
            lesson_id=match.lesson.id,
            revision=match.lesson.revision,
            shown=match.kept,
            probability=probability(match),
            arm=draw.arm,
            rank=place,
            score=match.similarity,
            tokens=match.tokens,
            unit=asked.unit or "",
            policy=draw.policy,
            dose=draw.dose if draw.arm == "treated" else 0,
        )
        for place, match in enumerate(eligible)
    )


def _why_nothing(matches: Sequence[Match], arm: Arm) -> str:
    if arm in ("holdout", "placebo"):
        return arm
    return matches[0].reason if matches else "no lessons"
