"""What an agent did, and what was said of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import Field, JsonValue

from langchain_reflect.types.base import Namespace, Noun, Usage, now

Reward = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
"""How good a result was: 0 is failure, 1 is success."""


EpisodeStatus = Literal["running", "ok", "error", "interrupted", "handoff", "drained", "cancelled", "closed_early", "abandoned"]


Arm = Literal["treated", "holdout", "placebo", "paused"]
"""What chance made of a run: lessons, none, neutral text in their place; `paused`: none, because lessons were switched off."""


StepKind = Literal["message", "model", "tool", "node"]


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
    fit: float = 0.0
    """How well it fits the task by meaning and words, which is what the floor is held against; 0 where words were not compared."""
    tokens: int = 0
    """Estimated tokens that the lesson takes in the prompt block."""
    unit: str = ""
    """What chance was drawn for: the episode, its thread or its user; empty if chance had no part in it."""
    policy: str = ""
    """The settings by which it was drawn, in a form that can be read again; equal for runs that were drawn alike."""
    dose: int = 0
    """Most lessons that the run could be shown."""


class Fingerprint(Noun):
    """Which agent acted: equal fingerprints mean the same model, prompt, tools and graph. A part is empty where it is not known."""

    model: str = ""
    """Name of the model that acted first."""
    prompt: str = ""
    """Hash of its system prompt, without our own block."""
    tools: str = ""
    """Hash of the tools it was offered: names, descriptions and arguments."""
    graph: str = ""
    """Hash of the graph's nodes and edges."""


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
    fingerprint: Fingerprint | None = None
    """Which version of the agent acted, if known."""
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


PRECEDENCE: Final[Sequence[tuple[str, ...]]] = (("verifier", "test"), ("human", "user"), ("rule",), ("judge",))
"""Kinds of outcome source, most trusted first. A source that names no known kind ranks with `human`."""


def source_rank(source: str) -> int:
    """Rank of an outcome's source, 0 is the most trusted.

    Args:
        source: For example `verifier`, `judge:gpt-5`, `zendesk`.
    """
    word = source.split(":", 1)[0].lower()
    return next((rank for rank, words in enumerate(PRECEDENCE) if word in words), 1)


def decisive(outcomes: Sequence[Outcome]) -> Outcome | None:
    """The one outcome whose reward counts: best source, then the newest judgement, then the content (so that order never matters).

    Args:
        outcomes: Outcomes of one episode, in any order; those without a reward are passed over.
    """
    judged = [o for o in outcomes if o.reward is not None]
    said = {"reward", "feedback", "source", "key"}
    return max(judged, key=lambda o: (-source_rank(o.source), o.observed_at, o.model_dump_json(include=said)), default=None)


def resolve(outcomes: Sequence[Outcome]) -> float | None:
    """The one reward that counts, see `decisive`.

    Args:
        outcomes: Outcomes of one episode, in any order; those without a reward are passed over.
    """
    best = decisive(outcomes)
    return None if best is None else best.reward


News = Literal["new", "changed", "none"]


class Rollout(Noun):
    """An episode with the outcomes that judge it."""

    episode: Episode
    outcomes: tuple[Outcome, ...] = ()
    reward: Reward | None = None
    """Resolved from the outcomes: verifier/test > human > rule > judge, then the newest; None if none carries a reward."""
    news: News = "new"
    """`new`: no reflection has seen it; `changed`: it was judged anew since; `none`: a reflection saw it as it is, and it only gives
    context."""

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
