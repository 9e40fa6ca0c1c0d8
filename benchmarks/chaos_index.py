"""What becomes of recall when the index is damaged, down, hung, full, read-only, forked or owned by somebody else.

Each case runs in a process of its own, which must survive and answer each query as a comparison with every vector in the ledger does:
at once, again when the index has come back, and with a lesson that was written meanwhile.

    python benchmarks/chaos_index.py                     # all cases, one table
    python benchmarks/chaos_index.py --only damage --naive  # and what Chroma alone does with each damaged folder
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chaos_cases import DAMAGE, NAIVE, Answers, make_template
from chaos_trouble import TROUBLE

CASES = {**DAMAGE, **TROUBLE}
PATIENCE = 90.0
"""Seconds for one case."""


@dataclass
class Row:
    """What became of one case."""

    group: str
    case: str
    deaths: int = 0
    wrong: int = 0
    asked: int = 0
    unseen: int = 0
    """Lessons of others that were not found at the next recall."""
    slowest: float = 0.0
    """Seconds of the slowest query."""
    embedded: int = 0
    """Texts that were embedded again although their vectors were in the ledger."""
    note: str = ""


def run(case: Callable[[Path], Answers], template: Path) -> tuple[str, dict[str, Any]]:
    """How the case's process ended ("" if well), and what it found."""
    with tempfile.TemporaryDirectory() as home:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _work(case, template, Path(home), writing)
        os.close(writing)
        ended = _end_of(child)
        with os.fdopen(reading, "rb") as pipe:
            os.set_blocking(pipe.fileno(), False)
            told = pipe.read() or b""
    return ended, json.loads(told) if told else {}


def _work(case: Callable[[Path], Answers], template: Path, home: Path, pipe: int) -> None:
    code = 1
    try:
        os.setsid()
        os.write(pipe, json.dumps(asdict(case(_copied(template, home)))).encode())
        code = 0
    except BaseException:  # noqa: BLE001 - the parent is told by the exit code
        traceback.print_exc()
    finally:
        os._exit(code)


def _copied(template: Path, home: Path) -> Path:
    return Path(shutil.copytree(template, home / "home"))


def _end_of(child: int) -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return "" if code == 0 else f"ended with {code}"
        time.sleep(0.01)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return f"hung for {PATIENCE:g} s"


def rows(only: str, template: Path) -> Iterator[Row]:
    """All cases, one after the other."""
    for (group, name), case in CASES.items():
        if only == "all" or group in only.split(","):
            ended, found = run(case, template)
            yield Row(group, name, deaths=int(bool(ended)), **found) if not ended else Row(group, name, deaths=1, note=ended)


def main() -> int:
    """Print the table; exit code 1 if anybody died or answered wrongly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="all", help=f"some of {', '.join(sorted({group for group, _ in CASES}))}, with commas between")
    parser.add_argument("--naive", action="store_true", help="also what Chroma alone does with each damaged folder")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "template"
        _make(template)
        made = list(_shown(rows(chosen.only, template), quiet=chosen.json))
        if chosen.naive:
            _print_naive(template)
    if chosen.json:
        print(json.dumps([asdict(row) for row in made]))
    else:
        print(
            f"\n{len(made)} cases: {sum(r.deaths for r in made)} deaths, {sum(r.wrong for r in made)} of {sum(r.asked for r in made)}"
            f" answers wrong, {sum(r.unseen for r in made)} lessons unseen, slowest query {max(r.slowest for r in made):.3f} s"
        )
    return int(any(row.deaths or row.wrong or row.unseen for row in made))


def _make(template: Path) -> None:
    """Make the folder that every case gets a copy of; in a child, so that this process never opens Chroma and can be forked."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            make_template(template)
            code = 0
        except BaseException:  # noqa: BLE001 - the parent is told by the exit code
            traceback.print_exc()
        finally:
            os._exit(code)
    if ended := _end_of(child):
        raise SystemExit(f"the folder for all cases could not be made: {ended}")


def _shown(made: Iterator[Row], *, quiet: bool) -> Iterator[Row]:
    for row in made:
        if not quiet:
            ok = "ok " if not (row.deaths or row.wrong or row.unseen) else "BAD"
            print(
                f"{ok} {row.group:8} {row.case:36} {row.asked - row.wrong:4}/{row.asked:<4} slow{row.slowest * 1000:5.0f} ms  {row.note}",
                flush=True,
            )
        yield row


def _print_naive(template: Path) -> None:
    for name, case in NAIVE.items():
        ended, found = run(case, template)
        print(f"Chroma alone, {name:32} {ended or found['note']}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
