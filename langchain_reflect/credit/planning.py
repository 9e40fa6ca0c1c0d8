"""How many more runs it takes until a question is settled."""

import math
from typing import Final

import numpy as np

from langchain_reflect.credit.betting import DECIDED
from langchain_reflect.credit.columns import Floats
from langchain_reflect.credit.comparing import Figures

MANY: Final = 10_000
"""Beyond that nobody waits: what is so small does not matter either."""
_SPLIT: Final = 1.0
"""What it costs, in logs, that most of the capital bets on other effects than the true one."""


def more_runs(found: Figures, mean: Floats, deviation: Floats) -> list[int | None]:
    """Units that each comparison needs, on average, until it is decided; 0: it is, None: more than `MANY`.

    The log of the evidence grows by about `p(1 - p) d^2 / 2m(1 - m)` per unit if the effect is `d`. For `d^2` stands its expectation, so
    what nobody knows yet is thought to be as large as effects usually are, and what turns out to be near 0 takes for ever.

    Args:
        found: The comparisons.
        mean: What each effect most likely is.
        deviation: Standard deviation of what it may be.

    Source: growth rate of the log-optimal bet; Grünwald, de Heide, Koolen, "Safe testing" (arXiv 1906.07801).
    """
    reached = np.where(mean >= 0, found.raised, found.lowered)
    growth = found.weight * (mean**2 + deviation**2) / (2 * np.maximum(found.variance, 0.01))
    missing = np.log(DECIDED) + _SPLIT - np.minimum(reached, np.log(DECIDED))
    with np.errstate(divide="ignore", invalid="ignore"):
        runs = np.where(growth > 0, missing / growth, np.inf)
    decided = np.maximum(found.raised, found.lowered) >= np.log(DECIDED)
    return [0 if done else None if n > MANY else _rounded(n) for done, n in zip(decided.tolist(), runs.tolist(), strict=True)]


def _rounded(runs: float) -> int:
    """To two digits: it is an estimate."""
    step = 10.0 ** max(0, math.floor(math.log10(max(runs, 1.0))) - 1)
    return int(math.ceil(runs / step) * step)
