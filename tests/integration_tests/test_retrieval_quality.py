"""What hybrid search finds on recorded tasks does not become worse: the score measured when it was made, less 0.03 in each domain."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from langchain_reflect.index.embeddings import resolve_embedder
from langchain_reflect.index.minilm import DEFAULT_ID
from langchain_reflect.lessons import floors

pytestmark = [pytest.mark.recorded, pytest.mark.slow, pytest.mark.timeout(900)]
BENCHMARK = Path(__file__).parents[2] / "benchmarks"
MEASURED = {
    "bfcl": 0.545,
    "tau-airline": 0.617,
    "tau-retail": 0.580,
    "alfworld": 0.734,
    "programming": 0.821,
    "hotpotqa": 0.810,
    "webshop": 0.953,
    "math-hs": 0.737,
}


@pytest.fixture(scope="module")
def measuring():
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(BENCHMARK)  # for its siblings
        yield importlib.import_module("retrieval_quality")


@pytest.fixture(scope="module")
def quality(measuring, recorded_data):
    return measuring.measured(recorded_data, resolve_embedder(None))


def test_each_domain_finds_what_it_found(quality):
    found = quality.by_domain(quality.scored.hybrid)
    assert found.keys() == MEASURED.keys()
    assert {name: value for name, value in found.items() if value < MEASURED[name] - 0.03} == {}


def test_both_searches_together_are_better_than_either_and_than_their_ranks(quality):
    macro = {name: np.mean(list(quality.by_domain(scores).values())) for name, scores in quality.scored.searches().items()}
    assert macro["hybrid"] >= 0.72
    assert macro["hybrid"] >= max(macro["dense"], macro["BM25"], macro["plain RRF"]) + 0.01


def test_tasks_without_an_answer_are_told_from_others(quality):
    assert quality.auroc(quality.scored.fits) >= 0.95


def test_the_default_floor_keeps_right_lessons_and_shows_none_where_none_fits(measuring, quality):
    shares = measuring.at_floor(quality, floors.MEASURED[DEFAULT_ID].fit)
    assert shares["no lesson fits: nothing shown"] >= 0.80
    assert shares["a right lesson among the first two: one still is"] >= 0.90
    assert shares["the first lesson is right: it stays"] >= 0.90


def test_where_only_meaning_is_compared_the_floor_holds_as_well(quality):
    nearest = quality.scored.dense.max(axis=1) >= floors.MEASURED[DEFAULT_ID].cosine
    assert nearest[quality.answerable].mean() >= 0.90
    assert nearest[~quality.answerable].mean() <= 0.20
