"""Two arms on the same tasks: how far apart they are, and how sure that is. Pure.

A task is one observation, however often it was run: its repeats are averaged first, because they are not independent. Tasks may be put into
clusters (such as families) that are taken for the independent units instead.

The p value is that of a sign-flip test: if the arms did not differ, each unit's difference could as well have had the other sign. Where
every task is won, lost or even, that is McNemar's exact test.
"""

import itertools
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from langchain_reflect.errors import InvalidInput

Floats = NDArray[np.float64]

Z95: Final = 1.959964
Z80: Final = 0.841621
"""Normal quantiles of 95 % confidence (both sides) and 80 % power."""
YES_NO: Final = "McNemar exact; Tango score interval, at least as wide as the exact conditional one"
GRADED: Final = "sign-flip test; bootstrap interval, at least as wide as Agresti-Min"
_DRAWS: Final = 4_000
_FLIPS: Final = 20_000
_ENUMERATED: Final = 14
"""Most units of which every choice of signs is tried."""
_HALVINGS: Final = 60
_ROUNDING: Final = 1e-9
_TINY: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Paired:
    """What paired differences say."""

    mean: float
    """Mean difference over the tasks."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end."""
    p: float
    """Probability of a mean at least so far from zero if the arms did not differ."""
    wins: int
    """Tasks with a difference above zero."""
    losses: int
    """Tasks with one below."""
    units: int
    """Independent units: tasks, or clusters of them."""
    error: float
    """Standard error of the mean, after half a win, half a loss and an even pair were added."""
    method: str
    """How p value and interval were made."""


def compare(differences: Sequence[float], clusters: Sequence[Hashable] | None = None) -> Paired:
    """Judge paired differences.

    Args:
        differences: One per task, in [-1, 1]: mean reward in one arm minus that in the other.
        clusters: The cluster of each task, if tasks of one cluster are not independent; None: each task stands for itself.

    Raises:
        InvalidInput: There are none, or the lengths differ.
    """
    given = np.asarray(differences, dtype=float)
    if not given.size:
        raise InvalidInput("differences=[]; expected one per task, at least one")
    sums, sizes = _by_cluster(given, clusters)
    values = _linear(sums, sizes)
    wins, losses = int((given > 0).sum()), int((given < 0).sum())
    yes_no = sizes.size == given.size and bool(np.isin(given, (-1.0, 0.0, 1.0)).all())
    low, high = _counted_interval(wins, losses, given.size) if yes_no else _graded_interval(values)
    return Paired(
        mean=float(given.mean()),
        low=low,
        high=high,
        p=mcnemar(wins, losses) if yes_no else sign_flip(sums),
        wins=wins,
        losses=losses,
        units=int(sizes.size),
        error=_spread(values),
        method=YES_NO if yes_no else GRADED,
    )


def mean_interval(rewards: Sequence[float], clusters: Sequence[Hashable] | None = None) -> tuple[float, float]:
    """95 % interval of the mean reward of one arm.

    A bootstrap over tasks with half a success and half a failure added; of rewards that are 0 or 1 it is Jeffreys' interval.

    Args:
        rewards: One per task, in [0, 1].
        clusters: As for `compare`.
    """
    values = _linear(*_by_cluster(np.asarray(rewards, dtype=float), clusters))
    low, high = _bootstrap(values, added=(0.0, 1.0), shares=(0.5, 0.5))
    return max(0.0, min(low, float(values.mean()))), min(1.0, max(high, float(values.mean())))


def paired_interval(differences: Sequence[float]) -> tuple[float, float]:
    """95 % interval of a mean difference between two arms, by formula.

    Half a win, half a loss and an even pair are added, so that a handful of tasks that all agree is not taken for certainty
    (resampling six wins out of six would claim exactly 1). Tasks are treated as independent draws.

    Args:
        differences: One per task, in [-1, 1].

    Returns:
        Lower and upper end, within [-1, 1].

    Source: Wald interval after adding 1/2 to each cell of the paired table, Agresti and Min, Simple improved confidence intervals for
    comparing matched proportions, Statistics in Medicine 24 (2005); here for rewards between 0 and 1 as well.
    """
    given = np.asarray(differences, dtype=float)
    mean = float(given.sum()) / (given.size + 2)
    spread = Z95 * _spread(given)
    return max(-1.0, mean - spread), min(1.0, mean + spread)


def mcnemar(wins: int, losses: int) -> float:
    """Exact two-sided p value of McNemar's test: a fair coin for each task that is not even.

    Args:
        wins: Tasks that only one arm solved.
        losses: Tasks that only the other solved.
    """
    return min(1.0, 2.0 * _binomial_tail(min(wins, losses), wins + losses))


def sign_flip(sums: Sequence[float] | Floats) -> float:
    """Two-sided p value of the sign-flip test; every choice of signs is tried for up to 14 units, else 20,000 seeded ones.

    Args:
        sums: The summed difference of each independent unit.
    """
    given = np.asarray(sums, dtype=float)
    units = np.abs(given[given != 0.0])
    seen = abs(float(given.sum())) - _ROUNDING * float(units.sum())
    if units.size <= _ENUMERATED:
        reached = np.zeros(1)
        for unit in units:
            reached = np.concatenate([reached + unit, reached - unit])
        return float((np.abs(reached) >= seen).mean())
    signs = np.random.default_rng(0).integers(2, size=(_FLIPS, units.size), dtype=np.int8)
    reached = 2.0 * (signs @ units) - units.sum()
    return float((1 + (np.abs(reached) >= seen).sum()) / (1 + _FLIPS))


def sign_choices(units: int) -> Floats:
    """Choices of signs, of shape (choices, units), the first all plus: every one for up to 14 units, else that and 20,000 seeded ones.

    Args:
        units: Independent units, one or more.
    """
    if units <= _ENUMERATED:
        return np.array(list(itertools.product((1.0, -1.0), repeat=units)))
    drawn = np.random.default_rng(0).choice((1.0, -1.0), size=(_FLIPS, units))
    return np.concatenate([np.ones((1, units)), drawn])


def tango(wins: int, losses: int, tasks: int) -> tuple[float, float]:
    """95 % score interval of the difference of two paired shares.

    Args:
        wins: Tasks that only one arm solved.
        losses: Tasks that only the other solved.
        tasks: All of them, one or more.

    Source: Tango, Equivalence test and confidence interval for the difference in proportions for the paired-sample design, Statistics in
    Medicine 17 (1998).
    """
    upper = _score_end(wins, losses, tasks)
    return -_score_end(losses, wins, tasks), upper


def exact_conditional(wins: int, losses: int, tasks: int) -> tuple[float, float]:
    """95 % interval that excludes zero exactly where McNemar's exact test is below 5 %.

    It is Clopper and Pearson's interval for the share of wins among the tasks that are not even, whose number is taken for given.

    Args:
        wins: Tasks that only one arm solved.
        losses: Tasks that only the other solved.
        tasks: All of them, one or more.
    """
    uneven = wins + losses
    low = 1.0 - _upper_share(losses, uneven)
    high = _upper_share(wins, uneven)
    return (2.0 * low - 1.0) * uneven / tasks, (2.0 * high - 1.0) * uneven / tasks


def _counted_interval(wins: int, losses: int, tasks: int) -> tuple[float, float]:
    """The wider ends of both: the score interval allows for chance in the number of even tasks, the other agrees with the test."""
    ends = zip(tango(wins, losses, tasks), exact_conditional(wins, losses, tasks), strict=True)
    (low, exact_low), (high, exact_high) = ends
    return min(low, exact_low), max(high, exact_high)


def _graded_interval(values: Floats) -> tuple[float, float]:
    """The wider ends of formula and bootstrap: the bootstrap follows lopsided differences, the formula holds where nearly all agree."""
    low, high = paired_interval(values.tolist())
    drawn_low, drawn_high = _bootstrap(values, added=(1.0, -1.0, 0.0), shares=(0.5, 0.5, 1.0))
    return max(-1.0, min(low, drawn_low)), min(1.0, max(high, drawn_high))


def _by_cluster(values: Floats, clusters: Sequence[Hashable] | None) -> tuple[Floats, Floats]:
    """Sum and number of the values of each cluster."""
    if clusters is None:
        return values, np.ones(values.size)
    if len(clusters) != values.size:
        raise InvalidInput(f"{len(clusters)} clusters for {values.size} tasks; expected one each")
    number: dict[Hashable, int] = {}
    places = np.array([number.setdefault(cluster, len(number)) for cluster in clusters])
    return np.asarray(np.bincount(places, values), dtype=float), np.asarray(np.bincount(places), dtype=float)


def _linear(sums: Floats, sizes: Floats) -> Floats:
    """One value per cluster, whose mean is the mean over tasks and whose spread is that of a ratio (Taylor linearisation)."""
    mean = float(sums.sum() / sizes.sum())
    linear: Floats = (sums - mean * sizes) * (sizes.size / sizes.sum()) + mean
    return linear


def _spread(values: Floats) -> float:
    """Standard error of the mean after half a win, half a loss and an even pair were added."""
    count = values.size + 2
    mean = float(values.sum()) / count
    return math.sqrt(max(0.0, (float((values**2).sum()) + 1.0) / count - mean**2) / count)


def _bootstrap(values: Floats, *, added: tuple[float, ...], shares: tuple[float, ...]) -> tuple[float, float]:
    """2.5 % and 97.5 % quantile of the mean under random weights (Bayesian bootstrap), with some values added at less than full weight."""
    shape = np.concatenate([np.ones(values.size), shares])
    weights = np.random.default_rng(0).gamma(shape, size=(_DRAWS, shape.size))
    means = weights @ np.concatenate([values, added]) / weights.sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def _score_end(wins: int, losses: int, tasks: int) -> float:
    """Upper end of Tango's interval, by halving."""
    low, high = (wins - losses) / tasks, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _score(wins, losses, tasks, middle) > -Z95 else (low, middle)
    return high


def _score(wins: int, losses: int, tasks: int, difference: float) -> float:
    """How many standard errors the observed difference is from a supposed one, with the losses most likely under that."""
    a = 2.0 * tasks
    b = (2.0 * tasks - wins + losses) * difference - wins - losses
    c = -losses * difference * (1.0 - difference)
    loss = (math.sqrt(max(0.0, b * b - 4.0 * a * c)) - b) / (2.0 * a)
    spread = math.sqrt(max(_TINY, tasks * (2.0 * loss + difference * (1.0 - difference))))
    return (wins - losses - tasks * difference) / spread


def _upper_share(hits: int, draws: int) -> float:
    """Upper end of Clopper and Pearson's 95 % interval, by halving."""
    if hits >= draws:
        return 1.0
    low, high = hits / draws, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _binomial_tail(hits, draws, middle) > 0.025 else (low, middle)  # noqa: PLR2004 - half of 5 %
    return high


def _binomial_tail(most: int, draws: int, share: float = 0.5) -> float:
    """Probability of at most so many hits."""
    if most >= draws:
        return 1.0
    counts = np.arange(most + 1)
    return float(np.exp(log_binomial(draws)[: most + 1] + counts * math.log(share) + (draws - counts) * math.log1p(-share)).sum())


def log_binomial(draws: int) -> Floats:
    """Logarithms of the binomial coefficients of `draws` over 0 to `draws`.

    Args:
        draws: 0 or more.
    """
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, draws + 1)))])
    coefficients: Any = factorials[draws] - factorials - factorials[::-1]
    return np.asarray(coefficients, dtype=float)
