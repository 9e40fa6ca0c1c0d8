import asyncio
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings

from langchain_reflect.errors import InvalidInput, MissingExtra
from langchain_reflect.index.base import PROBE
from langchain_reflect.index.embeddings import CACHED_QUERIES, Embedder, resolve_embedder
from langchain_reflect.index.minilm import DEFAULT_ID


class Counting(Embeddings):
    """Two letters counted, and how often it was asked."""

    model = "letters"

    def __init__(self, vectors=None):
        self.calls = 0
        self.vectors = vectors

    def embed_documents(self, texts):
        self.calls += 1
        return self.vectors if self.vectors is not None else [[text.count("a"), text.count("b") + 1] for text in texts]

    def embed_query(self, text):
        return self.embed_documents([text])[0]


class OnlyAsync(Counting):
    def embed_query(self, text):
        raise AssertionError("the sync method blocks the event loop")

    async def aembed_query(self, text):
        return [3.0, 4.0]


def test_vectors_are_float32_of_length_one():
    embedder = resolve_embedder(Counting())
    vectors = embedder.embed_documents(["aaa", "bbb"])
    assert vectors.dtype == np.float32
    assert vectors.shape == (2, 2)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1])


def test_no_texts_give_an_empty_matrix_of_the_right_width():
    assert resolve_embedder(Counting()).embed_documents([]).shape == (0, 2)


def test_the_id_names_class_and_model():
    assert resolve_embedder(Counting()).id.endswith("Counting:letters")
    fake = resolve_embedder(DeterministicFakeEmbedding(size=4))
    assert fake.id == "langchain_core.embeddings.fake.DeterministicFakeEmbedding"
    assert fake.dimension == 4


def test_the_tag_holds_the_probe():
    embedder = resolve_embedder(Counting())
    assert embedder.tag.probe == pytest.approx(embedder.embed_query(PROBE))
    embedder.tag.check(embedder.tag)


def test_a_query_is_embedded_once_and_the_oldest_are_forgotten():
    model = Counting()
    embedder = resolve_embedder(model)
    for text in ["a", "a", "a"]:
        embedder.embed_query(text)
    assert model.calls == 1
    for n in range(CACHED_QUERIES):
        embedder.embed_query(f"other {n}")
    embedder.embed_query("a")
    assert model.calls == CACHED_QUERIES + 2


def test_a_cached_vector_cannot_be_changed_by_its_reader():
    with pytest.raises(ValueError, match="read-only"):
        resolve_embedder(Counting()).embed_query("a")[0] = 7


async def test_async_uses_the_models_own_async_method():
    assert await resolve_embedder(OnlyAsync()).aembed_query("a") == pytest.approx([0.6, 0.8])


async def test_sync_and_async_agree_and_share_what_they_remember():
    model = Counting()
    embedder = resolve_embedder(model)
    assert (await embedder.aembed_query("aab") == embedder.embed_query("aab")).all()
    assert model.calls == 1


def test_a_zero_vector_stays_zero():
    assert not resolve_embedder(Counting([[0.0, 0.0]])).embed_query("").any()


@pytest.mark.parametrize(
    ("vectors", "complaint"),
    [
        ([[float("nan"), 1.0], [1.0, 1.0]], "NaN"),
        ([[1.0, 1.0], [float("inf"), 1.0]], "NaN or infinity"),
        ([[1.0], [1.0, 2.0]], "equal length"),
        ([[1.0, 2.0]] * 3, r"2 vectors.*\(3, 2\)"),
        ([], "2 vectors"),
        ([["x", "y"]] * 2, "equal length"),
    ],
)
def test_unusable_vectors_name_the_embedder_and_the_fault(vectors, complaint):
    with pytest.raises(InvalidInput, match=rf"(?s)Counting:letters.*{complaint}"):
        resolve_embedder(Counting(vectors)).embed_documents(["a", "b"])


@pytest.mark.parametrize("spec", ["nonsense", "nobody:model", "openai:", ":x", ""])
def test_an_unknown_string_names_itself_and_shows_an_example(spec):
    with pytest.raises(InvalidInput) as caught:
        resolve_embedder(spec)
    assert repr(spec) in str(caught.value)
    assert "openai" in str(caught.value)


def test_a_provider_without_its_package_says_what_to_install():
    with pytest.raises(MissingExtra, match=r"cohere:embed-english-v3\.0.*pip install langchain-cohere"):
        resolve_embedder("cohere:embed-english-v3.0")


def test_a_provider_string_gives_one_embedder_with_its_own_name(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "unused")
    embedder = resolve_embedder("openai:text-embedding-3-small")
    assert embedder.id == "openai:text-embedding-3-small"
    assert resolve_embedder("openai:text-embedding-3-small") is embedder


def test_an_embedder_is_passed_through_and_anything_else_refused():
    embedder = resolve_embedder(Counting())
    assert resolve_embedder(embedder) is embedder
    with pytest.raises(InvalidInput, match="42"):
        resolve_embedder(42)


def test_the_model_is_loaded_once_however_many_threads_ask():
    loads = []

    def load():
        loads.append(1)
        return Counting()

    embedder = Embedder("m", load)
    threads = [threading.Thread(target=embedder.embed_query, args=(str(n),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == [1]


def test_resolving_the_default_loads_no_model():
    code = "import sys; from langchain_reflect.index.embeddings import resolve_embedder; resolve_embedder(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "sentence_transformers", "chromadb", "langchain.embeddings"} & set(loaded)


def test_the_default_understands_meaning(minilm):
    lesson = "Basic economy tickets cannot be changed; cancel within 24 hours instead."
    near = minilm.embed_query("Move my cheapest-fare flight to Friday")
    far = minilm.embed_query("What is the capital of France?")
    vector = minilm.embed_documents([lesson])[0]
    assert near @ vector > far @ vector + 0.2


def test_the_default_is_named_after_its_weights_and_shared(minilm):
    assert minilm.id == DEFAULT_ID
    assert minilm.dimension == 384
    assert resolve_embedder(None) is minilm


def test_queries_and_documents_of_the_default_are_one_space(minilm):
    text = "count the letters"
    assert minilm.embed_query(text) @ minilm.embed_documents(["something else", text])[1] > 0.9999


def test_the_default_takes_texts_of_any_size_and_script(minilm):
    vectors = minilm.embed_documents(["", "x" * 100_000, "日本語のテキスト 🎉", "\x00\ud800 half a surrogate pair"])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1] * 4, abs=1e-5)


def test_the_default_leaves_the_hosts_threads_alone(minilm):
    import torch

    before = torch.get_num_threads()
    minilm.embed_query("one thread only, please")
    assert torch.get_num_threads() == before


def test_threads_may_share_the_default(minilm):
    async def all_at_once():
        return await asyncio.gather(*(minilm.aembed_query(f"task {n % 4} in parallel") for n in range(12)))

    vectors = asyncio.run(all_at_once())
    assert all((vectors[n] == vectors[n % 4]).all() for n in range(12))


def test_weights_that_cannot_be_had_name_the_way_out(monkeypatch):
    from langchain_reflect.index import minilm as models

    monkeypatch.setattr(models, "_offline_weights", lambda: None)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "nowhere")
    with pytest.raises(MissingExtra, match=r"langchain-reflect\[local\]"):
        models.SentenceTransformersMiniLM()


class Symmetric(Counting):
    symmetric = True


def test_a_task_that_was_searched_with_is_not_embedded_again_where_questions_and_documents_are_alike():
    model = Symmetric()
    embedder = resolve_embedder(model)
    asked = embedder.embed_query("aab")
    assert embedder.known_document("aab") is asked
    assert (embedder.embed_documents(["aab"])[0] == asked).all()
    assert model.calls == 1
    assert (embedder.embed_documents(["b", "aab", "b"]) == embedder.embed_documents(["b", "aab", "b"])).all()


def test_a_question_is_no_document_unless_the_model_says_so():
    embedder = resolve_embedder(Counting())
    embedder.embed_query("aab")
    assert embedder.known_document("aab") is None


def test_equal_texts_are_embedded_once_and_keep_their_places():
    seen = []

    class Watched(Counting):
        def embed_documents(self, texts):
            seen.append(texts)
            return super().embed_documents(texts)

    vectors = resolve_embedder(Watched()).embed_documents(["a", "b", "a"])
    assert seen == [["a", "b"]]
    assert (vectors[0] == vectors[2]).all()
    assert (vectors[0] != vectors[1]).any()


def test_threads_that_ask_for_one_task_at_once_embed_it_once():
    class Slow(Counting):
        def embed_query(self, text):
            time.sleep(0.05)
            return super().embed_query(text)

    model, found = Slow(), []
    embedder = resolve_embedder(model)
    threads = [threading.Thread(target=lambda: found.append(embedder.embed_query("aab"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (model.calls, len(found)) == (1, 8)
    assert embedder._turns == {}


def test_after_a_failure_the_next_one_tries_again():
    class Flaky(Counting):
        def embed_query(self, text):
            if self.calls == 0:
                self.calls += 1
                raise ConnectionError("once")
            return super().embed_query(text)

    embedder = resolve_embedder(Flaky())
    with pytest.raises(ConnectionError):
        embedder.embed_query("a")
    assert embedder.embed_query("a").shape == (2,)
