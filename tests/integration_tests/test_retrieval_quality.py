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
    "bfcl": 0.560,
    "tau-airline": 0.620,
    "tau-retail": 0.588,
    "alfworld": 0.759,
    "programming": 0.816,
    "hotpotqa": 0.807,
    "webshop": 0.949,
    "math-hs": 0.723,
}
SIMILAR = {"webarena": 0.962, "llb-db": 0.946, "llb-os": 0.991, "bbh": 0.923, "tau-retail": 0.398}


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


def test_tasks_find_tasks_of_their_kind(measuring, recorded_data):
    found = measuring.similar(recorded_data, resolve_embedder(None))
    assert found.keys() == SIMILAR.keys()
    assert {name: by["hybrid"] for name, by in found.items() if by["hybrid"] < SIMILAR[name] - 0.01} == {}


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
