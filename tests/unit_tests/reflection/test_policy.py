from datetime import timedelta

import pytest

from langchain_reflect.errors import InvalidInput
from langchain_reflect.reflection.policy import ReflectionPolicy


@pytest.mark.parametrize(
    "given",
    [
        {"min_rollouts": 1},
        {"digest_tokens": 0},
        {"spread": -0.1},
        {"similar": 1.5},
        {"near": 0.95, "same": 0.9},
        {"alike": 0.95, "same": 0.9},
        {"near": 1.5},
        {"max_lessons": 0},
        {"cluster_size": 1},
        {"max_age": timedelta(0)},
        {"drafts": 0},
    ],
)
def test_values_out_of_range_are_refused_by_name(given):
    with pytest.raises(InvalidInput, match=next(iter(given))):
        ReflectionPolicy(**given)


@pytest.mark.parametrize("given", [{"max_lessons": "a"}, {"lease": -1}, {"near": "x"}, {"min_rollouts": None}, {"drafts": True}])
def test_values_of_another_type_are_refused_by_name(given):
    with pytest.raises(InvalidInput, match=f"{next(iter(given))}=.*expected a"):
        ReflectionPolicy(**given)
