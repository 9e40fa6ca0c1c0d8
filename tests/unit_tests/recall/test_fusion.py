import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from langchain_reflect.recall.fusion import Fused, convex, fit, fuse, fused_scores, pool

from .conftest import unit_vector


def names(found):
    return [each.lesson_id for each in found]


def test_a_lesson_that_both_searches_find_comes_first():
    dense = [("both", 0.6), ("near", 0.65), ("words", 0.1), ("none", 0.0)]
    assert names(fuse(dense, [("words", 9.0), ("both", 8.0)], vectors={}))[0] == "both"


def test_every_part_of_a_score_is_told():
    found = fuse([("a", 0.5), ("b", 0.1)], [("a", 3.0), ("unknown", 9.0)], vectors={})
    assert found == [Fused("a", 0.5, 3.0, 1.0), Fused("b", 0.1, 0.0, 0.0)]


def test_nothing_found_is_nothing_fused():
    assert fuse([], [("a", 1.0)], vectors={}) == []


def test_without_shared_words_the_nearest_comes_first():
    assert names(fuse([("a", 0.1), ("b", 0.9), ("c", 0.5)], [], vectors={})) == ["b", "c", "a"]


def test_a_lesson_beside_the_best_comes_up():
    vectors = {"best": unit_vector(1, 0, 0), "beside": unit_vector(1, 0.2, 0), "apart": unit_vector(0, 0, 1)}
    others = {f"other{n}": unit_vector(0, 1, n) for n in range(3)}
    dense = [("best", 0.9), ("apart", 0.32), ("beside", 0.30), *((name, 0.0) for name in others)]
    assert names(fuse(dense, [], vectors={}))[:3] == ["best", "apart", "beside"]
    assert names(fuse(dense, [], vectors=vectors | others))[:3] == ["best", "beside", "apart"]


SCORES = st.lists(st.tuples(st.floats(-1, 1, width=32), st.floats(0, 50, width=32), st.floats(0, 6.28)), min_size=1, max_size=15)


@given(SCORES)
def test_scores_lie_between_0_and_1_and_do_not_depend_on_the_order(drawn):
    dense = [(f"L-{n:02}", cosine) for n, (cosine, _, _) in enumerate(drawn)]
    lexical = [(f"L-{n:02}", score) for n, (_, score, _) in enumerate(drawn)]
    found = fuse(dense, lexical, vectors={})
    assert found == fuse(dense[::-1], lexical[::-1], vectors={})
    assert sorted(names(found)) == [name for name, _ in dense]
    assert all(0 <= each.score <= 1 for each in found)


@given(SCORES)
def test_fit_is_never_more_than_the_best_cosine(drawn):
    cosines, lexical, _ = (np.array(column) for column in zip(*drawn, strict=True))
    assert fit(cosines, lexical) <= cosines.max() + 1e-9


def test_the_words_bear_witness_for_and_against():
    cosines = np.array([0.6, 0.1, 0.1])
    assert fit(cosines, np.array([5.0, 0.0, 0.0])) == pytest.approx(0.6)
    assert fit(cosines, np.array([0.0, 5.0, 0.0])) == pytest.approx(0.35)
    assert fit(cosines, np.zeros(3)) == pytest.approx(0.6)


def test_a_lesson_alone_in_its_book_vouches_for_itself():
    assert fit(np.array([0.6]), np.array([2.0])) == pytest.approx(0.6)


def test_equal_scores_decide_nothing():
    assert convex(np.full(3, 0.5), np.zeros(3)).tolist() == [0, 0, 0]
    assert fused_scores(np.full(2, 0.5), np.zeros(2), np.zeros((2, 4))).tolist() == [0, 0]


def test_the_pool_holds_what_either_search_finds_and_a_sample():
    cosines, lexical = np.linspace(1, 0, 1000), np.linspace(0, 1, 1000)
    assert set(pool(cosines, lexical, 4)) == {0, 1, 2, 3, 333, 666, 996, 997, 998, 999}
    assert pool(cosines[:4], lexical[:4], 4).tolist() == [0, 1, 2, 3]
