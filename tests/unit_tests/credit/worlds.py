"""Columns of made-up runs for the tests of `credit`."""

import numpy as np

from langchain_reflect.credit.columns import HOLDOUT, PLACEBO, TREATED, Episodes, Exposures


def columns(count: int, **given) -> Episodes:
    """Judged runs of one space and one group, each its own unit, one after the other; `given` replaces columns."""
    known = {
        "id": np.array([f"{n:032x}" for n in range(count)], "S32"),
        "unit": np.arange(count),
        "space": np.zeros(count, np.int64),
        "group": np.zeros(count, np.int64),
        "arm": np.full(count, TREATED),
        "dose": np.full(count, 2),
        "chance": np.full(count, 0.9),
        "control": np.full(count, 0.1),
        "treated": np.full(count, 0.9),
        "draws": np.tile([0.0, 0.0, 1.0], (count, 1)),
        "reward": np.full(count, 0.5),
        "trusted": np.ones(count, np.bool_),
        "at": np.arange(count, dtype=float) + 0.5,
        "started": np.arange(count, dtype=float),
        "agent": np.zeros(count, np.int64),
    }
    known.update({name: np.asarray(value) for name, value in given.items()})
    known["at"] = np.where(np.isnan(known["reward"]), np.nan, known["at"])
    return Episodes(**known)


def exposed(episodes: Episodes, shown, *, probability=0.75, trial=0) -> Exposures:
    """One exposure for each run."""
    count = len(episodes.id)
    return Exposures(
        episode=np.arange(count),
        trial=np.broadcast_to(np.asarray(trial), count).copy(),
        shown=np.asarray(shown, np.bool_),
        probability=np.broadcast_to(np.asarray(probability, float), count).copy(),
        tokens=np.full(count, 60),
    )


def world(seed: int, count: int, *, spaces=1, users=0, missing=0.2, lift=0.1, judged_by_models=0.1) -> tuple[Episodes, Exposures]:
    """Runs of all kinds: arms, doses, units of several runs, runs nobody judged, judge models, two lessons each, equal times."""
    chance = np.random.default_rng(seed)
    arm = chance.choice([TREATED, HOLDOUT, PLACEBO], count, p=[0.7, 0.2, 0.1])
    dose = np.where(arm == TREATED, chance.integers(1, 4, count), 0)
    reward = np.clip(chance.integers(0, 5, count) / 4 + lift * (arm == TREATED), 0, 1)
    reward[chance.random(count) < missing] = np.nan
    episodes = columns(
        count,
        unit=chance.integers(0, users or 10**6, count),
        space=chance.integers(0, spaces, count),
        group=chance.integers(0, 7, count),
        arm=arm,
        dose=dose,
        control=np.full(count, 0.2),
        treated=np.full(count, 0.7),
        draws=np.tile([0, 1 / 3, 1 / 3, 1 / 3], (count, 1)),
        reward=reward,
        trusted=chance.random(count) >= judged_by_models,
        at=np.floor(chance.random(count) * count / 2),
        started=np.floor(np.arange(count) / 3),
    )
    row = np.tile(np.flatnonzero(arm == TREATED), 2)
    exposures = Exposures(
        episode=row,
        trial=np.repeat([4, 9], len(row) // 2),
        shown=chance.random(len(row)) < 0.75,
        probability=np.full(len(row), 0.75),
        tokens=np.full(len(row), 60),
    )
    return episodes, exposures


def reordered(episodes: Episodes, exposures: Exposures, seed: int) -> tuple[Episodes, Exposures]:
    """The same runs, read in another order, their units and groups numbered otherwise."""
    chance = np.random.default_rng(seed)
    order = chance.permutation(len(episodes.id))
    moved = {name: getattr(episodes, name)[order] for name in Episodes.__slots__}
    for name in ("unit", "group"):
        kinds, code = np.unique(moved[name], return_inverse=True)
        moved[name] = chance.permutation(len(kinds))[code] + 3
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    mixed = chance.permutation(len(exposures.episode))
    told = {name: getattr(exposures, name)[mixed] for name in Exposures.__slots__}
    return Episodes(**moved), Exposures(**{**told, "episode": place[told["episode"]]})
