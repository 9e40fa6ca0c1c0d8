"""A PostgreSQL server that crashes again and again under 8 clients: what is lost, what is there twice, and how long a call has to wait.

Each client is a process that saves episodes and records outcomes through `Ledger(url)` with its own patience, and tells through a pipe what
was acknowledged, and how long that took. The server, with all its processes, is killed every 1 to 3 s, and started again at once; after the
last start every acknowledged episode and outcome is looked for. `full` must lose nothing. `fast` turns `synchronous_commit` off, which is
printed beside it for what it costs: the server acknowledges commits that it has still to write.

    longest call  most seconds that a call of a client took, from the first try to the acknowledgement
    errors        calls that gave up, though an outage is shorter than their patience (30 s)

What the server had given to the operating system survives a killed process; for the rest of a power cut the server relies on its fsync,
which is on. Run it with `python benchmarks/pgchaos.py [--times N] [--commit on|off|both] [--seed N]`; it needs fork. The exit code is 1 if
`full` lost something, or if anything was there twice, contradictory, or an error.
"""

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Literal
from uuid import UUID, uuid4

import psycopg
from crashing import EPISODE, ERROR, OUTCOME, READY, Child, Crew, Stop, Tell, Told
from sqlalchemy import create_engine, func, select

from langchain_reflect import Ledger
from langchain_reflect.ledger import tables
from langchain_reflect.testing.postgres import PostgresServer
from langchain_reflect.types import Episode

Durability = Literal["full", "fast"]
CLIENTS = 8
SHORTEST, LONGEST = 1.0, 3.0
COMMITS: dict[str, tuple[Durability, ...]] = {"on": ("full",), "off": ("fast",), "both": ("full", "fast")}


@dataclass
class Row:
    """What became of one durability."""

    durability: Durability
    crashes: int = 0
    acknowledged: int = 0
    lost: int = 0
    duplicated: int = 0
    longest: float = 0.0
    errors: int = 0
    restart: float = 0.0
    """Most seconds from a crash until the server took connections again."""
    seconds: float = 0.0
    megabytes: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether it kept its promise."""
        lost = self.lost if self.durability == "full" else 0
        return not (lost or self.duplicated or self.errors or self.problems)


def submit(tell: Tell, *, url: str, durability: Durability) -> None:
    """A client: an episode and its outcome, again and again."""
    stop, ledger = Stop(), Ledger(url, durability=durability)
    tell(READY)
    while not stop.asked:
        episode = Episode(id=uuid4(), task="read the gauge", task_key=f"gauge-{os.getpid()}", result="it says seven")
        begun = time.monotonic()
        try:
            ledger.save_episode(episode)
            saved = time.monotonic()
            tell(EPISODE, episode.id, seconds=saved - begun)
            ledger.record_outcome(episode.id, reward=0.0, source="verifier", key="gauge")
            tell(OUTCOME, episode.id, seconds=time.monotonic() - saved)
        except Exception as error:  # noqa: BLE001 - whatever a call raises is an error that the table counts
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            tell(ERROR, seconds=time.monotonic() - begun)
    ledger.close()


def check(_: Tell, *, url: str, row: Row, episodes: set[UUID], outcomes: set[UUID], answer: Path) -> None:
    """The fresh process that compares the ledger with what was acknowledged."""
    table = tables.outcomes.c
    engine = create_engine(url)
    with engine.connect() as connection:
        saved = set(connection.execute(select(tables.episodes.c.id)).scalars())
        counts = select(table.episode_id, func.count()).group_by(table.namespace, table.episode_id, table.source, table.key)
        recorded = {found[0]: found[1] for found in connection.execute(counts)}
    with Ledger(url) as ledger:
        row.problems = ledger.verify()
    row.lost = len(episodes - saved) + len(outcomes - recorded.keys())
    row.duplicated = sum(number - 1 for number in recorded.values())
    answer.write_text(json.dumps(asdict(row)))


def measure(durability: Durability, times: int, seed: int, folder: Path) -> tuple[Row, str]:
    """Crash a server so often, and compare; also its version."""
    moment, row = random.Random(seed), Row(durability)
    episodes: set[UUID] = set()
    outcomes: set[UUID] = set()

    def hear(_: Child, told: Told) -> None:
        row.longest = max(row.longest, told.seconds)
        row.errors += told.kind == ERROR
        if told.kind == EPISODE:
            episodes.add(told.id)
        elif told.kind == OUTCOME:
            outcomes.add(told.id)

    with PostgresServer(fsync=True) as server, Crew(hear) as crew:
        url = server.create("chaos")
        crew.run("preparation", lambda _: Ledger(url).close())
        crew.wait_ready(*[crew.start("client", partial(submit, url=url, durability=durability), n) for n in range(CLIENTS)])
        started = time.monotonic()
        for _ in range(times):
            crew.listen(moment.uniform(SHORTEST, LONGEST))
            server.kill()
            down = time.monotonic()
            server.start()
            row.restart = max(row.restart, time.monotonic() - down)
            row.crashes += 1
        crew.listen(SHORTEST)
        crew.dismiss()
        row.seconds = time.monotonic() - started
        row.acknowledged = len(episodes) + len(outcomes)
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            number = connection.info.server_version
            [size] = connection.execute("SELECT pg_database_size(current_database())").fetchone() or (0,)
        row.megabytes = size / 1e6
        crew.run("check", partial(check, url=url, row=row, episodes=episodes, outcomes=outcomes, answer=folder / "row"))
    return Row(**json.loads((folder / "row").read_text())), f"PostgreSQL {number // 10000}.{number % 10000}"


def show(rows: list[Row], server: str, seed: int) -> None:
    """Print the table, and below it what it was measured with."""
    print(
        f"{'durability':10} {'crashes':>8} {'acknowledged':>13} {'lost':>6} {'duplicated':>11} {'longest call (s)':>17} {'errors':>7} "
        f"{'longest restart (s)':>20} {'seconds':>8} {'MB':>6}"
    )
    for row in rows:
        print(
            f"{row.durability:10} {row.crashes:8} {row.acknowledged:13} {row.lost:6} {row.duplicated:11} {row.longest:17.2f} "
            f"{row.errors:7} {row.restart:20.2f} {row.seconds:8.1f} {row.megabytes:6.1f}"
        )
    for row in rows:
        print(f"{row.durability}: verify found {row.problems or 'nothing'}")
    print(
        f"\n{server}, fsync=on, {CLIENTS} clients; langchain-reflect {version('langchain-reflect')}, SQLAlchemy {version('SQLAlchemy')}, "
        f"psycopg {version('psycopg')}, Python {platform.python_version()}, {platform.system()} {platform.release()}, "
        f"{os.cpu_count()} cores; seed {seed}."
    )


def main() -> int:
    """Crash a server with each durability, and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--times", type=int, default=20, help="crashes for each durability")
    parser.add_argument("--commit", choices=COMMITS, default="both", help="whether a commit waits for the server's disk")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    asked = parser.parse_args()
    if asked.times < 1:
        parser.error("--times must be at least 1")
    rows, server = [], ""
    for durability in COMMITS[asked.commit]:
        with tempfile.TemporaryDirectory() as folder:
            row, server = measure(durability, asked.times, asked.seed, Path(folder))
            rows.append(row)
    show(rows, server, asked.seed)
    return 0 if all(row.is_clean for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
