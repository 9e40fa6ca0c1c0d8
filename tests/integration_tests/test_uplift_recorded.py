"""Recorded runs with a true placebo arm: the published means, and a ledger that comes to the same numbers in any order."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("REFLECT_DATA", ROOT / ".." / "shared" / "data"))
pytestmark = [
    pytest.mark.recorded,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded data in {DATA}; set REFLECT_DATA"),
]


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("uplift_recorded", ROOT / "benchmarks" / "uplift_recorded.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def records(bench):
    return bench.recorded(DATA)


def test_most_of_the_gain_of_a_cheat_sheet_is_its_template(bench, records):
    report = bench.measured(records)["AIME_2020_2024 claude-3-5-sonnet"]
    bare, placebo, lessons = (round(arm.mean * report.tasks) for arm in report.arms)
    assert (report.tasks, bare, placebo, lessons) == (57, 4, 18, 21)
    assert report.difference("placebo", "bare").verdict == "better"
    assert report.difference("DynamicCheatsheet_Cumulative", "placebo").verdict.startswith("not enough data")


def test_any_order_gives_the_numbers_of_the_runs_themselves(bench, records, tmp_path):
    kept = ("AIME_2024 claude-3-5-sonnet", "alfworld reflexion", "alfworld reflexion, one lesson")
    runs = bench.told([record for record in records if record.study in kept])
    batch = bench.at_once(runs)
    assert {key[:2] for key in batch if key[0] != "lesson"} == {("uplift against", "bare"), ("uplift against", "placebo")}
    assert sum(key[0] == "lesson" for key in batch) >= 4
    for order in (None, 0, 1, 2):
        assert bench.differing(batch, bench.replay(runs, tmp_path / str(order), order)) == []
