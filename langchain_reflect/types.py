"""The nouns: what an episode, an outcome and a lesson are.

All are frozen Pydantic models without I/O, so they can be passed between threads and stored as they are. Times are timezone-aware UTC.
Ids of episodes are UUIDs (the root `run_id` of the run); ids of lessons are short strings such as `L-3f9a2c1b7d04`.
"""

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from langchain_reflect.errors import InvalidInput, shown

_NAMESPACE_PARTS: Final = 16
_NAMESPACE_BYTES: Final = 256


def check_namespace(value: object) -> tuple[str, ...]:
    """The value, if it is a namespace: 1 to 16 texts of 1 to 256 bytes without control characters.

    A part is a name and nothing else: `*`, `%` and `_` mean themselves, and names that look alike but differ are different.

    Raises:
        InvalidInput: It is none.
    """
    expected = "expected a tuple of 1 to 16 texts such as ('acme', 'support')"
    if not isinstance(value, tuple) or not 1 <= len(value) <= _NAMESPACE_PARTS:
        raise InvalidInput(f"namespace {shown(value, 200)} cannot be used; {expected}")
    for part in value:
        if not isinstance(part, str) or not part.strip():
            raise InvalidInput(f"namespace {shown(value, 200)} has the part {shown(part)}; {expected}, none of them empty")
        if any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in part):
            raise InvalidInput(f"namespace part {part!r:.80} has control characters; {expected}")
        if len(part.encode()) > _NAMESPACE_BYTES:
            raise InvalidInput(f"namespace part {part!r:.80} has {len(part.encode())} bytes; expected at most {_NAMESPACE_BYTES}")
    return value


Namespace = Annotated[tuple[str, ...], AfterValidator(check_namespace)]
"""Whose lessons these are, outermost first, for example `("acme", "support")`. Compared by equality only, never by prefix."""

Reward = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
"""How good a result was: 0 is failure, 1 is success."""

EpisodeStatus = Literal["running", "ok", "error", "interrupted", "handoff", "drained", "cancelled", "closed_early", "abandoned"]
Arm = Literal["treated", "holdout", "placebo"]
LessonStatus = Literal["proposed", "candidate", "active", "retired", "superseded", "quarantined"]
EditKind = Literal["add", "revise", "merge", "retire", "status"]
JobState = Literal["ready", "leased", "parked", "done"]
StepKind = Literal["message", "model", "tool", "node"]

SERVABLE: Final[frozenset[LessonStatus]] = frozenset({"candidate", "active"})
"""The statuses whose lessons may be shown to an agent."""


def now() -> datetime:
    """The current time, timezone-aware UTC."""
    return datetime.now(UTC)


class Noun(BaseModel):
    """Base of the stored nouns: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Usage(Noun):
    """What model calls cost."""

    calls: int = 0
    """Number of model calls."""
    tokens_in: int = 0
    """Prompt tokens, as the provider reported them (0 where it reported none)."""
    tokens_out: int = 0
    """Completion tokens, likewise."""

    def __add__(self, other: "Usage") -> "Usage":
        """Sum of both, field by field."""
        return Usage(
            calls=self.calls + other.calls,
            tokens_in=self.tokens_in + other.tokens_in,
            tokens_out=self.tokens_out + other.tokens_out,
        )


class Step(Noun):
    """One model call, tool call, node result, or message from outside, in the order they ended."""

    kind: StepKind
    name: str = ""
    """Role (`user`, `system`) of a message, model name, tool name or node name."""
    input: JsonValue = None
    """Arguments of a tool, the messages that were new to a model; None where unknown."""
    output: JsonValue = None
    """A message's text, a tool's result, or `{"content": str, "tool_calls": [{"name", "args", "id"}]}` of a model."""
    error: str | None = None
    """Exception type and message if the step failed."""
    latency_ms: float | None = None
    usage: Usage = Usage()
    path: str = ""
    """Where in nested graphs the step ran: checkpoint namespace or node names, `/` separated; empty at the root."""


class Exposure(Noun):
    """The fact that a lesson was eligible for an episode, and whether it was shown or withheld."""

    episode_id: UUID
    lesson_id: str
    revision: int
    """Revision of the lesson at that time."""
    shown: bool
    probability: float
    """Probability with which it was to be shown, in [0, 1]."""
    arm: Arm = "treated"
    rank: int = 0
    """Place in the ranking, from 0."""
    score: float = 0.0
    """Cosine similarity of the task to the lesson, -1 to 1."""
    tokens: int = 0
    """Estimated tokens that the lesson takes in the prompt block."""


class Episode(Noun):
    """One run of an agent on one task."""

    id: UUID
    namespace: Namespace = ("default",)
    graph: str = "agent"
    """Name of the wrapped graph."""
    task: str
    """What was asked, as text for retrieval."""
    task_key: str | None = None
    """Optional stable key for "the same task again"; episodes with equal keys form one rollout group."""
    status: EpisodeStatus = "ok"
    arm: Arm = "treated"
    thread_id: str | None = None
    started_at: datetime = Field(default_factory=now)
    ended_at: datetime | None = None
    result: JsonValue = None
    """What the graph returned, as plain JSON."""
    error: str | None = None
    steps: tuple[Step, ...] = ()
    """The trajectory. Our own injected block is not in it."""
    shown: tuple[str, ...] = ()
    """Ids of the lessons that were in the prompt."""
    model: str | None = None
    """Name of the model that acted, if known."""
    usage: Usage = Usage()
    parent_id: UUID | None = None
    """Episode of the enclosing wrapped graph, if nested."""
    run_ids: tuple[UUID, ...] = ()
    """Root run ids of the runs that resumed it, oldest first; its first run has the episode's own id. An outcome may name any of them."""
    forked_from: UUID | None = None
    """Episode whose checkpoint this run began at, if it replayed or forked one."""
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    """The run's metadata, for finding the episode again (`metadata={"ticket": "T-1042"}`)."""


class Outcome(Noun):
    """A judgement of an episode, given at any time by any source."""

    episode_id: UUID
    reward: Reward | None = None
    feedback: str | None = None
    source: str = "user"
    """Who judged: `verifier`, `test`, `human`, `user`, `rule`, `judge`, or a system's name (`zendesk`). Sources that begin with one of the
    known words and a colon (`judge:gpt`) take its precedence."""
    key: str = ""
    """Distinguishes several outcomes of one source, such as a webhook's event id."""
    observed_at: datetime = Field(default_factory=now)
    """When the judgement was made."""
    detail: JsonValue = None
    """Anything else a verifier reports."""
    retracted: bool = False
    """Whether the source took back what it had said; then nothing of it counts."""


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
    """`human`, `import`, or the id of the reflection that wrote it."""
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
    """The lesson to change (revise, retire, status) or the one that survives a merge; None for add."""
    text: LessonText | None = None
    """New wording; None where the wording stays (status, retire, or a merge that only adds support)."""
    merged: tuple[str, ...] = ()
    """Lessons that a merge absorbs; they become `superseded`."""
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
    """Who made it: a person's name, `human`, or a reflection's id."""
    reason: str = ""
    at: datetime = Field(default_factory=now)


class Rollout(Noun):
    """An episode with the outcomes that judge it."""

    episode: Episode
    outcomes: tuple[Outcome, ...] = ()
    reward: Reward | None = None
    """Resolved from the outcomes: verifier/test > human > rule > judge, then the newest; None if none carries a reward."""

    @property
    def feedback(self) -> tuple[str, ...]:
        """The feedback texts, oldest first."""
        return tuple(o.feedback for o in self.outcomes if o.feedback)


class RolloutGroup(Noun):
    """Several rollouts of the same (or a near) task, to be compared."""

    key: str
    namespace: Namespace
    graph: str
    task: str
    rollouts: tuple[Rollout, ...]
    reason: str = ""
    """Why the group is ready: `contrast`, `feedback`, `failures` or `age`."""


class Match(Noun):
    """A lesson that was considered for a task, with the parts of its score and what became of it."""

    lesson: Lesson
    similarity: float
    """Cosine similarity of the task to the lesson's best vector."""
    score: float
    """What the ranking sorted by."""
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


class AppliedEdit(Noun):
    """An edit that a reflection proposed and what became of it."""

    edit: LessonEdit
    applied: bool
    lesson_id: str | None = None
    """The lesson it made or changed."""
    reason: str = ""
    """Why it was rejected, if it was."""


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
        )

    @property
    def applied(self) -> tuple[AppliedEdit, ...]:
        """The edits that changed the book."""
        return tuple(e for e in self.edits if e.applied)

    def __str__(self) -> str:
        """One line for people."""
        kinds = ", ".join(f"{sum(e.edit.kind == k for e in self.applied)} {k}" for k in ("add", "revise", "merge", "retire"))
        return (
            f"{self.groups} groups, {self.drafts} drafts, {len(self.applied)} of {len(self.edits)} edits applied ({kinds}), "
            f"{self.usage.calls} calls, {self.usage.tokens_in}+{self.usage.tokens_out} tokens, {len(self.errors)} errors"
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


PRECEDENCE: Final[Sequence[tuple[str, ...]]] = (("verifier", "test"), ("human", "user"), ("rule",), ("judge",))
"""Kinds of outcome source, most trusted first. A source that names no known kind ranks with `human`."""


def source_rank(source: str) -> int:
    """Rank of an outcome's source, 0 is the most trusted.

    Args:
        source: For example `verifier`, `judge:gpt-5`, `zendesk`.
    """
    word = source.split(":", 1)[0].lower()
    return next((rank for rank, words in enumerate(PRECEDENCE) if word in words), 1)


def resolve(outcomes: Sequence[Outcome]) -> float | None:
    """The one reward that counts: best source, then the newest judgement, then the content (so that order never matters).

    Args:
        outcomes: Outcomes of one episode, in any order; those without a reward are passed over.
    """
    judged = [o for o in outcomes if o.reward is not None]
    if not judged:
        return None
    best = max(
        judged, key=lambda o: (-source_rank(o.source), o.observed_at, o.model_dump_json(include={"reward", "feedback", "source", "key"}))
    )
    return best.reward
