"""Runs LangGraph's own tests with every graph wrapped: `python scripts/upstream_gate.py SOURCE [PYTEST ARGUMENTS ...]`.

SOURCE is an unpacked source distribution or a checkout (`libs/langgraph`) of LangGraph with its `tests` folder. The interpreter that runs
this must have langchain-reflect and what those tests import. The tests run three times: bare, wrapped without lessons (nothing may differ),
and wrapped with two lessons in every run, where only tests may differ that assert the exact messages a node sees; each of those is named.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
HOWS = ("bare", "record", "lessons")


def main() -> int:
    """Run, compare, print; 1 if wrapping without lessons made a difference."""
    if len(sys.argv) < 2 or not (source := Path(sys.argv[1])).is_dir():  # noqa: PLR2004 - the source
        print(__doc__, file=sys.stderr)
        return 2
    results = {how: outcomes(source.resolve(), how, sys.argv[2:]) for how in HOWS}
    print(f"\n{'':10} {'tests':>6} {'passed':>7} {'failed':>7} {'only wrapped':>13}")
    differences = {how: differing(results["bare"], results[how]) for how in HOWS}
    for how in HOWS:
        found = list(results[how].values())
        print(f"{how:10} {len(found):6} {found.count('passed'):7} {found.count('failed'):7} {len(differences[how]):13}")
    for how in HOWS[1:]:
        for name in differences[how]:
            print(f"only {how}: {name}: {results['bare'].get(name, 'not run')} -> {results[how].get(name, 'not run')}")
    return 1 if differences["record"] or not results["bare"] else 0


def outcomes(source: Path, how: str, arguments: list[str]) -> dict[str, str]:
    """Outcome of each test, run one way."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "results.json"
        paths = os.pathsep.join(filter(None, [str(HERE), str(source), os.environ.get("PYTHONPATH", "")]))
        environ = {**os.environ, "REFLECT_GATE": how, "REFLECT_GATE_RESULTS": str(target), "PYTHONPATH": paths}
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "wrap_everything",
            "--tb=no",
            "-x" if "-x" in arguments else "--maxfail=100000",
        ]
        print(f"{how}: running the tests of {source.name}", flush=True)
        done = subprocess.run(
            [*command, *arguments], cwd=source, env=environ, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if not target.exists():
            print(done.stdout.decode(errors="replace")[-4000:], file=sys.stderr)
            return {}
        found: dict[str, str] = json.loads(target.read_text(encoding="utf-8"))
        return found


def differing(bare: dict[str, str], other: dict[str, str]) -> list[str]:
    """Tests that ended otherwise."""
    return sorted(name for name in bare.keys() | other.keys() if bare.get(name) != other.get(name))


if __name__ == "__main__":
    sys.exit(main())
