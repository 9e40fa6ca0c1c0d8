import pytest

from langchain_reflect import Ledger
from tests.unit_tests.crediting.conftest import World


@pytest.fixture
def world(either: Ledger) -> World:
    return World(either)
