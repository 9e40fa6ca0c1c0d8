"""What came of a look at the evidence."""

from shlex import quote
from typing import Final, Literal

from pydantic import Field, JsonValue

from langchain_reflect.reporting.wording import decides
from langchain_reflect.types import LessonStatus, Namespace, Noun

ALL_GRAPHS: Final = "all graphs"
Turn = Literal["promoted", "retired", "asked", "taken_back"]


class Decided(Noun):
    """What the evidence did to one lesson."""

    lesson_id: str
    namespace: Namespace
    turn: Turn
    """`asked`: a person stands behind the lesson, so its retirement waits for one; `taken_back`: the evidence for what was decided before
    was corrected, and no longer suffices."""
    status: LessonStatus
    """Of the lesson afterwards; of one that was asked about, as before."""
    reason: str
    """The evidence in plain words."""
    review_id: str | None = None
    """The question, if one was asked."""

    def __str__(self) -> str:
        """One line for people."""
        asks = f"; {decides(self.review_id)}" if self.review_id else ""
        return f"{self.lesson_id} {self.turn.replace('_', ' ')}: {self.reason}{asks}"


class Paused(Noun):
    """A graph whose runs get no lessons, because lessons did harm there."""

    namespace: Namespace
    graph: str
    reason: str

    def __str__(self) -> str:
        """One line for people, with the way out."""
        only = "" if self.graph == ALL_GRAPHS else f" --graph {quote(self.graph)}"
        return (
            f"lessons are PAUSED for {self.graph!r} in {'/'.join(self.namespace)!r}: {self.reason}; runs are still recorded; "
            f"look at `reflect report`, then `reflect resume --namespace {quote('/'.join(self.namespace))}{only}`"
        )


class CreditReport(Noun):
    """What came of one look at the evidence."""

    lessons: int = 0
    """Lessons on trial."""
    exposures: int = 0
    """Times that chance decided about one of them."""
    judged: int = 0
    """Episodes with a judgement, of those in which chance decided."""
    decided: tuple[Decided, ...] = ()
    paused: tuple[Paused, ...] = ()
    """All graphs that are paused now."""
    newly_paused: tuple[Paused, ...] = ()
    """Those of them that this look paused."""
    doses: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    """Of graphs with `k="auto"` whose doses changed, by `namespace graph`: the probability of each dose."""
    seconds: float = 0.0

    @property
    def promoted(self) -> tuple[Decided, ...]:
        """Lessons that proved themselves."""
        return self._of("promoted")

    @property
    def retired(self) -> tuple[Decided, ...]:
        """Lessons that did harm."""
        return self._of("retired")

    @property
    def asked(self) -> tuple[Decided, ...]:
        """Lessons that do harm although a person stands behind them."""
        return self._of("asked")

    @property
    def taken_back(self) -> tuple[Decided, ...]:
        """Lessons whose evidence was corrected since it decided."""
        return self._of("taken_back")

    def _of(self, turn: Turn) -> tuple[Decided, ...]:
        return tuple(each for each in self.decided if each.turn == turn)

    def __str__(self) -> str:
        """What happened, for people: one line, and one more for each decision."""
        turns = {"promoted": self.promoted, "retired": self.retired, "asked about": self.asked, "taken back": self.taken_back}
        counts = ", ".join(f"{len(each)} {turn}" for turn, each in turns.items())
        first = f"{self.lessons} lessons on trial, {self.exposures} exposures, {self.judged} judged episodes: {counts}"
        doses = [f"doses of {where}: {', '.join(f'{k} with {p}' for k, p in chosen.items())}" for where, chosen in self.doses.items()]
        return "\n".join([first, *map(str, self.decided), *doses, *map(str, self.paused)])
