"""The page of what a model may do wrong has the table that the tests go by."""

from pathlib import Path

from tests.unit_tests.reflection.misbehaviours import table

PAGE = Path(__file__).parents[2] / "docs" / "reflection-failures.md"


def test_the_page_lists_every_misbehaviour_with_its_end():
    assert table() in PAGE.read_text(encoding="utf-8")
