import pytest

from langchain_reflect.errors import InvalidInput
from langchain_reflect.recall.policy import RecallPolicy

NAN = float("nan")


@pytest.mark.parametrize(
    "given",
    [
        {"k": 0}, {"k": True}, {"max_tokens": -1}, {"holdout": 1.01}, {"holdout": NAN}, {"withhold": -0.1}, {"floor": 2}, {"deadline": 0},
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
