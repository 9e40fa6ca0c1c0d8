"""The figures of a report. What is not known is None, and no figure is ever NaN."""

from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from langchain_reflect.types import LessonStatus, Namespace, Noun, Usage, now

Verdict = Literal["helps", "hurts", "undecided"]
PART_LEAST: Final = 30
"""Judged units of each arm from which the interval of a part says something: with 30 of 300 withheld it is about 50 points wide, with 10 of
100 about 100; simulated."""


class Period(Noun):
    """The time that figures tell of."""

    began: datetime
    """Begin of its first run."""
    ended: datetime
    """Begin of its last run."""


class Effect(Noun):
    """A difference in mean reward, with an interval that stays valid however often one looks."""

    value: float | None = None
    """Mean reward with, minus mean reward without; None: not known yet."""
    low: float | None = None
    high: float | None = None
    """Ends of the 95 % interval: each end is wrong once in twenty times at most, however often one looks."""
    shown: int = 0
    """Judged units (runs, conversations or users, whatever chance was drawn for) with lessons."""
    withheld: int = 0
    """And without."""
    verdict: Verdict = "undecided"
    more: int | None = None
    """About how many more units are needed to decide, if it goes on like this; None: not to be foreseen, or decided."""


class ArmFigures(Noun):
    """Runs that chance treated alike."""

    name: str
    """`treated`, `holdout` or `placebo`."""
    runs: int = 0
    judged: int = 0
    mean: float | None = None
    """Mean reward of the judged ones."""

    @property
    def missing(self) -> float:
        """Share of the runs that have no outcome yet."""
        return 1 - self.judged / self.runs if self.runs else 0.0


class PartFigures(Noun):
    """The effect within a part of the runs: a time, or a version of the agent."""

    label: str
    effect: Effect
    period: Period | None = None

    @property
    def is_told(self) -> bool:
        """Whether it is decided, or has enough runs of both arms to say something."""
        return self.effect.verdict != "undecided" or min(self.effect.shown, self.effect.withheld) >= PART_LEAST


class DoseFigures(Noun):
    """Runs that could be shown so many lessons, of the time that counts in the comparison of doses."""

    dose: int
    runs: int = 0
    mean: float | None = None
    effect: Effect = Effect()
    """Against runs without lessons."""
    chance: float | None = None
    """Probability with which it is drawn from now on, among runs with lessons; None: doses are not compared here."""
    is_in: bool = True
    """Whether it may still be the best one."""


class SpaceFigures(Noun):
    """All runs of one graph in one namespace in which some lesson fitted."""

    namespace: Namespace
    graph: str
    period: Period | None = None
    """Of all figures but those that name another one."""
    uplift: Effect = Effect()
    """Runs with lessons against runs without."""
    since_resume: PartFigures | None = None
    """The same for the runs since lessons were switched on again, which is what the kill switch looks at; None: they never were off."""
    placebo: Effect | None = None
    """Runs with lessons against runs with neutral text in their place; None: there were none."""
    arms: tuple[ArmFigures, ...] = ()
    uneven: bool = False
    """Whether outcomes are missing more often in one arm than in the other, so that the comparison may mislead."""
    judge_only: int = 0
    """Runs that only a judge model judged; they decide nothing."""
    over_time: tuple[PartFigures, ...] = ()
    """Parts of the time, each with `PART_LEAST` judged units of both arms or more; empty: there are not enough for two."""
    agents: tuple[PartFigures, ...] = ()
    doses: tuple[DoseFigures, ...] = ()
    doses_since: datetime | None = None
    """From when on runs count in the comparison of doses; None: all."""
    unnamed: tuple[str, ...] = ()
    """The graphs that are counted as one because nobody named them, each in a few words; empty if this one has a name."""
    paused: str = ""
    """Why lessons are switched off, if they are."""
    paused_since: datetime | None = None
    paused_by: str = ""
    """`credit`: the evidence of the runs until then, since the last resume if there was one; or the name of whoever did."""
    tokens_per_run: float | None = None
    """Mean prompt tokens that lessons take in a run with lessons."""
    holdout_cost: float | None = None
    """Reward that was lost in sum, because some runs went without lessons; None: uplift is not known yet."""


class LessonFigures(Noun):
    """The trial of a lesson's present wording."""

    lesson_id: str
    namespace: Namespace
    status: LessonStatus
    when: str
    do: str
    period: Period | None = None
    """Of the runs that the wording fitted."""
    effect: Effect = Effect()
    shrunken: float | None = None
    """The effect, drawn towards that of all lessons as far as little is known of this one: the better guess."""
    pending: int = 0
    """Units in which it was eligible that are not judged yet."""
    asked: str | None = None
    """The open question to a person about it, if there is one."""


class Report(Noun):
    """What the evidence says about lessons."""

    namespace: Namespace | None = None
    """Only this one; None: all."""
    graph: str | None = None
    since: datetime | None = None
    at: datetime = Field(default_factory=now)
    spaces: tuple[SpaceFigures, ...] = ()
    lessons: tuple[LessonFigures, ...] = ()
    """Those that hurt first, then those that help, then undecided ones, each by how much is known."""
    untried: int = 0
    """Served lessons that fitted no run yet."""
    reflection: Usage = Usage()
    """What making the lessons cost."""
    tokens_per_point: float | None = None
    """Tokens spent on lessons, in prompts and for making them, for each point (0.01) gained in one run; None: no gain is known."""

    def __str__(self) -> str:
        """For the terminal."""
        from langchain_reflect.reporting.text import text_of

        return text_of(self)

    def _repr_html_(self) -> str:
        """For notebooks."""
        from langchain_reflect.reporting.page import fragment_of

        return fragment_of(self)

    def to_json(self) -> str:
        """All figures as JSON."""
        return self.model_dump_json(indent=2)

    def save_html(self, path: str | Path) -> Path:
        """Write one HTML file that needs nothing else; returns its path."""
        from langchain_reflect.reporting.page import page_of

        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(page_of(self), encoding="utf-8")
        return place

    def save_png(self, path: str | Path) -> Path:
        """Draw store uplift and lessons with their intervals; returns the path.

        Raises:
            MissingExtra: Matplotlib is not installed.
            InvalidInput: Nothing is known yet that could be drawn.
        """
        from langchain_reflect.reporting.picture import save_png

        return save_png(self, path)
