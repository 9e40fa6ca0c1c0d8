"""Evidence that one may look at at any time: bets against "this makes no difference", and the intervals of effects that follow.

A fair coin (of known probability `p`) decided whether a unit was shown something (`S` = 1) or not (`S` = 0). Then its reward `Y` came in.
If showing makes no difference, `x = (S - p)(Y - m)` is 0 on average, whatever the number `m` is that was fixed without looking at `S`; the
nearer `m` is to what the unit would have got anyway, the less `x` scatters. A gambler who stakes the share `bet * x` of a capital of 1 on
each unit in turn can then not expect to grow rich: the chance that the capital ever reaches 20 is at most 1/20 (Ville's inequality). That
is why one may look after each outcome and stop at any time. The capital is the *evidence*: `E_up` bets that showing raises the reward,
`E_down` that it lowers it.

How much to stake: a gambler who knew the effect `d` would stake `d / (m(1 - m))`; for rewards of 0 and 1 that is the likelihood ratio of
"effect d" and "no effect", and no other bet grows faster. As the effect is not known, the capital is split among `BETS`, and each part is
staked on its own. A stake never goes beyond `MOST` of what the worst outcome could cost, so the capital stays positive.

The product of the factors of all units does not depend on their order, so the evidence is a function of the set of what is known.

A unit of several runs (a conversation) counts once: its factor is the mean of the factors of its runs, which is a fair bet however alike
they are.

The factor of a unit that comes again changes after its coin is known, so the promise holds at any one look and not by proof at all of them.
By simulation such evidence reaches 20 by luck in up to 7 of 100 lives; so half of it counts (`RETURNING`), which brings it to 3.9 of 100 at
most (`benchmarks/credit.py`, units of 2, 5 and 20 runs).

Sources: Ville 1939; Ramdas, Grünwald, Vovk, Shafer, "Game-theoretic statistics and safe anytime-valid inference" (Statistical Science 2023,
arXiv 2210.01948) for e-processes and mixtures of bets; Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting"
(JRSS B 2024, arXiv 2010.09686) for capital, truncated stakes and intervals by inversion; Waudby-Smith, Wu, Ramdas, Karampatziakis, Mineiro,
"Anytime-valid off-policy inference for contextual bandits" (ACM/IMS J. Data Science 2024, arXiv 2210.10768) for known probabilities of
assignment; Grünwald, de Heide, Koolen, "Safe testing" (JRSS B 2024, arXiv 1906.07801) for stakes that grow fastest. `x` weighs a unit by
`p(1 - p)`: overlap weights, Li, Morgan, Zaslavsky, "Balancing covariates via propensity score weighting" (JASA 2018).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from langchain_reflect.credit.columns import Bools, Floats, Ints

DECIDED: Final = 20.0
"""Evidence at which a question is settled: by luck alone it is reached once in twenty times at most, however often one looks."""
BETS: Final = {0.0: 0.1, 0.02: 0.05, 0.05: 0.1, 0.1: 0.25, 0.2: 0.4, 0.4: 0.1}
"""Effects that the parts of the capital bet on, and how large each part is; a tenth is never staked, which costs nothing and leaves some
margin.

Chosen by simulation; see `benchmarks/credit.py`."""
ANEW: Final = 50
"""Units after which somebody begins anew to bet that something does harm."""
FIRST: Final = 0.8
"""Share of the capital of those who began with the first unit."""
MOST: Final = 0.95
"""Largest part of the capital that one unit can cost."""
RETURNING: Final = 0.5
"""What counts of the evidence where some unit has several runs."""
_STEPS: Final = 11
"""Halvings of the range -1 to 1 in which an end of an interval lies: to 0.001."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What was observed of some comparisons: judged runs with their coins, those of a comparison and of a unit side by side."""

    number: Ints
    """Of each comparison that has any observation, ascending."""
    first: Ints
    """The first unit of each comparison."""
    start: Ints
    """The first run of each unit."""
    shown: Floats
    """1 or 0 for each run."""
    chance: Floats
    """Of being shown, between 0 and 1, both excluded."""
    reward: Floats
    baseline: Floats
    """Reward that was to be expected; see `difficulty`."""

    def per_unit(self, values: Floats) -> Floats:
        """Mean of what is known of the runs of each unit."""
        if len(self.start) == len(values):
            return values
        return np.asarray(np.add.reduceat(values, self.start) / np.diff(self.start, append=len(values)))

    def total(self, values: Floats) -> Floats:
        """Sum over the units of each comparison."""
        return np.asarray(np.add.reduceat(values, self.first)) if len(self.first) else np.zeros(0)

    def spread(self, values: Floats) -> Floats:
        """What is known of each comparison, for each of its runs."""
        return np.repeat(values, np.diff(self.start[self.first], append=len(self.shown)))


def observe(*, number: Ints, unit: Ints, shown: Bools, chance: Floats, reward: Floats, baseline: Floats, rank: Ints) -> Observed:
    """Bring judged runs into the one order that depends on nothing but what they are.

    Runs whose chance was 0 or 1 tell nothing and are left out.

    Args:
        number: The comparison that each run takes part in.
        unit: What its coin was thrown for.
        shown: How the coin fell.
        chance: Of being shown.
        reward: In [0, 1].
        baseline: Reward that was to be expected.
        rank: Place of the run among all, by when it was judged.
    """
    kept = np.flatnonzero((chance > 0) & (chance < 1))
    number, unit, rank = number[kept], unit[kept], rank[kept]
    by_unit = np.lexsort((rank, unit, number))
    begins = _changes(number[by_unit], unit[by_unit])
    if begins.all():
        order = np.lexsort((rank, number))
        begins = np.ones(len(order), np.bool_)
    else:
        leader = rank[by_unit][np.maximum.accumulate(np.where(begins, np.arange(len(begins)), 0))]
        order = by_unit[np.lexsort((rank[by_unit], leader, number[by_unit]))]
        begins = _changes(number[order], unit[order])
    start = np.flatnonzero(begins)
    numbers = number[order][start]
    first = np.flatnonzero(_changes(numbers))
    rows = kept[order]
    return Observed(
        number=numbers[first],
        first=first,
        start=start,
        shown=shown[rows].astype(np.float64),
        chance=chance[rows],
        reward=reward[rows],
        baseline=baseline[rows],
    )


def _changes(*keys: Ints) -> Bools:
    """Where one of the keys is not what it was in the row before; the first row counts."""
    changed = np.ones(len(keys[0]), np.bool_)
    if len(changed):
        changed[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return changed


def evidence(observed: Observed, effect: Floats | float = 0.0) -> tuple[Floats, Floats]:
    """Log of `E_up` and `E_down` of each comparison against the assumption that its effect is `effect`.

    Args:
        observed: From `observe`.
        effect: One for all, or one for each comparison.
    """
    assumed = np.broadcast_to(np.asarray(effect, np.float64), observed.number.shape)
    return raised(observed, assumed), raised(mirrored(observed), -assumed)


def raised(observed: Observed, effect: Floats) -> Floats:
    """Log of `E_up` of each comparison, against the assumption that its effect is at most `effect`.

    `x` is here `(S - p)(Y - m - effect (S - p))`: what is left of `x` once the effect is taken out.
    """
    return _mixed(np.stack([observed.total(each) for each in _log_factors(observed, effect)])) + _caution(observed)


def factors(observed: Observed, effect: Floats) -> list[Floats]:
    """What each run by itself would multiply the capital by, for each bet on a higher reward.

    Args:
        observed: From `observe`.
        effect: Of each comparison, as assumed.
    """
    p, m = observed.chance, observed.baseline
    coin, assumed = observed.shown - p, observed.spread(effect)
    x = coin * (observed.reward - m - assumed * coin)
    worst = np.maximum((1 - p) * (m + assumed * (1 - p)), p * (1 - m + assumed * p))
    most = MOST / np.maximum(worst, 1e-9)
    variance = m * (1 - m)
    return [1 + np.minimum(bet / variance, most) * x for bet in BETS]


def mirrored(observed: Observed) -> Observed:
    """As if rewards were losses."""
    return Observed(
        number=observed.number,
        first=observed.first,
        start=observed.start,
        shown=observed.shown,
        chance=observed.chance,
        reward=1 - observed.reward,
        baseline=1 - observed.baseline,
    )


def paths(observed: Observed, effect: float = 0.0) -> tuple[Floats, Floats]:
    """Log of `E_up` and `E_down` after each unit of each comparison, in the order in which the units were judged first.

    Args:
        observed: From `observe`.
        effect: Against the assumption that this is the effect.
    """
    assumed = np.full(len(observed.number), effect)
    up, down = (
        _mixed(np.stack([_running(each, logs) for logs in _log_factors(each, sign * assumed)])) + _along(each, _caution(each))
        for each, sign in ((observed, 1), (mirrored(observed), -1))
    )
    return up, down


def lowered(observed: Observed) -> Floats:
    """Log of `E_down` of each comparison, by gamblers of whom one begins with the first unit and another one every `ANEW` units.

    What used to help and does harm now is found out by those who began after the turn; the capital of the first has sunk too low by then.
    They share one capital, so that the chance that it ever reaches 20 by luck stays at most 1/20.

    Source: mixtures over the time of a change, Shin, Ramdas, Rinaldo, "E-detectors" (NEJSDS 2024, arXiv 2203.03532).
    """
    if not len(observed.number):
        return np.zeros(0)
    place = _places(observed)
    begins = np.flatnonzero(place % ANEW == 0)
    grown = np.stack(_log_factors(mirrored(observed), np.zeros(len(observed.number))))
    parts = np.add.reduceat(grown, begins, axis=1)
    shares = _shares(place[begins] // ANEW)
    first = np.searchsorted(begins, observed.first)
    logs = parts[:, first] + shares[first]
    several = np.flatnonzero(np.diff(first, append=len(begins)) > 1)
    ends = np.append(first[1:], len(begins))
    for number in several:  # each by itself, so that no other comparison shows in the last bit
        own = slice(first[number], ends[number])
        since = np.cumsum(parts[:, own][:, ::-1], axis=1)[:, ::-1]
        logs[:, number] = np.logaddexp.reduce(since + shares[own], axis=1)
    return _mixed(logs) + _caution(observed)


def lowered_path(observed: Observed) -> Floats:
    """`lowered` after each unit of each comparison, in the order in which the units were judged first."""
    if not len(observed.number):
        return np.zeros(0)
    place = _places(observed)
    logs = []
    for grown in _log_factors(mirrored(observed), np.zeros(len(observed.number))):
        total = _running(observed, grown)
        begun = np.where(place % ANEW == 0, _shares(place // ANEW) - (total - grown), -np.inf)
        ends = np.append(observed.first[1:], len(begun))
        spans = [np.logaddexp.accumulate(begun[a:b]) for a, b in zip(observed.first, ends, strict=True)]
        logs.append(total + np.concatenate(spans))
    return _mixed(np.stack(logs)) + _along(observed, _caution(observed))


def _caution(observed: Observed) -> Floats:
    """What is taken from the log of the evidence of each comparison, because units come again."""
    if len(observed.start) == len(observed.shown):
        return np.zeros(len(observed.number))
    most = np.maximum.reduceat(np.diff(observed.start, append=len(observed.shown)), observed.first)
    return np.where(most > 1, np.log(RETURNING), 0.0)


def _along(observed: Observed, values: Floats) -> Floats:
    """What is known of each comparison, for each of its units."""
    return np.repeat(values, np.diff(observed.first, append=len(observed.start)))


def _places(observed: Observed) -> Ints:
    """Place of each unit within its comparison."""
    length = np.diff(observed.first, append=len(observed.start))
    return np.arange(len(observed.start)) - np.repeat(observed.first, length)


def _shares(number: Ints) -> Floats:
    """Log of the share of the capital that the gamblers of each beginning have; all shares together are 1."""
    later = np.log((1 - FIRST) / (np.maximum(number, 1) * (np.maximum(number, 1) + 1.0)))
    return np.where(number == 0, np.log(FIRST), later)


def interval(observed: Observed) -> tuple[Floats, Floats]:
    """Lowest and highest effect of each comparison that is not refuted; each end is wrong with a probability of at most 1/20, ever.

    An effect is refuted from below (above) once the evidence that the true one is higher (lower) reaches `DECIDED`. So the interval is
    above 0 exactly if it is decided that something helps. It tells of the effect over all the time; that something began to hurt may be
    decided by `lowered` while the interval still holds 0.
    """
    return _lowest(observed), -_lowest(mirrored(observed))


def _lowest(observed: Observed) -> Floats:
    low, high = np.full(len(observed.number), -1.0), np.full(len(observed.number), 1.0)
    at_zero = raised(observed, np.zeros(len(observed.number))) >= np.log(DECIDED)
    low, high = np.where(at_zero, 0.0, low), np.where(at_zero, high, 0.0)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        refuted = raised(observed, middle) >= np.log(DECIDED)
        low, high = np.where(refuted, middle, low), np.where(refuted, high, middle)
    return low


def _log_factors(observed: Observed, effect: Floats) -> list[Floats]:
    """Log of what each unit multiplies the capital by, for each bet: the mean of the factors of its runs."""
    return [np.log(observed.per_unit(each)) for each in factors(observed, effect)]


def _mixed(logs: Floats) -> Floats:
    """Log of the capital, given the log of what became of 1 with each bet."""
    logs = logs + np.log(list(BETS.values()))[:, None]
    largest = logs.max(axis=0)
    return np.asarray(largest + np.log(np.exp(logs - largest).sum(axis=0)))


def _running(observed: Observed, values: Floats) -> Floats:
    """Sum over the units of a comparison up to each of them."""
    summed = np.cumsum(values)
    before = np.concatenate([[0.0], summed])[observed.first]
    return np.asarray(summed - np.repeat(before, np.diff(observed.first, append=len(values))))
