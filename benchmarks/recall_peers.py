"""The memories of others, filled with the lessons and vectors of `recall.py` and asked as their documentation asks them."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings

PACKAGES = ("langmem", "langgraph", "langgraph-checkpoint-sqlite", "sqlite-vec", "mem0ai", "chromadb")
Vectors = Mapping[str, np.ndarray]
Ask = Callable[[str], object]
PLACE = ("memories",)


class Told(Embeddings):
    """Vectors that are known."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = {text: vector.tolist() for text, vector in vectors.items()}
        self._other = next(iter(self._vectors.values()))

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Of texts."""
        return [self._vectors.get(text, self._other) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Of one text."""
        return self._vectors.get(text, self._other)


def langmem(_: Path, vectors: Vectors, texts: Sequence[str]) -> Ask:
    """The search tool of langmem on LangGraph's InMemoryStore."""
    from langgraph.store.memory import InMemoryStore
    from langmem import create_search_memory_tool

    store = InMemoryStore(index={"dims": 384, "embed": Told(vectors), "fields": ["content"]})
    _put(store, texts)
    tool = create_search_memory_tool(PLACE, store=store)
    return lambda task: tool.invoke({"query": task, "limit": 10})


def sqlite_store(folder: Path, vectors: Vectors, texts: Sequence[str]) -> Ask:
    """LangGraph's SqliteStore, which needs a build of SQLite that loads extensions."""
    try:
        import pysqlite3 as sqlite3  # such a build, where Python's own is not
    except ImportError:
        import sqlite3

    from langgraph.store.sqlite import SqliteStore

    folder.mkdir()
    connection = sqlite3.connect(folder / "store.db", check_same_thread=False, isolation_level=None)
    store = SqliteStore(connection, index={"dims": 384, "embed": Told(vectors), "text_fields": ["content"]})
    store.setup()
    _put(store, texts)
    return lambda task: store.search(PLACE, query=task, limit=10)


def mem0(folder: Path, vectors: Vectors, texts: Sequence[str]) -> Ask:
    """The package mem0 on Chroma, without its model."""
    import os

    os.environ["MEM0_TELEMETRY"] = "False"
    os.environ.setdefault("MEM0_DIR", str(folder / "home"))
    from mem0 import Memory

    config: dict[str, Any] = {
        "vector_store": {"provider": "chroma", "config": {"collection_name": "memories", "path": str(folder / "chroma")}},
        "embedder": {"provider": "openai", "config": {"api_key": "none"}},
        "llm": {"provider": "openai", "config": {"api_key": "none"}},
        "history_db_path": str(folder / "history.db"),
    }
    memory = Memory.from_config(config)
    told = Told(vectors)
    memory.embedding_model.embed = lambda text, *_, **__: told.embed_query(text)
    for start in range(0, len(texts), 2000):
        some = texts[start : start + 2000]
        memory.vector_store.insert(
            vectors=told.embed_documents(list(some)),
            payloads=[{"data": text, "user_id": "u", "hash": str(start + n)} for n, text in enumerate(some)],
            ids=[f"m{start + n}" for n in range(len(some))],
        )
    return lambda task: json.dumps(memory.search(task, filters={"user_id": "u"}, top_k=10), default=str)


def versions() -> str:
    """What was measured."""
    found = []
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return ", ".join(found)


def _put(store: Any, texts: Sequence[str]) -> None:
    from langgraph.store.base import PutOp

    for start in range(0, len(texts), 1000):
        store.batch([PutOp(PLACE, f"m{start + n}", {"content": text}) for n, text in enumerate(texts[start : start + 1000])])


PEERS: dict[str, tuple[Callable[[Path, Vectors, Sequence[str]], Ask], int]] = {
    "langmem search tool on InMemoryStore": (langmem, 60),
    "LangGraph SqliteStore": (sqlite_store, 12),
    "mem0 on Chroma": (mem0, 30),
}
"""How each is filled, and how much faster recall has to be."""
