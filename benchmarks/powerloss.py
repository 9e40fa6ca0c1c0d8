"""What a power cut costs: acknowledged outcomes that are gone when the ledger is opened again, for both durabilities.

A child records outcomes and tells each acknowledged id; it is killed at a random moment. A preloaded shim (`powerloss_shim.c`, compiled at
run time) has kept what is certain to be on the disk: each file as of its last fsync, each name as of the last fsync of its folder. That
copy is opened as a ledger in a fresh process. `fast` has to lose something, else the shim sees nothing; `full` must not. It needs Linux and
a C compiler. Run it with `python benchmarks/powerloss.py [--cuts N] [--seed N]`.
"""

import argparse
import json
import os
import platform
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid4

SHIM = Path(__file__).with_name("powerloss_shim.c")
DURABILITIES = ("full", "fast")
ID = 16
BEFORE = 600  # outcomes recorded before the clock starts, fewer than this, so that some cuts come after a checkpoint (at some 370)
LIMITS = (
    "The model is the least a disk may hold: nothing that was not synced, everything that was. It does not cover disks that lie about a\n"
    "flush, torn pages, unsynced writes or metadata that reach the disk early or in another order, or a cut in the middle of an fsync."
)


class Cut(NamedTuple):
    """One power cut: what was acknowledged, what of it is missing, what is wrong with the ledger, and whether it had checkpointed."""

    acknowledged: int
    lost: int
    broken: str
    checkpointed: bool


def record(folder: str, durability: str) -> None:
    """The child: record outcomes until killed, and tell each id once it is acknowledged."""
    from langchain_reflect import Ledger

    ledger = Ledger(folder, durability="full" if durability == "full" else "fast")
    while True:
        episode = uuid4()
        ledger.record_outcome(episode, reward=1.0, source="t")
        os.write(1, episode.bytes)


def check(folder: str) -> None:
    """The fresh process: read ids from stdin, print how many of them the ledger lacks and what is wrong with it."""
    from langchain_reflect import Ledger

    told = sys.stdin.buffer.read()
    ids = [UUID(bytes=told[at : at + ID]) for at in range(0, len(told), ID)]
    lost, broken = len(ids), ""
    try:
        with Ledger(folder) as ledger:
            lost = sum(not ledger.outcomes(one) for one in ids)
        connection = sqlite3.connect(Path(folder) / "ledger.db")
        [verdict] = connection.execute("PRAGMA integrity_check(1)").fetchone()
        connection.close()
        broken = "" if verdict == "ok" else verdict
    except Exception as error:  # noqa: BLE001 - whatever it is, the ledger does not open
        broken = f"{type(error).__name__}: {error}"
    print(json.dumps([lost, broken]))


def compiled(folder: Path) -> Path | None:
    """The shim as a shared object; None if there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    shim = folder / "powerloss_shim.so"
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", shim, SHIM, "-ldl", "-lpthread"], check=True)
    return shim


def cut(shim: Path, folder: Path, durability: str, before: int, seconds: float) -> Cut:
    """Let a child record so many outcomes and then for some time, cut the power, and look at what the disk holds.

    Raises:
        RuntimeError: The child or the check ended on its own.
    """
    root, disk = folder / "ledger", folder / "disk"
    root.mkdir()
    disk.mkdir()
    preload = {"LD_PRELOAD": str(shim), "POWERLOSS_ROOT": str(root), "POWERLOSS_SHADOW": str(disk)}
    command = [sys.executable, __file__]
    with subprocess.Popen(
        [*command, "--record", root, durability],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **preload},
        bufsize=0,
    ) as child:
        assert child.stdout is not None
        told = b""
        while len(told) <= before * ID and (more := child.stdout.read(ID * 64)):
            told += more
        time.sleep(seconds)
        child.kill()
        rest, complaint = child.communicate()
    if child.returncode != -signal.SIGKILL:
        raise RuntimeError(f"the child ended on its own with {child.returncode}: {complaint.decode()}")
    told += rest
    checkpointed = _restarted(disk / "ledger.db-wal")
    checked = subprocess.run([*command, "--check", disk], input=told, stdout=subprocess.PIPE, check=True)
    lost, broken = json.loads(checked.stdout)
    return Cut(len(told) // ID, lost, broken, checkpointed)


def _restarted(wal: Path) -> bool:
    """Whether a WAL began anew after a checkpoint: its header counts them."""
    return wal.exists() and wal.stat().st_size >= 16 and int.from_bytes(wal.read_bytes()[12:16], "big") > 0


def measure(shim: Path, cuts: int, seed: int) -> dict[str, list[Cut]]:
    """All cuts, the durabilities taking turns."""
    moment = random.Random(seed)
    found: dict[str, list[Cut]] = {durability: [] for durability in DURABILITIES}
    for _ in range(cuts):
        for durability in DURABILITIES:
            with tempfile.TemporaryDirectory() as folder:
                before, seconds = moment.randrange(BEFORE), moment.uniform(0.02, 0.2)
                found[durability].append(cut(shim, Path(folder).resolve(), durability, before, seconds))
    return found


def show(found: dict[str, list[Cut]]) -> bool:
    """Print the table; returns whether `full` lost nothing, `fast` lost something and every ledger opened."""
    print(
        f"{'durability':10} {'cuts':>5} {'acknowledged':>13} {'lost':>6} {'cuts that lost':>15} {'most in one cut':>16}"
        f" {'do not open':>12} {'after a checkpoint':>19}"
    )
    for durability, rows in found.items():
        print(
            f"{durability:10} {len(rows):5} {sum(row.acknowledged for row in rows):13} {sum(row.lost for row in rows):6} "
            f"{sum(row.lost > 0 for row in rows):15} {max(row.lost for row in rows):16} {sum(bool(row.broken) for row in rows):12} "
            f"{sum(row.checkpointed for row in rows):19}"
        )
    complaints = {row.broken for rows in found.values() for row in rows if row.broken}
    for complaint in sorted(complaints):
        print(f"does not open, or fails the integrity check: {complaint}")
    print(f"\nSQLite {sqlite3.sqlite_version}, {platform.system()} {platform.release()}.\n{LIMITS}")
    blind = not any(row.lost for row in found["fast"])
    if blind:
        print("The control failed: `fast` lost nothing, so the shim sees nothing and the figures mean nothing.")
    return not blind and not complaints and not any(row.lost for row in found["full"])


def main() -> int:
    """Cut the power many times and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cuts", type=int, default=30, help="power cuts for each durability")
    parser.add_argument("--seed", type=int, default=0, help="of the moments; what the child has written by then still varies")
    parser.add_argument("--record", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--check", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.record:
        record(*asked.record)
    if asked.check:
        check(asked.check)
        return 0
    if asked.cuts < 1:
        parser.error("--cuts must be at least 1")
    with tempfile.TemporaryDirectory() as folder:
        shim = compiled(Path(folder)) if sys.platform == "linux" else None
        if shim is None:
            print("no power cut was modelled: it needs Linux and a C compiler (cc or gcc)")
            return 0
        return 0 if show(measure(shim, asked.cuts, asked.seed)) else 1


if __name__ == "__main__":
    sys.exit(main())
