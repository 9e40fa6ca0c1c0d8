"""Made-up streams of runs whose true effects are known, for `credit.py`: many stores at once, each one draw of the same world."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from langchain_reflect.credit.columns import HOLDOUT, TREATED, Episodes, Exposures

Floats = np.ndarray
EASY, MEDIUM, HARD = (0.8, 1.0), (0.3, 0.7), (0.05, 0.25)
"""Range of the chance of success of a task without lessons."""
TASKS = 20


@dataclass(frozen=True)
class World:
    """What is true."""

    tasks: tuple[float, float] = MEDIUM
    effects: tuple[float, ...] = (0.0,)
    """Of each lesson of a run, on the chance of success; the first is the one that is looked at."""
    fits: float = 1.0
    """Share of the tasks that the first lesson has its effect on; on the others it has `elsewhere`."""
    elsewhere: float = 0.0
    drift: Callable[[Floats], Floats] | None = None
    """Added to the chance of success, by the share of the stream that is over."""
    delay: float = 0.0
    """Mean number of runs that begin before a run is judged."""
    late: float = 0.0
    """Number of runs that begin before a success is told, while failures are told at once."""
    late_if: bool | None = None
    """Whether that is so only of runs in which the first lesson was shown, or only of those in which it was withheld; None: of all."""
    missing: float = 0.0
    """Share of runs that nobody judges, twice as many among failures as among successes."""
    repeats: bool = True
    """Whether tasks come again; else each is new."""
    per_unit: int = 1
    """Runs of one conversation, which are treated alike."""
    users: int = 0
    """Users who come again and again and are treated alike; 0: the unit is the conversation."""
    rounds: bool = False
    """Whether all users come once before one of them comes again; else each run is of any of them."""
    spread: float = 0.0
    """By how much the tasks of a user or a conversation are easier or harder than those of others, at most."""
    shown: float = 0.75
    holdout: float = 0.0
    partial: bool = False
    """Whether rewards are shares (of tests passed, say) and not 0 or 1."""
    reworded: tuple[int, float] | None = None
    """Run from which on the first lesson has other words, which are what is looked at, and its effect until then."""
    doses: dict[int, float] = field(default_factory=dict)
    """Effect of each dose on the chance of success, in place of `effects`."""


@dataclass(frozen=True)
class Stream:
    """One stream for each draw, in columns of shape (draws, runs)."""

    world: World
    episodes: Episodes
    exposures: Exposures
    """Of all lessons, one block for each; of the first lesson first."""
    shown: np.ndarray
    """Whether the first lesson was shown."""
    reward: np.ndarray
    """NaN: never judged."""
    task: np.ndarray
    at: np.ndarray
    lost: np.ndarray
    """Chance of success that showing the first lesson took from the run; negative: gave; 0 where it was not shown."""


def stream(world: World, *, draws: int, runs: int, seed: int) -> Stream:
    """Let the world run.

    Args:
        world: What is true.
        draws: Stores.
        runs: Of each store.
        seed: Of chance.
    """
    chance = np.random.default_rng(seed)
    shape = (draws, runs)
    low, high = world.tasks
    task = chance.integers(0, TASKS, shape)
    ease = np.take_along_axis(chance.uniform(low, high, (draws, TASKS)), task, axis=1)
    if world.drift is not None:
        ease = ease + world.drift(np.arange(runs) / runs)
    unit = _units(world, runs, chance)
    if world.spread:
        ease = ease + chance.uniform(-world.spread, world.spread, (draws, unit.max() + 1))[:, unit]
    arm = np.where(chance.random(shape)[:, unit] < world.holdout, HOLDOUT, TREATED)
    doses = sorted(world.doses) or [1]
    dose = np.where(arm == TREATED, np.array(doses)[chance.integers(0, len(doses), shape)[:, unit]], 0)
    lift = np.zeros(shape)
    seen = []
    for number, effect in enumerate(world.effects):
        shown = (chance.random(shape)[:, unit] < world.shown) & (arm == TREATED)
        seen.append(shown)
        here = np.where(task < round(world.fits * TASKS), effect, world.elsewhere) if number == 0 else effect
        lift = lift + np.where(shown, here, 0.0)
        if number == 0 and world.reworded is not None:
            lift = np.where(np.arange(runs) < world.reworded[0], np.where(shown, world.reworded[1], 0.0), lift)
        if number == 0:
            first = here
    if world.doses:
        lift, first, seen[0] = (
            np.where(arm == TREATED, np.array([world.doses.get(d, 0.0) for d in range(4)])[dose], 0.0),
            0.0,
            arm == TREATED,
        )
    success = np.clip(ease + lift, 0.0, 1.0)
    without = np.clip(ease + lift - np.where(seen[0], first, 0.0), 0.0, 1.0)
    drawn = chance.random(shape)
    reward = chance.beta(4 * success + 1e-9, 4 * (1 - success) + 1e-9) if world.partial else (drawn < success).astype(float)
    lost = world.missing * np.where(reward < 0.5, 4 / 3, 2 / 3)
    reward = np.where(chance.random(shape) < lost, np.nan, np.clip(reward, 0.0, 1.0))
    started = np.broadcast_to(np.arange(runs, dtype=float), shape)
    at = started + (chance.exponential(world.delay, shape) if world.delay else 0.5)
    at = at + np.where((reward >= 0.5) & ((world.late_if is None) | (seen[0] == world.late_if)), world.late, 0.0)
    count = draws * runs
    store = np.repeat(np.arange(draws), runs)
    flat = np.arange(count)
    draws_of = np.zeros((count, 4))
    draws_of[:, doses] = 1 / len(doses)
    episodes = Episodes(
        id=flat,
        unit=(store * runs + np.tile(unit, draws)),
        space=store,
        group=store * TASKS + task.ravel() if world.repeats else flat,
        arm=arm.ravel(),
        dose=dose.ravel(),
        chance=np.where(arm == TREATED, (1 - world.holdout) / len(doses), world.holdout).ravel(),
        control=np.full(count, world.holdout),
        treated=np.full(count, 1 - world.holdout),
        draws=draws_of,
        reward=reward.ravel(),
        trusted=np.ones(count, bool),
        at=np.where(np.isnan(reward), np.nan, at).ravel(),
        started=started.ravel().copy(),
        agent=np.zeros(count, np.int64),
    )
    treated = np.flatnonzero(arm.ravel() == TREATED)
    earlier = treated % runs < (world.reworded[0] if world.reworded is not None else 0)
    trial = [np.where(earlier & (number == 0), len(seen), number) * draws + store[treated] for number in range(len(seen))]
    exposures = Exposures(
        episode=np.tile(treated, len(seen)),
        trial=np.concatenate(trial),
        shown=np.concatenate([shown.ravel()[treated] for shown in seen]),
        probability=np.full(len(treated) * len(seen), world.shown),
        tokens=np.full(len(treated) * len(seen), 60),
    )
    return Stream(world, episodes, exposures, seen[0], reward, task, at, without - success)


def _units(world: World, runs: int, chance: np.random.Generator) -> np.ndarray:
    """Whose run each is."""
    if not world.users:
        return np.arange(runs) // world.per_unit
    return np.arange(runs) % world.users if world.rounds else chance.integers(0, world.users, runs)
