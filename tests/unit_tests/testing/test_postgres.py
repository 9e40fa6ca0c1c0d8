"""A PostgreSQL server of one's own."""

import pytest

from langchain_reflect.errors import MissingExtra
from langchain_reflect.testing.postgres import PostgresServer


def test_without_the_driver_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("langchain_reflect.testing.postgres.find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"psycopg is not installed; pip install 'langchain-reflect\[postgres\]'"):
        PostgresServer()
