import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from chromadb.utils.embedding_functions.onnx_mini_lm_l6_v2 import ONNXMiniLM_L6_V2
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.errors import MissingExtra
from langchain_reflect.index.minilm import _offline_weights
from langchain_reflect.index.onnx import BATCH_TOKENS, OnnxMiniLM, _batches, chroma_weights, padded
from tests.unit_tests.index.onnx_bert import write_bert

TEXTS = [
    "",
    "a",
    "Move my flight to Friday",
    "日本語のテキスト 🎉",
    "\x00 odd",
    *("a refund of an order that was placed by mistake " * n for n in (3, 9, 60)),
    "word " * 20_000,
]
FILES = ("config.json", "special_tokens_map.json", "tokenizer_config.json", "vocab.txt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The offline weights as Chroma would have them."""
    weights = _offline_weights()
    if weights is None:
        pytest.skip("no weights: the extra `local` is not installed")
    folder = write_bert(Path(weights), tmp_path_factory.mktemp("all-MiniLM-L6-v2") / "onnx")
    for name in FILES:
        (folder / name).touch()
    return folder


@pytest.fixture(scope="module")
def onnx(folder):
    return OnnxMiniLM(folder)


def test_its_vectors_are_those_of_sentence_transformers(onnx, minilm):
    """The gate of the weights written for this test, too: a wrong one would not get here."""
    cosines = (onnx.embed_documents(TEXTS) * minilm.embed_documents([text.replace("\x00", " ") for text in TEXTS])).sum(axis=1)
    assert cosines.min() > 0.9999


def test_its_vectors_are_those_of_chromas_own_function(onnx, folder, monkeypatch):
    monkeypatch.setattr(ONNXMiniLM_L6_V2, "DOWNLOAD_PATH", folder.parent)
    chromas = np.array(ONNXMiniLM_L6_V2(preferred_providers=["CPUExecutionProvider"])(TEXTS[1:4]))
    assert (chromas * onnx.embed_documents(TEXTS[1:4])).sum(axis=1).min() > 0.9999


def test_a_text_has_the_same_vector_alone_and_beside_longer_ones(onnx):
    together = onnx.embed_documents(TEXTS)
    assert min(onnx.embed_query(text) @ vector for text, vector in zip(TEXTS, together, strict=True)) > 0.9999
    assert np.linalg.norm(together, axis=1) == pytest.approx([1.0] * len(TEXTS), abs=1e-5)


def test_threads_may_share_it(onnx):
    expected, found = onnx.embed_documents(TEXTS), {}

    def embed(at):
        found[at] = onnx.embed_query(TEXTS[at])

    threads = [threading.Thread(target=embed, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert min(found[at] @ expected[at] for at in range(8)) > 0.9999


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_it_works_in_a_forked_child_without_a_complaint(folder):
    code = f"""
import os, pathlib
from langchain_reflect.index.onnx import OnnxMiniLM
model = OnnxMiniLM(pathlib.Path({str(folder)!r}))
before = model.embed_documents(["a task", "another"])[0]
child = os.fork()
if child == 0:
    os._exit(0 if model.embed_query("a task") @ before > 0.999 else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_weights_that_are_there_are_found_where_chroma_keeps_them(folder, monkeypatch):
    monkeypatch.setattr(ONNXMiniLM_L6_V2, "DOWNLOAD_PATH", folder.parent)
    assert chroma_weights() == folder
    assert OnnxMiniLM().embed_query("a task").shape == (384,)


def test_weights_that_cannot_be_had_name_the_way_out(monkeypatch, tmp_path):
    def offline(*_, **__):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(ONNXMiniLM_L6_V2, "DOWNLOAD_PATH", tmp_path / "models")
    monkeypatch.setattr(ONNXMiniLM_L6_V2, "_download", offline)
    with pytest.raises(MissingExtra, match=r"no route to host.*langchain-reflect\[local\]"):
        OnnxMiniLM()


def test_weights_that_were_cut_short_are_unpacked_again(folder, monkeypatch, tmp_path, caplog):
    place = tmp_path / "models"
    (place / "onnx").mkdir(parents=True)
    for name in (*FILES, "tokenizer.json"):
        (place / "onnx" / name).write_bytes((folder / name).read_bytes())
    (place / "onnx" / "model.onnx").write_bytes(b"\x08\x08cut")

    def unpack(_self):
        if not (place / "onnx" / "model.onnx").exists():
            (place / "onnx" / "model.onnx").hardlink_to(folder / "model.onnx")

    monkeypatch.setattr(ONNXMiniLM_L6_V2, "DOWNLOAD_PATH", place)
    monkeypatch.setattr(ONNXMiniLM_L6_V2, "_download_model_if_not_exists", unpack)
    assert OnnxMiniLM().embed_query("a task").shape == (384,)
    assert "unpacked again" in caplog.text


@given(st.lists(st.lists(st.integers(1, 30_000), min_size=1, max_size=20), min_size=1, max_size=8))
def test_padding_keeps_every_token_and_masks_the_rest(tokens):
    ids, mask = padded(tokens)
    assert [row[seen == 1].tolist() for row, seen in zip(ids, mask, strict=True)] == tokens
    assert not ids[mask == 0].any()
    assert ids.shape == (len(tokens), max(map(len, tokens)))


@given(st.lists(st.integers(2, 256), max_size=200))
def test_each_text_is_in_one_batch_of_like_lengths_within_the_limit(lengths):
    batches = list(_batches(lengths))
    assert sorted(at for batch in batches for at in batch) == list(range(len(lengths)))
    for batch in batches:
        assert max(lengths[at] for at in batch) * len(batch) <= BATCH_TOKENS
    ordered = [lengths[at] for batch in batches for at in batch]
    assert ordered == sorted(lengths, reverse=True)
