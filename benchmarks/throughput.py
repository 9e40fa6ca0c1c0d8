"""What the ledger costs beside the bare driver: the same rows into the same tables, in the same run, taking turns.

The bare side is what one would write without a ledger: `BEGIN IMMEDIATE`, `INSERT`, `COMMIT` with `sqlite3` (WAL, `synchronous=FULL`), or
`INSERT`, `COMMIT` with `psycopg`, into tables with the same keys and indexes, one connection for each writer. It checks nothing, joins
nothing and keeps no list of what is due. Times are those of an acknowledged call; a ratio is ledger / bare, so 1 is free. The faster the
disk and the nearer the server, the higher the ratios.

    python benchmarks/throughput.py [--episodes 100000] [--folder FOLDER] [--only sqlite|postgresql] [--parts abcde]
"""

import argparse
import json
import multiprocessing
import os
import platform
import random
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg
import sqlalchemy
from sqlalchemy import create_engine

from langchain_reflect import Ledger
from langchain_reflect.cli.status import summary
from langchain_reflect.ledger import tables
from langchain_reflect.ledger.packing import pack
from langchain_reflect.recording.recorder import Recorder
from langchain_reflect.testing.postgres import PostgresServer
from langchain_reflect.types import Episode, Step, Usage

FEEDBACK = "The refund was promised twice, but the order number was never asked for, so nothing could be booked. " * 2
TEXT = "Your order was delivered on Tuesday; a refund takes five working days. " * 4
SPACE = '["default"]'
JUDGED, DUE = 0.5, 2_000


class Place(NamedTuple):
    """Where the databases of an engine are."""

    engine: str
    ledger: str
    raw: str
    large: str


class Side(NamedTuple):
    """What one side did in all its rounds."""

    times: list[float]
    seconds: float
    rows: int

    def at(self, share: float) -> float:
        """A percentile of the times, in seconds."""
        return sorted(self.times)[min(len(self.times) - 1, int(share * len(self.times)))]


class Raw:
    """A connection of the driver itself, and rows as the ledger stores them."""

    def __init__(self, place: Place, *, into: str | None = None) -> None:
        self._is_sqlite = place.engine == "sqlite"
        url = sqlalchemy.make_url(into or place.raw)
        self.connection: Any
        if self._is_sqlite:
            self.connection = sqlite3.connect(str(url.database), timeout=60, isolation_level=None, check_same_thread=False)
            self.connection.execute("PRAGMA journal_mode=WAL")
            self.connection.execute("PRAGMA synchronous=FULL")
        else:
            self.connection = psycopg.connect(host=str(url.query["host"]), user=url.username, dbname=url.database)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Begin and commit."""
        if self._is_sqlite:
            self.connection.execute("BEGIN IMMEDIATE")
        yield
        self.connection.commit()

    def insert(self, table: sqlalchemy.Table, rows: Sequence[Sequence[Any]]) -> None:
        """Rows, in the transaction that is open."""
        marks = ", ".join(["?" if self._is_sqlite else "%s"] * len(table.columns))
        sql = f"INSERT INTO {table.name} VALUES ({marks})"
        if len(rows) == 1:
            self.connection.execute(sql, rows[0])
        else:
            self.connection.cursor().executemany(sql, rows)

    def load(self, table: sqlalchemy.Table, rows: Iterator[Sequence[Any]]) -> None:
        """Very many rows, as fast as the driver can."""
        if self._is_sqlite:
            marks = ", ".join(["?"] * len(table.columns))
            self.connection.executemany(f"INSERT INTO {table.name} VALUES ({marks})", rows)
            return
        with self.connection.cursor().copy(f"COPY {table.name} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def id(self, value: UUID) -> Any:
        """As the column takes it."""
        return value.hex if self._is_sqlite else value

    def outcome(self, episode_id: UUID, feedback: str | None = FEEDBACK, at: datetime | None = None) -> Sequence[Any]:
        """A row of `outcomes`."""
        time_ = text_of(at or datetime.now(UTC))
        return (SPACE, self.id(episode_id), "grader", "", uuid4().hex * 2, time_, 0.5, feedback, None, 0, time_)

    def episode(self, one: Episode) -> Sequence[Any]:
        """A row of `episodes`."""
        at, usage, more = text_of(one.started_at), one.usage.model_dump_json(), json.dumps(one.metadata)
        told = (one.task, one.task_key, one.status, one.arm, one.thread_id, at, at, None, "[]", None, usage, None, more, "[]", None)
        return (self.id(one.id), SPACE, one.graph, *told)

    def close(self) -> None:
        """Close it."""
        self.connection.close()


def text_of(at: datetime) -> str:
    """A time as the ledger stores it."""
    return at.isoformat(timespec="microseconds")


def an_episode(number: int) -> Episode:
    """A run of four steps."""
    step = Step(kind="model", name="agent", output={"content": TEXT, "tool_calls": []}, usage=Usage(calls=1, tokens_in=900, tokens_out=80))
    at = datetime.now(UTC)
    return Episode(id=uuid4(), task=f"Where is order {number}?", steps=(step,) * 4, result={"messages": [TEXT]}, started_at=at, ended_at=at)


def clocked(call: Callable[[], object]) -> float:
    """Seconds that a call took."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def insert_bare(raw: Raw, rows: Sequence[tuple[sqlalchemy.Table, Sequence[Sequence[Any]]]]) -> None:
    """Rows that were made before, in one transaction."""
    with raw.transaction():
        for table, some in rows:
            raw.insert(table, some)


def each_bare(raw: Raw, ids: Sequence[UUID]) -> list[float]:
    """Seconds of each commit."""
    rows = [[(tables.outcomes, [raw.outcome(one)])] for one in ids]
    return [clocked(partial(insert_bare, raw, one)) for one in rows]


def each_kept(ledger: Ledger, ids: Sequence[UUID]) -> list[float]:
    """Seconds of each acknowledged outcome."""
    return [clocked(partial(ledger.record_outcome, one, reward=0.5, feedback=FEEDBACK, source="grader")) for one in ids]


def fresh(ledger: Ledger, count: int) -> list[UUID]:
    """Ids of new episodes that nobody judged yet."""
    ids = [uuid4() for _ in range(count)]
    for start in range(0, count, 500):
        ledger.save_episodes([(Episode(id=i, task="Where is my order?"), ()) for i in ids[start : start + 500]])
    return ids


def joined(sides: Sequence[Side]) -> Side:
    """Several rounds as one."""
    return Side([t for side in sides for t in side.times], sum(side.seconds for side in sides), sum(side.rows for side in sides))


def at_once(pool: ThreadPoolExecutor, jobs: Sequence[Callable[[], list[float]]]) -> Side:
    """All jobs begun together, each in a thread of its own."""
    gate = threading.Barrier(len(jobs) + 1)

    def run(job: Callable[[], list[float]]) -> list[float]:
        gate.wait()
        return job()

    running = [pool.submit(run, job) for job in jobs]
    gate.wait()
    started = time.perf_counter()
    times = [t for one in running for t in one.result()]
    return Side(times, time.perf_counter() - started, len(times))


def threads(place: Place, writers: int, each: int, rounds: int) -> tuple[Side, Side]:
    """Single outcomes from threads of one process; a first round warms up and does not count."""
    bare, kept = [], []
    raws = [Raw(place) for _ in range(writers)]
    with Ledger(place.ledger) as ledger, ThreadPoolExecutor(writers) as pool:
        for _ in range(rounds + 1):
            ids = fresh(ledger, writers * each)
            shares = [ids[n::writers] for n in range(writers)]
            bare.append(at_once(pool, [partial(each_bare, raw, some) for raw, some in zip(raws, shares, strict=True)]))
            kept.append(at_once(pool, [partial(each_kept, ledger, some) for some in shares]))
        told = ledger.counts()["outcomes"]
        assert told >= (rounds + 1) * writers * each, f"only {told} outcomes are there"
    for raw in raws:
        raw.close()
    return joined(bare[1:]), joined(kept[1:])


@cache
def own(place: Place) -> tuple[Raw, Ledger]:
    """The connections of a process."""
    return Raw(place), Ledger(place.ledger)


def in_process(place: Place, side: str, begin: float, ids: Sequence[UUID]) -> tuple[list[float], float]:
    """One process's share of a round, and when it was done."""
    raw, ledger = own(place)
    time.sleep(max(0.0, begin - time.time()))
    times = each_bare(raw, ids) if side == "bare" else each_kept(ledger, ids)
    return times, time.time()


def processes(place: Place, writers: int, each: int, rounds: int) -> tuple[Side, Side]:
    """Single outcomes from several processes."""
    found: dict[str, list[Side]] = {"bare": [], "kept": []}
    with ProcessPoolExecutor(writers, multiprocessing.get_context("fork")) as pool:
        for _ in range(rounds + 1):
            with closing(Ledger(place.ledger)) as ledger:
                ids = fresh(ledger, writers * each)
            for side, sides in found.items():
                begin = time.time() + 0.3
                running = [pool.submit(in_process, place, side, begin, ids[n::writers]) for n in range(writers)]
                done = [one.result() for one in running]
                times = [t for own_times, _ in done for t in own_times]
                sides.append(Side(times, max(end for _, end in done) - begin, len(times)))
    return joined(found["bare"][1:]), joined(found["kept"][1:])


def batches(place: Place, size: int, rounds: int, make: str) -> tuple[Side, Side]:
    """Episodes or outcomes, many in one transaction."""
    bare, kept = [], []
    with Ledger(place.ledger) as ledger, closing(Raw(place)) as raw:
        for number in range(rounds + 1):
            if make == "episodes":
                episodes = [an_episode(number * size + n) for n in range(size)]
                packed = [(raw.id(one.id), pack(one)) for one in episodes]
                rows: Any = [(tables.episodes, [raw.episode(one) for one in episodes]), (tables.trajectories, packed)]
                calls = partial(insert_bare, raw, rows), partial(ledger.save_episodes, [(one, ()) for one in episodes])
            else:
                ids = fresh(ledger, size)
                said: Any = [(one, {"reward": 0.5, "feedback": FEEDBACK, "source": "grader"}) for one in ids]
                rows = [(tables.outcomes, [raw.outcome(one) for one in ids])]
                calls = partial(insert_bare, raw, rows), partial(ledger.record_outcomes, said)
            for side, call in zip((bare, kept), calls, strict=True):
                took = clocked(call)
                side.append(Side([took], took, size))
    return joined(bare[1:]), joined(kept[1:])


def handing_over(place: Place, count: int) -> list[float]:
    """Seconds that a caller spends on `Recorder.save`, while the recorder's thread writes what came before."""
    times = []
    with Ledger(place.ledger) as ledger, Recorder(ledger) as recorder:
        for number in range(count):
            one = an_episode(number)
            times.append(clocked(partial(recorder.save, one)))
            time.sleep(0.001)
        recorder.flush()
    return times


def fill(place: Place, count: int) -> None:
    """Episodes by the driver's own bulk load: half of them judged, 2,000 of those due, the others reflected on."""
    dice, begin = random.Random(0), datetime(2026, 1, 1, tzinfo=UTC)
    ids = [UUID(int=dice.getrandbits(128), version=4) for _ in range(count)]
    at = [begin + timedelta(seconds=20 * n) for n in range(count)]
    judged = range(count - int(count * JUDGED), count)
    seen, due = judged[:-DUE], judged[-DUE:]
    with closing(Raw(place, into=place.large)) as raw:
        episodes = (
            raw.episode(Episode(id=ids[n], task=f"Where is order {n}?", task_key=f"order-{n // 4}", started_at=at[n])) for n in range(count)
        )
        with raw.transaction():
            raw.load(tables.episodes, episodes)
            raw.load(tables.outcomes, (raw.outcome(ids[n], None, at[n]) for n in judged))
            raw.load(tables.reflected, ((raw.id(ids[n]), f"R-{n // 100}", text_of(at[n])) for n in seen))
            raw.load(tables.due, ((raw.id(ids[n]), SPACE, "agent", f"order-{n // 4}", text_of(at[n])) for n in due))
        if place.engine == "postgresql":
            raw.connection.autocommit = True
            raw.connection.execute("VACUUM ANALYZE")


def large(place: Place, count: int) -> Iterator[tuple[str, float]]:
    """Seconds of what an operator and a worker ask of a large ledger, warm: the first of five, and the best."""
    Ledger(place.large).close()
    yield f"loading {count:,} episodes with the driver", clocked(partial(fill, place, count))
    with Ledger(place.large) as ledger:
        held = ledger.counts()
        rollouts = partial(ledger.rollouts, unreflected=True, newest=True, trajectories=False, limit=2_000)
        assert (held["episodes"], held["outcomes"], ledger.due()) == (count, int(count * JUDGED), DUE), held
        assert len(rollouts()) == DUE
        calls: dict[str, Callable[[], object]] = {
            "reflect status": partial(summary, ledger),
            "claim and plan, nothing ready": lambda: (ledger.claim("bench"), ledger.plan([])),
            "rollouts(unreflected, newest, 2,000)": rollouts,
            "record_outcome, unknown episode": lambda: ledger.record_outcome(uuid4(), reward=1.0, source="bench"),
        }
        for name, call in calls.items():
            times = [clocked(call) for _ in range(5)]
            yield f"{name}: first", times[0]
            yield f"{name}: best of 5", min(times)


@contextmanager
def places(folder: Path, only: str | None) -> Iterator[list[Place]]:
    """Databases of each engine; the bare one has the tables that are written to, with their keys and indexes."""
    found = []
    with PostgresServer(fsync=True) as server:
        if only != "postgresql":
            found.append(Place("sqlite", *(f"sqlite:///{folder / name}.db" for name in ("ledger", "raw", "large"))))
        if only != "sqlite":
            found.append(Place("postgresql", *map(server.create, ("ledger", "raw", "large"))))
        for place in found:
            engine = create_engine(place.raw)
            tables.metadata.create_all(engine, tables=[tables.outcomes, tables.episodes, tables.trajectories])
            engine.dispose()
            Ledger(place.ledger).close()
            Raw(place).close()
        yield found


def line(engine: str, name: str, bare: Side, kept: Side) -> str:
    """A row of the table."""
    per_second = f"{bare.rows / bare.seconds:10,.0f} {kept.rows / kept.seconds:10,.0f}"
    p50, p99 = (bare.at(0.5), kept.at(0.5)), (bare.at(0.99), kept.at(0.99))
    shown = " ".join(f"{one * 1e3:9.2f} {two * 1e3:9.2f} {two / one:6.2f}" for one, two in (p50, p99))
    return f"{engine:11} {name:34} {per_second} {shown}"


def version(place: Place) -> str:
    """Of the engine and its driver."""
    if place.engine == "sqlite":
        return f"SQLite {sqlite3.sqlite_version}"
    with closing(Raw(place)) as raw:
        return f"PostgreSQL {raw.connection.info.parameter_status('server_version')} with psycopg {psycopg.__version__}"


def writers(place: Place, parts: str) -> Iterator[str]:
    """Rows about single outcomes, and about batches."""
    if "a" in parts:
        for count, each, rounds in ((1, 200, 3), (8, 30, 3), (64, 6, 3)):
            yield line(place.engine, f"outcome, {count} thread{'s' * (count > 1)}", *threads(place, count, each, rounds))
        yield line(place.engine, "outcome, 8 processes", *processes(place, 8, 30, 3))
    if "b" in parts:
        yield line(place.engine, "episodes, batches of 64", *batches(place, 64, 12, "episodes"))
    if "d" in parts:
        yield line(place.engine, "outcomes, batches of 100", *batches(place, 100, 12, "outcomes"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    parser.add_argument("--parts", default="abcde")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder, places(Path(folder), given.only) as found:
        versions = f"Python {platform.python_version()}, SQLAlchemy {sqlalchemy.__version__}, {', '.join(map(version, found))}"
        print(f"{versions}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.platform()}\n")
        print(f"{'':46} {'rows per second':^21} {'p50 ms':^26} {'p99 ms':^26}")
        sides = f"{'bare':>9} {'ledger':>9} {'ratio':>6}"
        print(f"{'engine':11} {'what':34} {'bare':>10} {'ledger':>10} {sides} {sides}")
        for place in found:
            for row in writers(place, given.parts):
                print(row, flush=True)
        print()
        for place in found:
            if "c" in given.parts:
                side = Side(handing_over(place, 1_000), 1.0, 1_000)
                print(f"{place.engine:11} Recorder.save, caller's time: p50 {side.at(0.5) * 1e6:.0f} µs, p99 {side.at(0.99) * 1e6:.0f} µs")
        print()
        for place in found:
            if "e" in given.parts:
                for name, seconds in large(place, given.episodes):
                    print(f"{place.engine:11} {name:52} {seconds * 1e3:11,.1f} ms", flush=True)


if __name__ == "__main__":
    main()
