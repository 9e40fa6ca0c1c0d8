"""Real recorded episodes with rewards -> import -> ledger -> groups -> the reflection graph, and what that costs.

The episodes are other people's and not part of this project: `REFLECT_DATA` names their folder (default `../shared/data`). Where a model
would be called, recorded reflections answer, on the same task where there are any, with the ids and answers of the instance in them, so
that the checks have real work. The recorder's own notes on an episode (`info`, with the right answers) are never read.

    python benchmarks/recorded.py [--limit 200] [--data DIR]
"""

import argparse
import gzip
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_core.messages import BaseMessage

from langchain_reflect.errors import InvalidInput
from langchain_reflect.index.embeddings import resolve_embedder
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.recording.messages import read_row
from langchain_reflect.reflection import ReflectionPolicy, build_reflection_graph, reflect
from langchain_reflect.reflection.grouping import ready_groups
from langchain_reflect.testing.models import ScriptedChatModel
from langchain_reflect.types import Namespace, now

DATA = Path(os.environ.get("REFLECT_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))
SETS = {
    "tau airline": ("episodes/dev/a_tau.jsonl.gz", {"domain": "airline"}),
    "tau retail": ("episodes/dev/a_tau.jsonl.gz", {"domain": "retail"}),
    "hotpotqa": ("episodes/dev/b_reflexion.jsonl.gz", {"domain": "hotpotqa"}),
    "cute": ("episodes/dev/c_groups.jsonl.gz", {"source": "cute"}),
    "dirty": ("episodes/dev/dirty.jsonl.gz", {}),
}
ADVICE = "Write the letters with commas between them, then count one by one."
_TASK_LETTERS = 60
_STRIDE = 7919
"""A prime, so that neighbours in the file do not answer one after the other."""
POLICY = ReflectionPolicy(max_groups=10_000)


@dataclass
class Result:
    """What became of one set of episodes."""

    name: str
    episodes: int = 0
    refused: int = 0
    """Rows that could not be meant."""
    defects: Counter[str] = field(default_factory=Counter)
    """Malformed messages: episodes by kind."""
    groups: Counter[str] = field(default_factory=Counter)
    """Groups by the reason why they were ready."""
    tokens: list[int] = field(default_factory=list)
    """Of each prompt (retries and the curator's too), one per four characters."""
    lessons: int = 0
    applied: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    parked: int = 0
    import_seconds: float = 0.0
    reflect_seconds: float = 0.0

    def row(self) -> list[str]:
        """Cells of the table."""
        spread = [f"{np.percentile(self.tokens, p):.0f}" for p in (50, 95, 100)] if self.tokens else ["-"] * 3
        return [
            self.name,
            str(self.episodes),
            _counts(self.defects),
            _counts(self.groups),
            str(len(self.tokens)),
            "/".join(spread),
            str(self.lessons),
            _counts(self.applied),
            _counts(self.rejected),
            str(self.parked),
            f"{1000 * self.import_seconds / max(1, self.episodes):.2f}",
            f"{1000 * self.reflect_seconds / max(1, self.episodes):.2f}",
        ]


HEAD = [
    "set",
    "episodes",
    "malformed",
    "groups",
    "calls",
    "tokens p50/p95/max",
    "lessons",
    "edits",
    "rejected",
    "parked",
    "import s/1k",
    "reflect s/1k",
]


def run(data: Path, limit: int, *, embeddings: Embeddings | None = None, names: Sequence[str] = tuple(SETS)) -> list[Result]:
    """Feed the sets through, each into a ledger of its own.

    Args:
        data: Folder of the recorded data.
        limit: Most episodes of each set.
        embeddings: Default: the package's.
        names: Which sets.
    """
    results = []
    for name in names:
        with tempfile.TemporaryDirectory() as folder, Ledger(folder) as ledger:
            book = LessonBook(ledger, ExactIndex(), resolve_embedder(embeddings))
            book.embedder.embed_documents(["warm"])
            results.append(_run(name, data, limit, ledger, book))
    return results


def _run(name: str, data: Path, limit: int, ledger: Ledger, book: LessonBook) -> Result:
    result = Result(name)
    path, wanted = SETS[name]
    rows = sorted((r for r in _lines(data / path) if all(r[k] == v for k, v in wanted.items())), key=lambda r: r["task_id"])[:limit]
    started = time.perf_counter()
    _import(rows, ledger, result)
    result.import_seconds = time.perf_counter() - started

    rollouts = ledger.rollouts(limit=1_000_000)
    result.groups = Counter(g.reason for g in ready_groups(rollouts, policy=POLICY, now=now()))
    model = ScriptedChatModel(answers=Recorded(data, {r["domain"] for r in rows}))
    graph = build_reflection_graph(model, book, ledger=ledger, policy=POLICY)
    started = time.perf_counter()
    report = step = reflect(graph)
    while step.groups:  # one run takes groups of one namespace
        step = reflect(graph)
        report += step
    result.reflect_seconds = time.perf_counter() - started

    result.tokens = [sum(len(m.text) for m in prompt) // 4 for prompt in model.prompts]
    result.lessons = len(ledger.lessons())
    result.applied = Counter(e.edit.kind for e in report.applied)
    result.rejected = Counter(e.reason.split(":")[0] for e in report.edits if not e.applied)
    result.parked = len(report.errors)
    return result


def _import(rows: Sequence[Mapping[str, Any]], ledger: Ledger, result: Result) -> None:
    batch = []
    for number, row in enumerate(rows):
        try:
            batch.append(read_row(_public(row), number=number))
        except InvalidInput:
            result.refused += 1
    ledger.save_episodes((episode, ()) for episode, _ in batch)
    judged = [(e, o) for e, o in batch if o is not None]
    for start in range(0, len(judged), 5000):
        some = judged[start : start + 5000]
        ledger.record_outcomes((o.episode_id, {"reward": o.reward, "source": o.source, "namespace": e.namespace}) for e, o in some)
    result.episodes = len(batch)
    for episode, _ in batch:
        result.defects.update(episode.metadata.get("defects", []))  # type: ignore[arg-type]  # read_row writes a list of words


def _public(row: Mapping[str, Any]) -> dict[str, Any]:
    """What an agent's owner would have: no notes of the recorder, and one task key per dataset and task."""
    kept = {k: row[k] for k in ("id", "messages", "reward", "task", "model") if k in row}
    space: Namespace = ("recorded", str(row["domain"]))
    return {**kept, "task_key": f"{row['domain']}:{row['task_id']}", "namespace": space, "graph": row["source"]}


class Recorded:
    """Stands in for the model: recorded reflections on the same task, else of the same domain; a curator that merges what is near."""

    def __init__(self, data: Path, domains: set[str]) -> None:
        lessons = [r for r in _lines(data / "lessons/dev/lessons.jsonl.gz") if r["domain"] in domains]
        self._lessons = [(r["text"], str(r["meta"].get("source_task_text") or "")[:_TASK_LETTERS]) for r in lessons] or [(ADVICE, "")]
        self._at = 0

    def __call__(self, messages: list[BaseMessage]) -> dict[str, Any]:
        """The next answer."""
        prompt = messages[-1].text
        if "\nBOOK " in prompt:
            return {"action": "MERGE", "ids": [prompt.split("\nBOOK ", 1)[1].split(":", 1)[0]]}
        self._at += 1
        same = [text for text, task in self._lessons if task and task in prompt] or [text for text, _ in self._lessons]
        text = same[(self._at * _STRIDE) % len(same)]
        return {"lessons": [{"when": "tasks of this kind", "do": text, "cites": ["R1", "R2"]}]}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{n} {word}" for word, n in counter.most_common()) or "-"


def main() -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, default=DATA)
    options.add_argument("--limit", type=int, default=1_000_000, help="most episodes of each set")
    given = options.parse_args()
    if not given.data.is_dir():
        raise SystemExit(f"no recorded data in {given.data}; set REFLECT_DATA")
    table = Table(*HEAD)
    for result in run(given.data, given.limit):
        table.add_row(*result.row())
    Console(width=220).print(table)


if __name__ == "__main__":
    main()
