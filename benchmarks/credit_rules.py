"""How lessons are promoted and retired elsewhere, written anew for `credit.py`. Each rule looks only at runs in which the lesson was shown.

A rule gets the rewards of those runs, in the order in which they were judged, and tells after each whether it would promote and whether it
would retire. Rewards of NaN are padding behind the last run and never decide.
"""

from collections.abc import Callable

import numpy as np

Told = tuple[np.ndarray, np.ndarray]
"""Promote and retire, for each run of each draw."""
FEWEST = 10
"""Runs before the first three rules decide anything."""


def success_rate(reward: np.ndarray, recent: np.ndarray) -> Told:
    """Beta posterior of the success rate (uniform prior), against the mean reward of the last 50 runs of the store.

    Promote if the rate is higher with a probability of 95 %, retire if it is lower with 95 % (normal approximation of the posterior). The
    textbook rule for "does this item do better than what we usually get".
    """
    count = np.arange(1, reward.shape[1] + 1)
    good = 1 + np.nancumsum(reward, axis=1)
    mean = good / (count + 2)
    z = (mean - recent) / np.sqrt(mean * (1 - mean) / (count + 3))
    return _late(reward, z >= 1.645), _late(reward, z <= -1.645)


def utility_per_use(reward: np.ndarray, recent: np.ndarray) -> Told:
    """Delete once it was used 5 times or more and its utility (number of successes) is less than half of that; promotes nothing.

    Source: ReMe, "Remember Me, Refine Me" (arXiv 2512.10696) and its `DeleteMemoryOp`.
    """
    del recent
    count = np.arange(1, reward.shape[1] + 1)
    share = np.nancumsum(reward >= 0.5, axis=1) / count
    never = np.zeros(reward.shape, bool)
    return never, (share < 0.5) & (count >= 5) & ~np.isnan(reward)


def running_q(reward: np.ndarray, recent: np.ndarray) -> Told:
    """Q value: mean of the rewards of runs that had it, from 0.5 on; better than 0.6 promotes, worse than 0.4 retires.

    Source: MemRL (arXiv 2601.03192) ranks by such a value. The two limits are ours, since it decides nothing by it.
    """
    del recent
    count = np.arange(1, reward.shape[1] + 1)
    value = (0.5 + np.nancumsum(reward, axis=1)) / (count + 1)
    return _late(reward, value > 0.6), _late(reward, value < 0.4)


def votes(reward: np.ndarray, recent: np.ndarray) -> Told:
    """A counter that begins at 2, one up for each success and one down for each failure; promote at 7, retire at 0.

    Source: counters of ExpeL (arXiv 2308.10144: begins at 2, dropped at 0) and of ACE (arXiv 2510.04618: helpful and harmful). There a
    model votes; here it votes as well as it can, by the true outcome. The limit for promotion is ours.
    """
    del recent
    counter = 2 + np.nancumsum(np.where(np.isnan(reward), 0.0, np.where(reward >= 0.5, 1.0, -1.0)), axis=1)
    return (counter >= 7) & ~np.isnan(reward), (counter <= 0) & ~np.isnan(reward)


RULES: dict[str, Callable[[np.ndarray, np.ndarray], Told]] = {
    "success rate, Beta": success_rate,
    "utility/use < 0.5": utility_per_use,
    "running Q": running_q,
    "votes": votes,
}


def _late(reward: np.ndarray, decided: np.ndarray) -> np.ndarray:
    decided = decided & ~np.isnan(reward)
    decided[:, : FEWEST - 1] = False
    return decided
