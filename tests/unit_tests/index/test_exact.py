import os
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from langchain_reflect.errors import EmbedderChanged, InvalidInput
from langchain_reflect.index.exact import ExactIndex, Rows, dots, nearest

from .conftest import entry, unit


@given(
    st.lists(arrays(np.float32, st.tuples(st.integers(0, 4), st.just(3)), elements=st.floats(-1, 1, width=32)), max_size=6),
    st.integers(0, 8),
)
def test_nearest_is_the_sorted_best_row_of_each_lesson(lessons, limit):
    named = [(f"L-{n}", rows) for n, rows in enumerate(lessons)]
    query = np.array([0.6, 0.8, 0.0], np.float32)
    expected = sorted(((name, float(np.clip((rows @ query).max(), -1, 1))) for name, rows in named if len(rows)), key=lambda h: -h[1])[
        :limit
    ]
    found = nearest(Rows.of(named), query, limit)
    assert [hit.similarity for hit in found] == pytest.approx([similarity for _, similarity in expected], abs=1e-5)


@given(
    st.dictionaries(st.integers(0, 6), st.integers(0, 3)), st.dictionaries(st.integers(0, 8), st.integers(0, 3)), st.sets(st.integers(0, 8))
)
def test_rows_with_some_lessons_changed_are_those_of_all_lessons_as_they_are_then(before, after, gone):
    def rows(sizes, value):
        return {f"L-{n}": np.full((size, 2), value + n, np.float32) for n, size in sizes.items()}

    old, new = rows(before, 0), rows(after, 100)
    changed = {f"L-{n}" for n in gone} | set(new)
    found = Rows.of(old.items()).with_changed(changed, new.items())
    expected = Rows.of({**{i: v for i, v in old.items() if i not in changed}, **new}.items())
    assert found.lesson_ids == expected.lesson_ids
    assert found.starts.tolist() == expected.starts.tolist()
    assert found.matrix.tolist() == expected.matrix.tolist()


def test_a_query_of_another_dimension_is_an_error():
    with pytest.raises(InvalidInput, match=r"\(3,\)"):
        nearest(Rows.of([("L-a", np.eye(2, dtype=np.float32))]), np.zeros(3, np.float32), 1)


def test_vectors_of_another_dimension_are_refused(tag):
    index = ExactIndex()
    index.open(tag)
    with pytest.raises(EmbedderChanged, match="L-a"):
        index.upsert([entry("L-a", unit(1)[:3])])


@pytest.mark.skipif(os.cpu_count() == 1, reason="with one core nothing can work beside it")
def test_no_other_thread_is_woken_for_a_product():
    matrix, vector = np.random.default_rng(0).normal(size=(10_000, 384)).astype(np.float32), np.ones(384, np.float32)

    def by_others():
        """Share of the time that other threads of the process have worked."""
        mine, all_threads = time.thread_time(), time.process_time()
        for _ in range(10):
            dots(matrix, vector)
        mine, all_threads = time.thread_time() - mine, time.process_time() - all_threads
        return (all_threads - mine) / mine

    assert dots(matrix, vector) == pytest.approx(matrix @ vector, abs=1e-3)
    assert min(by_others() for _ in range(5)) < 0.2
