"""The question to the curator: how does a draft go together with what is near to it? The model answers, or a curator of the user's."""

import asyncio
import hashlib
from collections.abc import Iterable, Sequence
from functools import partial

from langchain_core.runnables import RunnableConfig

from langchain_reflect.reflection.curation import Candidate, Curator, Judged, problem_of
from langchain_reflect.reflection.neighbours import Neighbour
from langchain_reflect.reflection.own_parts import put_down
from langchain_reflect.reflection.prompts import curate_messages
from langchain_reflect.reflection.schemas import CurateAnswer
from langchain_reflect.reflection.state import Parts
from langchain_reflect.reflection.structured import Reply, UnfitReply, aask, ask
from langchain_reflect.types import LessonDraft, LessonText


class Answers:
    """What the curator has said so far; nothing is asked twice.

    Args:
        before: From an earlier look at the lessons.
    """

    def __init__(self, before: Iterable[Judged]) -> None:
        self.all = list(before)

    def known(self, candidate: Candidate, near: Sequence[Neighbour]) -> Judged | None:
        """The answer to the same question, if there is a usable one."""
        question = question_of(candidate, near)
        return next((j for j in self.all if j.question == question and j.answer is not None), None)

    def take(self, judged: Judged) -> Judged:
        """Keep a new answer."""
        self.all.append(judged)
        return judged


def judge(parts: Parts, candidate: Candidate, near: Sequence[Neighbour], config: RunnableConfig) -> Judged:
    """Ask about one draft.

    Args:
        parts: The curator, or else the model and its prompts.
        candidate: The draft.
        near: What is near to it.
        config: Of the run.
    """
    if (curator := _curator(parts)) is not None:
        return _own(curator, candidate, near)
    messages = curate_messages(parts.prompts, candidate.draft, near)
    try:
        reply = ask(parts.model, CurateAnswer, messages, check=partial(problem_of, near=near), config=config)
    except UnfitReply as error:
        return _judged(candidate, near, error)
    return _judged(candidate, near, reply)


async def ajudge(parts: Parts, candidate: Candidate, near: Sequence[Neighbour], config: RunnableConfig) -> Judged:
    """Async `judge`."""
    if (curator := _curator(parts)) is not None:
        return await asyncio.to_thread(_own, curator, candidate, near)
    messages = curate_messages(parts.prompts, candidate.draft, near)
    try:
        reply = await aask(parts.model, CurateAnswer, messages, check=partial(problem_of, near=near), config=config)
    except UnfitReply as error:
        return _judged(candidate, near, error)
    return _judged(candidate, near, reply)


def question_of(candidate: Candidate, near: Sequence[Neighbour]) -> str:
    """Identifies a question by what is compared, however it is worded: 16 hexadecimal digits.

    Args:
        candidate: The draft.
        near: What is near to it.
    """
    said = [_said(candidate.draft), *sorted(_said(n.text) for n in near)]
    return hashlib.sha256("\0".join(said).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _said(text: LessonText) -> str:
    return f"{text.when}\n{text.when_not}\n{text.do}"


def by_likeness(alike: float) -> Curator:
    """A curator without a model: the nearest lesson of the same kind of task says the same if it is near enough.

    Args:
        alike: Cosine from which it is.
    """

    def decide(draft: LessonDraft, near: Sequence[Neighbour]) -> CurateAnswer:  # noqa: ARG001 - as any curator is called
        best = max((n for n in near if n.related), key=lambda n: n.cosine, default=None)
        if best is None or best.cosine < alike:
            return CurateAnswer(action="ADD", reason="nothing near says the same")
        return CurateAnswer(action="MERGE", ids=[best.name], reason=f"as near as {best.cosine:.2f}")

    return decide


def _curator(parts: Parts) -> Curator | None:
    """Who decides in place of the model, if somebody does."""
    if parts.curator is not None:
        return parts.curator
    return by_likeness(parts.measures.likeness.alike) if parts.policy.curate == "likeness" else None


def _own(curator: Curator, candidate: Candidate, near: Sequence[Neighbour]) -> Judged:
    question = question_of(candidate, near)
    try:
        answer: object = curator(candidate.draft, near)
        if not isinstance(answer, CurateAnswer):
            put_down(answer)
            return Judged(question, problem=f"{answer!r:.80}; expected a CurateAnswer; it cannot be async")
        problem = problem_of(answer, near)
    except Exception as error:  # noqa: BLE001 - a curator of the user's may fail in any way; the group waits, and the others go on
        return Judged(question, problem=f"an error: {type(error).__name__}: {error}")
    return Judged(question, problem=problem) if problem else Judged(question, answer)


def _judged(candidate: Candidate, near: Sequence[Neighbour], reply: Reply[CurateAnswer] | UnfitReply) -> Judged:
    question, replies = question_of(candidate, near), tuple(reply.raw)
    if isinstance(reply, UnfitReply):
        return Judged(question, problem=str(reply), outage=reply.outage, replies=replies, usage=reply.usage)
    return Judged(question, reply.value, replies=replies, usage=reply.usage)
