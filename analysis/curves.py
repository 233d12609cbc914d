"""Drawing of the curves: from the tables of `summarize` and `effect` onto axes."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from .frame import BEHAVIOR_VECTOR, CONTROL_KIND, vector_kind
from .style import Theme, legend_above, new_axes
from .words import count, times

_BEHAVIOR_LABEL = "behavior vector (95% interval)"
_SMALLEST_SPAN = 0.4  # of the probability axis, so that a small effect doesn't fill the figure


def draw_layer_curve(
    changes: pd.DataFrame, picked: int | None, ax: Axes | None, theme: Theme
) -> Axes:
    """Draw a frame of `effect` by layer: one split, one condition; `picked` is among its layers."""
    own = changes[changes["vector"] == BEHAVIOR_VECTOR]
    ax = new_axes(theme) if ax is None else ax
    ax.axhline(0, color=theme.ink, linewidth=0.8)
    random = changes[changes["vector"] == CONTROL_KIND]
    if len(random):
        label = f"{count(int(random['n_vectors'].max()), 'random vector')} (95% interval)"
        _line(ax, random, "layer", "change", theme.random, label, dashed=True)
    _line(ax, own, "layer", "change", theme.behavior, _BEHAVIOR_LABEL)
    if picked is not None:
        value = own.loc[own["layer"] == picked, "change"].iloc[0]
        ax.axvline(picked, color=theme.mark, linewidth=1.2, linestyle=(0, (4, 2)), zorder=1)
        label = f"picked: layer {picked}"
        ax.plot(picked, value, "o", color=theme.mark, markersize=9, zorder=5, label=label)
    ax.set_xlim(own["layer"].min() - 0.7, own["layer"].max() + 0.7)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: times(round(value, 6))))
    low, high = own["low"].iloc[0], own["high"].iloc[0]
    ax.set_xlabel("Steered layer (0 = first)")
    ax.set_ylabel(f"Change in log-odds\nfrom multiplier {times(low)} to {times(high)}")
    legend_above(ax, theme)
    return ax


def draw_multiplier_curve(table: pd.DataFrame, ax: Axes | None, theme: Theme) -> Axes:
    """Draw p(match) of a frame of `summarize` by multiplier: one split, condition and layer."""
    ax = new_axes(theme) if ax is None else ax
    ax.axhline(0.5, color=theme.ink, linewidth=0.8, linestyle=(0, (1, 2)))
    _chance(ax, theme)
    _random_range(ax, table, "p_match", theme)
    own = table[table["vector"] == BEHAVIOR_VECTOR]
    _line(ax, own, "multiplier", "p_match", theme.behavior, _BEHAVIOR_LABEL)
    low, high = ax.get_ylim()
    widen = max(0.0, _SMALLEST_SPAN - (high - low)) / 2
    ax.set_ylim(max(0.0, low - widen), min(1.0, high + widen))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.1f}"))
    ax.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    _multiplier_axis(ax, own)
    ax.set_ylabel("Probability of the matching answer")
    legend_above(ax, theme)
    return ax


def draw_accuracy_curve(table: pd.DataFrame, ax: Axes | None, theme: Theme) -> Axes:
    """Draw the accuracy of a frame of `summarize` by multiplier: one split, condition, layer."""
    ax = new_axes(theme) if ax is None else ax
    _random_range(ax, table, "accuracy", theme)
    own = table[table["vector"] == BEHAVIOR_VECTOR]
    _line(ax, own, "multiplier", "accuracy", theme.behavior, _BEHAVIOR_LABEL)
    ax.set_ylim(-0.03, 1.03)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _multiplier_axis(ax, own)
    ax.set_ylabel("Items favoring the matching answer")
    legend_above(ax, theme)
    return ax


def _line(
    ax: Axes,
    table: pd.DataFrame,
    x: str,
    y: str,
    color: str,
    label: str,
    *,
    dashed: bool = False,
) -> None:
    """Draw a line through the means with the band between the columns `y`_low and `y`_high."""
    ax.fill_between(
        table[x].to_numpy(float),
        table[f"{y}_low"].to_numpy(float),
        table[f"{y}_high"].to_numpy(float),
        color=color,
        alpha=0.22,
        linewidth=0,
    )
    sns.lineplot(
        data=table,
        x=x,
        y=y,
        ax=ax,
        color=color,
        label=label,
        errorbar=None,
        estimator=None,
        linewidth=1.5 if dashed else 2.2,
        linestyle="--" if dashed else "-",
        marker=None if dashed else "o",
        markersize=5,
        markeredgewidth=0,
        legend=False,
    )


def _random_range(ax: Axes, table: pd.DataFrame, measure: str, theme: Theme) -> None:
    """Draw the mean over the random vectors, and the range they span."""
    random = table[table["vector"].map(vector_kind) == CONTROL_KIND]
    if random.empty:
        return
    spread = random.groupby("multiplier", as_index=False)[measure].agg(["mean", "min", "max"])
    spread = spread.rename(
        columns={"mean": measure, "min": f"{measure}_low", "max": f"{measure}_high"}
    )
    label = f"{count(random['vector'].nunique(), 'random vector')} (mean and range)"
    _line(ax, spread, "multiplier", measure, theme.random, label, dashed=True)


def _chance(ax: Axes, theme: Theme) -> None:
    ax.text(
        1.01,
        0.5,
        "chance",
        transform=ax.get_yaxis_transform(),
        va="center",
        color=theme.ink,
        fontsize=9.5,
    )


def _multiplier_axis(ax: Axes, own: pd.DataFrame) -> None:
    values = sorted(set(own["multiplier"]))
    if len(values) <= 9:
        ax.set_xticks(values)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: times(round(value, 6))))
    ax.set_xlabel("Steering multiplier (0 = unsteered)")
