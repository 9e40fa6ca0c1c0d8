"""Drafts meet the lessons that are there, and become edits. Pure, but for the question to the curator, which the node asks.

A draft that says the same as a lesson only adds its support; one that is near to lessons goes to the curator, with exactly those lessons;
any other is added. Drafts of the same reflection meet each other in the same way, under the temporary names `N1`, `N2`, ...

An episode in which a lesson was shown is no support for it, nor for anything near to it: its agent may only have repeated what we told it.
It may have done so in words of its own, so the curator is asked about such lessons already when they are less near.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeVar
from uuid import UUID

from pydantic import JsonValue

from langchain_reflect.index.base import Vector, Vectors
from langchain_reflect.lessons.likeness import Likeness, says_same
from langchain_reflect.lessons.safety import suspicion
from langchain_reflect.lessons.shelf import Shelf, are_related
from langchain_reflect.reflection.drafting import not_applied, plain
from langchain_reflect.reflection.neighbours import Neighbour
from langchain_reflect.reflection.outages import Outage
from langchain_reflect.reflection.policy import ReflectionPolicy
from langchain_reflect.reflection.schemas import CurateAnswer
from langchain_reflect.types import AppliedEdit, LessonDraft, LessonEdit, LessonText, Namespace, Usage

T = TypeVar("T")
_CLOSED: Final = frozenset({"retired", "quarantined"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """A draft, and where it comes from."""

    draft: LessonDraft
    group: int
    """Index of the group."""
    namespace: Namespace
    vector: Vector
    """Of its when+do, of length 1."""
    tasks: Vectors
    """Of the tasks it comes from, shape `(n, dimension)`."""


class Curator(Protocol):
    """Says how a draft goes together with what is near to it; in place of the model."""

    def __call__(self, draft: LessonDraft, near: Sequence[Neighbour]) -> CurateAnswer:
        """Decide. Only names in `near` count. An exception parks the draft's group."""
        ...


@dataclass(frozen=True, slots=True)
class Judged:
    """What the curator said to one question."""

    question: str
    """Identifies what was asked, see `judging.question_of`."""
    answer: CurateAnswer | None = None
    problem: str = ""
    """Why there is no answer."""
    outage: Outage | None = None
    """Set if there may be one later."""
    replies: tuple[JsonValue, ...] = ()
    """The model's answers as they came."""
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """The numbers that curation goes by."""

    likeness: Likeness
    similar: float
    """Cosine from which two tasks are of one kind."""
    nearest: int
    """Most lessons that the curator is shown."""


def measures_of(policy: ReflectionPolicy, calibrated: Likeness) -> Measures:
    """What the policy says, and what is calibrated where it says nothing.

    Args:
        policy: The user's numbers.
        calibrated: Of the embedder.
    """
    same = calibrated.same if policy.same is None else policy.same
    near = min(calibrated.near if policy.near is None else policy.near, same)
    alike = min(max(calibrated.alike if policy.alike is None else policy.alike, near), same)
    return Measures(likeness=Likeness(same=same, near=near, alike=alike), similar=policy.similar, nearest=policy.nearest)


@dataclass(frozen=True, slots=True)
class Proposal:
    """An edit, whose it is, and the group it comes from."""

    edit: LessonEdit
    namespace: Namespace
    group: int


@dataclass(frozen=True, slots=True)
class _Added:
    """A draft that this reflection adds."""

    candidate: Candidate
    text: LessonText
    evidence: tuple[UUID, ...]
    tasks: tuple[str, ...]


class Curation:
    """The edits of one reflection, as they come about.

    Args:
        measures: What is `same` and what is `near`; None if there will be no candidate.
        shelves: The lessons of each namespace.
        had: Ids of the lessons that were shown in an episode, by its id.
    """

    def __init__(self, measures: Measures | None, shelves: Mapping[Namespace, Shelf], had: Mapping[UUID, Sequence[str]]) -> None:
        self.refused: list[AppliedEdit] = []
        self.given_up: list[tuple[int, str, Outage | None]] = []
        self.measures = measures
        self._shelves = shelves
        self._had = had
        self._added: dict[str, _Added] = {}
        self._became: dict[str, str] = {}
        self._count = 0
        self._changes: list[Proposal] = []
        self._conflicts: list[Proposal] = []

    @property
    def _known_measures(self) -> Measures:
        assert self.measures is not None, "whoever has candidates has measures"
        return self.measures

    @property
    def version(self) -> int:
        """Of the book that the drafts are compared with; 0 if nothing is compared."""
        return min((shelf.version for shelf in self._shelves.values()), default=0)

    @property
    def seen(self) -> str:
        """Digest of the lessons that the drafts are compared with; empty if they are of several namespaces, or there are none."""
        return next(iter(self._shelves.values())).digest if len(self._shelves) == 1 else ""

    @property
    def proposals(self) -> list[Proposal]:
        """All edits so far: changes of lessons, new ones, then what contradicts each other."""
        return [*self._changes, *(_add(name, a) for name, a in self._added.items()), *filter(None, map(self._still, self._conflicts))]

    def near(self, candidate: Candidate) -> list[Neighbour]:
        """What the curator has to be asked about; empty if the candidate could be settled without.

        Args:
            candidate: It is settled here if it repeats a lesson or is near to none.
        """
        found = self._neighbours(candidate)
        twin = next((n for n in found if self._is_same(n, candidate)), None)
        if twin is not None:
            self._repeat(twin, candidate)
            return []
        open_ones = [n for n in found if not _is_closed(n)]
        if not open_ones:
            self._add(candidate)
        return open_ones[: self._known_measures.nearest]

    def hear(self, candidate: Candidate, near: Sequence[Neighbour], judged: Judged) -> None:
        """Go on with what the curator said; without an answer the draft is not taken, and its group has to wait.

        Args:
            candidate: The draft.
            near: What `near` gave for it.
            judged: What the curator said.
        """
        if judged.answer is not None:
            self._settle(candidate, near, judged.answer)
            return
        reason = f"the curator gave {judged.problem}"
        self.given_up.append((candidate.group, reason, judged.outage))
        self.refused.append(not_applied(candidate.draft, reason))

    def _settle(self, candidate: Candidate, near: Sequence[Neighbour], answer: CurateAnswer) -> None:
        """Apply the curator's answer; only names that were shown count."""
        known = {n.name: n for n in near}
        named = [known[i] for i in dict.fromkeys(answer.ids) if i in known]
        text = _reworded(answer, candidate.draft)
        if answer.action == "NOOP" or (not named and answer.action != "ADD"):
            self.refused.append(not_applied(candidate.draft, f"the curator found it useless: {answer.reason or 'no reason given'}"))
        elif answer.action == "ADD":
            self._add(candidate)
        elif answer.action == "CONFLICT":
            self._contradict(candidate, named, answer.reason)
        elif answer.action == "RETIRE":
            self._replace(candidate, named, answer.reason)
        elif answer.action == "REVISE":
            self._change(named[:1], candidate, text or _text(candidate.draft), answer.reason)
        else:
            self._change(named, candidate, text, answer.reason)

    def _neighbours(self, candidate: Candidate) -> list[Neighbour]:
        """Lessons and earlier drafts from `near` on, and those that it may echo; from one kind of task first."""
        measures, vector = self._known_measures, candidate.vector
        had = {i for episode in candidate.draft.cites for i in self._had.get(episode, ())}
        least = measures.likeness.echo if had else measures.likeness.near
        found = [
            Neighbour(f.lesson.id, f.lesson.text, f.cosine, f.related, f.lesson)
            for f in self._shelves[candidate.namespace].near(vector, candidate.tasks, least=least, similar=measures.similar)
            if f.cosine >= measures.likeness.near or f.lesson.id in had
        ]
        for name, added in self._added.items():
            other = added.candidate
            if other.namespace == candidate.namespace and (cosine := float(other.vector @ vector)) >= measures.likeness.near:
                found.append(Neighbour(name, added.text, cosine, are_related(other.tasks, candidate.tasks, measures.similar)))
        return sorted(found, key=lambda n: (not n.related, -n.cosine, n.name))

    def _is_same(self, other: Neighbour, candidate: Candidate) -> bool:
        """Whether a draft only repeats it. Lessons from other kinds of tasks are never taken for the same without asking."""
        if not other.related:
            return False
        if plain(other.text.do) == plain(candidate.draft.do):
            closed = other.lesson is not None and other.lesson.status in _CLOSED
            if closed or plain(other.text.when) == plain(candidate.draft.when):
                return True
        return other.cosine >= self._known_measures.likeness.same and says_same(other.text, candidate.draft)

    def _repeat(self, twin: Neighbour, candidate: Candidate) -> None:
        if twin.lesson is not None and twin.lesson.status in _CLOSED:
            self.refused.append(not_applied(candidate.draft, f"{twin.name} says the same and is {twin.lesson.status}"))
        else:
            self._support(twin.name, candidate)

    def _independent(self, candidate: Candidate, *names: str) -> tuple[UUID, ...]:
        """The cited episodes in which nothing near to the draft was shown, nor any lesson that it is taken for."""
        near = self._known_measures.likeness.near
        told = {n.name for n in self._neighbours(candidate) if n.cosine >= near}.union(names)
        return tuple(e for e in candidate.draft.cites if told.isdisjoint(self._had.get(e, ())))

    def _add(self, candidate: Candidate) -> str | None:
        """The name of the added draft; None if nothing but our own words supports it."""
        evidence = self._independent(candidate)
        if candidate.draft.cites and not evidence:
            self.refused.append(not_applied(candidate.draft, "all episodes it cites were shown a lesson that says nearly the same"))
            return None
        self._count += 1
        name = f"N{self._count}"
        self._added[name] = _Added(candidate, _text(candidate.draft), evidence, candidate.draft.tasks)
        return name

    def _support(self, name: str, candidate: Candidate) -> None:
        """The same advice again: its episodes support the lesson, if they are independent of it."""
        evidence = self._independent(candidate, name)
        if name in self._added:
            self._extend(name, evidence, candidate.draft.tasks)
        elif not evidence:
            self.refused.append(not_applied(candidate.draft, f"{name} says the same and was shown in the episodes it cites"))
        else:
            tasks = candidate.draft.tasks
            edit = LessonEdit(kind="merge", lesson_id=name, evidence=evidence, tasks=tasks, reason="the same was learned again")
            self._changes.append(Proposal(edit, candidate.namespace, candidate.group))

    def _extend(self, name: str, evidence: Iterable[UUID], tasks: Iterable[str], text: LessonText | None = None) -> None:
        """Join more to a draft that this reflection adds."""
        added = self._added[name]
        said, support = added.text if text is None else text, _union([added.evidence, evidence])
        self._added[name] = replace(added, text=said, evidence=support, tasks=_union([added.tasks, tasks]))

    def _change(self, named: Sequence[Neighbour], candidate: Candidate, text: LessonText | None, reason: str) -> None:
        """Merge the draft, and further lessons, into the first lesson that is stored; reword it if there is a text."""
        stored = [n.name for n in named if n.lesson is not None]
        keep = stored[0] if stored else named[0].name
        absorbed = [self._take(n.name, keep) for n in named if n.lesson is None and n.name != keep]
        evidence = _union([self._independent(candidate, *stored), *(a.evidence for a in absorbed)])
        tasks = _union([candidate.draft.tasks, *(a.tasks for a in absorbed)])
        if not stored:
            self._extend(keep, evidence, tasks, text)
            return
        if text is None and len(stored) == 1 and not absorbed:
            self._support(keep, candidate)
            return
        edit = LessonEdit(
            kind="merge" if len(stored) > 1 or text is None else "revise",
            lesson_id=keep,
            text=text,
            merged=tuple(stored[1:]),
            evidence=evidence,
            tasks=tasks,
            reason=reason or "made more exact",
        )
        self._changes.append(Proposal(edit, candidate.namespace, candidate.group))

    def _take(self, name: str, keep: str) -> _Added:
        """Take an earlier draft out, because it becomes part of something else."""
        self._became[name] = keep
        return self._added.pop(name)

    def _replace(self, candidate: Candidate, wrong: Sequence[Neighbour], reason: str) -> None:
        """The draft takes the place of lessons that it shows wrong. Only lessons on trial go by a model's word; others are flagged."""
        name = self._add(candidate)
        if name is None:
            return
        for other in wrong:
            if other.lesson is None:
                gone = self._take(other.name, name)
                refused = not_applied(gone.text, f"contradicted by a later draft: {reason}")
                edit = refused.edit.model_copy(update={"evidence": gone.evidence})  # of all drafts that had become part of it
                self.refused.append(refused.model_copy(update={"edit": edit}))
            elif other.lesson.status in ("candidate", "proposed"):
                edit = LessonEdit(kind="retire", lesson_id=other.name, reason=reason or "contradicted by later rollouts")
                self._changes.append(Proposal(edit, candidate.namespace, candidate.group))
            else:
                told = f"{other.name} is {other.lesson.status}: only outcomes or a person retire it. {reason}".strip()
                self._flag(name, [other.name], candidate, told)

    def _contradict(self, candidate: Candidate, named: Sequence[Neighbour], reason: str) -> None:
        name = self._add(candidate)
        if name is not None:
            self._flag(name, [n.name for n in named], candidate, reason or "they contradict each other")

    def _flag(self, name: str, against: Sequence[str], candidate: Candidate, reason: str) -> None:
        edit = LessonEdit(kind="contradict", lesson_id=name, against=tuple(against), reason=reason)
        self._conflicts.append(Proposal(edit, candidate.namespace, candidate.group))

    def _still(self, conflict: Proposal) -> Proposal | None:
        """A contradiction, with the names that its drafts go by now; None if nothing is left to contradict."""
        name = self._now(conflict.edit.lesson_id or "")
        against = tuple(other for other in dict.fromkeys(map(self._now, conflict.edit.against)) if other != name)
        return replace(conflict, edit=conflict.edit.model_copy(update={"lesson_id": name, "against": against})) if against else None

    def _now(self, name: str) -> str:
        while name in self._became:
            name = self._became[name]
        return name


def _is_closed(near: Neighbour) -> bool:
    """Whether it is not served; a draft that looks unsafe will be quarantined, and nothing harmless may disappear with it."""
    return suspicion(near.text) is not None if near.lesson is None else near.lesson.status in _CLOSED


def problem_of(answer: CurateAnswer, near: Sequence[Neighbour]) -> str | None:
    """What to tell the curator if an answer cannot be used.

    Args:
        answer: The answer.
        near: What it was shown.
    """
    names = [n.name for n in near]
    if answer.action in ("REVISE", "MERGE", "RETIRE", "CONFLICT") and not set(names) & set(answer.ids):
        return f"ids: {answer.action} must name one of {', '.join(names)}"
    return None


def _add(name: str, added: _Added) -> Proposal:
    edit = LessonEdit(kind="add", name=name, text=added.text, evidence=added.evidence, tasks=added.tasks, reason="learned")
    return Proposal(edit, added.candidate.namespace, added.candidate.group)


def _reworded(answer: CurateAnswer, draft: LessonDraft) -> LessonText | None:
    if not (answer.when and answer.do):
        return None
    return _text(draft).model_copy(update={"when": answer.when, "do": answer.do, "when_not": answer.when_not})


def _text(text: LessonText) -> LessonText:
    return LessonText(**text.model_dump(include=set(LessonText.model_fields)))


def _union(parts: Iterable[Iterable[T]]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(item for part in parts for item in part))
