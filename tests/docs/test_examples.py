"""Every example runs as it stands and shows what it says."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SHOWN = {
    "wrap_a_graph.py": ["first answer:  12.50", "1 of 1 edits applied", "second answer: 799"],
    "create_agent_middleware.py": ["first answer:  cancel_invoice", "second answer: acme_approve_invoice", "['human', 'ai']"],
    "delayed_feedback.py": ["first answer:  March 4, 2024", "1 of 1 edits applied", "second answer: 2025-07-19"],
    "own_reflection.py": ["is near to", "3 groups, 3 drafts", "accounting-1", "(2 episodes)"],
    "practice.py": ["kept number", "1 lessons added", "lessons - placebo: +"],
}


def test_every_example_is_known():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SHOWN)


@pytest.mark.parametrize("name", SHOWN)
def test_an_example_shows_what_it_says(name, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REFLECT_DEADLINE", "10")  # of recall: other tests may keep the processors busy
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    shown = capsys.readouterr().out
    for line in SHOWN[name]:
        assert line in shown, shown
    assert list(tmp_path.iterdir()) == []
