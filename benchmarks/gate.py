"""How often the gate of `practice` lets a useless draft in, and a good one, with and without correction for the number of drafts.

Five drafts are tried on a few validation tasks, run once each, whose rewards are 0 or 1. Either all are useless, or one of them raises the
chance of each task by 60 points. `once` is a test for each draft by itself, `divided` the same with the risk divided by the number of
drafts (Bonferroni), `gate` what `practising.gate.wins` does.

    python benchmarks/gate.py [--draws 800]
"""

import argparse
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from langchain_reflect.practising.gate import wins

DRAFTS, RISK, GAIN = 5, 0.2, 0.6
TASKS = (3, 4, 5, 6, 8, 10)
CHANCES: tuple[float | str, ...] = (0.1, 0.3, 0.5, 0.8, "mixed")
Gains = NDArray[np.float64]


def gains(rng: np.random.Generator, tasks: int, chance: float | str, *, is_one_good: bool) -> Gains:
    """What each draft adds to each task, shape `(drafts, tasks)`."""
    alone = rng.choice([0.05, 0.5, 0.95], tasks) if isinstance(chance, str) else np.full(tasks, chance)
    bare = rng.random(tasks) < alone
    runs = rng.random((DRAFTS, tasks)) < alone
    if is_one_good:
        runs[0] = rng.random(tasks) < np.minimum(1.0, alone + GAIN)
    return runs.astype(float) - bare


def once(drafts: Gains) -> bool:
    """Whether a draft is kept if each is tested by itself."""
    return any(wins([each])[0][0] for each in drafts.tolist())


def divided(drafts: Gains) -> bool:
    """Whether one is kept if the risk is divided by their number."""
    return any(wins([each], risk=RISK / DRAFTS)[0][0] for each in drafts.tolist())


def gate(drafts: Gains) -> bool:
    """Whether the gate keeps one."""
    return any(won for won, _ in wins(drafts.tolist()))


RULES: Sequence[Callable[[Gains], bool]] = (once, divided, gate)


def kept(rng: np.random.Generator, draws: int, tasks: int, chance: float | str, *, is_one_good: bool) -> list[float]:
    """For each rule, in what share of draws it keeps a draft."""
    drawn = [gains(rng, tasks, chance, is_one_good=is_one_good) for _ in range(draws)]
    return [float(np.mean([rule(drafts) for drafts in drawn])) for rule in RULES]


def main() -> None:
    """Simulate and print."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--draws", type=int, default=800)
    draws = given.parse_args().draws
    rng = np.random.default_rng(1)
    table = Table(title=f"How often a draft of five is kept, {draws} draws", caption="success: of the tasks, without a lesson")
    for name in ("tasks", "success", *(f"useless: {r.__name__}" for r in RULES), *(f"one +60: {r.__name__}" for r in RULES)):
        table.add_column(name, justify="right")
    for tasks in TASKS:
        for chance in CHANCES:
            shares = [share for good in (False, True) for share in kept(rng, draws, tasks, chance, is_one_good=good)]
            table.add_row(str(tasks), str(chance), *(f"{share:.0%}" for share in shares))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
