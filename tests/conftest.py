"""What every test stands on: a clean environment and, where a test asks for it, a ledger or the recorded data."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from langchain_reflect import Ledger
from langchain_reflect.testing.postgres import PostgresServer

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
def postgres() -> Iterator[PostgresServer]:
    """A real server; its database `reflect_template` has the tables."""
    with PostgresServer() as server:
        Ledger(server.create("reflect_template")).close()
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """A new, empty ledger on PostgreSQL."""
    return postgres.create(f"t{uuid4().hex}", template="reflect_template")


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty ledger of either kind."""
    return str(request.getfixturevalue("postgres_url")) if request.param == "postgresql" else f"sqlite:///{tmp_path / 'either.db'}"


@pytest.fixture
def either(ledger_url: str) -> Iterator[Ledger]:
    """A ledger of either kind, opened."""
    with Ledger(ledger_url, durability="fast") as opened:
        yield opened


@pytest.fixture(scope="session")
def recorded_data() -> Path:
    place = Path(os.environ.get("REFLECT_DATA", "../shared/data"))
    if not place.is_dir():
        pytest.skip(f"no recorded data in {place}; REFLECT_DATA names its folder")
    return place
