"""One stored reflection once more: the same rollouts, the model's stored words, today's code. Pure but for the vectors.

Nothing is asked of a model. A question for which no answer is stored, because the code asks another one now, leaves its draft out and is
named.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar
from uuid import UUID

from langchain_core.messages import AIMessage
from pydantic import BaseModel, JsonValue

from langchain_reflect.index.base import Vector
from langchain_reflect.lessons.likeness import Likeness
from langchain_reflect.lessons.safety import suspicion
from langchain_reflect.lessons.shelf import Shelf
from langchain_reflect.reflection.answers import Check, read
from langchain_reflect.reflection.candidates import candidates, had, placed
from langchain_reflect.reflection.checking import narrowed
from langchain_reflect.reflection.curation import Curation, Judged, Measures, Proposal, problem_of
from langchain_reflect.reflection.drafting import Question, Studied, conclude, plain
from langchain_reflect.reflection.gating import name_of
from langchain_reflect.reflection.judging import question_of
from langchain_reflect.reflection.neighbours import Neighbour
from langchain_reflect.reflection.policy import ReflectionPolicy
from langchain_reflect.reflection.prompts import Prompts
from langchain_reflect.reflection.records import GroupRecord, JudgedRecord, Record, SettingsRecord
from langchain_reflect.reflection.schemas import CurateAnswer, DraftsAnswer
from langchain_reflect.reflection.structured import Reply, UnfitReply
from langchain_reflect.types import Episode, Rollout, RolloutGroup, Usage, resolve

S = TypeVar("S", bound=BaseModel)
_UNSTORED: Final = "no stored answer to the question that is asked now"


@dataclass(frozen=True, slots=True)
class Repeated:
    """What a stored reflection comes to today."""

    proposals: Sequence[Proposal]
    unanswered: Sequence[str] = ()
    """The advice of drafts that were left out for want of a stored answer."""


def groups_of(record: Record, episodes: Mapping[UUID, Episode]) -> list[RolloutGroup]:
    """The groups as the reflection read them; episodes that are gone are left out.

    Args:
        record: Of the reflection.
        episodes: By id, with trajectories.
    """
    return [_group(each, episodes) for each in record.groups]


def repeat(
    record: Record,
    groups: Sequence[RolloutGroup],
    *,
    shelf: Shelf,
    measures: Callable[[], Measures],
    vectors: Callable[[Sequence[str]], Mapping[str, Vector]],
    prompts: Prompts,
    max_drafts: int,
) -> Repeated:
    """The edits that a stored reflection proposes today.

    Args:
        record: Of the reflection; all groups of one namespace.
        groups: From `groups_of`.
        shelf: The lessons at the version of the book that it read.
        measures: Gives those to use where none are stored, because there was nothing to compare.
        vectors: Gives the vector of each text.
        prompts: With the worked example, which no draft may repeat.
        max_drafts: Most drafts of one answer, where it is not stored.
    """
    policy = ReflectionPolicy(max_drafts=max_drafts if record.settings is None else record.settings.max_drafts)
    studied = [_studied(at, each, group, policy, prompts) for at, (each, group) in enumerate(zip(record.groups, groups, strict=True))]
    drafts = placed(studied, groups)
    if not drafts:
        return Repeated([])
    stored = {j.question: j for j in reversed(record.curation)}
    texts = [text for d in drafts for text in (d.draft.key_text(), *d.draft.tasks)]
    curation = Curation(_measures(record.settings, measures), {groups[0].namespace: shelf}, had(groups))
    unanswered = []
    for candidate in candidates(drafts, vectors(texts)):
        if near := curation.near(candidate):
            judged = _judged(stored.get(question_of(candidate, near)), near)
            unanswered += [candidate.draft.do] if judged.problem == _UNSTORED else []
            curation.hear(candidate, near, judged)
    kept, _ = narrowed(curation.proposals, groups)
    return Repeated([p for p in kept if p.edit.kind == "add" or name_of(p.edit) not in record.lost], unanswered)


def _group(each: GroupRecord, episodes: Mapping[UUID, Episode]) -> RolloutGroup:
    known = [(r, episodes[r.episode]) for r in each.rollouts if r.episode in episodes]
    rollouts = tuple(Rollout(episode=e, outcomes=r.outcomes, reward=resolve(r.outcomes)) for r, e in known)
    task = rollouts[0].episode.task if rollouts else ""
    return RolloutGroup(key=each.key, namespace=each.namespace, graph=each.graph, task=task, rollouts=rollouts, reason=each.reason)


def _studied(at: int, each: GroupRecord, group: RolloutGroup, policy: ReflectionPolicy, prompts: Prompts) -> Studied:
    known = {r.episode.id: r for r in group.rollouts}
    asked = []
    for one in each.asked:
        question = Question([], {label: known[i] for label, i in one.labels.items() if i in known}, prompts.example_answer)
        asked.append((question, reread(one.replies, DraftsAnswer, question.problem)))
    if not asked or (each.gated and each.kept is None):  # nobody was asked, or the gate did not come to an end
        return Studied(group=at)
    studied = conclude(at, group, asked, policy=policy, gated=each.gated)
    if not each.gated:
        return studied
    kept = set(each.kept or ())
    return replace(studied, drafts=tuple(d for d in studied.drafts if suspicion(d) or plain(d.do) in kept))


def reread(replies: Sequence[JsonValue], schema: type[S], check: Check[S] | None) -> Reply[S] | UnfitReply:
    """What stored answers say: the first that fits, as in the dialogue that they come from.

    Args:
        replies: In the order in which they came.
        schema: Form of the answer.
        check: What else is asked of it.
    """
    problem = "no answer is stored"
    for said in replies:
        value, problem = read(AIMessage(str(said)), schema, check)
        if value is not None:
            return Reply(value, [], Usage())
    return UnfitReply(f"no usable answer: {problem}", list(replies), Usage())


def _judged(stored: JudgedRecord | None, near: Sequence[Neighbour]) -> Judged:
    if stored is None:
        return Judged("", problem=_UNSTORED)
    if not stored.replies:
        answer = None if stored.answer is None else CurateAnswer.model_validate(stored.answer)
        return Judged(stored.question, answer, problem=stored.problem)
    reply = reread(stored.replies, CurateAnswer, lambda answer: problem_of(answer, near))
    return Judged(stored.question, problem=str(reply)) if isinstance(reply, UnfitReply) else Judged(stored.question, reply.value)


def _measures(settings: SettingsRecord | None, otherwise: Callable[[], Measures]) -> Measures:
    if settings is None:
        return otherwise()
    likeness = Likeness(same=settings.same, near=settings.near, alike=settings.alike)
    return Measures(likeness=likeness, similar=settings.similar, nearest=settings.nearest)
