"""A learning curve is a line of text anywhere; it, arms and effects are pictures where matplotlib is."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.charts import Bar, forest_png, learning_curve_png, learning_curve_text, uplift_png
from langchain_reflect.errors import InvalidInput, MissingExtra


def test_rewards_become_blocks_from_low_to_high():
    assert learning_curve_text([0.0, 0.5, 1.0]) == "▁▅█ 0.00 -> 1.00"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200), st.integers(1, 60))
def test_a_line_is_never_wider_than_asked(points, width):
    assert len(learning_curve_text(points, width).split(" ")[0]) == min(width, len(points))


@pytest.mark.parametrize("points", [[], [1.2], [float("nan")]])
def test_what_is_no_reward_is_refused(points, tmp_path):
    with pytest.raises(InvalidInput, match="expected"):
        learning_curve_text(points)
    with pytest.raises(InvalidInput, match="expected"):
        learning_curve_png(points, tmp_path / "x.png")


def test_the_picture_is_a_png_in_a_folder_that_is_made(tmp_path):
    pytest.importorskip("matplotlib")
    place = learning_curve_png([0.1, 0.4, 0.9] * 6, tmp_path / "new" / "curve.png", baseline=0.1)
    assert place.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("differences", [[], [Bar("lessons - bare", 0.4, 0.1, 0.7), Bar("placebo - bare", 0.0, -0.2, 0.2)]])
def test_arms_and_their_differences_are_drawn(tmp_path, differences):
    pytest.importorskip("matplotlib")
    arms = [Bar("bare", 0.0, 0.0, 0.2), Bar("lessons", 0.4, 0.2, 0.6)]
    assert uplift_png(arms, differences, tmp_path / "new" / "uplift.png").read_bytes().startswith(b"\x89PNG")


def test_effects_are_drawn_below_each_other(tmp_path):
    pytest.importorskip("matplotlib")
    rows = [Bar(f"L-{n}", n / 50, -0.1, n / 50) for n in range(40)]  # one end of the interval is the value itself
    assert forest_png(rows, tmp_path / "forest.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_cannot_be_drawn(tmp_path):
    with pytest.raises(InvalidInput, match="at least one"):
        uplift_png([], [], tmp_path / "x.png")
    with pytest.raises(InvalidInput, match="at least one"):
        forest_png([], tmp_path / "x.png")


@pytest.mark.parametrize(
    "draw",
    [
        lambda path: learning_curve_png([0.5], path),
        lambda path: uplift_png([Bar("bare", 0.0, 0.0, 0.2)], [], path),
        lambda path: forest_png([Bar("L-1", 0.0, 0.0, 0.2)], path),
    ],
)
def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch, draw):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtra, match=r"langchain-reflect\[stats\]"):
        draw(tmp_path / "x.png")


def test_matplotlib_is_not_loaded_before_it_is_used():
    code = "import sys, langchain_reflect.charts; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
