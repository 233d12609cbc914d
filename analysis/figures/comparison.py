"""The figure of a comparison: one line per run, with its interval and its controls."""

from __future__ import annotations

import textwrap

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from caa_nnsight.errors import CAAError

from ..folders.compare import UNITS
from ..words import times
from .style import LIGHT, WIDTH, Theme, legend_above, new_axes

_ROW_HEIGHT, _FRAME_HEIGHT = 0.5, 1.5  # inches
_LABEL_WIDTH = 20  # characters


def plot_comparison(
    comparison: pd.DataFrame, *, ax: Axes | None = None, theme: Theme = LIGHT
) -> Axes:
    """Draw a frame of `compare_runs`: what steering changes in each run.

    Each run is a dot with its 95% interval. The gray bar reaches as far as the strongest of the
    run's random vectors moves the answers, up or down.

    Args:
        comparison: what `compare_runs` returned; its differences are left out.
        ax: axes to draw on; without, those of a new figure, as high as there are runs.
        theme: the colors.

    Returns:
        The axes drawn on.

    Raises:
        CAAError: there is no run in it, or there are runs in different units.

    >>> from caa_nnsight.analysis import compare_runs
    >>> len(plot_comparison(compare_runs(["runs/small", "runs/large"])).get_yticklabels())
    2
    """
    runs = comparison[comparison["kind"] == "run"]
    if runs.empty:
        raise CAAError("There are no runs to draw: pass a frame of compare_runs.")
    units = sorted(set(runs["unit"]))
    if len(units) > 1:
        raise CAAError(
            f"The runs are in different units ({' and '.join(units)}), which one axis can't show: "
            'pass the rows of one, such as comparison[comparison["unit"] == "log-odds"].'
        )
    unit = UNITS[units[0]]
    if ax is None:
        ax = new_axes(theme)
        ax.figure.set_size_inches(WIDTH, _FRAME_HEIGHT + _ROW_HEIGHT * len(runs))
        ax.grid(visible=False, axis="y")
        ax.grid(visible=True, axis="x", color=theme.faint, linewidth=0.8)
    places = range(len(runs))
    change = runs["change"].to_numpy(float)
    random = runs["random_max_abs"].to_numpy(float)
    if not pd.isna(random).all():
        label = "strongest random vector"
        ax.barh(
            places, 2 * random, left=-random, height=0.5, color=theme.random, alpha=0.3, label=label
        )
    ax.axvline(0, color=theme.ink, linewidth=0.8)
    below = change - runs["change_low"].to_numpy(float)
    above = runs["change_high"].to_numpy(float) - change
    ax.errorbar(
        change,
        places,
        xerr=[below, above],
        fmt="o",
        color=theme.behavior,
        capsize=4,
        markersize=6,
        label="behavior vector (95% interval)",
    )
    for place, value in zip(places, change, strict=True):
        ax.annotate(
            unit.signed(value),
            (value, place),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=9.5,
            color=theme.ink,
        )
    ax.set_yticks(places, [textwrap.fill(label, _LABEL_WIDTH) for label in runs["first"]])
    ax.set_ylim(len(runs) - 0.4, -0.7)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: times(round(value, 6))))
    low, high = runs["low"].iloc[0], runs["high"].iloc[0]
    ax.set_xlabel(f"Change in {units[0]}\nfrom multiplier {times(low)} to {times(high)}")
    legend_above(ax, theme)
    return ax
