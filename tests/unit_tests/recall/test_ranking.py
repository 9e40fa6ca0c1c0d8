import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.lessons.paraphrases import TRIOS
from langchain_reflect.recall.fusion import Fused
from langchain_reflect.recall.ranking import (
    ACTIVE_PRIOR,
    DEFAULT_FLOOR,
    FIT_FLOORS,
    FLOORS,
    TWIN_COSINE,
    background_floor,
    fit_floor_for,
    floor_for,
    rank,
)
from langchain_reflect.types import Lesson

from .conftest import unit_vector


def lesson(name, status="candidate"):
    return Lesson(id=name, when="w", do="d", status=status)


def outcome(ranked):
    return [(each.lesson.id, each.dropped) for each in ranked]


def test_nearest_first_and_no_more_than_k():
    ranked = rank([(lesson("a"), 0.5), (lesson("b"), 0.9), (lesson("c"), 0.7)], vectors={}, floor=0.0, k=2)
    assert outcome(ranked) == [("b", ""), ("c", ""), ("a", "over k")]


def test_what_is_below_the_floor_is_out_and_the_floor_itself_is_in():
    ranked = rank([(lesson("a"), 0.37), (lesson("b"), 0.3699)], vectors={}, floor=0.37, k=5)
    assert outcome(ranked) == [("a", ""), ("b", "below floor")]


def test_a_proven_lesson_wins_a_close_race_but_no_clear_one():
    close = rank([(lesson("new"), 0.50), (lesson("proven", "active"), 0.49)], vectors={}, floor=0.0, k=1)
    clear = rank([(lesson("new"), 0.50), (lesson("proven", "active"), 0.40)], vectors={}, floor=0.0, k=1)
    assert close[0].lesson.id == "proven"
    assert close[0].score == 0.49 + ACTIVE_PRIOR
    assert clear[0].lesson.id == "new"


def test_the_prior_lifts_nothing_over_the_floor():
    assert outcome(rank([(lesson("a", "active"), 0.36)], vectors={}, floor=0.37, k=1)) == [("a", "below floor")]


def test_the_better_of_two_near_twins_stays_and_a_third_lesson_moves_up():
    vectors = {"a": unit_vector(1, 0), "b": unit_vector(1, 0.1), "c": unit_vector(0, 1)}
    ranked = rank([(lesson("a"), 0.8), (lesson("b"), 0.9), (lesson("c"), 0.5)], vectors=vectors, floor=0.0, k=2)
    assert outcome(ranked) == [("b", ""), ("a", "near-twin of b"), ("c", "")]


def test_a_lesson_without_a_vector_has_no_twins():
    ranked = rank([(lesson("a"), 0.8), (lesson("b"), 0.9)], vectors={"a": unit_vector(1, 0)}, floor=0.0, k=2)
    assert outcome(ranked) == [("b", ""), ("a", "")]


def test_order_does_not_depend_on_the_order_of_candidates():
    candidates = [(lesson("a"), 0.5), (lesson("b"), 0.5), (lesson("c"), 0.5)]
    assert outcome(rank(candidates, vectors={}, floor=0, k=2)) == outcome(rank(candidates[::-1], vectors={}, floor=0, k=2))


def test_what_both_searches_say_decides_the_order_and_is_told():
    fused = {"a": Fused("a", 0.5, 7.0, 0.9), "b": Fused("b", 0.6, 0.0, 0.4)}
    ranked = rank([(lesson("b"), 0.6), (lesson("a"), 0.5)], vectors={}, floor=0.0, k=1, fused=fused)
    assert outcome(ranked) == [("a", ""), ("b", "over k")]
    assert [(each.score, each.similarity, each.lexical) for each in ranked] == [(0.9, 0.5, 7.0), (0.4, 0.6, 0.0)]


def test_where_no_lesson_fits_none_is_shown_and_else_each_must_be_near():
    candidates = [(lesson("a"), 0.5), (lesson("b"), 0.2)]
    assert outcome(rank(candidates, vectors={}, floor=0.3, k=2, fit=0.29)) == [("a", "below floor"), ("b", "below floor")]
    assert outcome(rank(candidates, vectors={}, floor=0.3, k=2, fit=0.30)) == [("a", ""), ("b", "below floor")]


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.sampled_from(["candidate", "active"]), st.floats(0, 6.28)), max_size=12),
    st.floats(-1, 1),
    st.integers(1, 5),
)
def test_what_stays_is_near_distinct_and_few_and_nothing_is_forgotten(drawn, floor, k):
    candidates = [(lesson(f"L-{n}", status), similarity) for n, (similarity, status, _) in enumerate(drawn)]
    vectors = {f"L-{n}": np.array([np.cos(angle), np.sin(angle)]) for n, (_, _, angle) in enumerate(drawn)}
    ranked = rank(candidates, vectors=vectors, floor=floor, k=k)
    kept = [each for each in ranked if not each.dropped]
    assert sorted(each.lesson.id for each in ranked) == sorted(each.id for each, _ in candidates)
    assert len(kept) <= k
    assert all(each.similarity >= floor for each in kept)
    assert all(vectors[a.lesson.id] @ vectors[b.lesson.id] < TWIN_COSINE for i, a in enumerate(kept) for b in kept[:i])
    if not kept:
        assert all(each.dropped == "below floor" for each in ranked)


def test_the_floor_is_the_users_then_the_embedders_then_the_default():
    known = next(iter(FLOORS))
    assert floor_for(known, 0.0) == 0.0
    assert floor_for(known) == FLOORS[known]
    assert floor_for("somebody:else") == DEFAULT_FLOOR


def test_the_floor_where_words_bear_witness_is_the_users_then_the_embedders_then_the_default():
    known = next(iter(FIT_FLOORS))
    assert fit_floor_for(known, 0.0) == 0.0
    assert fit_floor_for(known) == FIT_FLOORS[known]
    assert fit_floor_for("somebody:else") == DEFAULT_FLOOR


def test_the_floor_of_the_default_embedder_is_what_unrelated_lessons_stay_below(minilm):
    vectors = minilm.embed_documents([text for trio in TRIOS for text in (trio.lesson, trio.other)])
    assert background_floor(vectors.reshape(len(TRIOS), 2, -1)) == pytest.approx(FIT_FLOORS[minilm.id], abs=0.005)
