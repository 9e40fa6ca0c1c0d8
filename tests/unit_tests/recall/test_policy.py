import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.errors import InvalidInput
from langchain_reflect.recall.policy import Chances, RecallPolicy, chances, is_drawn_alike

NAN = float("nan")


@pytest.mark.parametrize(
    "given",
    [
        {"k": 0}, {"k": True}, {"k": 2.5}, {"k": "5"}, {"max_tokens": -1}, {"max_tokens": 1.5},
        {"holdout": 1.01}, {"holdout": NAN}, {"withhold": -0.1}, {"floor": 2}, {"deadline": 0},
        {"deadline": NAN}, {"floor": "0.3"},
    ],
    ids=str,
)  # fmt: skip
def test_a_value_out_of_range_is_named_with_the_range(given):
    ((name, value),) = given.items()
    with pytest.raises(InvalidInput, match=rf"{name}={value!r}.*expected"):
        RecallPolicy(**given)


def test_the_extremes_are_valid():
    RecallPolicy(k=1, max_tokens=0, holdout=0, withhold=1, floor=-1, deadline=float("inf"))
    RecallPolicy(k=100, holdout=1.0, withhold=0.0, floor=1.0)


def test_candidates_are_withheld_more_often_than_active_lessons():
    assert RecallPolicy().withhold_probability("candidate") == 0.25
    assert RecallPolicy().withhold_probability("active") == 0.05
    assert RecallPolicy(withhold=0.0).withhold_probability("candidate") == 0.0


def test_the_version_says_how_a_run_was_drawn():
    told = RecallPolicy(placebo=0.05, withhold=0.5, floor=0.3, unit="user", salt="autumn term=2").version
    assert told == "holdout=0.1 placebo=0.05 doses=2:1 withhold=0.5 max_tokens=300 floor=0.3 unit=user salt=autumn term=2"
    assert chances(told) == Chances(0.1, 0.05, {2: 1.0})


@given(st.floats(0, 0.5), st.floats(0, 0.5), st.dictionaries(st.integers(1, 3), st.floats(0.01, 5.0), min_size=1), st.text(max_size=20))
def test_chances_are_read_back_from_the_version(holdout, placebo, doses, salt):
    policy = RecallPolicy(k="auto", holdout=holdout, placebo=placebo, doses=doses, salt=salt)
    read = chances(policy.version)
    assert (read.holdout, read.placebo) == pytest.approx((holdout, placebo), rel=1e-4)
    assert sum(read.doses.values()) == pytest.approx(1.0)
    assert read.doses == pytest.approx({dose: share / sum(doses.values()) for dose, share in doses.items()}, abs=1e-3)


def test_only_the_doses_may_differ_between_policies_that_draw_alike():
    auto, later = RecallPolicy(k="auto"), RecallPolicy(k="auto", doses={1: 1.0})
    assert is_drawn_alike(auto.version, later.version)
    for other in (RecallPolicy(k="auto", holdout=0.2), RecallPolicy(k="auto", withhold=0.1), RecallPolicy(k="auto", salt="2")):
        assert not is_drawn_alike(auto.version, other.version)


@pytest.mark.parametrize("text", ["", "holdout=0.1", "holdout=x placebo=0 doses=2:1", "holdout=0.1 placebo=0 doses=2:0"])
def test_what_is_no_policy_is_refused(text):
    with pytest.raises(InvalidInput, match="cannot be read"):
        chances(text)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"holdout": 0.6, "placebo": 0.6}, "sum up to 1|sum of 1"),
        ({"k": "most"}, "k='most'"),
        ({"unit": "team"}, "'thread', 'episode' or 'user'"),
        ({"k": "auto", "doses": {0: 1.0}}, "doses"),
        ({"k": "auto", "doses": {1: -1.0}}, "doses"),
        ({"k": "auto", "doses": {}}, "doses"),
    ],
    ids=str,
)
def test_chances_that_cannot_be_drawn_are_refused(given, said):
    with pytest.raises(InvalidInput, match=said):
        RecallPolicy(**given)


def test_where_chance_has_no_part_the_likeliest_dose_is_taken():
    assert [RecallPolicy(k="auto").usual, RecallPolicy(k="auto", doses={1: 1, 3: 2}).usual, RecallPolicy(k=5).usual] == [2, 3, 5]
    assert [RecallPolicy(k="auto").most, RecallPolicy(k=5).most] == [3, 5]
