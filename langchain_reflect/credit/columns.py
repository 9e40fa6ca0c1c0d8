"""The evidence in columns: one row per episode, one row per exposure. The order of rows never matters."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

HOLDOUT, TREATED, PLACEBO, OTHER = 0, 1, 2, -1
"""Codes of arms; `OTHER`: chance had no part in it (forced, paused, or written before chance was recorded)."""


@dataclass(frozen=True, slots=True)
class Episodes:
    """Episodes in which some lesson was eligible, judged or not. All columns have the same length."""

    id: NDArray[Any]
    """A text that is unique and never changes; settles the order of equal times."""
    unit: Ints
    """What chance was drawn for; episodes of one unit were treated alike."""
    space: Ints
    """Namespace and graph."""
    group: Ints
    """Tasks that are equally hard: the same task key, or else the same text; unique over all spaces."""
    arm: Ints
    dose: Ints
    """Most lessons that the run could be shown."""
    chance: Floats
    """Probability of this arm and dose."""
    control: Floats
    """Probability of `HOLDOUT` by the same policy."""
    treated: Floats
    """Probability of `TREATED` by the same policy, with any dose."""
    draws: Floats
    """Probability of each dose, within `TREATED`, by the same policy; shape (episodes, largest dose + 1)."""
    reward: Floats
    """In [0, 1]; NaN: not judged."""
    trusted: Bools
    """Whether somebody else than a judge model gave the reward."""
    at: Floats
    """When it was judged, seconds since 1970; NaN: not judged."""
    started: Floats
    """When it began."""
    agent: Ints
    """Which version of the agent acted; -1: not known."""


@dataclass(frozen=True, slots=True)
class Exposures:
    """Lessons that were eligible in an episode."""

    episode: Ints
    """Row in `Episodes`."""
    trial: Ints
    """One wording of one lesson."""
    shown: Bools
    probability: Floats
    """With which it was to be shown within the episode's arm and dose."""
    tokens: Ints
