"""What is kept of a practice, so that it can go on after a crash."""

from datetime import datetime, timedelta
from uuid import UUID

from pydantic import Field, JsonValue

from langchain_reflect.types.base import Namespace, Noun, Usage, now
from langchain_reflect.types.episodes import Arm


class PracticeRun(Noun):
    """One finished run of a practice: a rollout, or a run by which a gate tried something."""

    key: str
    """Which of its runs, see `practising.plan`; a run is kept once."""
    epoch: int
    arm: Arm
    family: str | None = None
    """Family of the task."""
    episode_id: UUID | None = None
    """None for the runs of a gate, which leave no episode."""
    reward: float | None = None
    """None: the verifier gave words only, or abstained."""
    failed: bool = False
    """Whether the agent raised."""
    usage: Usage = Usage()
    shown: tuple[str, ...] = ()
    """Ids of the lessons that were in its prompts."""


class Practice(Noun):
    """A practice under its name."""

    id: str
    name: str
    namespace: Namespace = ("default",)
    digest: str
    """Of what it practises: the same name with another digest is refused."""
    fence: int = 0
    """Grows whenever somebody goes on with it; whoever holds an older number may not write any more."""
    finished: bool = False
    seconds: float = 0.0
    """How long it ran, in all processes."""
    body: dict[str, JsonValue] = Field(default_factory=dict)
    """What its finished epochs led to; see `practising.memory`."""
    started_at: datetime = Field(default_factory=now)
    changed_at: datetime = Field(default_factory=now)
    """When its process was last heard of."""

    @property
    def lease(self) -> timedelta | None:
        """How long its rollouts are left to it after its process was last heard of; None: until it is finished, or released."""
        seconds = self.body.get("lease")
        return timedelta(seconds=seconds) if isinstance(seconds, int | float) else None
