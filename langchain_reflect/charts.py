"""Pictures of rewards: a learning curve, arms with their intervals, differences with theirs; the curve also as a line of text."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

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
    figure = _figure(7, 4)
    axes = figure.add_subplot()
    axes.plot(range(1, len(points) + 1), list(points), marker="o")
    if baseline is not None:
        axes.axhline(baseline, linestyle="--", color="gray", label="without lessons")
        axes.legend(loc="lower right")
    axes.set(xlabel=x_label, ylabel="mean reward", ylim=(-0.03, 1.03), title=title)
    axes.locator_params(axis="x", integer=True)
    return _saved(figure, path)


@dataclass(frozen=True, slots=True)
class Bar:
    """A value with its interval."""

    label: str
    value: float
    low: float
    high: float


def uplift_png(arms: Sequence[Bar], differences: Sequence[Bar], path: str | Path, *, title: str = "Uplift") -> Path:
    """Draw the mean reward of each arm as bars, and the paired differences beside them, all with their intervals.

    Args:
        arms: Means in [0, 1].
        differences: In [-1, 1]; may be empty.
        path: Where the picture goes; its folder is made.
        title: Stands above the picture.

    Returns:
        The path.

    Raises:
        MissingExtra: Matplotlib is not installed.
        InvalidInput: There are no arms.
    """
    if not arms:
        raise InvalidInput("arms=[]; expected at least one")
    figure = _figure(10 if differences else 6, 4)
    figure.suptitle(title)
    left = figure.add_subplot(1, 2 if differences else 1, 1)
    places = list(range(len(arms)))
    left.bar(places, [bar.value for bar in arms], width=0.6, yerr=_errors(arms), capsize=4, color="tab:blue", alpha=0.8)
    left.set(ylabel="mean reward, 95 % interval", ylim=(0, 1.05))
    left.set_xticks(places, [bar.label for bar in arms])
    if differences:
        _forest(figure.add_subplot(1, 2, 2), differences, "difference in mean reward, 95 % interval")
    return _saved(figure, path)


def forest_png(rows: Sequence[Bar], path: str | Path, *, title: str = "", x_label: str = "effect on the mean reward") -> Path:
    """Draw effects below each other, with their intervals and a line at zero.

    Args:
        rows: From top to bottom.
        path: Where the picture goes; its folder is made.
        title: Stands above the picture.
        x_label: What the effects are.

    Returns:
        The path.

    Raises:
        MissingExtra: Matplotlib is not installed.
        InvalidInput: There are no rows.
    """
    if not rows:
        raise InvalidInput("rows=[]; expected at least one effect")
    figure = _figure(8, 1.5 + 0.35 * len(rows))
    _forest(figure.add_subplot(), rows, x_label)
    figure.suptitle(title)
    return _saved(figure, path)


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


def _figure(width: float, height: float) -> Any:
    """An empty picture, without pyplot: no window system, no global state."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("pictures need matplotlib: pip install 'langchain-reflect[stats]'") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _forest(axes: Any, rows: Sequence[Bar], x_label: str) -> None:
    places = list(range(len(rows)))
    axes.axvline(0, color="gray", linewidth=1)
    axes.errorbar([row.value for row in rows], places, xerr=_errors(rows), fmt="o", capsize=4, color="tab:blue")
    axes.set_yticks(places, [row.label for row in rows])
    axes.set(xlabel=x_label, ylim=(len(rows) - 0.5, -0.5))


def _errors(bars: Sequence[Bar]) -> list[list[float]]:
    """How far each interval reaches below and above its value."""
    return [[max(0.0, bar.value - bar.low) for bar in bars], [max(0.0, bar.high - bar.value) for bar in bars]]


def _saved(figure: Any, path: str | Path) -> Path:
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(place, dpi=120)
    return place
