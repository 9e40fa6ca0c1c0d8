"""Runs the benchmarks that are worth repeating, one after the other, each of which prints its tables.

make bench                                    # all of them, in their short form
make bench ARGS="recall --sizes 100000"       # one of them, with arguments of its own
"""

import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).parents[1] / "benchmarks"
SHORT = {
    "recall": ["--quick"],
    "retrieval_quality": [],
    "chaos_index": ["--only", "live,server,process"],
    "overhead": ["5"],
}


def main(given: list[str]) -> int:
    """The number of benchmarks that failed."""
    name, *rest = given or [""]
    if name and not (HOME / f"{name}.py").exists():
        known = ", ".join(sorted(SHORT))
        print(f"There is no benchmark {name!r}; usual are {known}, others stand in {HOME}.", file=sys.stderr)
        return 1
    failed = 0
    for each, arguments in ({name: rest} if name else SHORT).items():
        print(f"\n## {each}", flush=True)
        failed += subprocess.run([sys.executable, str(HOME / f"{each}.py"), *arguments], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
