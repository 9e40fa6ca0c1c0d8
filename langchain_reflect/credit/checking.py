"""Evidence that cannot be meant is refused before anything is computed from it."""

import numpy as np

from langchain_reflect.credit.columns import Episodes, Exposures, Floats
from langchain_reflect.errors import InvalidInput


def check_episodes(episodes: Episodes) -> None:
    """See that the columns are of one length and their values in range.

    Raises:
        InvalidInput: They are not.
    """
    columns = {name: getattr(episodes, name) for name in Episodes.__slots__}
    _check_lengths(columns, "Episodes")
    _check_range(episodes.reward[~np.isnan(episodes.reward)], "reward", "in [0, 1], or NaN if not judged")
    for name in ("chance", "control", "treated", "draws"):
        _check_range(columns[name], name, "a probability in [0, 1]")
    if np.any(np.isnan(episodes.at) & ~np.isnan(episodes.reward)):
        raise InvalidInput("an episode has a reward and no time `at` which it was judged; expected seconds since 1970")


def check_exposures(exposures: Exposures, episodes: Episodes) -> None:
    """See that the columns are of one length, their values in range, and their episodes among these.

    Raises:
        InvalidInput: They are not.
    """
    _check_lengths({name: getattr(exposures, name) for name in Exposures.__slots__}, "Exposures")
    _check_range(exposures.probability, "probability", "in [0, 1]")
    if len(exposures.episode) and not 0 <= exposures.episode.min() <= exposures.episode.max() < len(episodes.id):
        raise InvalidInput(f"an exposure's `episode` is {exposures.episode.max()}; expected a row of the {len(episodes.id)} episodes")


def _check_lengths(columns: dict[str, np.ndarray], what: str) -> None:
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidInput(f"the columns of {what} differ in length: {lengths}; expected one row each per entry")


def _check_range(values: Floats, name: str, expected: str) -> None:
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        raise InvalidInput(f"{name} is {float(values[wrong].flat[0])!r}; expected a number {expected}")
