import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.recall.fusion import Fused
from langchain_reflect.recall.ranking import ACTIVE_PRIOR, TWIN_COSINE, UTILITY_CAP, rank, utility_of
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


def test_floor_zero_never_abstains():
    assert outcome(rank([(lesson("a"), -0.2)], vectors={}, floor=0.0, fit=-0.1, k=1)) == [("a", "")]
    assert outcome(rank([(lesson("a"), -0.2)], vectors={}, floor=-0.1, k=1)) == [("a", "below floor")]


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
    assert floor == 0 or all(each.similarity >= floor for each in kept)
    assert all(vectors[a.lesson.id] @ vectors[b.lesson.id] < TWIN_COSINE for i, a in enumerate(kept) for b in kept[:i])
    if not kept:
        assert all(each.dropped == "below floor" for each in ranked)


@given(st.floats(-1, 1), st.floats(-1, 1), st.sampled_from(["active", "candidate"]))
def test_utility_is_bounded_never_negative_and_grows_with_the_effect(one, other, status):
    low, high = sorted([utility_of(lesson("a", status), one), utility_of(lesson("a", status), other)])
    assert 0.0 <= low <= high <= ACTIVE_PRIOR + UTILITY_CAP
    assert (utility_of(lesson("a", status), max(one, other))) == high


def test_a_lesson_that_helps_wins_among_lessons_of_about_equal_fit_only():
    helps = {"helps": 0.2}
    close = rank([(lesson("new"), 0.50), (lesson("helps"), 0.48)], vectors={}, floor=0.0, k=1, utilities=helps)
    clear = rank([(lesson("new"), 0.50), (lesson("helps"), 0.46)], vectors={}, floor=0.0, k=1, utilities=helps)
    assert [each[0].lesson.id for each in (close, clear)] == ["helps", "new"]
    assert close[0].utility == pytest.approx(0.03)


def test_what_helps_elsewhere_does_not_pass_the_floor():
    ranked = rank([(lesson("a", "active"), 0.36)], vectors={}, floor=0.37, k=1, utilities={"a": 1.0})
    assert outcome(ranked) == [("a", "below floor")]
