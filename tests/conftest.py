"""What every test stands on: a clean environment and, where a test asks for it, a ledger or the recorded data."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from langchain_reflect import Ledger

KEPT = {"REFLECT_DATA", "REFLECT_DEMO_GGUF"}  # where test data lies; no setting of the library


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("REFLECT_", "LANGSMITH_", "LANGCHAIN_")) and name not in KEPT:
            monkeypatch.delenv(name)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "reflect", durability="fast") as opened:
        yield opened


@pytest.fixture(scope="session")
def recorded_data() -> Path:
    place = Path(os.environ.get("REFLECT_DATA", "../shared/data"))
    if not place.is_dir():
        pytest.skip(f"no recorded data in {place}; REFLECT_DATA names its folder")
    return place
