"""What `make matrix` installs: the floors that pyproject.toml promises."""

import importlib.util
import sys
import tomllib
from pathlib import Path

SCRIPTS = Path(__file__).parents[3] / "scripts"


def load(name, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def test_the_lowest_versions_are_the_floors(monkeypatch):
    floors = load("matrix", monkeypatch).floors()
    dependencies = tomllib.loads((SCRIPTS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    assert {pin.split("==")[0] for pin in floors} == {"langchain", "langchain-core", "langgraph"}
    assert all(any(d.startswith(pin.replace("==", ">=")) for d in dependencies) for pin in floors)


def test_a_python_that_is_not_there_is_said_to_be_missing(monkeypatch):
    assert load("matrix", monkeypatch).try_out("3.99", "lowest")[-1] == "missing on this machine"
