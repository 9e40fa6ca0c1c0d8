"""What the library did: reflections, the jobs they take, and what was erased."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from langchain_reflect.types.base import Namespace, Noun, Usage, now
from langchain_reflect.types.counting import count
from langchain_reflect.types.lessons import AppliedEdit

JobState = Literal["ready", "leased", "parked", "done"]


class ReflectionReport(Noun):
    """What one call of the reflection graph did, and what it cost."""

    id: str
    groups: int = 0
    """Groups reflected on."""
    drafts: int = 0
    """Drafts that the model and the feedback gave."""
    edits: tuple[AppliedEdit, ...] = ()
    usage: Usage = Usage()
    errors: tuple[str, ...] = ()
    """One line for each group that was parked, with the reason."""
    seconds: float = 0.0
    outages: int = 0
    """Groups that are tried again later, because the model was out of reach."""
    retry_after: float | None = None
    """Seconds that its provider asked to wait."""
    interrupted: int = 0
    """Groups that stay due because somebody stopped their gate."""

    def __add__(self, other: "ReflectionReport") -> "ReflectionReport":
        """Both as one, with the id of the first that did something."""
        waits = [r.retry_after for r in (self, other) if r.retry_after is not None]
        return ReflectionReport(
            id=self.id if self.groups or not other.groups else other.id,
            groups=self.groups + other.groups,
            drafts=self.drafts + other.drafts,
            edits=self.edits + other.edits,
            usage=self.usage + other.usage,
            errors=self.errors + other.errors,
            seconds=self.seconds + other.seconds,
            outages=self.outages + other.outages,
            retry_after=max(waits, default=None),
            interrupted=self.interrupted + other.interrupted,
        )

    @property
    def applied(self) -> tuple[AppliedEdit, ...]:
        """The edits that changed the book."""
        return tuple(e for e in self.edits if e.applied)

    def __str__(self) -> str:
        """One line for people."""
        kinds = ", ".join(f"{sum(e.edit.kind == k for e in self.applied)} {k}" for k in ("add", "revise", "merge", "retire"))
        first = f": {self.errors[0]}" if self.errors else ""
        return (
            f"{count(self.groups, 'group')}, {count(self.drafts, 'draft')}, "
            f"{len(self.applied)} of {count(len(self.edits), 'edit')} applied ({kinds}), {count(self.usage.calls, 'call')}, "
            f"{self.usage.tokens_in}+{self.usage.tokens_out} tokens, {count(len(self.errors), 'error')}{first}"
        )


class Job(Noun):
    """A group of judged episodes that waits for a reflection, is being reflected on, or was."""

    id: str
    namespace: Namespace
    graph: str
    key: str
    """What the episodes have in common, see `RolloutGroup.key`."""
    reason: str
    """Why the group is ready."""
    state: JobState
    fence: int = 0
    """Number of claims so far. A claim with an older number can no longer finish the job."""
    owner: str | None = None
    """Who claimed it last."""
    leased_until: datetime | None = None
    not_before: datetime | None = None
    """After a failure, when it may be claimed again."""
    failures: int = 0
    problem: str | None = None
    """Why it failed last, or is parked."""
    reflection_id: str | None = None
    """The reflection that finished it."""
    created_at: datetime = Field(default_factory=now)
    changed_at: datetime = Field(default_factory=now)
    episodes: tuple[UUID, ...] = ()
    """Its episodes; empty once it is done."""


class Erased(Noun):
    """What `forget` erased, or would erase."""

    episodes: int = 0
    trajectories: int = 0
    outcomes: int = 0
    exposures: int = 0
    reflections: int = 0
    """Reports whose texts and replies went, because they quote what was erased. What they cost stays."""
    vectors: int = 0
    lessons: tuple[str, ...] = ()
    """Lessons that rested on nothing else, and went."""
    changed: tuple[str, ...] = ()
    """Lessons that rest on other episodes as well: they lost the erased ones, their tasks and their examples. Read their wording."""
    dry_run: bool = False
    out_of_reach: tuple[str, ...] = ()
    """Where copies may still be that this library cannot reach."""

    def __add__(self, other: "Erased") -> "Erased":
        """Both together."""
        added = {name: getattr(self, name) + getattr(other, name) for name in self.__class__.model_fields if name != "dry_run"}
        return Erased(**added, dry_run=self.dry_run or other.dry_run)

    def __str__(self) -> str:
        """One line for people."""
        numbers = ("episodes", "trajectories", "outcomes", "exposures", "reflections", "vectors")
        said = ", ".join(f"{getattr(self, name)} {name}" for name in numbers if getattr(self, name))
        named = f"{len(self.lessons)} lessons gone, {len(self.changed)} changed"
        return f"{'would erase' if self.dry_run else 'erased'} {said or 'no rows'}; {named}"
