"""What the sections of `curation.py` have in common."""

import gzip
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from langchain_reflect.index.embeddings import Embedder, resolve_embedder

DATA = Path(os.environ.get("REFLECT_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))
Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Table:
    """What a section measured."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


class Made(Embeddings):
    """An embedder from a function of texts."""

    def __init__(self, function: Callable[[list[str]], Any]) -> None:
        self._function = function

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of texts."""
        return np.asarray(self._function(texts), dtype=float).tolist()  # type: ignore[no-any-return]  # numpy does not tell

    def embed_query(self, text: str) -> list[float]:
        """Vector of one text."""
        return self.embed_documents([text])[0]


@cache
def remembering() -> Embedder:
    """The default embedder, which embeds each text once in all sections."""
    default = resolve_embedder(None)
    seen: dict[str, Vector] = {}

    def vectors(texts: list[str]) -> Vector:
        if missing := [t for t in dict.fromkeys(texts) if t not in seen]:
            seen.update(zip(missing, default.embed_documents(missing), strict=True))
        return np.stack([seen[t] for t in texts])

    return Embedder("MiniLM, remembered", lambda: Made(vectors))


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Objects of a compressed file with one a line."""
    with gzip.open(path, "rt", encoding="utf-8") as texts:
        yield from map(json.loads, texts)


def spread(numbers: Sequence[float], form: str = ".0f") -> str:
    """Median, 95th percentile and largest."""
    return "/".join(f"{np.percentile(numbers, p):{form}}" for p in (50, 95, 100)) if numbers else "-"
