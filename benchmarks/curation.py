"""Does the lesson book become better and not bigger? Measured on recorded data, without a model.

The texts are other people's and not part of this project: `REFLECT_DATA` names their folder (default `../shared/data`). Each section is a
function that returns a table:

    item_pairs  how well lessons that say the same are told from others
    feeding     thousands of recorded lessons go into a book, twice and in several orders
    capped      likewise, where the book may have no more than 200
    keeping     the same lessons, kept in simpler ways
    echo        lessons are shown, quoted by the agent, and reflected on, again and again
    prompts     tokens of a reflection prompt, against the raw trajectories and against peers where they are installed
    throughput  groups prepared
    curated     drafts curated

    python benchmarks/curation.py [--data DIR] [--section NAME ...] [--limit N]
"""

import argparse
import hashlib
import logging
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from echo import echo
from feeding import capped, fed, feeding
from keeping import keeping
from numpy.typing import NDArray
from preparing import drafts_per_second, prompts, throughput
from sections import DATA, Made, Table, Vector, lines

from langchain_reflect.index.embeddings import Embedder, resolve_embedder
from langchain_reflect.ledger import Ledger
from langchain_reflect.lessons.calibration import likeness_of
from langchain_reflect.lessons.likeness import Likeness, says_same
from langchain_reflect.types import LessonText

# item_pairs: the same item of a cheat sheet before and after an edit, and different items of one sheet


@dataclass(frozen=True)
class Pairs:
    """Labelled pairs of texts, as one embedder and the words see them."""

    same: NDArray[np.bool_]
    """What the label says."""
    cosines: NDArray[np.float32]
    agree: NDArray[np.bool_]
    """Whether `says_same` finds nothing that speaks against it."""

    def row(self, likeness: Likeness) -> list[str]:
        """Cells of the table, after the embedder's name."""
        same = self.cosines >= likeness.same
        between = (self.cosines >= likeness.near) & ~same
        return [
            f"{likeness.near:.3f}/{likeness.alike:.3f}/{likeness.same:.3f}",
            f"{self.accuracy(likeness.alike):.3f}",
            f"{max(self.accuracy(t) for t in np.unique(self.cosines)):.3f}",
            _of(same, self.same),
            _of(same, ~self.same),
            _of(same & self.agree, self.same),
            _of(same & self.agree, ~self.same),
            self._mix(between),
            self._mix(same & ~self.agree),
            _of(self.cosines < likeness.near, self.same),
        ]

    def _mix(self, asked: NDArray[np.bool_]) -> str:
        return f"{asked.mean():.0%}: {(asked & self.same).sum()} same, {(asked & ~self.same).sum()} not"

    def accuracy(self, threshold: float) -> float:
        """Share of right decisions if a cosine alone decides."""
        return float(np.mean((self.cosines >= threshold) == self.same))


PAIRS_HEAD = [
    "embedder",
    "near/alike/same",
    "accuracy at alike",
    "with hindsight",
    "from same: twins",
    "others",
    "and words agree: twins",
    "others",
    "judge, near to same",
    "judge, since words differ",
    "twins below near",
]


def item_pairs(data: Path, limit: int) -> Table:
    """Decisions of the calibrated thresholds, for the default embedder and for some that see texts otherwise."""
    pairs = list(lines(data / "curation/dev/item_pairs.jsonl.gz"))[:limit]
    rows = []
    for name, embedder in embedders().items():
        with tempfile.TemporaryDirectory() as folder, Ledger(folder) as ledger:
            likeness = likeness_of(embedder, ledger)
        rows.append([name, *measured(pairs, embedder).row(likeness)])
    return Table("item_pairs", PAIRS_HEAD, rows)


def measured(pairs: Sequence[dict[str, Any]], embedder: Embedder) -> Pairs:
    """What an embedder and the words make of labelled pairs."""
    texts = sorted({pair[side] for pair in pairs for side in "ab"})
    vectors = dict(zip(texts, embedder.embed_documents(texts), strict=True))
    return Pairs(
        same=np.array([pair["label"] == "same_item_edited" for pair in pairs]),
        cosines=np.array([vectors[pair["a"]] @ vectors[pair["b"]] for pair in pairs]),
        agree=np.array([says_same(LessonText(when="", do=pair["a"]), LessonText(when="", do=pair["b"])) for pair in pairs]),
    )


def embedders() -> dict[str, Embedder]:
    """The default, the same through other eyes, bags of words and of letters, and two that see nothing."""
    default = resolve_embedder(None)
    seen: dict[str, Vector] = {}

    def cached(texts: list[str]) -> NDArray[np.float32]:
        if missing := [t for t in texts if t not in seen]:
            seen.update(zip(missing, default.embed_documents(missing), strict=True))
        return np.stack([seen[t] for t in texts])

    random = np.random.default_rng(0)
    projection = random.normal(size=(default.dimension, 32))
    made: dict[str, Callable[[list[str]], Any]] = {
        "MiniLM (default)": cached,
        "MiniLM, first 64": lambda texts: cached(texts)[:, :64],
        "MiniLM, projected to 32": lambda texts: cached(texts) @ projection,
        "MiniLM, all cosines high": lambda texts: cached(texts) + 0.15,
        "words, hashed to 4096": lambda texts: [_hashed(re.findall(r"\w+", t.lower()), 4096) for t in texts],
        "letters 3 to 5": lambda texts: [_hashed([t[i : i + n] for n in (3, 4, 5) for i in range(len(t) - n + 1)], 8192) for t in texts],
        "words, hashed to 64": lambda texts: [_hashed(re.findall(r"\w+", t.lower()), 64) for t in texts],
        "random": lambda texts: random.normal(size=(len(texts), 64)),
        "all equal": lambda texts: np.ones((len(texts), 8)),
    }
    return {name: Embedder(name, lambda f=f: Made(f)) for name, f in made.items()}  # type: ignore[misc]  # a default binds the loop's f


def _hashed(pieces: Sequence[str], size: int) -> Vector:
    vector = np.zeros(size, np.float32)
    for piece in pieces:
        vector[int.from_bytes(hashlib.blake2b(piece.encode(), digest_size=4).digest()) % size] += 1
    return vector


def _of(found: NDArray[np.bool_], label: NDArray[np.bool_]) -> str:
    return f"{(found & label).sum()}/{label.sum()}"


def curated(data: Path, limit: int) -> Table:
    """What one draft costs."""
    return drafts_per_second(fed(data, limit))


SECTIONS: dict[str, Callable[[Path, int], Table]] = {
    "item_pairs": item_pairs,
    "feeding": feeding,
    "capped": capped,
    "keeping": keeping,
    "echo": echo,
    "prompts": prompts,
    "throughput": throughput,
    "curated": curated,
}


def main() -> None:
    """Print the tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, default=DATA)
    options.add_argument("--section", nargs="*", choices=SECTIONS, default=list(SECTIONS))
    options.add_argument("--limit", type=int, default=1_000_000, help="most pairs, lessons of a source, and episodes of a set")
    given = options.parse_args()
    if not given.data.is_dir():
        raise SystemExit(f"no recorded data in {given.data}; set REFLECT_DATA")
    logging.basicConfig(level=logging.WARNING)
    for name in given.section:
        started = time.perf_counter()
        show(SECTIONS[name](given.data, given.limit), time.perf_counter() - started)


def show(table: Table, seconds: float) -> None:
    """Print one table."""
    from rich.console import Console
    from rich.table import Table as Drawn

    drawn = Drawn(*table.head, title=f"{table.title} ({seconds:.0f} s)", caption=table.note or None)
    for row in table.rows:
        drawn.add_row(*row)
    Console(width=220).print(drawn)


if __name__ == "__main__":
    main()
