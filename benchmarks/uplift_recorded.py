"""What lessons were worth in runs that others recorded and published, and whether the ledger comes to the same numbers in any order.

The runs are other people's and not part of this project: `REFLECT_DATA` names their folder (default `../shared/data`). They are Dynamic
Cheatsheet (bare, with an empty template, with lessons: a true placebo), Reflexion (a second try without and with a reflection on the first)
and GSkill (without and with skills).

    means       every task in every arm, paired, with the interval of `measure_uplift`
    replays     the same runs as episodes with exposures and outcomes in a ledger, told in random order: outcomes before their episodes and
                long after, some twice, some corrected later, some taken back, some missing. Estimates of uplift, against bare and against
                placebo, and of single conditions have to equal those computed from the runs at once, to the last bit

    python benchmarks/uplift_recorded.py [--data DIR] [--orders N] [--limit N]
"""

import argparse
import gzip
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

import numpy as np

from langchain_reflect.credit import difficulty, trials, uplift
from langchain_reflect.credit.columns import HOLDOUT, PLACEBO, TREATED, Episodes, Exposures
from langchain_reflect.evidence import gather
from langchain_reflect.ledger import Ledger
from langchain_reflect.recall.policy import RecallPolicy, chances
from langchain_reflect.types import Arm, Episode, Exposure, Lesson, Namespace, Revision
from langchain_reflect.uplift.report import Cell, UpliftReport, report_of

DATA: Final = Path(os.environ.get("REFLECT_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))
BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
SPACE: Final[Namespace] = ("recorded",)
CODES: Final = {"holdout": HOLDOUT, "treated": TREATED, "placebo": PLACEBO}
SOURCE: Final = {"bare": 0.068, "placebo": 0.301, "lessons": 0.383}
"""Dynamic Cheatsheet, AIME 2020 to 2024, claude-3-5-sonnet, all 133 problems; `episodes/dev` has 57 of them."""
REFLEXION: Final = (
    ("alfworld", "text-davinci-003", "base", "reflexion"),
    ("webshop", "text-davinci-003", "base_2", "reflexion_1"),
    ("hotpotqa", "text-davinci-003", "cot-noctx-base", "cot-noctx-reflexion-5"),
    ("hotpotqa", "text-davinci-003", "react-base", "react-reflexion-7"),
)
SKILLS: Final = "_with_real_skills"


@dataclass(frozen=True)
class Record:
    """One recorded run, as this benchmark takes it."""

    study: str
    """Data set and model: what the graph is called."""
    task: str
    arm: Arm
    condition: str
    """What lessons the run had, or was drawn to have; of bare and placebo runs the arm."""
    reward: float
    shown: bool = True
    """Whether a treated run had them; else they were withheld."""


# Reading


def recorded(data: Path) -> list[Record]:
    """All runs that belong to a comparison.

    Args:
        data: The folder of the recorded data.
    """
    groups, tries = _lines(data, "c_groups"), _lines(data, "b_reflexion")
    return [*_cheatsheets(groups), *_skills(groups), *_reflexion(tries)]


def _lines(data: Path, name: str) -> list[dict[str, Any]]:
    with gzip.open(data / "episodes" / "dev" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _cheatsheets(rows: Sequence[Mapping[str, Any]]) -> Iterator[Record]:
    arms: dict[str, Arm] = {"Baseline": "holdout", "EmptyCheatsheet": "placebo"}
    for row in rows:
        if row["source"] == "dynamic-cheatsheet":
            model, condition = row["model"].split("/")
            arm = arms.get(condition, "treated")
            yield Record(f"{row['domain']} {model}", row["info"]["group_key"], arm, condition, row["reward"])


def _skills(rows: Sequence[Mapping[str, Any]]) -> Iterator[Record]:
    for row in rows:
        if row["source"] == "gskill" and row["domain"] == "swe-smith":
            run = row["model"].split("/")[1]
            arm: Arm = "treated" if run.endswith(SKILLS) else "holdout"
            yield Record(f"skills {run.removesuffix(SKILLS)}", row["task_id"], arm, "skills", row["reward"])


def _reflexion(rows: Sequence[Mapping[str, Any]]) -> Iterator[Record]:
    """Second tries, at tasks that failed at first; once as arms of the store, once as a lesson that was shown or withheld."""
    for domain, model, base, reflexion in REFLEXION:
        for row in rows:
            if row["source"] == "reflexion" and row["domain"] == domain and row["trial"] == 1:
                shown = row["model"] == f"{model}/{reflexion}"
                if shown or row["model"] == f"{model}/{base}":
                    yield Record(f"{domain} {reflexion}", row["task_id"], "treated" if shown else "holdout", "reflection", row["reward"])
                    yield Record(f"{domain} {reflexion}, one lesson", row["task_id"], "treated", "reflection", row["reward"], shown)


# Means


def measured(records: Sequence[Record]) -> dict[str, UpliftReport]:
    """A report of each study with arms, over the tasks that were run in all of them; conditions with lessons are arms of their own.

    Args:
        records: Of any studies.
    """
    reports = {}
    for study, own in _by_study(records).items():
        arms = sorted({_arm(record) for record in own}, key=lambda arm: (arm != "bare", arm != "placebo", arm))
        if "bare" in arms and len(arms) > 1:
            cells = [Cell(r.task, None, 0, _arm(r), r.reward, shown=int(r.arm == "treated")) for r in own]
            reports[study] = report_of(cells, arms, lessons=len(arms))
    return reports


def _by_study(records: Sequence[Record]) -> dict[str, list[Record]]:
    studies: dict[str, list[Record]] = {}
    for record in records:
        studies.setdefault(record.study, []).append(record)
    return studies


def _arm(record: Record) -> str:
    return {"holdout": "bare", "placebo": "placebo"}.get(record.arm, record.condition)


# The same runs as episodes


@dataclass(frozen=True)
class Told:
    """A run as the ledger is told of it, and what of it counts in the end."""

    episode: Episode
    exposures: tuple[Exposure, ...]
    outcomes: tuple[Mapping[str, Any], ...]
    """As `record_outcome` takes them; with `retracted`, as `retract_outcome` does."""
    reward: float
    """NaN: no judgement arrives."""
    at: float
    trusted: bool


def told(records: Sequence[Record]) -> list[Told]:
    """Each run as an episode, with what is said of it: the truth, and what is corrected, taken back, outranked or never said.

    Args:
        records: In a fixed order, by which the runs are dated.
    """
    conditions = {study: sorted({r.condition for r in own if r.arm == "treated"}) for study, own in _by_study(records).items()}
    arms = {study: {r.arm for r in own} for study, own in _by_study(records).items()}
    policies = {study: _policy(arms[study], len(conditions[study])) for study in conditions}
    chance = np.random.default_rng(0)
    made = []
    for number, record in enumerate(records):
        at = uuid5(NAMESPACE_URL, f"{number} {record.study} {record.task} {record.condition}")
        episode = Episode(
            id=at,
            namespace=SPACE,
            graph=record.study,
            task=record.task,
            task_key=record.task,
            arm=record.arm,
            started_at=BEGIN + timedelta(minutes=number),
        )
        known, policy = conditions[record.study], policies[record.study]
        exposures = tuple(_exposure(at, record, condition, known, policy) for condition in known)
        outcomes, reward, judged, trusted = _said(record, episode.started_at, chance)
        made.append(Told(episode, exposures, outcomes, reward, judged, trusted))
    return made


def _policy(arms: set[Arm], conditions: int) -> str:
    """Each condition was run as often as each of the other arms."""
    share = 1.0 / (conditions + len(arms - {"treated"}))
    return RecallPolicy(k=1, holdout=share * ("holdout" in arms), placebo=share * ("placebo" in arms), unit="episode").version


def _exposure(at: UUID, record: Record, condition: str, conditions: Sequence[str], policy: str) -> Exposure:
    treated = record.arm == "treated"
    alone = len(conditions) == 1
    return Exposure(
        episode_id=at,
        lesson_id=_lesson_id(record.study, condition),
        revision=1,
        shown=treated and record.shown and record.condition == condition,
        probability=(_share(record, alone=alone) if alone else 1.0 / len(conditions)) if treated else 0.0,
        arm=record.arm,
        unit=str(at),
        policy=policy,
        dose=1,
        tokens=50,
    )


def _share(record: Record, *, alone: bool) -> float:
    return 0.5 if alone and record.study.endswith("one lesson") else 1.0


def _lesson_id(study: str, condition: str) -> str:
    return f"L-{uuid5(NAMESPACE_URL, f'{study} {condition}').hex[:12]}"


def _said(record: Record, started: datetime, chance: np.random.Generator) -> tuple[tuple[Mapping[str, Any], ...], float, float, bool]:
    """What is said of a run, and what of it counts: reward, time, and whether others than a judge model said it."""
    hours = timedelta(hours=float(chance.integers(1, 500)))
    final, day = started + hours, timedelta(days=1)
    wrong = 1.0 - record.reward
    truth = {"reward": record.reward, "source": "verifier", "key": "a", "observed_at": final}
    noise: list[Mapping[str, Any]] = []
    if chance.random() < 0.3:
        noise.append({"reward": wrong, "source": "verifier", "key": "a", "observed_at": final - hours / 2})  # corrected by the truth
    if chance.random() < 0.2:
        noise.append({"reward": wrong, "source": "user", "key": "b", "observed_at": final + day})  # later, but outranked
    if chance.random() < 0.1:
        noise.append({"reward": wrong, "source": "verifier", "key": "c", "observed_at": final + day})
        noise.append({"retracted": True, "source": "verifier", "key": "c", "observed_at": final + 2 * day})
    kind = chance.random()
    if kind < 0.1:
        return (), float("nan"), float("nan"), False
    if kind < 0.2:
        return ({**truth, "source": "judge:model"},), record.reward, final.timestamp(), False
    return (truth, *noise), record.reward, final.timestamp(), True


# Two ways to the estimates

Estimates = dict[tuple[str, ...], dict[str, str]]


def at_once(runs: Sequence[Told]) -> Estimates:
    """From the runs themselves, without a ledger.

    Args:
        runs: With what counts in the end.
    """
    runs = [run for run in runs if run.exposures]
    spaces = list(dict.fromkeys(run.episode.graph for run in runs))
    groups = {key: n for n, key in enumerate(dict.fromkeys((run.episode.graph, run.episode.task_key) for run in runs))}
    lessons = list(dict.fromkeys(x.lesson_id for run in runs for x in run.exposures))
    drawn = [chances(run.exposures[0].policy) for run in runs]
    arm = np.array([CODES[run.episode.arm] for run in runs], np.int64)
    share = {
        "treated": lambda c: (1.0 - c.holdout - c.placebo) * c.doses[1],
        "holdout": lambda c: c.holdout,
        "placebo": lambda c: c.placebo,
    }
    episodes = Episodes(
        id=np.array([run.episode.id.hex for run in runs], "U32"),
        unit=np.arange(len(runs)),
        space=np.array([spaces.index(run.episode.graph) for run in runs], np.int64),
        group=np.array([groups[run.episode.graph, run.episode.task_key] for run in runs], np.int64),
        arm=arm,
        dose=np.ones(len(runs), np.int64),
        chance=np.array([share[run.episode.arm](c) for run, c in zip(runs, drawn, strict=True)]),
        control=np.array([c.holdout for c in drawn]),
        treated=np.array([1.0 - c.holdout - c.placebo for c in drawn]),
        draws=np.array([[0.0, c.doses[1]] for c in drawn]),
        reward=np.array([run.reward for run in runs]),
        trusted=np.array([run.trusted for run in runs]),
        at=np.array([run.at for run in runs]),
        started=np.array([run.episode.started_at.timestamp() for run in runs]),
        agent=np.full(len(runs), -1, np.int64),
    )
    flat = [(n, x) for n, run in enumerate(runs) for x in run.exposures]
    exposures = Exposures(
        episode=np.array([n for n, _ in flat], np.int64),
        trial=np.array([lessons.index(x.lesson_id) for _, x in flat], np.int64),
        shown=np.array([x.shown for _, x in flat]),
        probability=np.array([x.probability for _, x in flat]),
        tokens=np.array([x.tokens for _, x in flat], np.int64),
    )
    return _estimates(episodes, exposures, spaces, lessons)


def from_ledger(ledger: Ledger) -> Estimates:
    """From what a ledger knows.

    Args:
        ledger: That was told of all runs.
    """
    evidence = gather(ledger.trial_rows())
    spaces = [graph for _, graph in evidence.spaces]
    return _estimates(evidence.episodes, evidence.exposures, spaces, [wording.lesson_id for wording in evidence.wordings])


def _estimates(episodes: Episodes, exposures: Exposures, spaces: Sequence[str], lessons: Sequence[str]) -> Estimates:
    baseline = difficulty(episodes)
    found: Estimates = {}
    for name, against in (("bare", HOLDOUT), ("placebo", PLACEBO)):
        for each in uplift(episodes, baseline, against=against):
            found["uplift against", name, spaces[each.space]] = _bits(each, spaces, lessons)
    for trial in trials(episodes, exposures, baseline):
        found["lesson", lessons[trial.trial]] = _bits(trial, spaces, lessons)
    return found


def _bits(estimate: Any, spaces: Sequence[str], lessons: Sequence[str]) -> dict[str, str]:
    """Every field, floats to the last bit; numbers that only count spaces and lessons are named."""
    named: dict[str, Sequence[str]] = {"space": spaces, "trial": lessons}
    values = {field.name: getattr(estimate, field.name) for field in fields(estimate)}
    return {name: named[name][value] if name in named else _exact(value) for name, value in values.items()}


def _exact(value: object) -> str:
    return float(value).hex() if isinstance(value, float | np.floating) else repr(value)


# Replays


def replay(runs: Sequence[Told], folder: Path, order: int | None) -> Estimates:
    """Tell a new ledger of the runs and estimate.

    Args:
        runs: To be told.
        folder: Of the ledger.
        order: Seed of the order and of what is told twice; None: each run with all that is said of it, oldest first.
    """
    with Ledger(folder, namespace=SPACE, durability="fast") as ledger:
        lessons = dict.fromkeys((run.episode.graph, x.lesson_id) for run in runs for x in run.exposures)
        ledger.append_revisions([_revision(study, lesson_id) for study, lesson_id in lessons])
        if order is None:
            ledger.save_episodes([(run.episode, run.exposures) for run in runs])
        for tell in _calls(ledger, runs, order):
            tell()
        return from_ledger(ledger)


def _revision(study: str, lesson_id: str) -> Revision:
    lesson = Lesson(id=lesson_id, namespace=SPACE, when=study, do=f"As in {study}.", status="active", created_at=BEGIN, updated_at=BEGIN)
    return Revision(lesson=lesson, kind="add", actor="import", at=BEGIN)


def _calls(ledger: Ledger, runs: Sequence[Told], order: int | None) -> list[Any]:
    said = [partial(_say, ledger, run.episode.id, outcome) for run in runs for outcome in run.outcomes]
    if order is None:
        return said
    chance = np.random.default_rng(order)
    calls = [*said, *(partial(ledger.save_episode, run.episode, run.exposures) for run in runs)]
    calls += [call for call in calls if chance.random() < 0.3]
    return [calls[at] for at in chance.permutation(len(calls))]


def _say(ledger: Ledger, episode: UUID, outcome: Mapping[str, Any]) -> None:
    if outcome.get("retracted"):
        ledger.retract_outcome(episode, **{name: value for name, value in outcome.items() if name != "retracted"})
    else:
        ledger.record_outcome(episode, **outcome)


def differing(one: Estimates, other: Estimates) -> list[str]:
    """What two computations do not agree on.

    Args:
        one: Estimates.
        other: Estimates.
    """
    wrong = [f"{' '.join(key)}: only in one" for key in one.keys() ^ other.keys()]
    return wrong + [
        f"{' '.join(key)}: {name} {value} != {other[key][name]}"
        for key in one.keys() & other.keys()
        for name, value in one[key].items()
        if value != other[key][name]
    ]


# Printing


def main() -> None:
    """Print the tables; ends with 1 if an order gives other numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--orders", type=int, default=20, help="random orders")
    parser.add_argument("--limit", type=int, help="most runs in the replays")
    given = parser.parse_args()
    if not given.data.is_dir():
        raise SystemExit(f"no recorded data in {given.data}; set REFLECT_DATA")
    records = recorded(given.data)
    _print_means(measured(records))
    raise SystemExit(_print_replays(told(records[: given.limit]), given.orders))


def _print_means(reports: Mapping[str, UpliftReport]) -> None:
    print("| runs | tasks | arm | mean (95 %) | - bare (95 %), p | - placebo (95 %), p |\n| --- | ---: | --- | --- | --- | --- |")
    for study, report in reports.items():
        against = {(d.arm, d.against): f"{d.mean:+.3f} ({d.low:+.3f} to {d.high:+.3f}), {d.p:.3f}" for d in report.differences}
        for arm in report.arms:
            rest = [against.get((arm.arm, other), "") for other in ("bare", "placebo")]
            print(f"| {study} | {report.tasks} | {arm.arm} | {arm.mean:.3f} ({arm.low:.3f} to {arm.high:.3f}) | {rest[0]} | {rest[1]} |")
    told = ", ".join(f"{arm} {mean:.1%}" for arm, mean in SOURCE.items())
    share = (SOURCE["placebo"] - SOURCE["bare"]) / (SOURCE["lessons"] - SOURCE["bare"])
    print(f"\nAIME_2020_2024 claude-3-5-sonnet over all 133 problems: {told}; the template alone gives {share:.0%} of the gain.\n")


def _print_replays(runs: Sequence[Told], orders: int) -> int:
    batch = at_once(runs)
    said = Counter("taken back" if o.get("retracted") else "said" for run in runs for o in run.outcomes)
    pending, by_model = sum(np.isnan(r.reward) for r in runs), sum(not r.trusted and not np.isnan(r.reward) for r in runs)
    print(
        f"{len(runs)} episodes, {sum(len(r.exposures) for r in runs)} exposures, {said['said']} outcomes, {said['taken back']} taken back; "
        f"{pending} episodes never judged, {by_model} by a judge model only; "
        f"{sum(map(len, batch.values()))} numbers in {len(batch)} estimates"
    )
    equal, seconds = 0, time.perf_counter()
    for order in [None, *range(orders)]:
        with tempfile.TemporaryDirectory() as folder:
            wrong = differing(batch, replay(runs, Path(folder), order))
        equal += not wrong
        for line in wrong[:5]:
            print(f"order {order}: {line}")
    print(f"equal to the last bit: {equal} of {orders + 1} orders ({time.perf_counter() - seconds:.0f} s)")
    return int(equal != orders + 1)


if __name__ == "__main__":
    main()
