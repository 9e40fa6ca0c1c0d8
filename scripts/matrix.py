"""Runs the drop-in tests on every supported Python with the lowest and the newest LangGraph: `python3 scripts/matrix.py [VERSION ...]`.

Each combination gets an environment of its own, without torch. The lowest versions are the floors of `pyproject.toml`, the newest are
what the index has today. A Python that this machine does not have is said to be missing.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from bootstrap import ROOT, pip_config, uv_options

PYTHONS = ("3.11", "3.12", "3.13")
FLOORED = ("langchain", "langchain-core", "langgraph")
NEEDED = ["pytest", "pytest-asyncio", "pytest-socket", "pytest-timeout", "hypothesis", "blockbuster", "langgraph-checkpoint-sqlite"]
LENIENT = ["-W", "ignore::pytest.PytestUnraisableExceptionWarning"]
"""Python 3.13 warns of database connections that threads hold which tests leave hanging on purpose."""
TESTS = ["tests/unit_tests/conformance", "tests/unit_tests/agents", "tests/unit_tests/recording"]


def main() -> int:
    """Try every combination and print one table; 1 if one failed."""
    rows = [try_out(python, which) for python in sys.argv[1:] or PYTHONS for which in ("lowest", "newest")]
    print(f"\n{'Python':8} {'versions':8} {'langgraph':10} {'langchain':10} {'core':8} result")
    for row in rows:
        print(f"{row[0]:8} {row[1]:8} {row[2]:10} {row[3]:10} {row[4]:8} {row[5]}")
    return 1 if any("failed" in row[-1] or "error" in row[-1] for row in rows) else 0


def try_out(python: str, which: str) -> tuple[str, ...]:
    """One row: install, test, tell."""
    if shutil.which(f"python{python}") is None or run([f"python{python}", "--version"]).returncode:
        return python, which, "-", "-", "-", "missing on this machine"
    with tempfile.TemporaryDirectory() as folder:
        print(f"Python {python}, {which}", flush=True)
        inside = Path(folder) / "bin" / "python"
        for command in commands(python, which, inside):
            done = run(command)
            if done.returncode:
                return python, which, "-", "-", "-", f"error: {(done.stderr or done.stdout).strip()[-300:]}"
        script = "from importlib.metadata import version as v; print(v('langgraph'), v('langchain'), v('langchain-core'))"
        versions = run([str(inside), "-c", script]).stdout.split()
        tested = run([str(inside), "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", "--tb=no", *LENIENT, *TESTS])
        summary = tested.stdout.strip().splitlines() or [tested.stderr[-300:]]
        for line in summary:
            if line.startswith(("FAILED", "ERROR")):
                print(" ", line, flush=True)
        return python, which, *versions, summary[-1].strip("= ")


def commands(python: str, which: str, inside: Path) -> list[list[str]]:
    """What makes the environment; uv if it can be had, because it resolves in seconds."""
    uv = [str(inside.parent / "uv"), "pip", "install", "--quiet", "--python", str(inside), *uv_options(pip_config(Path(sys.executable)))]
    chosen = floors() if which == "lowest" else [f"{name}<2" for name in FLOORED]
    upgrade = [] if which == "lowest" else ["--upgrade"]
    return [
        [f"python{python}", "-m", "venv", str(inside.parent.parent)],
        [str(inside), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"],
        [*uv, *upgrade, "-e", str(ROOT), *NEEDED, *chosen],
    ]


def floors() -> list[str]:
    """The lowest versions that `pyproject.toml` allows, as pins."""
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    found = (re.match(r"([\w-]+)>=([\d.]+)", line) for line in dependencies)
    return [f"{match[1]}=={match[2]}" for match in found if match and match[1] in FLOORED]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run it in the checkout and keep what it says."""
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)


if __name__ == "__main__":
    sys.exit(main())
