import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from langchain_reflect.recall.fusion import Fused, fit, fuse, fused_scores, in_order, pool, share_of_words

from .conftest import unit_vector


def names(found):
    return [each.lesson_id for each in found]


def fused(dense, lexical, vectors=None, limit=100):
    by_words, missing = dict(lexical), np.zeros(3, np.float32)
    cosines, shared = np.array([cosine for _, cosine in dense]), np.array([by_words.get(name, 0.0) for name, _ in dense])
    best, scores = fuse(cosines, shared, np.stack([(vectors or {}).get(name, missing) for name, _ in dense]), limit=limit)
    return in_order(Fused(dense[at][0], float(cosines[at]), float(shared[at]), float(scores[at])) for at in best)


def test_a_lesson_that_both_searches_find_comes_first():
    dense = [("both", 0.6), ("near", 0.65), ("words", 0.1), ("none", 0.0)]
    assert names(fused(dense, [("words", 9.0), ("both", 8.0)]))[0] == "both"


def test_every_part_of_a_score_is_told():
    found = fused([("a", 0.5), ("b", 0.1)], [("a", 3.0)])
    assert found == [Fused("a", 0.5, 3.0, 1.0), Fused("b", 0.1, 0.0, 0.0)]


def test_what_is_as_good_as_the_last_is_fused_too():
    assert names(fused([("a", 0.9), ("b", 0.5), ("c", 0.5), ("d", 0.1)], [], limit=2)) == ["a", "b", "c"]


def test_without_shared_words_the_nearest_comes_first():
    assert names(fused([("a", 0.1), ("b", 0.9), ("c", 0.5)], [])) == ["b", "c", "a"]


def test_a_lesson_beside_the_best_comes_up():
    vectors = {"best": unit_vector(1, 0, 0), "beside": unit_vector(1, 0.2, 0), "apart": unit_vector(0, 0, 1)}
    others = {f"other{n}": unit_vector(0, 1, n) for n in range(3)}
    dense = [("best", 0.9), ("apart", 0.32), ("beside", 0.30), *((name, 0.0) for name in others)]
    assert names(fused(dense, []))[:3] == ["best", "apart", "beside"]
    assert names(fused(dense, [], vectors | others))[:3] == ["best", "beside", "apart"]


ALIKE = [unit_vector(1, 0.1 * n, 0) for n in range(3)]
UNLIKE = [unit_vector(0, 1, 0), unit_vector(0, 0, 1), unit_vector(0, -1, 0)]


def test_words_count_for_less_where_they_find_lessons_of_many_kinds():
    cosines, lexical = np.array([0.9, 0.8, 0.7, 0, 0, 0]), np.array([0, 0, 0, 3.0, 2.0, 1.0])
    assert share_of_words(cosines, lexical, np.stack([*ALIKE, *UNLIKE])) < 0.2
    assert share_of_words(cosines, lexical, np.stack([*UNLIKE, *ALIKE])) > 0.8


def test_words_count_for_half_where_both_find_the_same_or_no_word_is_shared():
    vectors = np.stack([*ALIKE, *UNLIKE])
    assert share_of_words(np.arange(6.0), np.arange(6.0), vectors) == pytest.approx(0.5)
    assert share_of_words(np.arange(6.0), np.zeros(6), vectors) == 0.5


SCORES = st.lists(st.tuples(st.floats(-1, 1, width=32), st.floats(0, 50, width=32), st.floats(0, 6.28)), min_size=1, max_size=15)


@given(SCORES)
def test_scores_lie_between_0_and_1_and_do_not_depend_on_the_order(drawn):
    dense = [(f"L-{n:02}", cosine) for n, (cosine, _, _) in enumerate(drawn)]
    lexical = [(f"L-{n:02}", score) for n, (_, score, _) in enumerate(drawn)]
    found = fused(dense, lexical)
    assert found == fused(dense[::-1], lexical[::-1])
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
    assert fused_scores(np.full(2, 0.5), np.zeros(2), np.zeros((2, 4))).tolist() == [0, 0]


def test_the_pool_holds_what_either_search_finds_and_a_sample():
    assert pool(np.array([3, 0, 2, 1]), [996, 999], 1000, 4).tolist() == [0, 1, 2, 3, 333, 666, 996, 999]
    assert pool(np.array([2]), [1], 4, 4).tolist() == [0, 1, 2, 3]
