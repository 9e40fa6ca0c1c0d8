"""Runs the benchmarks that are worth repeating, one after the other, each of which prints its tables.

make bench                                    # all of them, in their short form
make bench ARGS="recall --sizes 100000"       # one of them, with arguments of its own

Those that read recorded data are passed over where there is none; `REFLECT_DATA` names its folder.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOME = ROOT / "benchmarks"
DATA = Path(os.environ.get("REFLECT_DATA", ROOT / ".." / "shared" / "data"))


@dataclass(frozen=True)
class Short:
    """The short form of a benchmark."""

    arguments: Sequence[str]
    minutes: float
    """A rough guess; several times as long where others use the machine."""
    recorded: bool = False
    """Whether it needs recorded data."""


SHORT = {
    "recall": Short(["--quick"], 5),
    "retrieval_quality": Short([], 5, recorded=True),
    "chaos_index": Short(["--only", "live,server,process"], 5),
    "overhead": Short(["5"], 4),
    "credit": Short(["--quick"], 5),
    "uplift_recorded": Short(["--orders", "3"], 5, recorded=True),
}


def main(given: list[str]) -> int:
    """The number of benchmarks that failed."""
    name, *rest = given or [""]
    if name and not (HOME / f"{name}.py").exists():
        known = ", ".join(sorted(SHORT))
        print(f"There is no benchmark {name!r}; usual are {known}, others stand in {HOME}.", file=sys.stderr)
        return 1
    if name:
        return int(not succeeds(name, rest))
    chosen = {each: short for each, short in SHORT.items() if DATA.is_dir() or not short.recorded}
    for each in SHORT.keys() - chosen.keys():
        print(f"{each} is left out: no recorded data in {DATA}; set REFLECT_DATA")
    print(f"{', '.join(chosen)}: about {sum(short.minutes for short in chosen.values()):.0f} minutes together.")
    failed = 0
    for each, short in chosen.items():
        print(f"\n## {each}, about {short.minutes:.0f} min", flush=True)
        started = time.monotonic()
        failed += not succeeds(each, short.arguments)
        print(f"\n{each} took {(time.monotonic() - started) / 60:.1f} min", flush=True)
    return failed


def succeeds(name: str, arguments: Sequence[str]) -> bool:
    """Whether a benchmark ends well; it prints by itself."""
    return subprocess.run([sys.executable, str(HOME / f"{name}.py"), *arguments], check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
