"""Every example runs as it stands and shows what it says."""

import runpy
import sys
from pathlib import Path

import pytest

from langchain_reflect.demo import weights

EXAMPLES = Path(__file__).parents[2] / "examples"
SHOWN = {
    "wrap_a_graph.py": ["first answer:  12.50", "1 of 1 edit applied", "second answer: 799"],
    "create_agent_middleware.py": ["first answer:  cancel_invoice", "second answer: acme_approve_invoice", "['human', 'ai']"],
    "own_reflection.py": ["is near to", "3 groups, 3 drafts", "accounting-1", "(2 episodes)"],
}
MEASURED = {
    "house_conventions.py": ["== codes", "== names", "kept number", "lessons - placebo: +"],
    "letter_counting.py": ["== only the right number", "== the trick", "== let Python count", "0 lessons added", "lessons - placebo: +"],
    "quirky_api.py": ["== payments", "== pages", "kept number", "lessons - placebo: +"],
    "delayed_feedback.py": ["1 outcome of ticket T-2", "kept number", "integers in cents", "lessons - placebo: +"],
}
SHARED = "example_model.py"
ARMS = ("bare", "placebo", "lessons")


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Runs an example as the command line does, in an empty folder, and gives what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES))  # as Python does for a script
    monkeypatch.setenv("REFLECT_DEADLINE", "10")  # of recall: other tests may keep the processors busy

    def running(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return running


def test_every_example_is_known():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*SHOWN, *MEASURED, SHARED}


@pytest.mark.parametrize("name", SHOWN)
def test_an_example_shows_what_it_says(name, run, tmp_path):
    shown = run(name)
    for line in SHOWN[name]:
        assert line in shown, shown
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", MEASURED)
def test_an_example_that_measures_prints_the_three_arms_and_that_its_model_is_simulated(name, run, tmp_path):
    shown = run(name, "--model", "simulated")
    assert "SIMULATED" in shown
    for line in [*MEASURED[name], *(f"\n{arm} " for arm in ARMS)]:
        assert line in shown, shown
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "gains"),
    [
        ("house_conventions", {"codes", "names"}),
        ("letter_counting", {"the trick", "let Python count"}),
        ("quirky_api", {"payments", "pages"}),
        ("delayed_feedback", {"tickets"}),
    ],
)
def test_lessons_beat_the_placebo_where_there_was_something_to_learn_and_nowhere_else(name, gains, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    example, shared = runpy.run_path(str(EXAMPLES / f"{name}.py")), runpy.run_path(str(EXAMPLES / SHARED))
    with shared["example_model"]("simulated") as model:
        measured = example["main"](str(tmp_path), model, 0)
    assert {found for found, report in measured.items() if report.difference("lessons", "placebo").mean > 0.5} == gains


def test_without_the_weights_an_example_says_so_and_goes_on_simulated(run, monkeypatch, tmp_path):
    monkeypatch.setenv("REFLECT_DEMO_GGUF", "")
    monkeypatch.setattr(weights, "cache_folder", lambda: tmp_path)
    shown = run("quirky_api.py")
    assert "The small model is not on this machine" in shown
    assert "model: simulated" in shown
