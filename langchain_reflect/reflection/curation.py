"""Drafts meet the lessons that are there, and become edits. Pure, but for the question to the curator, which the node asks.

A draft that says the same as a lesson only adds its support; one that is near to lessons goes to the curator, with exactly those lessons;
any other is added. Drafts of the same reflection meet each other in the same way, under the temporary ids `N1`, `N2`, ...
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from langchain_reflect.reflection.drafting import not_applied, plain
from langchain_reflect.reflection.outages import Outage
from langchain_reflect.reflection.policy import ReflectionPolicy
from langchain_reflect.reflection.schemas import CurateAnswer
from langchain_reflect.types import AppliedEdit, Lesson, LessonDraft, LessonEdit, LessonText, Namespace

T = TypeVar("T")
_TELLING: Final = re.compile(r"\b(?:not|no|never|don't|do not|avoid|without|unless|instead)\b|\d+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A draft with what is near to it in the book."""

    draft: LessonDraft
    group: int
    """Index of the group it comes from."""
    namespace: Namespace
    vector: NDArray[np.float32]
    """Normalised embedding of its when+do."""
    lessons: tuple[tuple[Lesson, float], ...] = ()
    """Servable lessons with the cosine of their when+do, nearest first."""
    unserved: Lesson | None = None
    """A lesson that says literally the same and is not served (proposed, quarantined, retired)."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An edit, whose it is, and the group it comes from."""

    edit: LessonEdit
    namespace: Namespace
    group: int


@dataclass(frozen=True, slots=True)
class _Added:
    """A draft that this reflection adds."""

    namespace: Namespace
    group: int
    text: LessonText
    vector: NDArray[np.float32]
    evidence: tuple[UUID, ...]
    tasks: tuple[str, ...]

    @classmethod
    def of(cls, candidate: Candidate) -> "_Added":
        draft = candidate.draft
        return cls(candidate.namespace, candidate.group, _text(draft), candidate.vector, draft.cites, draft.tasks)


class Curation:
    """The edits of one reflection, as they come about.

    Args:
        policy: The cosines that mean `same` and `near`.
        had: Lessons that were shown in an episode, by its id; such an episode is no support for them.
    """

    def __init__(self, policy: ReflectionPolicy, had: Mapping[UUID, Sequence[str]]) -> None:
        self.refused: list[AppliedEdit] = []
        self.given_up: list[tuple[int, str, Outage | None]] = []
        self._policy = policy
        self._had = had
        self._added: dict[str, _Added] = {}
        self._count = 0
        self._edits: list[Proposal] = []

    @property
    def proposals(self) -> list[Proposal]:
        """All edits so far: changes of lessons, then new ones."""
        adds = [
            Proposal(LessonEdit(kind="add", text=a.text, evidence=a.evidence, tasks=a.tasks, reason="learned"), a.namespace, a.group)
            for a in self._added.values()
        ]
        return [*self._edits, *adds]

    def near(self, candidate: Candidate) -> list[tuple[str, LessonText]]:
        """Lessons and drafts that the curator has to be asked about, nearest first; empty if the candidate could be settled without.

        Args:
            candidate: A draft and its neighbours in the book. It is settled here if it repeats a lesson or is near to none.
        """
        if candidate.unserved is not None:
            self._settle_unserved(candidate, candidate.unserved)
            return []
        found = self._neighbours(candidate)
        for name, text, cosine in found:
            if cosine >= self._policy.same and says_same(text, candidate.draft):
                self._support(name, candidate)
                return []
        if not found:
            self._add(candidate)
        return [(name, text) for name, text, _ in found]

    def settle(self, candidate: Candidate, near: Sequence[tuple[str, LessonText]], answer: CurateAnswer) -> None:
        """Apply the curator's answer; only ids that were shown count.

        Args:
            candidate: The draft.
            near: What `near` gave for it.
            answer: What the curator said.
        """
        ids = [i for i in dict.fromkeys(answer.ids) if i in dict(near)]
        text = _reworded(answer, candidate.draft)
        if answer.action == "ADD":
            self._add(candidate)
        elif answer.action == "NOOP":
            self.refused.append(not_applied(candidate.draft, f"the curator found it useless: {answer.reason or 'no reason given'}"))
        elif answer.action == "RETIRE":
            for name in ids:
                self._retire(name, candidate, answer.reason)
            self._add(candidate)
        elif answer.action == "REVISE":
            self._change(ids[:1], candidate, text or candidate.draft, answer.reason)
        else:
            self._change(ids, candidate, text, answer.reason)

    def give_up(self, candidate: Candidate, reason: str, outage: Outage | None = None) -> None:
        """The curator gave no usable answer: the draft is not taken, and its group has to wait for another try.

        Args:
            candidate: The draft.
            reason: What went wrong.
            outage: Set if the curator may answer later.
        """
        self.given_up.append((candidate.group, reason, outage))
        self.refused.append(not_applied(candidate.draft, reason))

    def _neighbours(self, candidate: Candidate) -> list[tuple[str, LessonText, float]]:
        mine = [(n, a) for n, a in self._added.items() if a.namespace == candidate.namespace]
        found = [
            *((lesson.id, lesson.text, cosine) for lesson, cosine in candidate.lessons),
            *((name, added.text, float(added.vector @ candidate.vector)) for name, added in mine),
        ]
        near = [f for f in found if f[2] >= self._policy.near]
        return sorted(near, key=lambda f: -f[2])[: self._policy.nearest]

    def _add(self, candidate: Candidate) -> None:
        self._count += 1
        self._added[f"N{self._count}"] = _Added.of(candidate)

    def _support(self, name: str, candidate: Candidate) -> None:
        """The same advice again: its episodes support the lesson, except those in which it was shown."""
        if name in self._added:
            self._extend(name, candidate)
            return
        evidence = self._evidence(name, candidate)
        if not evidence:
            self.refused.append(not_applied(candidate.draft, f"{name} says the same and was shown in the episodes it cites"))
            return
        edit = LessonEdit(kind="merge", lesson_id=name, evidence=evidence, tasks=candidate.draft.tasks, reason="the same was learned again")
        self._edits.append(Proposal(edit, candidate.namespace, candidate.group))

    def _evidence(self, name: str, candidate: Candidate) -> tuple[UUID, ...]:
        return tuple(e for e in candidate.draft.cites if name not in self._had.get(e, ()))

    def _settle_unserved(self, candidate: Candidate, lesson: Lesson) -> None:
        if lesson.status in ("retired", "superseded"):
            self.refused.append(not_applied(candidate.draft, f"{lesson.id} says the same and is {lesson.status}"))
        else:
            self._support(lesson.id, candidate)

    def _extend(self, name: str, *others: "_Added | Candidate", text: LessonText | None = None) -> None:
        """Join further drafts to one that this reflection adds."""
        added = self._added[name]
        parts = [added, *(_Added.of(o) if isinstance(o, Candidate) else o for o in others)]
        self._added[name] = replace(
            added,
            text=added.text if text is None else _text(text),
            evidence=_union(part.evidence for part in parts),
            tasks=_union(part.tasks for part in parts),
        )

    def _change(self, ids: Sequence[str], candidate: Candidate, text: LessonText | None, reason: str) -> None:
        """Merge the draft, and further lessons, into the first lesson that is stored; reword it if there is a text."""
        stored = [i for i in ids if i not in self._added]
        keep = stored[0] if stored else ids[0]
        absorbed = [self._added.pop(i) for i in ids if i in self._added and i != keep]
        if not stored:
            self._extend(keep, candidate, *absorbed, text=text)
            return
        if text is None and len(stored) == 1 and not absorbed:
            self._support(keep, candidate)
            return
        cites = candidate.draft.cites if text else self._evidence(keep, candidate)
        edit = LessonEdit(
            kind="merge" if len(stored) > 1 or text is None else "revise",
            lesson_id=keep,
            text=None if text is None else _text(text),
            merged=tuple(stored[1:]),
            evidence=_union([cites, *(a.evidence for a in absorbed)]),
            tasks=_union([candidate.draft.tasks, *(a.tasks for a in absorbed)]),
            reason=reason or "made more exact",
        )
        self._edits.append(Proposal(edit, candidate.namespace, candidate.group))

    def _retire(self, name: str, candidate: Candidate, reason: str) -> None:
        """Only a lesson on trial goes by a model's word; a proven or approved one needs outcomes or a person."""
        if name in self._added:
            self.refused.append(not_applied(self._added.pop(name).text, f"contradicted by a later draft: {reason}"))
            return
        lesson = next(found for found, _ in candidate.lessons if found.id == name)
        edit = LessonEdit(kind="retire", lesson_id=name, reason=reason or "contradicted by later rollouts")
        if lesson.status == "candidate":
            self._edits.append(Proposal(edit, candidate.namespace, candidate.group))
        else:
            reason = f"{name} is {lesson.status}: only outcomes or a person retire it"
            self.refused.append(AppliedEdit(edit=edit, applied=False, lesson_id=name, reason=reason))


def says_same(one: LessonText, other: LessonText) -> bool:
    """Whether two texts of near-equal meaning agree in what turns a meaning round: negations and numbers of the advice.

    Args:
        one: A lesson's text.
        other: Another's.
    """
    return plain(one.do) == plain(other.do) or _telling(one.do) == _telling(other.do)


def problem_of(answer: CurateAnswer, near: Sequence[tuple[str, LessonText]]) -> str | None:
    """What to tell the curator if an answer cannot be used.

    Args:
        answer: The answer.
        near: Ids and texts it was shown.
    """
    ids = [name for name, _ in near]
    if answer.action in ("REVISE", "MERGE", "RETIRE") and not set(ids) & set(answer.ids):
        return f"ids: {answer.action} must name one of {', '.join(ids)}"
    return None


def _telling(text: str) -> set[str]:
    return {found.casefold() for found in _TELLING.findall(text)}


def _reworded(answer: CurateAnswer, draft: LessonDraft) -> LessonText | None:
    if not (answer.when and answer.do):
        return None
    return _text(draft).model_copy(update={"when": answer.when, "do": answer.do, "when_not": answer.when_not})


def _text(text: LessonText) -> LessonText:
    return LessonText(**text.model_dump(include=set(LessonText.model_fields)))


def _union(parts: Iterable[Iterable[T]]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(item for part in parts for item in part))
