"""Text becomes vectors: one embedder, loaded on first use, whatever the model behind it.

Vectors leave here as float32 of length 1, so that a dot product is the cosine. Without a choice the model is all-MiniLM-L6-v2, of
`minilm.py` or else `onnx.py`.
"""

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from importlib.util import find_spec
from typing import Any, Final, Protocol

import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import run_in_executor

from langchain_reflect.errors import InvalidInput, MissingExtra
from langchain_reflect.index.base import PROBE, EmbedderTag, Vector, Vectors
from langchain_reflect.index.minilm import DEFAULT_ID, SentenceTransformersMiniLM
from langchain_reflect.index.onnx import OnnxMiniLM

CACHED_QUERIES: Final = 256
"""Query vectors kept in memory: retries and rollouts ask for the same task again."""


class Backend(Protocol):
    """The two methods of LangChain's `Embeddings` that are needed.

    One that treats questions and documents alike may say so with `symmetric = True`: then a task that was searched with is not embedded
    again when it is compared with other tasks.
    """

    def embed_documents(self, texts: list[str]) -> Any:
        """One vector per text."""

    def embed_query(self, text: str) -> Any:
        """The vector of a question; some models treat questions differently from documents."""


class Embedder:
    """A named source of unit vectors, safe to share between threads."""

    def __init__(self, embedder_id: str, load: Callable[[], Backend]) -> None:
        self.id = embedder_id
        self._load = load
        self._backend: Backend | None = None
        self._queries: OrderedDict[str, Vector] = OrderedDict()
        self._renew_locks()
        _embedders.add(self)

    @cached_property
    def tag(self) -> EmbedderTag:
        """Id, dimension and probe vector. Embeds the probe on first use."""
        probe = self.embed_documents([PROBE])[0]
        return EmbedderTag(self.id, len(probe), tuple(float(x) for x in probe))

    @property
    def dimension(self) -> int:
        """Length of a vector. Embeds the probe on first use."""
        return self.tag.dimension

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of texts that are to be found, shape `(len(texts), dimension)`.

        Raises:
            InvalidInput: The model returned another number of vectors, ragged ones, or NaN or infinity.
        """
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        found = {text: vector for text in texts if (vector := self.known_document(text)) is not None}
        if fresh := [text for text in dict.fromkeys(texts) if text not in found]:
            made = self._unit(self._model().embed_documents([_valid(text) for text in fresh]), len(fresh))
            found.update(zip(fresh, made, strict=True))
        return np.stack([found[text] for text in texts])

    def known_document(self, text: str) -> Vector | None:
        """What `embed_documents` would give for this text, if it is in memory because the text was searched with."""
        return self._remembered(text) if getattr(self._backend, "symmetric", False) else None

    def embed_query(self, text: str) -> Vector:
        """Vector of a text to search with, shape `(dimension,)`. The last queries are remembered.

        Raises:
            InvalidInput: As `embed_documents`.
        """
        if (known := self._remembered(text)) is not None:
            return known
        with self._turn(text):
            if (known := self._remembered(text)) is not None:
                return known
            return self._remember(text, self._model().embed_query(_valid(text)))

    @property
    def is_async(self) -> bool:
        """Whether the model, once it is loaded, has an async method of its own: one that does not just call the other in a thread."""
        return isinstance(self._backend, Embeddings) and type(self._backend).aembed_query is not Embeddings.aembed_query

    async def aembed_query(self, text: str) -> Vector:
        """Async `embed_query`; uses the model's own async method if it has one."""
        if (known := self._remembered(text)) is not None:
            return known
        model = self._backend or await run_in_executor(None, self._model)
        if isinstance(model, Embeddings):
            return self._remember(text, await model.aembed_query(_valid(text)))
        return await run_in_executor(None, self.embed_query, text)

    def _model(self) -> Backend:
        with self._loading:
            if self._backend is None:
                self._backend = self._load()
            return self._backend

    @contextmanager
    def _turn(self, text: str) -> Iterator[None]:
        """One thread at a time for each text: parallel rollouts ask for one task at once, and the first answers them all."""
        with self._caching:
            turn = self._turns.setdefault(text, threading.Lock())
        with turn:
            try:
                yield
            finally:
                with self._caching:
                    self._turns.pop(text, None)

    def _remembered(self, text: str) -> Vector | None:
        with self._caching:
            if text in self._queries:
                self._queries.move_to_end(text)
            return self._queries.get(text)

    def _remember(self, text: str, raw: Any) -> Vector:
        vector: Vector = self._unit([raw], 1)[0]
        vector.setflags(write=False)
        with self._caching:
            self._queries[text] = vector
            if len(self._queries) > CACHED_QUERIES:
                self._queries.popitem(last=False)
        return vector

    def _unit(self, raw: Any, expected: int) -> Vectors:
        try:
            vectors = np.array(raw, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"Embedder {self.id!r} must return {expected} vectors of equal length, but: {error}") from error
        if vectors.ndim != 2 or len(vectors) != expected or not vectors.size:  # noqa: PLR2004 - rows and columns
            raise InvalidInput(f"Embedder {self.id!r} must return {expected} vectors of equal length, got shape {vectors.shape}.")
        if not np.isfinite(vectors).all():
            raise InvalidInput(f"Embedder {self.id!r} returned NaN or infinity; check the model and the text it was given.")
        # The length of some models' vectors overflows or underflows float32 when squared.
        norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        return (vectors / np.where(norms > 0, norms, 1.0)).astype(np.float32)

    def _renew_locks(self) -> None:
        self._loading = threading.Lock()
        self._caching = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}


_embedders: "weakref.WeakSet[Embedder]" = weakref.WeakSet()


def _after_fork() -> None:
    """A lock that another thread held at the fork would stay locked in the child for ever."""
    for embedder in _embedders:
        embedder._renew_locks()  # noqa: SLF001 - same module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def resolve_embedder(embeddings: Embeddings | Embedder | str | None = None) -> Embedder:
    """The embedder that a user's setting means.

    The default model is loaded when the first text is embedded. The object behind a string is made at once, so that a missing package or
    key shows here and not in the middle of a run.

    Args:
        embeddings: An `Embeddings` object, a `"provider:model"` string as for `langchain.embeddings.init_embeddings`, or None for the
            default. Equal strings (and None) give one and the same embedder in a process.

    Raises:
        InvalidInput: The value is none of these, or names no known provider.
        MissingExtra: The provider's package is not installed.
    """
    if isinstance(embeddings, Embedder):
        return embeddings
    if embeddings is None:
        return _default()
    if isinstance(embeddings, str):
        return _named(embeddings.strip())
    if isinstance(embeddings, Embeddings):
        return Embedder(_identify(embeddings), lambda: embeddings)
    raise InvalidInput(
        f"embeddings={embeddings!r} is not usable: give a LangChain Embeddings object, a 'provider:model' string "
        "such as 'openai:text-embedding-3-small', or None for the local default."
    )


@lru_cache(maxsize=1)
def _default() -> Embedder:
    return Embedder(DEFAULT_ID, SentenceTransformersMiniLM if find_spec("sentence_transformers") else OnnxMiniLM)


@lru_cache(maxsize=32)
def _named(spec: str) -> Embedder:
    from langchain.embeddings import init_embeddings

    provider, _, model = spec.partition(":")
    if not provider or not model:
        raise InvalidInput(f"embeddings={spec!r} is not usable: expected 'provider:model', such as 'openai:text-embedding-3-small'.")
    try:
        embeddings = init_embeddings(spec)
    except ImportError as error:
        raise MissingExtra(f"embeddings={spec!r} needs a package that is not installed. {error}") from error
    except Exception as error:
        # Each provider's constructor complains in its own way: no such provider, no API key, no such model.
        raise InvalidInput(f"embeddings={spec!r} cannot be used: {error}") from error
    return Embedder(f"{provider.lower().strip()}:{model.strip()}", lambda: embeddings)


def _valid(text: str) -> str:
    """Half a surrogate pair, as cut texts and broken JSON have it, is an error in tokenizers and in requests alike."""
    return text.encode("utf-8", "replace").decode()


def _identify(embeddings: Embeddings) -> str:
    kind = f"{type(embeddings).__module__}.{type(embeddings).__qualname__}"
    for attribute in ("model", "model_name", "model_id", "deployment", "repo_id"):
        if isinstance(model := getattr(embeddings, attribute, None), str):
            return f"{kind}:{model}"
    return kind
