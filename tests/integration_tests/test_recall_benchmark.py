"""`benchmarks/recall.py` runs: every section fills its table, with few lessons."""

import importlib
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MODULES = ("recall", "recall_data", "recall_peers")
SIZE, CALLS = 60, 20


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("REFLECT_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))  # the processes of `cold` read it, too
        patched.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("recall")
        for name in MODULES:
            del sys.modules[name]


@pytest.fixture(scope="module")
def source(bench):
    return bench.Source(*bench.recorded(30))


def test_recall_is_timed_beside_a_raw_query(bench, source, tmp_path, caplog):
    (row,) = bench.latency(source, [SIZE], CALLS, tmp_path).rows
    assert row[0] == "60"
    assert all(float(times.split(" / ")[0]) > 0 for times in row[1:3])
    assert "sees no difference" not in caplog.text, "the known vectors calibrate as real ones do"


def test_recall_is_timed_in_many_namespaces(bench, source, tmp_path):
    (row,) = bench.spaces(source, 3, CALLS, tmp_path).rows
    assert row[0] == "3 x 100"


def test_an_edit_is_timed_beside_the_least_it_could_take(bench, source, tmp_path):
    edit, least, anew = bench.writing(source, SIZE, CALLS, tmp_path).rows
    assert all(float(row[1].split()[0]) > 0 and row[1].endswith(" ms") for row in (edit, least))
    assert anew[1].endswith("lessons/s")


def test_a_whole_recall_is_timed_with_each_embedder_there_is(bench, source, tmp_path):
    rows = bench.whole(source, [SIZE], CALLS, tmp_path).rows
    assert rows
    assert len(rows) == len(bench.embedders())


def test_a_fresh_process_is_timed_after_each_kind_of_end(bench, source, tmp_path):
    table = bench.cold(source, SIZE, tmp_path)
    assert [row[0] for row in table.rows] == ["no index yet", "closed cleanly", "killed with -9"]
    assert "of which the index 0 MB" not in table.note


def test_memory_and_disk_are_told_for_each_size(bench, source, tmp_path):
    assert [row[0] for row in bench.space(source, [SIZE, 2 * SIZE], tmp_path).rows] == ["60", "120"]


def test_a_peer_that_is_not_there_is_left_out_and_named(bench, source, tmp_path, monkeypatch):
    def missing(*_):
        raise ImportError("no such package")

    monkeypatch.setattr(bench, "PEERS", {"raw": (lambda *_: lambda _: None, 1), "absent": (missing, 2)})
    there, absent = bench.peers(source, SIZE, CALLS, tmp_path).rows
    assert there[-1] == ">= 1x"
    assert absent[-1] == "left out: ImportError: no such package"
