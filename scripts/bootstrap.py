"""Puts this checkout with its dependencies into a virtual environment: `python3 scripts/bootstrap.py .venv demo|dev`.

`demo` is what the demo needs, `dev` is all extras and the development group. uv installs if it can be had, else pip. Two things need care:

- Linux wheels of torch from the ordinary index bring several GB of GPU libraries. Only the CPU build is ever installed; where it cannot be
  had, the extra `local` is left out and lessons are embedded by Chroma's own build of the same model.
- uv does not read pip's configuration, so what pip is told (mirrors, wheel folders, certificates) is handed on for the run.
"""

import ast
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
EXTRAS = {"demo": ["demo"], "dev": ["all"]}
SELF = re.compile(r"langchain-reflect\[([\w,-]+)\]")
# How torch may be asked for, most ordinary first; each refuses rather than take a GPU build.
TORCH_SOURCES: dict[str, list[list[str]]] = {"uv": [[], ["--torch-backend", "cpu"]], "pip": [[]]}


def main() -> int:
    """Create the environment, install, and leave a stamp that tells `make` it is done."""
    venv, kind = Path(sys.argv[1]).absolute(), sys.argv[2]
    started = time.monotonic()
    python = create(venv)
    tool, install = installer(python)
    say(f"installing for `{kind}` with {tool}")
    without = set() if cpu_torch(tool, install) else {"local"}
    run([*install, "-e", str(ROOT), *requirements(kind, without)])
    for done in {kind, "demo"}:  # dev contains demo
        (venv / f".ready-{done}").touch()
    say(f"ready in {time.monotonic() - started:.0f} s")
    return 0


def create(venv: Path) -> Path:
    """The environment's Python; the environment is made if there is none."""
    python = venv / "bin" / "python"
    if not python.exists():
        say(f"creating {venv.name} with Python {sys.version.split()[0]}")
        run([sys.executable, "-m", "venv", str(venv)])
    return python


def installer(python: Path) -> tuple[str, list[str]]:
    """Name and command of the installer to use: uv, or pip where uv cannot be had."""
    quiet = [] if sys.stderr.isatty() else ["--quiet", "--quiet"]
    got_uv = succeeds([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"])
    if not got_uv:
        return "pip", [str(python), "-m", "pip", "install", "--no-compile", "--disable-pip-version-check", *quiet, "-c", str(CONSTRAINTS)]
    config = pip_config(python)
    if "cert" in config:
        os.environ.setdefault("SSL_CERT_FILE", config["cert"][-1])
    uv = [str(python.parent / "uv"), "pip", "install", "--python", str(python), *quiet, "-c", str(CONSTRAINTS)]
    return "uv", [*uv, *uv_options(config)]


def pip_config(python: Path) -> dict[str, list[str]]:
    """What pip is configured to, by option, from its files and its environment."""
    listed = subprocess.run([str(python), "-m", "pip", "config", "list"], check=False, capture_output=True, text=True).stdout
    found: dict[str, list[str]] = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        known = found.setdefault(key.rsplit(".", 1)[-1], [])
        known.extend(v for v in str(ast.literal_eval(value)).split() if v not in known)
    return found


def uv_options(config: dict[str, list[str]]) -> Iterator[str]:
    """Sources that pip knows, as options of uv; folders that are not there are passed over."""
    for option in ("index-url", "extra-index-url", "find-links"):
        for place in config.get(option, []):
            folder = place.removeprefix("file://")
            if not folder.startswith("/") or Path(folder).exists():
                yield from (f"--{option}", place)
    if "no-index" in config:
        yield "--no-index"
    yield from ("--index-strategy", "unsafe-best-match")  # the best version of all sources, as pip takes it


def cpu_torch(tool: str, install: Sequence[str]) -> bool:
    """Whether sentence-transformers will find a torch without GPU libraries; on Linux it is installed here, by its exact build."""
    if not sys.platform.startswith("linux"):
        return True
    pinned = next(line for line in CONSTRAINTS.read_text().splitlines() if line.startswith("torch=="))
    if any(succeeds([*install, *source, f"{pinned}+cpu"]) for source in TORCH_SOURCES[tool]):
        return True
    say("no CPU build of torch can be had here: going on without the extra `local` (Chroma's own embedding model is used)")
    return False


def requirements(kind: str, without: set[str]) -> list[str]:
    """The plain requirements of what `kind` needs, extras that name other extras resolved."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras: dict[str, list[str]] = project["project"]["optional-dependencies"]

    def plain(names: Sequence[str]) -> Iterator[str]:
        for requirement in (r for name in names if name not in without for r in extras[name]):
            inner = SELF.fullmatch(requirement)
            yield from plain(inner[1].split(",")) if inner else [requirement]

    group = project["dependency-groups"]["dev"] if kind == "dev" else []
    return sorted({*plain(EXTRAS[kind]), *group})


def say(text: str) -> None:
    """Tell the person who waits."""
    print(f"setup: {text}", flush=True)


def run(command: Sequence[str]) -> None:
    """Run a command; stop with its exit code if it fails."""
    code = subprocess.run(command, check=False).returncode
    if code:
        sys.exit(code)


def succeeds(command: Sequence[str]) -> bool:
    """Whether a command succeeds; what it says is of no interest."""
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
