"""What a reflection prompt holds and costs to make, on recorded groups, without a model."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import recorded
from digests import tokenizer
from feeding import Fed
from peers_prompts import transcript, ways
from sections import Table, lines, spread

from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.counting import estimate_tokens
from langchain_reflect.recording.messages import read_row
from langchain_reflect.reflection.drafting import questions
from langchain_reflect.reflection.grouping import ready_groups, select
from langchain_reflect.reflection.prompts import Prompts
from langchain_reflect.types import RolloutGroup, now

TAU = ("tau airline", "tau retail")
COUNT = Callable[[str], int]


@contextmanager
def groups_of(name: str, data: Path, limit: int) -> Iterator[tuple[list[RolloutGroup], dict[str, float], list[dict[str, Any]]]]:
    """The ready groups of a set of recorded episodes, milliseconds by phase, and the rows.

    Args:
        name: Of the set, see `recorded.SETS`.
        data: Folder of the recorded data.
        limit: Most episodes.
    """
    path, wanted = recorded.SETS[name]
    rows = sorted((r for r in lines(data / path) if all(r[k] == v for k, v in wanted.items())), key=lambda r: r["task_id"])[:limit]
    with tempfile.TemporaryDirectory() as folder, Ledger(folder) as ledger:
        recorded._import(rows, ledger, recorded.Result(name))  # noqa: SLF001 - the sibling's own way in
        started = time.perf_counter()
        bare = ledger.rollouts(limit=1_000_000, trajectories=False)
        read = time.perf_counter()
        ready = ready_groups(bare, policy=recorded.POLICY, now=now())
        grouped = time.perf_counter()
        ids = [r.episode.id for g in ready for r in g.rollouts]
        full = {r.episode.id: r for r in ledger.rollouts(episodes=ids, limit=None)} if ids else {}
        loaded = time.perf_counter()
        groups = [g.model_copy(update={"rollouts": tuple(full[r.episode.id] for r in g.rollouts)}) for g in ready]
        phases = {"read": read - started, "group": grouped - read, "load": loaded - grouped}
        yield groups, {phase: 1000 * seconds for phase, seconds in phases.items()}, rows


def asked_about(group: RolloutGroup) -> str:
    """Our prompt about a group, as text."""
    [question] = questions(group, policy=recorded.POLICY, prompts=Prompts(), lessons={}, gated=False)
    return "\n".join(m.text for m in question.messages)


@cache
def counted(name: str, data: Path, limit: int) -> dict[str, list[int]]:
    """Tokens for each group: `ours`, `ours, estimated`, `raw trajectories`, and of the peers that are installed.

    Args:
        name: Of the set.
        data: Folder of the recorded data.
        limit: Most episodes.
    """
    count = tokenizer() or estimate_tokens
    peers = ways()
    with groups_of(name, data, limit) as (groups, _, rows):
        by_id = {read_row(recorded._public(r), number=n)[0].id: r for n, r in enumerate(rows)}  # noqa: SLF001
        found: dict[str, list[int]] = {}
        for group in groups:
            shown = [by_id[r.episode.id] for r in select(group.rollouts, recorded.POLICY.group_size)]
            texts = {"ours": [asked_about(group)], "raw trajectories": list(map(transcript, shown))}
            texts |= {peer: said_by(shown) for peer, said_by in peers.items()}
            for way, said in texts.items():
                found.setdefault(way, []).append(sum(map(count, said)))
            found.setdefault("ours, estimated", []).append(estimate_tokens(texts["ours"][0]))
    return found


def prompts(data: Path, limit: int) -> Table:
    """Tokens for one group, ours and others'."""
    rows = []
    for name in TAU:
        found = counted(name, data, limit)
        ours = np.array(found["ours"])
        for way, tokens in found.items():
            ratio = np.array(tokens) / ours
            rows.append([name, str(len(ours)), way, spread(tokens), f"{np.median(ratio):.1f}", f"{sum(tokens) / ours.sum():.1f}"])
    by = "all-MiniLM-L6-v2's tokenizer" if tokenizer() else "our estimate, as no tokenizer is installed"
    missing = "" if len(ways()) == 4 else "; peers: pip install langmem ace-framework==0.5.1"
    note = f"Counted by {by}, the same rollouts for all; calls about single rollouts are summed up{missing}."
    return Table("prompts", ["set", "groups", "way", "tokens p50/p95/max", "of ours, median", "of ours, all"], rows, note)


def throughput(data: Path, limit: int) -> Table:
    """What one group costs before and after the model."""
    return Table("throughput: groups prepared", GROUPS_HEAD, [_prepared(name, data, limit) for name in recorded.SETS])


GROUPS_HEAD = ["set", "episodes", "groups", "groups/s", "ms/group: read", "group", "load", "select+digest+prompt p50/p95/max"]


def _prepared(name: str, data: Path, limit: int) -> list[str]:
    with groups_of(name, data, limit) as (groups, phases, rows):
        spent = [_timed(asked_about, group) for group in groups]
    each = {phase: ms / max(1, len(groups)) for phase, ms in phases.items()}
    total = sum(phases.values()) + sum(spent)
    return [
        name,
        str(len(rows)),
        str(len(groups)),
        f"{1000 * len(groups) / total:.0f}",
        *(f"{each[phase]:.2f}" for phase in ("read", "group", "load")),
        spread(spent, ".1f"),
    ]


def _timed(run: Callable[[RolloutGroup], str], group: RolloutGroup) -> float:
    started = time.perf_counter()
    run(group)
    return 1000 * (time.perf_counter() - started)


def drafts_per_second(sources: Sequence[Fed]) -> Table:
    """What one draft costs, from the first pass of each source; the model's answer is not in it."""
    return Table("throughput: drafts curated", DRAFTS_HEAD, [_curated(each) for each in sources])


DRAFTS_HEAD = ["source", "drafts", "drafts/s", "ms/draft: read the book", "compare", "commit"]


def _curated(fed: Fed) -> list[str]:
    seconds: Mapping[str, float] = fed.first.seconds
    each = [1000 * seconds[phase] / max(1, fed.inputs) for phase in ("read", "compare", "commit")]
    return [fed.name, str(fed.inputs), f"{1000 / max(1e-9, sum(each)):.0f}", *(f"{ms:.2f}" for ms in each)]
