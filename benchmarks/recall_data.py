"""Lesson books of any size for `recall.py`: recorded lessons and variations of them, in a ledger and in a raw Chroma collection."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sections import DATA, lines

from langchain_reflect import Ledger
from langchain_reflect.index.base import PROBE, VectorIndex
from langchain_reflect.index.embeddings import Embedder, resolve_embedder
from langchain_reflect.index.exact import ExactIndex
from langchain_reflect.lessons.book import LessonBook
from langchain_reflect.lessons.paraphrases import TRIOS, VERSION
from langchain_reflect.recall.recaller import Recaller
from langchain_reflect.recall.shelf import LexicalShelf
from langchain_reflect.types import Lesson, Namespace, Revision

CACHE = Path(os.environ.get("REFLECT_BENCH_CACHE", Path(tempfile.gettempdir()) / "reflect-bench"))
SPACE: Namespace = ("default",)
BATCH = 2000
NEAR = 0.03
"""Spread, per dimension, of the vectors of variations around the recorded lesson's."""
QUERIES = 200
"""Fewer than an embedder remembers, so that none is embedded while recall is timed."""


@dataclass(frozen=True)
class Said:
    """A recorded lesson."""

    when: str
    do: str


class Known:
    """Embeds what it was told; anything else gets a vector that depends on its length alone."""

    def __init__(self, base: NDArray[np.float32]) -> None:
        self._base = base
        self.vectors: dict[str, NDArray[np.float32]] = {}

    def embed_documents(self, texts: list[str]) -> Any:
        """Vectors of texts."""
        return np.stack([self.embed_query(text) for text in texts])

    def embed_query(self, text: str) -> Any:
        """Vector of one text."""
        return self.vectors[text] if text in self.vectors else self._base[len(text) % len(self._base)]


def recorded(most: int) -> tuple[list[Said], list[str], NDArray[np.float32]]:
    """Lessons, tasks that some of them came from, and the lessons' vectors, embedded once and kept in `CACHE`."""
    said, tasks = [], []
    if (DATA / "lessons/dev/lessons.jsonl.gz").exists():
        for line in lines(DATA / "lessons/dev/lessons.jsonl.gz"):
            text = line["text"][:1200]
            half = text.find(" ", len(text) // 3)
            said.append(Said(text[:half], text[half + 1 :]) if half > 0 else Said("Always", text))
            tasks += [line["meta"]["source_task_text"][:300]] if line["meta"].get("source_task_text") else []
    else:
        words = [
            "refund",
            "flight",
            "hotel",
            "invoice",
            "table",
            "column",
            "index",
            "account",
            "order",
            "ticket",
            "test",
            "file",
            "module",
            "user",
            "date",
            "price",
        ]
        rng = np.random.default_rng(1)
        drawn = [rng.choice(words, 36) for _ in range(5000)]
        said = [Said("asked about " + " ".join(each[:6]), "first " + " ".join(each[6:])) for each in drawn]
        tasks = [" ".join(rng.choice(words, 12)) for _ in range(500)]
    said, tasks = said[:most], list(dict.fromkeys(tasks))
    return said, tasks, _embedded(said)


def _embedded(said: Sequence[Said]) -> NDArray[np.float32]:
    return _kept(f"lessons-{len(said)}", [f"{each.when}\n{each.do}"[:600] for each in said])


def _calibrating() -> dict[str, NDArray[np.float32]]:
    """What an embedder is calibrated with, so that the floors are those of the real one."""
    texts = [PROBE, *(text for trio in TRIOS for text in trio)]
    return dict(zip(texts, _kept(f"calibration-{VERSION}", texts), strict=True))


def _kept(name: str, texts: Sequence[str]) -> NDArray[np.float32]:
    place = CACHE / f"{name}.npy"
    if not place.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        made = CACHE / f"{name}.{os.getpid()}.npy"
        np.save(made, resolve_embedder(None).embed_documents(texts))
        made.replace(place)
    vectors: NDArray[np.float32] = np.load(place)
    return vectors


@dataclass
class Source:
    """What books are filled from."""

    said: list[Said]
    tasks: list[str]
    base: NDArray[np.float32]

    def __post_init__(self) -> None:
        rng = np.random.default_rng(7)
        self.backend = Known(self.base)
        self.backend.vectors |= _calibrating()
        self.tasks = self.tasks[:QUERIES]
        for task in self.tasks:
            self.backend.vectors[task] = near(self.base[rng.integers(len(self.base))], rng)
        self.embedder = Embedder("bench", lambda: self.backend)

    def queries(self) -> list[tuple[str, NDArray[np.float32]]]:
        """Tasks with their vectors, in the embedder's memory."""
        return [(task, self.embedder.embed_query(task)) for task in self.tasks]

    def lessons(self, count: int, namespace: Namespace = SPACE, first: int = 0) -> list[tuple[Lesson, NDArray[np.float32]]]:
        """Lessons and the vector of each."""
        rng, made = np.random.default_rng(first), []
        for n in range(first, first + count):
            said, version = self.said[n % len(self.said)], n // len(self.said)
            do = said.do if not version else f"{said.do} (variation {version})"
            lesson = Lesson(id=f"L-{n:08d}", namespace=namespace, when=said.when, do=do, status="active")
            vector = self.base[n % len(self.said)]
            made.append((lesson, near(vector, rng) if version else vector))
        return made


def near(vector: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A vector of length 1 beside another."""
    moved = vector + rng.normal(size=len(vector)).astype(np.float32) * NEAR
    return (moved / np.linalg.norm(moved)).astype(np.float32)


def fill(ledger: Ledger, lessons: Sequence[tuple[Lesson, NDArray[np.float32]]], embedder: str = "bench") -> None:
    """Put lessons and vectors into a ledger."""
    for start in range(0, len(lessons), BATCH):
        some = lessons[start : start + BATCH]
        ledger.append_revisions([Revision(lesson=lesson, kind="add", actor="import") for lesson, _ in some])
        ledger.put_vectors(embedder, {lesson.key_text(): vector for lesson, vector in some})


def recaller_of(ledger: Ledger, embedder: Embedder, index: VectorIndex | None = None) -> tuple[LessonBook, Recaller]:
    """Recall as a learner has it."""
    book = LessonBook(ledger, index or ExactIndex(), embedder)
    book.calibrate()
    return book, Recaller(book, embedder, words=LexicalShelf(ledger))


def raw_chroma(folder: Path, lessons: Sequence[tuple[Lesson, NDArray[np.float32]]]) -> Any:
    """A collection with the same vectors, texts and metadata."""
    import chromadb

    client = chromadb.PersistentClient(str(folder))
    collection: Any = client.create_collection("raw", embedding_function=None, configuration={"hnsw": {"space": "cosine"}})
    for start in range(0, len(lessons), BATCH):
        some = lessons[start : start + BATCH]
        collection.add(
            ids=[lesson.id for lesson, _ in some],
            embeddings=np.stack([vector for _, vector in some]),
            documents=[lesson.key_text() for lesson, _ in some],
            metadatas=[{"status": lesson.status, "namespace": "/".join(lesson.namespace)} for lesson, _ in some],
        )
    return collection
