"""What was learned, and how it changes."""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from pydantic import Field

from langchain_reflect.types.base import Namespace, Noun, now
from langchain_reflect.types.episodes import Arm, Exposure

LessonStatus = Literal["proposed", "candidate", "active", "retired", "superseded", "quarantined"]


EditKind = Literal["add", "revise", "merge", "retire", "status", "restore", "contradict"]


ReviewState = Literal["open", "approved", "rejected"]


SERVABLE: Final[frozenset[LessonStatus]] = frozenset({"candidate", "active"})
"""The statuses whose lessons may be shown to an agent."""


class Example(Noun):
    """A short worked example of a lesson."""

    input: str
    output: str


class LessonText(Noun):
    """What a lesson says."""

    title: str = ""
    when: str
    """The condition under which the advice holds."""
    when_not: str = ""
    do: str
    """The advice."""
    why: str = ""
    examples: tuple[Example, ...] = ()

    def key_text(self) -> str:
        """The text whose vector finds the lesson: condition and advice."""
        return f"{self.when}\n{self.do}"


class Lesson(LessonText):
    """Explicit advice, where it applies, and the episodes that support it."""

    id: str
    namespace: Namespace = ("default",)
    revision: int = 1
    """Counts changes of any kind, from 1."""
    status: LessonStatus = "candidate"
    evidence: tuple[UUID, ...] = ()
    """Episodes that support it."""
    tasks: tuple[str, ...] = ()
    """Tasks it came from (capped); recall matches them too."""
    origin: str = "human"
    """Who wrote it first, as a revision's actor."""
    approved_by: str | None = None
    """The person who wrote, reworded or approved this wording. Models may add support to such a lesson; any other change of theirs waits
    for a review."""
    created_at: datetime = Field(default_factory=now)
    updated_at: datetime = Field(default_factory=now)

    @property
    def text(self) -> LessonText:
        """Only what it says."""
        return LessonText(**{name: getattr(self, name) for name in LessonText.model_fields})


class LessonDraft(LessonText):
    """A lesson that a reflection proposes, not yet checked."""

    cites: tuple[UUID, ...] = ()
    """Episodes of the group that support it."""
    tasks: tuple[str, ...] = ()


class LessonEdit(Noun):
    """A proposed change to the lesson book."""

    kind: EditKind
    lesson_id: str | None = None
    """The lesson to change (revise, retire, status, restore), the survivor of a merge, one side of a contradiction; None for add."""
    name: str = ""
    """Name of an added lesson, by which later edits of the same commit can mean it; it gets an id of its own."""
    text: LessonText | None = None
    """New wording; None where the wording stays (status, retire, or a merge that only adds support)."""
    merged: tuple[str, ...] = ()
    """Lessons that a merge absorbs, or that an added lesson takes the place of; they become `superseded`."""
    expected: tuple[int, ...] = ()
    """Revisions of the merged lessons when this was proposed, in their order; one that has another by now is not merged. Empty: any."""
    against: tuple[str, ...] = ()
    """The other side of a contradiction, for a person to look at; nothing is changed by it."""
    revision: int | None = None
    """The revision that a restore brings back."""
    status: LessonStatus | None = None
    """Status afterwards; None keeps it (add: the book's default)."""
    evidence: tuple[UUID, ...] = ()
    """Episodes added to the lesson's evidence."""
    tasks: tuple[str, ...] = ()
    """Tasks added to the lesson's source tasks."""
    reason: str = ""


class Revision(Noun):
    """One applied change; a lesson is the last of its revisions. Kept for ever."""

    lesson: Lesson
    """The lesson after the change; `lesson.revision` is this revision's number."""
    kind: EditKind
    actor: str
    """Who made it: a person's name, `human`, `import`, `revocation`, `credit` (what follows from evidence), or the id of a reflection
    (`R-…`) or a consolidation (`C-…`)."""
    reason: str = ""
    at: datetime = Field(default_factory=now)
    version: int = 0
    """Of the lesson book that it made, over all namespaces: the place in the journal. 0 before it is kept."""


class Review(Noun):
    """A question to a person: an edit that a model may not make by itself, or lessons that contradict each other."""

    id: str
    namespace: Namespace = ("default",)
    kind: Literal["edit", "contradiction"]
    lessons: tuple[str, ...]
    """The lessons it is about."""
    edit: LessonEdit | None = None
    """What waits to be applied."""
    actor: str
    """Who asks, such as a reflection's id."""
    reason: str = ""
    at: datetime = Field(default_factory=now)
    state: ReviewState = "open"
    by: str = ""
    """Who decided."""
    answer: str = ""
    """The reason of the decision."""
    decided_at: datetime | None = None


class AppliedEdit(Noun):
    """An edit that a reflection proposed and what became of it."""

    edit: LessonEdit
    applied: bool
    lesson_id: str | None = None
    """The lesson it made or changed."""
    review_id: str | None = None
    """The review that it waits for, if a model may not make it by itself."""
    reason: str = ""
    """Why it was rejected, or waits, if so."""


class Match(Noun):
    """A lesson that was considered for a task, with the parts of its score and what became of it."""

    lesson: Lesson
    similarity: float
    """Cosine similarity of the task to the lesson's best vector."""
    score: float
    """What the ranking sorted by."""
    lexical: float = 0.0
    """BM25 score of the words that the task shares with the lesson; 0 if there are none, or words were not compared."""
    tokens: int
    kept: bool
    reason: str
    """`shown`, or why it was dropped: `below floor`, `near-twin of L-…`, `over k`, `over budget`, `withheld`, `holdout`, `not servable`."""


class Recalled(Noun):
    """What recall found for one task: the block for the prompt and its account."""

    task: str = ""
    block: str = ""
    """Text for the prompt, empty if nothing is to be shown."""
    arm: Arm = "treated"
    matches: tuple[Match, ...] = ()
    """Every lesson considered, best first; `kept` tells which are in the block."""
    exposures: tuple[Exposure, ...] = ()
    note: str = ""
    """Why the block is empty, if it is: `no lessons`, `below floor`, `holdout`, `paused`, `failed: …`, `late`."""

    @property
    def lessons(self) -> tuple[Lesson, ...]:
        """The lessons in the block, best first."""
        return tuple(m.lesson for m in self.matches if m.kept)
