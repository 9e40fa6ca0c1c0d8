"""Whoever is killed, and whenever: nothing acknowledged is lost, nothing has its effect twice, and nothing is left undone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="the benchmark forks")]
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "crash.py"
KILLS = 25


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_kills_at_random_moments_lose_duplicate_and_leave_nothing(engine):
    command = [sys.executable, str(BENCHMARK), "--engine", engine, "--kills", str(KILLS), "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)
    assert done.stdout, done.stderr
    [row] = json.loads(done.stdout)
    assert {name: row[name] for name in ("lost", "duplicated", "stuck", "problems")} == {
        "lost": 0,
        "duplicated": 0,
        "stuck": 0,
        "problems": [],
    }, (row, done.stderr)
    assert done.returncode == 0
    assert sum(row["kills"].values()) == KILLS
    assert row["jobs"] > 0
