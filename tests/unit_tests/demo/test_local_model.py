import os
import sys
from pathlib import Path

import pytest

from langchain_reflect.demo import local_model
from langchain_reflect.errors import MissingExtra


def test_at_least_one_thread_computes(monkeypatch):
    monkeypatch.setattr(local_model, "busy_cores", lambda: 99.0)
    assert local_model.free_cores() == 1


def test_a_busy_core_is_left_alone(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(local_model, "busy_cores", lambda: 1.2)
    assert local_model.free_cores() == 3


def test_what_is_busy_is_what_was_not_idle(monkeypatch):
    seen = iter([[10, 0, 10, 100, 0, 0, 0, 0], [40, 0, 10, 170, 0, 0, 0, 0]])
    monkeypatch.setattr(local_model, "_ticks", lambda: next(seen))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert local_model.busy_cores(0) == pytest.approx(0.6)


def test_a_system_that_does_not_tell_counts_as_idle(monkeypatch, tmp_path):
    monkeypatch.setattr(local_model, "_STAT", tmp_path / "missing")
    assert local_model.busy_cores(0) == 0.0


def test_without_the_extra_the_command_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(MissingExtra, match=r"pip install 'langchain-reflect\[demo\]'"), local_model.local_model(Path("any.gguf")):
        pass
