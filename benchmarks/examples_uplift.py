"""What the examples gain: each is run with several seeds, and its held-out tasks are put together.

A seed draws the tasks to learn from, those held out and the sampling, so one seed is one whole history of learning. Every finished run of
an example is a line of `results.jsonl` in the folder; what is there already is not run again, so use a new folder after the library or an
example changed.

    python benchmarks/examples_uplift.py FOLDER [--model small|simulated|provider:name] [--seeds 5] [--examples NAME ...]
"""

import argparse
import contextlib
import importlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from example_model import ExampleModel, example_model

from langchain_reflect.runs import Meter

EXAMPLES = ("house_conventions", "letter_counting", "quirky_api", "delayed_feedback")
ARMS = ("bare", "placebo", "lessons")
PAIRS = (("placebo", "bare"), ("lessons", "bare"), ("lessons", "placebo"))


def run_once(example: str, model: ExampleModel, seed: int) -> dict[str, Any]:
    """One example with one seed.

    Args:
        example: Name of its module.
        model: Acts and reflects; its calls are counted.
        seed: Of the tasks and the sampling.
    """
    meter = Meter()
    model.chat.callbacks = [meter]
    began, cpu = time.monotonic(), time.process_time()
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(said):
        measured = importlib.import_module(example).main(folder, model, seed)
    return {
        "example": example,
        "seed": seed,
        "model": model.demo.label,
        "calls": meter.usage.calls,
        "tokens": [meter.usage.tokens_in, meter.usage.tokens_out],
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "seconds": round(time.monotonic() - began, 1),
        "measured": {name: {"lessons": report.lessons, "rows": list(report.rows)} for name, report in measured.items()},
        "said": said.getvalue(),
    }


def rewards(measured: dict[str, Any]) -> dict[str, list[float]]:
    """Rewards of one run of an example by arm, in the order of the tasks."""
    return {arm: [row["reward"] for row in measured["rows"] if row["arm"] == arm] for arm in ARMS}


def interval(by_seed: Sequence[Sequence[float]], *, low: float, high: float) -> tuple[float, float, float]:
    """Mean over all, and the wider of two 95 % intervals.

    One is Student's over the means of the seeds, because the tasks of one seed share their lesson. The other is over all tasks, with
    two more pretended at each end of what is possible, because five seeds that agree are no certainty.

    Args:
        by_seed: Values of each seed.
        low: The least a value can be.
        high: The most.
    """
    means = np.array([np.mean(values) for values in by_seed])
    every = np.concatenate([np.asarray(values, dtype=float) for values in by_seed])
    padded = np.concatenate([every, [low, low, high, high]])
    task = (float(padded.mean()), 1.96 * float(padded.std()) / np.sqrt(padded.size))
    ends = [(task[0] - task[1], task[0] + task[1])]
    if means.size > 1:
        half = float(stats.t.ppf(0.975, means.size - 1)) * float(means.std(ddof=1)) / np.sqrt(means.size)
        ends.append((float(means.mean()) - half, float(means.mean()) + half))
    mean = float(every.mean())
    return mean, max(low, min(mean, *(a for a, _ in ends))), min(high, max(mean, *(b for _, b in ends)))


def lines_of(place: Path) -> list[dict[str, Any]]:
    """Finished runs; a line that was cut off by a crash does not count."""
    done = []
    for line in place.read_text(encoding="utf-8").splitlines() if place.exists() else ():
        with contextlib.suppress(json.JSONDecodeError):
            done.append(json.loads(line))
    return done


def due(done: Sequence[dict[str, Any]], label: str, examples: Sequence[str], seeds: int) -> Iterator[tuple[str, int]]:
    """What has not been run with this model, one seed of all examples after the other."""
    known = {(d["example"], d["seed"]) for d in done if d["model"] == label}
    return ((e, s) for s in range(seeds) for e in examples if (e, s) not in known)


def table(done: Sequence[dict[str, Any]], label: str) -> Table:
    """All finished runs of one model."""
    shown = Table(title=f"{label}: reward on held-out tasks, 95 % intervals over seeds and tasks")
    for column in ("example", "seeds x tasks", "learned", *ARMS, *(f"{a} - {b}" for a, b in PAIRS), "calls", "CPU s"):
        shown.add_column(column, overflow="fold")
    for example in EXAMPLES:
        own = [d for d in done if d["example"] == example and d["model"] == label]
        for name in own[0]["measured"] if own else ():
            got = [rewards(d["measured"][name]) for d in own]
            learned = sum(_learned(d, name) for d in own)
            arms = [_text(interval([g[arm] for g in got], low=0.0, high=1.0)) for arm in ARMS]
            gains = [_text(interval([np.subtract(g[a], g[b]) for g in got], low=-1.0, high=1.0), sign="+") for a, b in PAIRS]
            cost = [f"{np.mean([d['calls'] for d in own]):.0f}", f"{np.mean([d['cpu_seconds'] for d in own]):.0f}"]
            size = f"{len(own)} x {len(got[0]['bare'])}"
            shown.add_row(f"{example}: {name}", size, f"{learned} of {len(own)}", *arms, *gains, *cost)
    return shown


def _learned(run: dict[str, Any], name: str) -> bool:
    """Whether there was a lesson for these tasks; those of the families before are not counted."""
    counts = [measured["lessons"] for measured in run["measured"].values()]
    at = list(run["measured"]).index(name)
    separate = run["example"] == "letter_counting"  # each teacher has a learner of its own
    return bool(counts[at] - (0 if separate or at == 0 else counts[at - 1]))


def _text(found: tuple[float, float, float], sign: str = "") -> str:
    mean, low, high = found
    return f"{mean:{sign}.2f} ({low:{sign}.2f} to {high:{sign}.2f})"


def main() -> None:
    """Run what is due, then print all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default=None)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--examples", nargs="+", default=EXAMPLES, choices=EXAMPLES)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    place = given.folder / "results.jsonl"
    with example_model(given.model) as model:
        label = model.demo.label
        for example, seed in due(lines_of(place), label, given.examples, given.seeds):
            run = run_once(example, model, seed)
            with place.open("a", encoding="utf-8") as out:
                out.write(json.dumps(run, ensure_ascii=False) + "\n")
            print(f"{example}, seed {seed}: {run['calls']} calls, {run['cpu_seconds']:.0f} CPU s, {run['seconds']:.0f} s", flush=True)
    Console(width=220).print(table(lines_of(place), label))


if __name__ == "__main__":
    main()
