"""Seeds of runs: runs that are to be compared have the same, all others are independent of each other."""

from typing import Final

import numpy as np

SEED_KEY: Final = "reflect_seed"
"""Key of a run's metadata that holds its seed, equal for runs that are to be compared; a model that can be seeded may read it."""


def seeds(seed: int, count: int) -> list[int]:
    """Seeds of runs, drawn from one seed.

    Args:
        seed: The one; any whole number.
        count: How many.
    """
    drawn = np.random.SeedSequence(abs(seed), spawn_key=(1,) if seed < 0 else ())
    return [int(s) for s in np.random.default_rng(drawn).integers(2**31, size=count)]


def seed_of(seed: int, *path: int) -> int:
    """Seed of one run of many: runs whose paths differ are independent of each other, whatever their number.

    Args:
        seed: That all are drawn from.
        path: Which run, such as epoch, task and rollout; none of them negative.

    Returns:
        0 to 2**31 - 1, as most models take it.
    """
    drawn = np.random.SeedSequence(abs(seed), spawn_key=(int(seed < 0), *path))
    return int(drawn.generate_state(1)[0] >> 1)
