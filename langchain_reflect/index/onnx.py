"""all-MiniLM-L6-v2 on onnxruntime, from the weights that Chroma downloads: what embeds where sentence-transformers is not installed.

Chroma's own function pads every text to 256 tokens, so that a short task costs as much as the longest: here a text costs what it has.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from langchain_reflect.index.base import Vector, Vectors
from langchain_reflect.index.minilm import MAX_CHARS, no_weights

MAX_TOKENS: Final = 256
"""Where sentence-transformers cuts for this model; the tokenizer's own file says 128."""
BATCH_TOKENS: Final = 2048
"""Tokens of one call, padding included: more are no faster, and take memory that onnxruntime keeps."""

_logger = logging.getLogger(__name__)


class OnnxMiniLM:
    """all-MiniLM-L6-v2 in one CPU thread, which is the one that calls. Safe for threads and after a fork.

    Args:
        folder: Has `model.onnx` and `tokenizer.json`; None: Chroma's own place, into which 80 MB are downloaded if they are missing.

    Raises:
        MissingExtra: The weights are not there and cannot be downloaded.
    """

    symmetric: Final = True

    def __init__(self, folder: Path | None = None) -> None:
        if folder is not None:
            self._session, self._tokenizer = _load(folder)
            return
        place = chroma_weights()
        try:
            self._session, self._tokenizer = _load(place)
        except Exception as error:  # noqa: BLE001 - onnxruntime and tokenizers have errors of their own for a file that is cut short
            _logger.warning("The weights in %s cannot be read, so they are unpacked again: %s", place, error)
            (place / "model.onnx").unlink(missing_ok=True)
            self._session, self._tokenizer = _load(chroma_weights())

    def embed_documents(self, texts: list[str]) -> Vectors:
        """One unit vector per text."""
        tokens = [self._tokens(text) for text in texts]
        vectors = np.empty((len(texts), 384), np.float32)
        for batch in _batches([len(each) for each in tokens]):
            vectors[batch] = self._encode([tokens[at] for at in batch])
        return vectors

    def embed_query(self, text: str) -> Vector:
        """The vector of one text; this model treats questions and documents alike."""
        vector: Vector = self._encode([self._tokens(text)])[0]
        return vector

    def _tokens(self, text: str) -> list[int]:
        # One by one: `encode_batch` starts threads, and complains in every process that is forked afterwards.
        ids: list[int] = self._tokenizer.encode(text[:MAX_CHARS]).ids
        return ids

    def _encode(self, tokens: Sequence[Sequence[int]]) -> Vectors:
        """Mean of the hidden states of each text's own tokens, scaled to length 1."""
        ids, mask = padded(tokens)
        (hidden,) = self._session.run(
            ["last_hidden_state"], {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        )
        sums = np.einsum("btd,bt->bd", hidden, mask.astype(np.float32))
        vectors: Vectors = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        return vectors


def padded(tokens: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids as a matrix, filled up with 0 to the longest text, and the mask that is 1 where there is a token.

    Args:
        tokens: Ids of each text, at least one per text.
    """
    lengths = np.array([len(each) for each in tokens])
    mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
    ids = np.zeros_like(mask)
    ids[mask == 1] = np.concatenate([np.asarray(each, np.int64) for each in tokens])
    return ids, mask


def chroma_weights() -> Path:
    """The folder in which Chroma keeps the weights; downloads them, through Chroma, if they are missing.

    Raises:
        MissingExtra: They cannot be downloaded.
    """
    from chromadb.utils.embedding_functions.onnx_mini_lm_l6_v2 import ONNXMiniLM_L6_V2

    function = ONNXMiniLM_L6_V2(preferred_providers=["CPUExecutionProvider"])
    folder = Path(function.DOWNLOAD_PATH)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Two processes that download into the same file would each spoil the other's.
        with FileLock(folder / "download.lock"):
            function._download_model_if_not_exists()  # noqa: SLF001 - Chroma downloads in its public call only, after which it embeds
    except Exception as error:
        raise no_weights(error) from error
    return folder / function.EXTRACTED_FOLDER_NAME


def _load(folder: Path) -> tuple[Any, Any]:
    import onnxruntime
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(os.fspath(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(os.fspath(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=MAX_TOKENS)
    return session, tokenizer


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places of texts that are embedded together: like lengths, so that little is padded, and few enough tokens."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    while order:
        most = max(1, BATCH_TOKENS // lengths[order[0]])
        yield order[:most]
        order = order[most:]
