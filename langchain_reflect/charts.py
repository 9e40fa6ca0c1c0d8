"""A learning curve as a picture and as a line of text."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from langchain_reflect.errors import InvalidInput, MissingExtra

_BLOCKS: Final = "▁▂▃▄▅▆▇█"


def learning_curve_png(
    points: Sequence[float], path: str | Path, *, baseline: float | None = None, title: str = "Mean reward", x_label: str = "round"
) -> Path:
    """Draw mean rewards in their order as a PNG.

    Args:
        points: Rewards in [0, 1].
        path: Where the picture goes; its folder is made.
        baseline: Reward without lessons, drawn as a dashed line.
        title: Stands above the picture.
        x_label: What a point is.

    Returns:
        The path.

    Raises:
        MissingExtra: Matplotlib is not installed.
        InvalidInput: There are no points, or one is outside [0, 1].
    """
    _check(points)
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("pictures need matplotlib: pip install 'langchain-reflect[stats]'") from error
    figure = Figure(figsize=(7, 4), layout="constrained")  # without pyplot: no window system, no global state
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(range(1, len(points) + 1), list(points), marker="o")
    if baseline is not None:
        axes.axhline(baseline, linestyle="--", color="gray", label="without lessons")
        axes.legend(loc="lower right")
    axes.set(xlabel=x_label, ylabel="mean reward", ylim=(-0.03, 1.03), title=title)
    axes.locator_params(axis="x", integer=True)
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(place, dpi=120)
    return place


def learning_curve_text(points: Sequence[float], width: int = 40) -> str:
    """Mean rewards as blocks, such as `▁▃▆█ 0.00 -> 0.95`.

    Args:
        points: Rewards in [0, 1].
        width: Most blocks; more points are averaged into so many.

    Raises:
        InvalidInput: There are no points, one is outside [0, 1], or `width` is below 1.
    """
    _check(points)
    if width < 1:
        raise InvalidInput(f"width={width!r}; expected 1 or more")
    count = min(width, len(points))
    edges = [round(at * len(points) / count) for at in range(count + 1)]
    means = [sum(points[a:b]) / (b - a) for a, b in pairwise(edges)]
    blocks = "".join(_BLOCKS[min(int(mean * len(_BLOCKS)), len(_BLOCKS) - 1)] for mean in means)
    return f"{blocks} {points[0]:.2f} -> {points[-1]:.2f}"


def _check(points: Sequence[float]) -> None:
    if not points:
        raise InvalidInput("points=[]; expected at least one reward")
    wrong = [p for p in points if not 0.0 <= p <= 1.0]
    if wrong:
        raise InvalidInput(f"points hold {wrong[0]!r}; expected rewards in [0, 1]")
