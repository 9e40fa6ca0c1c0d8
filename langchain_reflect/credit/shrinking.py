"""What single lessons are probably worth: their own figures, drawn towards what lessons of the same store are worth on average."""

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np

from langchain_reflect.credit.columns import Floats

USUAL: Final = 0.15
"""Standard deviation of the effects of lessons, and of stores, before anything is known of them."""
_KNOWN: Final = 4.0
"""Lessons whose effects are known that weigh as much as `USUAL`."""


class Measured(Protocol):
    """A `Trial` or an `Uplift`."""

    @property
    def space(self) -> int:
        """Namespace and graph."""

    @property
    def effect(self) -> float:
        """NaN: not known."""

    @property
    def error(self) -> float:
        """Infinite: not known."""


def shrunken(trials: Sequence[Measured], uplifts: Sequence[Measured]) -> list[float]:
    """Effect of each trial as it most likely is, in the same order.

    A lesson of which nothing is known has the mean effect of its store; one of which much is known keeps its own.

    Args:
        trials: From `trials`.
        uplifts: From `uplift`; the whole store's effect counts as one more observation of the mean.

    Source: empirical Bayes, Morris 1983 (JASA 78, 381); variance between lessons by DerSimonian and Laird 1986.
    """
    whole = {each.space: each for each in uplifts}
    found = np.zeros(len(trials))
    for space in {trial.space for trial in trials}:
        rows = [n for n, trial in enumerate(trials) if trial.space == space]
        effects = np.array([trials[n].effect for n in rows])
        errors = np.array([trials[n].error for n in rows])
        store = whole.get(space)
        about = (store.effect, store.error) if store else (np.nan, np.inf)
        found[rows] = shrink(effects, errors, about)[0]
    return [float(each) for each in found]


def shrink(effects: Floats, errors: Floats, store: tuple[float, float] = (np.nan, np.inf)) -> tuple[Floats, Floats]:
    """Mean and standard deviation of what each effect is, given all.

    Args:
        effects: As measured; NaN: not known.
        errors: Standard errors; infinite: not known.
        store: Effect of all lessons together and its error.
    """
    known = np.isfinite(effects) & np.isfinite(errors)
    between = _between(effects[known], errors[known])
    weights = np.where(known, 1 / (np.where(known, errors, 1.0) ** 2 + between), 0.0)
    values = np.where(known, effects, 0.0)
    extra = 1 / (store[1] ** 2 + between) if np.isfinite(store[0]) and np.isfinite(store[1]) else 0.0
    total = weights.sum() + extra + 1 / USUAL**2
    mean = (np.sum(weights * values) + extra * (store[0] if extra else 0.0)) / total
    precision = np.where(known, 1 / np.where(known, errors, 1.0) ** 2, 0.0)
    spread = precision + 1 / between
    return (precision * values + mean / between) / spread, np.sqrt(1 / spread)


def _between(effects: Floats, errors: Floats) -> float:
    """Variance of the true effects."""
    if len(effects) < 2:  # noqa: PLR2004 - one effect has no variance
        return USUAL**2
    weights = 1 / errors**2
    mean = np.average(effects, weights=weights)
    free = weights.sum() - np.sum(weights**2) / weights.sum()
    found = max(0.0, float((np.sum(weights * (effects - mean) ** 2) - (len(effects) - 1)) / free))
    return (_KNOWN * USUAL**2 + len(effects) * found) / (_KNOWN + len(effects))
