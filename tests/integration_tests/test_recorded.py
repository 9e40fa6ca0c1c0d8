"""Recorded episodes of other people's agents go through import, grouping and reflection."""

import importlib.util
import os
from pathlib import Path

import pytest

from tests.unit_tests.words import Words

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("REFLECT_DATA", ROOT / ".." / "shared" / "data"))
pytestmark = [
    pytest.mark.recorded,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded data in {DATA}; set REFLECT_DATA"),
]


@pytest.fixture(scope="module")
def results():
    spec = importlib.util.spec_from_file_location("recorded", ROOT / "benchmarks" / "recorded.py")
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    return {r.name: r for r in benchmark.run(DATA, 40, embeddings=Words())}


def test_every_episode_is_imported(results):
    assert {name: (r.episodes, r.refused) for name, r in results.items()} == {
        "tau airline": (40, 0),
        "tau retail": (40, 0),
        "hotpotqa": (40, 0),
        "cute": (40, 0),
        "dirty": (36, 0),
    }


def test_malformed_messages_are_found_and_named(results):
    assert results["dirty"].defects == {"args-not-json": 24, "tool_call_id": 12, "role": 12}
    assert all(not r.defects for name, r in results.items() if name != "dirty")


def test_groups_become_lessons(results):
    done = [r for r in results.values() if r.groups]
    assert sum(r.groups.total() for r in done) > 5
    assert all(r.lessons + r.rejected.total() + r.parked > 0 for r in done)
    assert sum(r.applied["add"] for r in done) > 0
    assert sum(r.lessons for r in done) > 0


def test_prompts_keep_to_their_budget(results):
    assert max(max(r.tokens, default=0) for r in results.values()) < 6000
