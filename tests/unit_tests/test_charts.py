"""A learning curve is a line of text anywhere, and a picture where matplotlib is."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_reflect.charts import learning_curve_png, learning_curve_text
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


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtra, match=r"langchain-reflect\[stats\]"):
        learning_curve_png([0.5], tmp_path / "x.png")


def test_matplotlib_is_not_loaded_before_it_is_used():
    code = "import sys, langchain_reflect.charts; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
