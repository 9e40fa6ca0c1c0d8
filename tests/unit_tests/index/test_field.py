"""Lessons in blocks: the same answers as from one matrix, after whatever changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.errors import InvalidInput
from langchain_reflect.index import field as module
from langchain_reflect.index.exact import Rows, first, nearest
from langchain_reflect.index.field import Blocks, Field

SIZES = st.dictionaries(st.integers(0, 30), st.integers(0, 3), max_size=12)


def vectors_of(sizes, seed):
    rng = np.random.default_rng(seed)
    made = {f"L-{n}": rng.normal(size=(size, 6)).astype(np.float32) for n, size in sizes.items()}
    return {name: rows / np.linalg.norm(rows, axis=1, keepdims=True) for name, rows in made.items()}


QUERY = np.array([0.6, 0.8, 0, 0, 0, 0], np.float32)


@pytest.fixture(params=["compared", "sketched"])
def small(request, monkeypatch):
    """Blocks of three lessons, with sketches or without."""
    monkeypatch.setattr(module, "BLOCK", 3)
    if request.param == "sketched":
        monkeypatch.setattr(module, "SKETCHED", 0)
        monkeypatch.setattr(module, "DIRECTIONS", (2, 2))


def check(blocks, lessons):
    held = {name: rows for name, rows in lessons.items() if len(rows)}
    found, expected = Field(blocks, QUERY).hits(4), nearest(Rows.of(held.items()), QUERY, 4)
    assert len(blocks) == len(held)
    assert [hit.lesson_id for hit in found] == [hit.lesson_id for hit in expected]
    assert [hit.similarity for hit in found] == pytest.approx([hit.similarity for hit in expected], abs=1e-5)


@pytest.mark.usefixtures("small")
def test_blocks_that_followed_changes_answer_as_one_matrix_does():
    @given(SIZES, st.lists(st.tuples(SIZES, st.sets(st.integers(0, 30))), max_size=4))
    def follow(sizes, changes):
        lessons = vectors_of(sizes, 0)
        blocks = Blocks.of(lessons.items())
        check(blocks, lessons)
        for number, (come, gone) in enumerate(changes, 1):
            new = vectors_of(come, number)
            changed = {f"L-{n}" for n in gone} | set(new)
            lessons = {name: rows for name, rows in lessons.items() if name not in changed} | new
            blocks = blocks.with_changed(changed, new.items())
            check(blocks, lessons)

    follow()


@pytest.mark.usefixtures("small")
def test_positions_lead_to_ids_cosines_and_first_vectors():
    lessons = vectors_of({n: 1 + n % 3 for n in range(8)}, 1)
    field = Field(Blocks.of(lessons.items()), QUERY)
    placed, scores = field.placed([("L-6", 0.5), ("unknown", 1.0), ("L-1", 0.25)])
    assert (field.ids(placed[::-1]), scores.tolist()) == (["L-1", "L-6"], [0.5, 0.25])
    positions = np.sort(placed)
    assert field.vectors(positions).tolist() == [lessons["L-1"][0].tolist(), lessons["L-6"][0].tolist()]
    assert field.cosines(positions) == pytest.approx([(lessons[i] @ QUERY).max() for i in ("L-1", "L-6")], abs=1e-6)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("most", [1, 3])
def test_compared_are_the_cosines_and_the_first_vectors(most):
    lessons = vectors_of({n: 1 + n % most for n in range(8)}, 2)
    field = Field(Blocks.of(lessons.items()), QUERY)
    positions = np.array([1, 4, 7])
    cosines, vectors = field.compared(positions)
    assert cosines == pytest.approx(field.cosines(positions), abs=1e-6)
    assert vectors.tolist() == field.vectors(positions).tolist()


def test_a_sketch_misses_few_of_those_that_are_near():
    rng = np.random.default_rng(0)
    spread = 0.9 ** np.arange(120)
    vectors = (rng.normal(size=(module.SKETCHED + 4000, 120)) * spread).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    lessons = [(f"L-{n}", vector[None]) for n, vector in enumerate(vectors)]
    blocks, rows = Blocks.of(lessons), Rows.of(lessons)
    assert blocks.directions is not None
    for query in vectors[:20]:
        found = {hit.lesson_id for hit in Field(blocks, query).hits(8)}
        assert len(found & {hit.lesson_id for hit in nearest(rows, query, 8)}) >= 7


@given(st.lists(st.floats(-1, 1), max_size=40), st.integers(0, 50))
def test_first_are_the_highest(scores, count):
    assert sorted(np.array(scores)[first(np.array(scores), count)]) == sorted(scores)[max(0, len(scores) - count) :]


def test_first_of_many_are_the_highest_also_where_they_are_equal():
    rng = np.random.default_rng(0)
    for scores in (rng.normal(size=20_000), np.zeros(20_000), np.repeat([0.0, 1.0], [19_900, 100]), np.sort(rng.normal(size=20_000))):
        assert sorted(scores[first(scores, 150)]) == sorted(scores)[-150:]


@pytest.mark.usefixtures("small")
def test_a_query_of_another_dimension_is_an_error():
    with pytest.raises(InvalidInput, match=r"\(3,\)"):
        Field(Blocks.of([("L-a", np.eye(2, dtype=np.float32))]), np.zeros(3, np.float32))
