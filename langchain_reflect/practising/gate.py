"""The gate of a practice: what reflection proposes is tried on validation tasks before it is believed.

Each trial is paired: the same tasks with the same seeds, with and without. A draft has to win, see `wins`; a change of lessons that are
there must not lose. What goes through is on trial afterwards, as every lesson is, so the gate need not be as sure as credit: it keeps out
what does nothing or harm, and says how lucky a useless draft would have to be.
"""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from langchain_reflect.errors import InvalidInput
from langchain_reflect.practising.plan import gate_seed
from langchain_reflect.practising.tally import GATE
from langchain_reflect.reflection.policy import GateVerdict
from langchain_reflect.runs import Job, PracticeTask, Run, Runner
from langchain_reflect.types import EditKind, Lesson, LessonDraft, LessonEdit, LessonText, PracticeRun, RolloutGroup
from langchain_reflect.types.counting import count
from langchain_reflect.uplift.paired import sign_choices
from langchain_reflect.verifiers import Verdict

_MARGIN: Final = 0.05
_RISK: Final = 0.2
_ROUNDING: Final = 1e-9
_DIGITS: Final = 9


@dataclass(frozen=True, slots=True)
class Trial:
    """What a gate found about the drafts of one group."""

    group: str
    """Key of the group."""
    drafts: tuple[LessonDraft, ...]
    """Empty in a report that was read from the ledger, which keeps no wordings."""
    scores: tuple[float, ...]
    """Mean reward with each draft, in their order."""
    baseline: float
    """Mean reward of the same runs without any of them."""
    best: int | None
    """Index of the draft that was kept."""
    runs: int
    """Runs that were made for it."""
    tasks: int = 0
    """Validation tasks; each is one observation, however often it was run."""
    luck: tuple[float, ...] = ()
    """For each draft, how probable it is that one of them gains so much if none makes a difference, see `wins`."""
    needed: int = 0
    """So many tasks at least a draft has to win, if it loses none."""

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON, without the drafts."""
        numbers = {"baseline": self.baseline, "best": self.best, "runs": self.runs, "tasks": self.tasks, "needed": self.needed}
        return {"group": self.group, "scores": list(self.scores), "luck": list(self.luck), **numbers}

    @classmethod
    def from_dict(cls, said: dict[str, Any]) -> "Trial":
        """From `to_dict`."""
        return cls(**{**said, "drafts": (), "scores": tuple(said["scores"]), "luck": tuple(said["luck"])})

    def __str__(self) -> str:
        """One line for people."""
        scores = ", ".join(f"{score:.2f}" for score in self.scores)
        at = self.best if self.best is not None else max(range(len(self.scores)), key=self.scores.__getitem__, default=None)
        lucky = f"{count(self.tasks, 'task')}, {self.luck[at]:.0%} by luck" if self.luck and at is not None else ""
        needed = f"; one has to win {self.needed} at least" if self.needed and self.best is None else ""
        end = ("none kept" if self.best is None else f"kept number {self.best + 1}") + (f" ({lucky}{needed})" if lucky else "")
        return f"tried {count(len(self.scores), 'draft')} of {self.group!r}: {scores} against {self.baseline:.2f}; {end}"


@dataclass(frozen=True, slots=True)
class EditTrial:
    """What a gate found about a change of lessons that were there."""

    kind: EditKind
    lesson_id: str
    before: float
    """Mean reward with the lessons as they are."""
    after: float
    """Mean reward of the same runs with what they would become."""
    kept: bool
    runs: int
    """Runs that were made for it."""

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {name: getattr(self, name) for name in ("kind", "lesson_id", "before", "after", "kept", "runs")}

    def __str__(self) -> str:
        """One line for people."""
        end = "made" if self.kept else "not made"
        return f"tried to {self.kind} {self.lesson_id}: {self.after:.2f} against {self.before:.2f}; {end}"


class Notes(Protocol):
    """Remembers finished runs, so that a trial that broke off is not made again from the beginning."""

    def known(self, key: str) -> PracticeRun | None:
        """A run that was finished before."""

    def note(self, run: PracticeRun) -> None:
        """Remember a finished run."""

    def lessons(self, ids: Sequence[str]) -> Sequence[LessonText] | None:
        """The lessons of these ids; None if one is not there any more."""


def wins(drafts: Sequence[Sequence[float]], *, margin: float = _MARGIN, risk: float = _RISK) -> list[tuple[bool, float]]:
    """Which of several drafts beat the runs without them, and how probable so much is if none of them makes a difference.

    A draft has to gain `margin` in mean reward, by what luck does in at most `risk` of cases: three tasks that gain and none that loses (1
    in 8) are enough, two of many are not. With one or two tasks no result is that improbable; then every one of them has to gain, and such
    a gain proves little: each useless draft may have it (1 in 2, 1 in 4), the best of several more often.

    The best of many useless drafts looks better than one of them, and that is taken off: luck is how often *any* of the drafts does so
    well. Drafts that do the same count as one, and those that change nothing as none. With three or more tasks it never costs more than
    dividing `risk` by their number would, and mostly much less; with one or two, a draft that gains on all tasks may be refused because of
    other drafts.

    Args:
        drafts: For each draft, for each validation task, the mean reward with it minus that without; at least one task.
        margin: Least gain.
        risk: Most luck.

    Returns:
        For each draft the verdict, and the one-sided p value of a sign-flip test over tasks, corrected for the number of drafts.

    Source: single-step minP, Westfall and Young, Resampling-based multiple testing (1993), chapter 2.
    """
    if len(drafts) == 0:
        return []
    gains = np.asarray(drafts, dtype=float).reshape(len(drafts), -1)
    means, tasks = gains.mean(axis=1), gains.shape[1]
    reached = np.round(sign_choices(tasks) @ gains.T, _DIGITS)  # the first row is what was seen
    alone = np.stack([_shares_above(column) for column in reached.T], axis=1)
    lucks = [float((alone.min(axis=1) <= seen).mean()) for seen in alone[0]]
    most = max(risk, 0.5**tasks)
    return [(bool(mean >= margin - _ROUNDING) and luck <= most + _ROUNDING, luck) for mean, luck in zip(means, lucks, strict=True)]


def _shares_above(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each value the share of all that are not below it."""
    return 1.0 - np.searchsorted(np.sort(values), values, side="left") / len(values)


def wins_needed(tasks: int, *, risk: float = _RISK) -> int:
    """So many of the validation tasks at least a draft has to win, if it loses none.

    Args:
        tasks: How many there are.
        risk: Most luck.
    """
    return min(tasks, math.ceil(math.log2(1.0 / risk) - _ROUNDING))


def proves_little(tasks: int, *, risk: float = _RISK) -> bool:
    """Whether even a draft that wins all of so many tasks may well do so by luck.

    Args:
        tasks: How many there are.
        risk: Most luck.
    """
    return 0.5**tasks > risk + _ROUNDING


def can_keep(tasks: int, *, risk: float = _RISK) -> str:
    """What so few or many validation tasks let through, in words.

    Args:
        tasks: How many there are.
        risk: Most luck.
    """
    if proves_little(tasks, risk=risk):
        useless = f"each useless draft does so in up to {0.5**tasks:.0%} of cases"
        return f"a draft that wins all of them may be kept, but {useless}; give three or more"
    return f"a draft is kept only if it wins {wins_needed(tasks, risk=risk)} of them at least and loses none, or more if it loses some"


@dataclass(eq=False)
class ReplayGate:
    """Tries drafts, and changes of lessons, on validation tasks of their group's family, against the same runs without them.

    A draft stands before the lessons that the agent would get anyway, so it has to add something to them.

    Args:
        runner: Makes the runs; none of them is recorded.
        tasks: The validation tasks.
        family_of: The family of a rollout's episode.
        k: Most lessons in a prompt.
        margin: What the best draft has to gain in mean reward.
        risk: How probable such a gain may be by luck, see `wins`.
        repeats: Runs of each task.
        seed: The seeds of the runs are drawn from it; each epoch and group has its own.
        notes: Where finished runs are remembered.
    """

    runner: Runner
    tasks: Sequence[PracticeTask]
    family_of: Callable[[UUID], str | None]
    k: int = 2
    margin: float = _MARGIN
    risk: float = _RISK
    repeats: int = 1
    seed: int = 0
    notes: Notes | None = None
    epoch: int = 0
    """Set by the practice."""
    trials: list[Trial] = field(default_factory=list)
    edit_trials: list[EditTrial] = field(default_factory=list)

    def __call__(self, group: RolloutGroup, drafts: Sequence[LessonDraft]) -> GateVerdict:
        """The best draft of those that win, else none."""
        pairs = self._pairs(group)
        bare = self._bare(pairs)
        made = self._made([(pair, (draft, *run.shown)[: self.k]) for draft in drafts for pair, run in zip(pairs, bare, strict=True)])
        each = [made[at : at + len(pairs)] for at in range(0, len(made), len(pairs))]
        before = _by_task(pairs, bare)
        found = wins([_gains(before, _by_task(pairs, runs)) for runs in each], margin=self.margin, risk=self.risk)
        scores = [_mean(runs) for runs in each]
        best = max((at for at, (won, _) in enumerate(found) if won), key=scores.__getitem__, default=None)
        luck, needed = tuple(p for _, p in found), wins_needed(len(before), risk=self.risk)
        runs = len(bare) + len(made)
        self.trials.append(Trial(group.key, tuple(drafts), tuple(scores), _mean(bare), best, runs, len(before), luck, needed))
        return GateVerdict(best=best, scores=scores, baseline=_mean(bare))

    def try_edit(self, edit: LessonEdit, before: Sequence[Lesson], after: Sequence[LessonText], group: RolloutGroup) -> str | None:
        """Why a change of lessons may not be made: the agent loses by it. None: it does not.

        Args:
            edit: The change.
            before: The lessons as they are.
            after: What is there in their place.
            group: Where the change comes from.
        """
        pairs = self._pairs(group)
        touched = {lesson.id for lesson in before}
        others = [tuple(t for t in run.shown if not (isinstance(t, Lesson) and t.id in touched)) for run in self._bare(pairs)]
        jobs = [(pair, (*texts, *rest)[: self.k]) for texts in (before, after) for pair, rest in zip(pairs, others, strict=True)]
        made = self._made(jobs)
        was, becomes = _mean(made[: len(pairs)]), _mean(made[len(pairs) :])
        kept = becomes >= was - _ROUNDING
        trial = EditTrial(edit.kind, edit.lesson_id or "", was, becomes, kept, len(made))
        self.edit_trials = [t for t in self.edit_trials if (t.kind, t.lesson_id) != (trial.kind, trial.lesson_id)] + [trial]
        return None if kept else f"tried: {becomes:.2f}, as it is {was:.2f}"

    def _pairs(self, group: RolloutGroup) -> list[tuple[int, int]]:
        """Index of a validation task, and seed, of each run."""
        families = {self.family_of(r.episode.id) for r in group.rollouts}
        found = [at for at, task in enumerate(self.tasks) if task.family in families]
        if not found:
            raise InvalidInput(f"no validation task of the families {sorted(map(str, families))!r}; give some, or gate=None")
        return [(at, gate_seed(self.seed, group.key, self.epoch, at, repeat)) for at in found for repeat in range(self.repeats)]

    def _bare(self, pairs: Sequence[tuple[int, int]]) -> list[Run]:
        """The runs with what recall finds."""
        return self._made([(pair, None) for pair in pairs])

    def _made(self, wanted: Sequence[tuple[tuple[int, int], tuple[LessonText, ...] | None]]) -> list[Run]:
        """Runs, those of them that are not known from before made now."""
        jobs = [
            Job(task=self.tasks[at], seed=seed, arm="treated" if texts is None else None, lessons=texts, record=False)
            for (at, seed), texts in wanted
        ]
        keys = [_key(pair, texts, self.epoch) for pair, texts in wanted]
        known = [self._known(key, job) for key, job in zip(keys, jobs, strict=True)]
        due = {job.id: key for job, key, run in zip(jobs, keys, known, strict=True) if run is None}
        made = self.runner.run_from_thread([job for job in jobs if job.id in due], lambda run: self._note(due[run.job.id], run))
        fresh = iter(made)
        return [next(fresh) if run is None else run for run in known]

    def _known(self, key: str, job: Job) -> Run | None:
        found = None if self.notes is None else self.notes.known(key)
        if found is None or self.notes is None:
            return None
        shown = self.notes.lessons(found.shown) if job.lessons is None else job.lessons
        return None if shown is None else Run(job, Verdict(found.reward, "known from before"), shown=tuple(shown))

    def _note(self, key: str, run: Run) -> None:
        if self.notes is not None:
            shown = tuple(t.id for t in run.shown if isinstance(t, Lesson)) if run.job.lessons is None else ()
            failed = run.error is not None
            kept = PracticeRun(key=key, epoch=self.epoch, arm="treated", reward=run.reward, failed=failed, usage=run.usage, shown=shown)
            self.notes.note(kept)


def _key(pair: tuple[int, int], texts: Sequence[LessonText] | None, epoch: int) -> str:
    said = None if texts is None else [t.model_dump(mode="json", include=set(LessonText.model_fields)) for t in texts]
    digest = hashlib.sha256(json.dumps([pair, said], sort_keys=True).encode()).hexdigest()
    return f"{GATE}{epoch}/{digest[:24]}"


def _by_task(pairs: Sequence[tuple[int, int]], runs: Sequence[Run]) -> dict[int, float]:
    """Mean reward of each task."""
    found: dict[int, list[float]] = {}
    for (task, _), run in zip(pairs, runs, strict=True):
        found.setdefault(task, []).append(run.reward)
    return {task: sum(some) / len(some) for task, some in found.items()}


def _gains(before: dict[int, float], after: dict[int, float]) -> list[float]:
    return [after[task] - before[task] for task in before]


def _mean(runs: Sequence[Run]) -> float:
    return sum(run.reward for run in runs) / len(runs) if runs else 0.0
