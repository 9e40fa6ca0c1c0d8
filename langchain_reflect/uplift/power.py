"""What a measurement can show, before it is made and afterwards: the smallest effect for given tasks, and the tasks for an effect. Pure.

Both figures are of the same tests. Before, one has to assume on how many tasks the arms come out differently; afterwards that was seen.
"""

import math
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from langchain_reflect.errors import InvalidInput
from langchain_reflect.uplift.paired import YES_NO, Z80, Z95, Paired, log_binomial, mcnemar

DISCORDANCE: Final = 0.4
ALIKE: Final = 0.5
POWER: Final = 0.8
_EXACT: Final = 200
"""Independent tasks up to which the power of the exact test is computed; above, the normal approximation is within a point of it."""
_MOST: Final = 1_000_000
_LEAST: Final = 0.01
"""Differences up to it are not extrapolated: the number of tasks would be that of a rounding error."""
_FEWEST: Final = 6
"""With fewer independent units no choice of signs is rarer than 5 %."""
_HALVINGS: Final = 12
"""Effects are told to a four-thousandth."""


def detectable_effect(tasks: int, repeats: int = 1, *, discordance: float = DISCORDANCE, alike: float = ALIKE) -> float | None:
    """The smallest true difference that a paired measurement shows in four cases of five (80 % power, 95 % confidence).

    Args:
        tasks: Held-out tasks.
        repeats: Runs of each task in each arm.
        discordance: Share of tasks on which the two arms come out differently, by chance or not, 0 to 1; 0.4 is that of an agent that
            is right half of the time and wavers. With a steadier agent, smaller effects can be seen.
        alike: How much repeats of one task say the same, 0 to 1; with 1 (an agent without randomness) repeats add nothing.

    Returns:
        A difference of mean rewards in (0, 1]; None if not even 1 would be shown reliably.

    Raises:
        InvalidInput: A number is out of range.
    """
    _check(tasks=tasks, repeats=repeats)
    _check_shares(discordance=discordance, alike=alike)
    units = _units(tasks, repeats, alike)
    if _power(units, 1.0, discordance) < POWER:
        return None
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _power(units, middle, discordance) >= POWER else (middle, high)
    return high


def tasks_needed(effect: float, repeats: int = 1, *, discordance: float = DISCORDANCE, alike: float = ALIKE) -> int:
    """The fewest held-out tasks by which an effect of this size is shown in four cases of five; the inverse of `detectable_effect`.

    Args:
        effect: A difference of mean rewards in (0, 1].
        repeats: As for `detectable_effect`, like the others.
        discordance: See there.
        alike: See there.

    Raises:
        InvalidInput: A number is out of range, or the effect is too small to be shown by a million tasks.
    """
    _check(tasks=1, repeats=repeats)
    _check_shares(effect=effect, discordance=discordance, alike=alike)

    def shows(tasks: int) -> bool:
        return _power(_units(tasks, repeats, alike), effect, discordance) >= POWER

    high = 1
    while effect <= 0.0 or not shows(high):
        high *= 2
        if effect <= 0.0 or high > _MOST:
            raise InvalidInput(f"effect={effect!r} would take more than {_MOST:,} tasks; expected a difference of rewards up to 1")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shows(middle) else (middle, high)
    return high


def shown_by(found: Paired, tasks: int) -> tuple[float | None, int | None]:
    """What a measurement that was made can show, in four cases of five (80 % power, 95 % confidence).

    Args:
        found: What it said.
        tasks: Its tasks; more than its units if clusters of them are the units.

    Returns:
        The smallest true difference that so many such tasks show, None if not even 1 would be; and how many such tasks show a difference as
        large as the one that was seen, None if it is too small to tell (up to 0.01).
    """
    effect = abs(found.mean)
    if found.method == YES_NO:
        uneven = (found.wins + found.losses + 1) / (tasks + 2)  # with half a win, half a loss and an even pair, as in the intervals
        return detectable_effect(tasks, discordance=uneven), tasks_needed(effect, discordance=uneven) if effect > _LEAST else None
    shows = (Z95 + Z80) * found.error
    more = max(_FEWEST / found.units, (shows / effect) ** 2) if effect > _LEAST else None
    return shows if found.units >= _FEWEST and shows <= 1.0 else None, None if more is None else math.ceil(tasks * more)


def _units(tasks: int, repeats: int, alike: float) -> int:
    """Independent tasks that tell as much: repeats of one task count the less the more they are alike (the design effect of clusters)."""
    return int(tasks * repeats / (1.0 + (repeats - 1) * alike))


def _power(units: int, effect: float, discordance: float) -> float:
    """How often McNemar's exact test is below 5 % for a true effect; more tasks differ than the net gain alone makes differ."""
    uneven = max(discordance, effect)
    if units <= _EXACT:
        return _exact_power(units, effect, uneven)
    spread = math.sqrt(max(0.0, uneven - effect**2))
    needed = Z95 * math.sqrt(uneven) + Z80 * spread
    return POWER if effect * math.sqrt(units) >= needed else 0.0


def _exact_power(units: int, effect: float, uneven: float) -> float:
    share = min(1.0, (1.0 + effect / uneven) / 2.0) if uneven else 0.5
    reached = 0.0
    for count, chance in enumerate(_binomial(units, uneven)):
        most = _refuted_up_to(count)
        if most >= 0 and chance > 0.0:
            wins = _binomial(count, share)
            reached += chance * float(wins[: most + 1].sum() + wins[count - most :].sum())
    return reached


def _binomial(draws: int, share: float) -> NDArray[np.float64]:
    """Probabilities of 0 to `draws` hits."""
    if share in (0.0, 1.0):
        certain = np.zeros(draws + 1)
        certain[draws if share else 0] = 1.0
        return certain
    hits = np.arange(draws + 1)
    return np.asarray(np.exp(log_binomial(draws) + hits * math.log(share) + (draws - hits) * math.log1p(-share)), dtype=float)


@lru_cache(maxsize=1024)
def _refuted_up_to(uneven: int) -> int:
    """Most losses (or wins) among so many uneven tasks that refute "no difference" at 5 %; -1: none does."""
    most = -1
    while most + 1 < uneven - most - 1 and mcnemar(most + 1, uneven - most - 1) <= 0.05:  # noqa: PLR2004 - 95 % confidence
        most += 1
    return most


def _check(**counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise InvalidInput(f"{name}={value!r}; expected 1 or more")


def _check_shares(**shares: float) -> None:
    for name, value in shares.items():
        if not 0.0 <= value <= 1.0:
            raise InvalidInput(f"{name}={value!r}; expected 0 to 1")
