"""What steers recall from outside: people and evidence switch it off and on, and say how many lessons to try."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import Field, JsonValue

from langchain_reflect.types.base import Namespace, Noun, now

SteeringKind = Literal["paused", "resumed", "doses"]


class Steered(Noun):
    """One entry of the log."""

    number: int
    """Place in the log, from 1."""
    namespace: Namespace
    graph: str = ""
    """Empty: all graphs of the namespace."""
    kind: SteeringKind
    by: str
    """A person's name, or `credit` if evidence decided."""
    reason: str = ""
    body: JsonValue = Field(default_factory=dict)
    """Of `doses`: how often each is to be drawn."""
    at: datetime = Field(default_factory=now)


class Steering(Noun):
    """What holds for one graph: the fold of its log."""

    paused: bool = False
    """Whether its runs get no lessons; they are recorded all the same."""
    reason: str = ""
    """Why it was paused, or resumed, last."""
    by: str = ""
    """Who did."""
    since: datetime | None = None
    """When it was paused, if it is."""
    resumed_at: datetime | None = None
    """When it was resumed last: evidence from before that was known to whoever decided."""
    doses: Mapping[int, float] | None = None
    """How often a run of `k="auto"` is to have so many lessons; None: alike."""
    doses_since: datetime | None = None
    """When a person said so last: only runs that began after that count in the comparison of doses."""

    @property
    def note(self) -> str:
        """What a run that gets no lessons says of it."""
        return f"paused: {self.reason or 'no reason given'} (by {self.by}); `reflect resume` lets lessons be shown again"
