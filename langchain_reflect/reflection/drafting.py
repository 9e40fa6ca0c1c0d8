"""One group and the model's answers become drafts: what to ask, and which of the answers hold. Pure.

Without a gate one answer is asked and its drafts are taken as they are; the feedback itself becomes a lesson only where the model had
something to teach and no draft of it survived, so that what a person or a test said is not lost with the model's words. With a gate
several answers are asked, each with the rollouts in another order, and the feedback itself always competes.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Final
from uuid import UUID

from langchain_core.messages import AIMessage, BaseMessage
from pydantic import JsonValue

from langchain_reflect.lessons.safety import clean_text, leak
from langchain_reflect.reflection.answers import read
from langchain_reflect.reflection.digest import digests
from langchain_reflect.reflection.feedback import advice_of, examples_of, expected_of, family
from langchain_reflect.reflection.grouping import select
from langchain_reflect.reflection.outages import Outage
from langchain_reflect.reflection.policy import ReflectionPolicy
from langchain_reflect.reflection.prompts import Prompts, contrast_messages
from langchain_reflect.reflection.quoting import NONE, QUOTE, Quotes, quotes_of
from langchain_reflect.reflection.reading import answer_of
from langchain_reflect.reflection.schemas import DraftAnswer, DraftsAnswer
from langchain_reflect.reflection.structured import Reply, UnfitReply
from langchain_reflect.types import AppliedEdit, Lesson, LessonDraft, LessonEdit, LessonText, Rollout, RolloutGroup, Usage

_ALIKE: Final = 0.7
_SURPLUS: Final = "more lessons than were asked for"


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt about a group, and which rollout each label in it means."""

    messages: list[BaseMessage]
    rollouts: Mapping[str, Rollout]
    example: str = ""
    """The worked example's answer that stands in the prompt."""
    quotes: Quotes = NONE
    """Knows the lessons that were shown in these rollouts."""

    def problem(self, answer: DraftsAnswer) -> str | None:
        """What to tell the model if none of its drafts holds."""
        problems = [refusal(draft, self) for draft in answer.lessons]
        return problems[0] if problems and None not in problems else None


@dataclass(frozen=True, slots=True)
class Asked:
    """What was said to one question."""

    labels: Mapping[str, UUID]
    """Which episode each label in the question means."""
    replies: tuple[JsonValue, ...]
    """The model's answers as they came."""


@dataclass(frozen=True, slots=True)
class Studied:
    """What the contrast of one group gave."""

    group: int
    """Index of the group."""
    drafts: tuple[LessonDraft, ...] = ()
    refused: tuple[AppliedEdit, ...] = ()
    parked: str | None = None
    """Why nothing was learned; the group waits until it is retried or judged anew."""
    outage: Outage | None = None
    """Set if it is parked because the model was out of reach: then it is tried again by itself."""
    interrupted: bool = False
    """Whether the gate was stopped; the group stays due."""
    usage: Usage = field(default_factory=Usage)
    asked: tuple[Asked, ...] = ()
    kept: tuple[str, ...] | None = None
    """The advice of the drafts that a gate kept; None: there was no gate, or it did not come to an end."""


def questions(
    group: RolloutGroup, *, policy: ReflectionPolicy, prompts: Prompts, lessons: Mapping[str, Lesson], gated: bool
) -> list[Question]:
    """The prompts to send about one group.

    Args:
        group: With its judged rollouts; the prompt shows a selection.
        policy: How many rollouts, tokens and answers.
        prompts: The templates.
        lessons: Lessons that were shown in some rollouts, by id.
        gated: Whether a gate will choose among several drafts.
    """
    shown = select(group.rollouts, policy.group_size)
    good = _better(shown, policy)
    known = [lessons[i] for i in dict.fromkeys(i for r in shown for i in r.episode.shown) if i in lessons]
    quotes = quotes_of(known, tasks=[r.episode.task for r in shown])
    texts = digests([r.episode for r in shown], good=good, budget=policy.digest_tokens, quotes=quotes)
    answers = [quotes.left_out(answer_of(r.episode)) for r in shown]
    asked = []
    for turn in range(policy.drafts if gated else 1):
        order = _order(len(shown), turn)
        tries = [(f"R{n}", shown[at], texts[at], answers[at]) for n, at in enumerate(order, 1)]
        messages = contrast_messages(prompts, tries, good=[good[at] for at in order], lessons=known, most=1 if gated else policy.max_drafts)
        asked.append(Question(messages, {label: rollout for label, rollout, _, _ in tries}, prompts.example_answer, quotes))
    return asked


def conclude(
    index: int,
    group: RolloutGroup,
    asked: Sequence[tuple[Question, Reply[DraftsAnswer] | UnfitReply]],
    *,
    policy: ReflectionPolicy,
    gated: bool,
) -> Studied:
    """The drafts that hold, the refused ones with the reason, and the cost.

    Args:
        index: Of the group.
        group: The group.
        asked: Each question with its reply.
        policy: Most drafts of one answer.
        gated: Whether a gate will choose among them.
    """
    drafts: dict[str, LessonDraft] = {}
    refused: list[AppliedEdit] = []
    most = 1 if gated else policy.max_drafts
    for question, reply in asked:
        for at, answer in enumerate(_said(reply)):
            draft, problem = _draft(answer, question), _SURPLUS if at >= most else refusal(answer, question)
            if problem is None:
                drafts.setdefault(plain(draft.do), draft)
            else:
                refused.append(not_applied(draft, problem))
    failures = [reply for _, reply in asked if isinstance(reply, UnfitReply)]
    if gated or (refused and not drafts):
        drafts = _with_feedback(drafts, group, asked[0][0].quotes if asked else NONE)
    failed = len(failures) == len(asked) and not drafts
    return Studied(
        group=index,
        drafts=tuple(drafts.values()),
        refused=tuple(refused),
        parked=str(failures[0]) if failed else None,
        outage=next((f.outage for f in failures if f.outage), None) if failed else None,
        usage=sum((reply.usage for _, reply in asked), Usage()),
        asked=tuple(Asked({label: r.episode.id for label, r in q.rollouts.items()}, tuple(reply.raw)) for q, reply in asked),
    )


def refusal(answer: DraftAnswer, question: Question) -> str | None:
    """Why a draft cannot be taken, or None.

    Args:
        answer: The model's draft.
        question: What it answers.
    """
    if not _cited(answer, question):
        return f"it cites none of the tries {', '.join(question.rollouts)}"
    if QUOTE in answer.do or QUOTE in answer.when:
        return f"it repeats {QUOTE!r}, which stands for words that are left out"
    if plain(answer.do) in plain(question.example):
        return "it repeats the example of the prompt"
    if any(_alike(answer.do, r.episode.task) for r in question.rollouts.values()):
        return "it repeats the task instead of saying how to do it"
    return one_instance(_text(answer, question), list(question.rollouts.values()))


def one_instance(text: LessonText, rollouts: Sequence[Rollout]) -> str | None:
    """Why a text is about one task only, or None.

    Args:
        text: A lesson's text.
        rollouts: The rollouts it comes from.
    """
    known = [(answer, r.episode.task) for r in rollouts for answer in (answer_of(r.episode), *expected_of(r))]
    return leak(text, answers=[answer for answer, _ in known], tasks=[task for _, task in known])


def not_applied(text: LessonText, reason: str) -> AppliedEdit:
    """A draft that is not taken, for the report.

    Args:
        text: The draft.
        reason: Why not.
    """
    said = LessonText(**text.model_dump(include=set(LessonText.model_fields)))
    return AppliedEdit(edit=LessonEdit(kind="add", text=said), applied=False, reason=reason)


def plain(text: str) -> str:
    """Advice without case, punctuation and white space, to tell whether two say literally the same.

    Args:
        text: The advice.
    """
    return " ".join("".join(c if c.isalnum() or c in "_%$" else " " for c in text.casefold()).split())


def _better(rollouts: Sequence[Rollout], policy: ReflectionPolicy) -> list[bool]:
    """Which of them are the better ones: the upper half of the range if they differ, else those that succeeded."""
    rewards = [0.0 if r.reward is None else r.reward for r in rollouts]
    low, high = min(rewards), max(rewards)
    bar = (low + high) / 2 if high - low >= policy.spread else policy.success
    return [reward >= bar for reward in rewards]


def _order(count: int, turn: int) -> list[int]:
    """Best first, then worst first, then shuffled: another order makes another draft."""
    order = list(range(count))
    if turn == 1:
        order.reverse()
    elif turn:
        random.Random(turn).shuffle(order)  # noqa: S311 - variety, no secret
    return order


def _cited(answer: DraftAnswer, question: Question) -> list[Rollout]:
    labels = (label.upper() if label[:1] in "rR" else f"R{label}" for label in answer.cites)
    return [question.rollouts[label] for label in dict.fromkeys(labels) if label in question.rollouts]


def _said(reply: Reply[DraftsAnswer] | UnfitReply) -> list[DraftAnswer]:
    """The drafts of a reply, also those that were refused twice: then the model had something to teach, and the words were wrong."""
    if isinstance(reply, Reply):
        return reply.value.lessons
    value, _ = read(AIMessage(str(reply.raw[-1])), DraftsAnswer) if reply.raw else (None, "")
    return [] if value is None else value.lessons


def _draft(answer: DraftAnswer, question: Question) -> LessonDraft:
    cited = _cited(answer, question)
    text = _text(answer, question)
    examples = examples_of(cited) or examples_of([r for r in question.rollouts.values() if r.feedback])
    cites: tuple[UUID, ...] = tuple(r.episode.id for r in cited)
    tasks = tuple(dict.fromkeys(r.episode.task for r in cited))
    return LessonDraft(**text.model_dump(exclude={"examples"}), examples=examples, cites=cites, tasks=tasks)


def _text(answer: DraftAnswer, question: Question) -> LessonText:
    """The text of a draft. All but the advice is left out where it tells of one instance; the condition is then told in general words."""
    rollouts = list(question.rollouts.values())
    text = clean_text(answer.text(when=""))
    local = {name for name in ("when", "when_not", "why", "title") if one_instance(LessonText(when="", do=getattr(text, name)), rollouts)}
    kept = text.model_copy(update=dict.fromkeys(local, ""))
    return kept if kept.when else kept.model_copy(update={"when": family([r.episode.task for r in rollouts])})


def _alike(one: str, other: str) -> bool:
    """Whether most words of both are the same, in the same order."""
    return SequenceMatcher(a=plain(one).split(), b=plain(other).split(), autojunk=False).ratio() >= _ALIKE


def _with_feedback(drafts: dict[str, LessonDraft], group: RolloutGroup, quotes: Quotes) -> dict[str, LessonDraft]:
    """The feedback itself first, unless a draft says literally the same."""
    advice = advice_of(group.rollouts, quotes=quotes)
    if advice is None:
        return drafts
    advice = advice.model_copy(update={"examples": examples_of(group.rollouts)})
    others = {said: draft for said, draft in drafts.items() if said != plain(advice.do)}
    return {plain(advice.do): advice, **others}
