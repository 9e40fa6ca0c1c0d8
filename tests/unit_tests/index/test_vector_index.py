"""What every `VectorIndex` must do, run against each of ours."""

import numpy as np
import pytest

from langchain_reflect.errors import EmbedderChanged
from langchain_reflect.index.base import Hit, VectorIndex
from langchain_reflect.index.chroma import ChromaIndex
from langchain_reflect.index.exact import ExactIndex

from .conftest import entry, tag_of, unit


@pytest.fixture(params=["exact", "chroma"])
def index(request, tmp_path, tag):
    made = ExactIndex() if request.param == "exact" else ChromaIndex(tmp_path / "chroma")
    made.open(tag)
    yield made
    made.close()


def test_it_is_a_vector_index(index):
    assert isinstance(index, VectorIndex)


def test_a_fresh_index_is_empty_and_finds_nothing(index):
    assert index.count() == 0
    assert index.query(unit(1), namespace=("default",), limit=3) == []


def test_query_returns_each_lesson_once_with_its_best_vector(index):
    index.upsert([entry("L-a", unit(0, 1), unit(1)), entry("L-b", unit(1, 1))])
    hits = index.query(unit(1), namespace=("default",), limit=5)
    assert [hit.lesson_id for hit in hits] == ["L-a", "L-b"]
    assert hits[0].similarity == pytest.approx(1.0, abs=1e-5)
    assert hits[1].similarity == pytest.approx(0.7071, abs=1e-3)


def test_a_lesson_with_many_near_vectors_does_not_hide_the_others(index):
    index.upsert([entry("L-many", *[unit(1, n / 1000) for n in range(40)]), *[entry(f"L-{n}", unit(1, 0, 1 + n)) for n in range(3)]])
    hits = index.query(unit(1), namespace=("default",), limit=3)
    assert [hit.lesson_id for hit in hits] == ["L-many", "L-0", "L-1"]


def test_namespaces_are_compared_whole(index):
    index.upsert(
        [entry("L-a", unit(1), namespace=("a", "b")), entry("L-b", unit(1), namespace=("a",)), entry("L-c", unit(1), namespace=("ab",))]
    )
    assert [hit.lesson_id for hit in index.query(unit(1), namespace=("a",), limit=9)] == ["L-b"]


def test_upsert_replaces_all_vectors_of_a_lesson(index):
    index.upsert([entry("L-a", unit(1), unit(0, 1), unit(0, 0, 1))])
    index.upsert([entry("L-a", unit(0, 0, 0, 1), revision=2)])
    assert index.count() == 1
    assert index.query(unit(1), namespace=("default",), limit=1)[0].similarity == pytest.approx(0.0, abs=1e-5)


def test_upsert_can_move_a_lesson_to_another_namespace(index):
    index.upsert([entry("L-a", unit(1), namespace=("a",))])
    index.upsert([entry("L-a", unit(1), namespace=("b",))])
    assert index.query(unit(1), namespace=("a",), limit=1) == []
    assert index.count() == 1


def test_the_last_entry_of_a_lesson_in_one_batch_wins(index):
    index.upsert([entry("L-a", unit(1)), entry("L-a", unit(0, 1))])
    assert index.count() == 1
    assert index.query(unit(0, 1), namespace=("default",), limit=1) == [Hit("L-a", pytest.approx(1.0, abs=1e-5))]


def test_deleted_and_unknown_lessons_are_gone(index):
    index.upsert([entry("L-a", unit(1), unit(0, 1)), entry("L-b", unit(1))])
    index.delete(["L-a", "L-unknown"])
    index.delete([])
    assert [hit.lesson_id for hit in index.query(unit(1), namespace=("default",), limit=9)] == ["L-b"]


def test_nothing_is_a_valid_batch_and_a_valid_limit(index):
    index.upsert([])
    index.upsert([entry("L-a", unit(1))])
    assert index.query(unit(1), namespace=("default",), limit=0) == []


def test_reset_empties_and_the_index_goes_on(index):
    index.upsert([entry("L-a", unit(1))])
    index.reset()
    assert index.count() == 0
    index.upsert([entry("L-b", unit(1))])
    assert index.count() == 1


def test_opening_again_with_the_same_embedder_keeps_what_is_there(index, tag):
    index.upsert([entry("L-a", unit(1))])
    index.open(tag)
    assert index.count() == 1


@pytest.mark.parametrize("other", [tag_of("another"), tag_of(dimension=9), tag_of(first=0.1)], ids=["name", "dimension", "probe"])
def test_another_embedder_is_refused_until_reset(index, other):
    index.upsert([entry("L-a", unit(1))])
    with pytest.raises(EmbedderChanged, match="reflect reindex"):
        index.open(other)


def test_closing_twice_is_harmless(index):
    index.close()
    index.close()


def test_hits_agree_with_brute_force_over_many_lessons(index):
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(300, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index.upsert([entry(f"L-{n}", vectors[n]) for n in range(300)])
    hits = index.query(vectors[7], namespace=("default",), limit=5)
    assert [hit.lesson_id for hit in hits] == [f"L-{n}" for n in np.argsort(-(vectors @ vectors[7]))[:5]]
