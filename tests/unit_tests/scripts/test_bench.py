"""What `make bench` runs."""

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "bench.py"


@pytest.fixture
def bench(monkeypatch):
    spec = importlib.util.spec_from_file_location("bench", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bench", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def ran(bench, monkeypatch):
    """Names of what was run, each of which fails if its name is put into `failing`."""
    names, failing = [], set()

    def succeeds(name, arguments):
        names.append((name, tuple(arguments)))
        return name not in failing

    monkeypatch.setattr(bench, "succeeds", succeeds)
    return names, failing


def test_every_benchmark_it_names_is_there(bench):
    assert all((bench.HOME / f"{name}.py").exists() for name in bench.SHORT)


def test_without_recorded_data_it_says_what_it_leaves_out(bench, ran, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench, "DATA", tmp_path / "none")
    assert bench.main([]) == 0
    assert [name for name, _ in ran[0]] == [name for name, short in bench.SHORT.items() if not short.recorded]
    assert "uplift_recorded is left out" in capsys.readouterr().out


def test_it_says_beforehand_how_long_it_takes(bench, ran, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench, "DATA", tmp_path)
    bench.main([])
    assert f"about {sum(short.minutes for short in bench.SHORT.values()):.0f} minutes together" in capsys.readouterr().out
    assert len(ran[0]) == len(bench.SHORT)


def test_its_exit_code_counts_what_failed(bench, ran):
    ran[1].update({"overhead", "recall"})
    assert bench.main([]) == 2
    assert bench.main(["overhead", "5"]) == 1
    assert ran[0][-1] == ("overhead", ("5",))


def test_a_benchmark_that_is_not_there_is_named(bench, ran, capsys):
    assert bench.main(["recal"]) == 1
    assert "'recal'" in capsys.readouterr().err
    assert not ran[0]
