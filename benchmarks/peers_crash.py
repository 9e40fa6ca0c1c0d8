"""`kill -9` while records are submitted: what has been acknowledged and is missing afterwards, for our ledger and for peers.

A child process opens a store, submits one record, says that it is ready, and goes on submitting, one record after the other. After each
submission that has returned it writes the record's id to a pipe. The parent kills it with SIGKILL 5 to 120 ms after it was ready. A fresh
process then reopens the store, counts each acknowledged record and writes one record more. All subjects get the same delays.

    lost        acknowledged records that are not found; all of them if the store is unusable
    duplicated  acknowledged records that are found more than once
    unusable    stores that a fresh process could not open, read or write after the kill

What "acknowledged" means, and what is judged:

- Our ledger: `record_outcome` has returned. `outcomes()` shows one outcome per (episode, source, key), so it cannot show a duplicate.
- langmem: `ReflectionExecutor(...).submit` has returned, as it does once the work is in a queue in memory; langmem promises no more than
  that. Every record has a thread id of its own, so none replaces another. The reflector is a stub that puts the record into langgraph's
  `SqliteStore` at once, where a real one would first ask a model for seconds, so only the queue is judged. With `after_seconds=1` the loss
  is total by construction (the delay is longer than the child lives); langmem's guide advises to wait for minutes. With `after_seconds=0`
  it depends on how fast records come: a tight loop outruns the writing thread; see `--pause`.
- mem0: `add(infer=False)` has returned. Found is what `get_all` gives and has a history. The embedder is a hash; no model is called.
- ACE: `save_to_file` of the package `ace-framework`, which rewrites the JSON file in place, has returned. 0.5.1 is the last release for
  Python 3.11; 0.13.0 names the class `Skillbook` and writes in the same way. ACE saves when its user or integration asks it to, not
  necessarily after every bullet; this is the case where it does.

A killed process is not a power cut: what it has written to the operating system stays. No subject uses the network.

    python benchmarks/peers_crash.py [--kills 20] [--seed 0] [--pause MS] [--only SUBJECT ...]
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

READY = b"ready\n"
LEAST_MS, MOST_MS = 5, 120
PATIENCE = 120.0
"""Seconds for a fresh process to judge a store."""
DIMENSIONS = 16
OFFLINE = {"MEM0_TELEMETRY": "False", "ANONYMIZED_TELEMETRY": "False", "LANGSMITH_TRACING": "false", "HF_HUB_OFFLINE": "1"}


def canary(key: str) -> str:
    """The text of a record."""
    return f"The canary is called {key}."


class Subject:
    """A store in a folder: `submit` returns when the record is acknowledged."""

    label: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]

    def submit(self, key: str) -> None:
        """Submit a record with this id."""
        raise NotImplementedError

    def settle(self) -> None:
        """Wait until what has been submitted is stored."""

    def texts(self, keys: Sequence[str]) -> Counter[str]:
        """Texts of the stored records, of these ids at least, and how often each is there."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the store."""


class Ours(Subject):
    """The ledger of this package."""

    label = "langchain-reflect Ledger"
    packages = ("langchain-reflect", "SQLAlchemy")

    def __init__(self, folder: Path) -> None:
        from langchain_reflect import Ledger

        self._ledger = Ledger(folder)

    def submit(self, key: str) -> None:
        """Record an outcome of an episode of its own."""
        self._ledger.record_outcome(key, reward=1.0, feedback=canary(key), source="t", key=key)

    def texts(self, keys: Sequence[str]) -> Counter[str]:
        """Feedback of the episodes."""
        return Counter(outcome.feedback or "" for key in keys for outcome in self._ledger.outcomes(key))

    def close(self) -> None:
        """Close the ledger."""
        self._ledger.close()


class Langmem(Subject):
    """langmem's local executor before a durable store."""

    label = "langmem executor, after_seconds=0"
    packages = ("langmem", "langgraph-checkpoint-sqlite")
    after_seconds = 0

    def __init__(self, folder: Path) -> None:
        from langgraph.store.sqlite import SqliteStore
        from langmem import ReflectionExecutor

        self._stack = ExitStack()
        self._store = self._stack.enter_context(SqliteStore.from_conn_string(str(folder / "store.db")))
        self._store.setup()
        self._executor: Any = ReflectionExecutor(Reflector(self._store), store=self._store)
        self._last: Any = None

    def submit(self, key: str) -> None:
        """Schedule a reflection of a thread of its own."""
        config = {"configurable": {"thread_id": key}}
        self._last = self._executor.submit({"key": key}, config=config, after_seconds=self.after_seconds, thread_id=key)

    def settle(self) -> None:
        """Wait for the last reflection."""
        self._last.result(timeout=30)

    def texts(self, keys: Sequence[str]) -> Counter[str]:  # noqa: ARG002 - the store tells all at once
        """Whatever the reflector has put."""
        return Counter(item.value["text"] for item in self._store.search(Reflector.namespace, limit=10_000_000))

    def close(self) -> None:
        """Stop the thread, then the store."""
        self._executor.shutdown(wait=True)
        self._stack.close()


class LangmemLater(Langmem):
    """The same with a wait before each reflection, which is what `after_seconds` is for."""

    label = "langmem executor, after_seconds=1"
    after_seconds = 1


class Reflector:
    """What the executor needs of a Runnable: it keeps the record and asks no model."""

    namespace = ("crash",)

    def __init__(self, store: Any) -> None:
        self._store = store

    def invoke(self, payload: dict[str, str]) -> None:
        """Put the record."""
        self._store.put(self.namespace, payload["key"], {"text": canary(payload["key"])}, index=False)


class Mem0(Subject):
    """mem0 with its default vector store, local."""

    label = "mem0 add, local Qdrant"
    packages = ("mem0ai", "qdrant-client")
    provider = "qdrant"
    options: ClassVar[dict[str, Any]] = {"embedding_model_dims": DIMENSIONS, "on_disk": True}

    def __init__(self, folder: Path) -> None:
        os.environ["MEM0_DIR"] = str(folder)
        from langchain_core.embeddings import Embeddings
        from mem0 import Memory

        class Hashed(Embeddings):
            """Deterministic vectors."""

            def embed_query(self, text: str) -> list[float]:
                return [1.0 + byte for byte in sha256(text.encode()).digest()[:DIMENSIONS]]

            def embed_documents(self, texts: list[str]) -> list[list[float]]:
                return [self.embed_query(text) for text in texts]

        vectors = {"collection_name": "crash", "path": str(folder / "vectors"), **self.options}
        self._memory = Memory.from_config(
            {
                "vector_store": {"provider": self.provider, "config": vectors},
                "embedder": {"provider": "langchain", "config": {"model": Hashed()}},
                "llm": {"provider": "openai", "config": {"api_key": "none is called"}},
                "history_db_path": str(folder / "history.db"),
            }
        )

    def submit(self, key: str) -> None:
        """Add a memory as it stands."""
        self._memory.add(canary(key), user_id="crash", infer=False)

    def texts(self, keys: Sequence[str]) -> Counter[str]:  # noqa: ARG002 - the store tells all at once
        """Memories that have a history."""
        found = self._memory.get_all(filters={"user_id": "crash"}, top_k=100_000)["results"]
        return Counter(one["memory"] for one in found if self._memory.history(one["id"]))


class Mem0Chroma(Mem0):
    """mem0 with Chroma."""

    label = "mem0 add, local Chroma"
    packages = ("mem0ai", "chromadb")
    provider = "chroma"
    options: ClassVar[dict[str, Any]] = {}


class Ace(Subject):
    """ACE's playbook, saved after each bullet."""

    label = "ACE playbook, save_to_file"
    packages = ("ace-framework",)

    def __init__(self, folder: Path) -> None:
        from ace import Playbook

        self._path = str(folder / "playbook.json")
        self._playbook = Playbook.load_from_file(self._path) if Path(self._path).exists() else Playbook()

    def submit(self, key: str) -> None:
        """Add a bullet and save."""
        self._playbook.add_bullet("crash", canary(key), bullet_id=key)
        self._playbook.save_to_file(self._path)

    def texts(self, keys: Sequence[str]) -> Counter[str]:  # noqa: ARG002 - the file tells all at once
        """All bullets."""
        return Counter(bullet.content for bullet in self._playbook.bullets())


SUBJECTS: dict[str, type[Subject]] = {
    "ours": Ours,
    "langmem": Langmem,
    "langmem-later": LangmemLater,
    "mem0-qdrant": Mem0,
    "mem0-chroma": Mem0Chroma,
    "ace": Ace,
}


# In the processes that a run starts


def submit_until_killed(subject: type[Subject], folder: Path, acknowledge: int, pause: float) -> None:
    """Submit and acknowledge; never returns."""
    store = subject(folder)  # type: ignore[call-arg]  # every subject takes its folder
    first = True
    while True:
        key = str(uuid4())
        store.submit(key)
        os.write(acknowledge, f"{key}\n".encode())
        if first:
            os.write(acknowledge, READY)
            first = False
        if pause:
            time.sleep(pause)


def judge(subject: type[Subject], folder: Path, keys: Sequence[str]) -> list[int]:
    """How often each record is there; raises if the store does not take one more."""
    store = subject(folder)  # type: ignore[call-arg]  # every subject takes its folder
    found = store.texts(keys)
    one_more = str(uuid4())
    store.submit(one_more)
    store.settle()
    if store.texts([one_more])[canary(one_more)] != 1:
        raise RuntimeError("one more record was written and is not there once")
    store.close()
    return [found[canary(key)] for key in keys]


def work(role: str, name: str, folder: Path, pause: float) -> None:
    """Be the child or the judge. What packages print goes to stderr."""
    answers = os.dup(1)
    os.dup2(2, 1)
    try:
        if role == "child":
            submit_until_killed(SUBJECTS[name], folder, answers, pause)
        counts = json.dumps(judge(SUBJECTS[name], folder, json.load(sys.stdin)))
        with os.fdopen(answers, "w") as out:
            out.write(counts)
    except BaseException:  # noqa: BLE001 - a thread of the subject must not keep the process
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


# In the parent


@dataclass
class Row:
    """A line of the table."""

    label: str
    kills: int = 0
    acknowledged: int = 0
    lost: int = 0
    duplicated: int = 0
    with_loss: int = 0
    unusable: int = 0
    why: str = ""
    """The last line of the first error of an unusable store."""

    def cells(self) -> list[str]:
        """Text of the cells."""
        numbers = (self.kills, self.acknowledged, self.lost, self.duplicated, self.with_loss, self.unusable)
        return [self.label, *map(str, numbers)]


HEAD = ["subject", "kills", "acknowledged", "lost", "duplicated", "kills with loss", "unusable"]


def kill_one(name: str, folder: Path, delay: float, pause: float) -> list[str]:
    """Start a child, kill it, and return the ids that it acknowledged."""
    log = folder.parent / "stderr.txt"
    with log.open("wb") as errors, subprocess.Popen(command("child", name, folder, pause), stdout=-1, stderr=errors, bufsize=0) as child:
        assert child.stdout is not None
        head = b""
        while not head.endswith(READY):
            line = child.stdout.readline()
            if not line:
                raise SystemExit(f"{name}: the child ended before it was ready\n{log.read_text()}")
            head += line
        try:
            child.communicate(timeout=delay)
        except subprocess.TimeoutExpired:
            child.kill()
        rest, _ = child.communicate()
    if child.returncode != -signal.SIGKILL:
        raise SystemExit(f"{name}: the child ended before it was killed\n{log.read_text()}")
    return [line.decode() for line in (head.removesuffix(READY) + rest).splitlines(keepends=False)]


def command(role: str, name: str, folder: Path, pause: float) -> list[str]:
    """This file in a fresh process."""
    return [sys.executable, __file__, "--role", role, "--only", name, "--folder", str(folder), "--pause", str(1000 * pause)]


def measure(name: str, delays: Sequence[float], pause: float) -> Row:
    """Kill a subject once for each delay, each time with a store of its own."""
    row = Row(SUBJECTS[name].label)
    for delay in delays:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "store"
            folder.mkdir()
            keys = kill_one(name, folder, delay, pause)
            told = json.dumps(keys)
            try:
                judged = subprocess.run(
                    command("judge", name, folder, pause), input=told, capture_output=True, text=True, timeout=PATIENCE, check=True
                )
                counts = json.loads(judged.stdout)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                counts = [0] * len(keys)
                row.unusable += 1
                said = error.stderr.decode() if isinstance(error.stderr, bytes) else error.stderr
                row.why = row.why or (said or str(error)).strip().splitlines()[-1]
        row.kills += 1
        row.acknowledged += len(keys)
        row.lost += counts.count(0)
        row.duplicated += sum(count > 1 for count in counts)
        row.with_loss += 0 in counts
    return row


def versions(packages: Sequence[str]) -> dict[str, str | None]:
    """Installed versions; None for what is not installed."""
    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    cells = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(HEAD))]
    for line in cells:
        print("  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]))
    for row in rows:
        if row.why:
            print(f"\n{row.label}, first unusable store: {row.why[:100]}")


def main() -> None:
    """Measure all that is installed and print one table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=20, help="of each subject")
    options.add_argument("--seed", type=int, default=0, help="of the delays")
    options.add_argument("--pause", type=float, default=0.0, metavar="MS", help="between two submissions; default none")
    options.add_argument("--only", nargs="+", choices=SUBJECTS, default=list(SUBJECTS), metavar="SUBJECT", help=", ".join(SUBJECTS))
    options.add_argument("--role", choices=("child", "judge"), help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    os.environ.update(OFFLINE)
    if given.role:
        work(given.role, given.only[0], given.folder, given.pause / 1000)

    dice = random.Random(given.seed)
    delays = [dice.uniform(LEAST_MS, MOST_MS) / 1000 for _ in range(given.kills)]
    rows, used = [], {}
    for name in given.only:
        found = versions(SUBJECTS[name].packages)
        if missing := [package for package, one in found.items() if one is None]:
            print(f"{SUBJECTS[name].label}: skipped; pip install {' '.join(missing)}")
            continue
        used |= found
        rows.append(measure(name, delays, given.pause / 1000))
    if not rows:
        return
    show(rows)
    print(f"\nPython {sys.version.split()[0]}, " + ", ".join(f"{package} {one}" for package, one in used.items()))


if __name__ == "__main__":
    main()
