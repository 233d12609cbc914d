"""Figures of damage: perplexity by multiplier, and what is measured of generated answers."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from caa_nnsight.errors import CAAError

from ..experiments.lines import band_line, multiplier_axis, share_axis
from ..scores.frame import BEHAVIOR_VECTOR, CONTROL_KIND, vector_kind
from ..texts.damage import DEFAULT_LIMITS, Limits
from ..words import count
from .style import DPI, LIGHT, WIDTH, Theme, in_theme, legend_above, new_axes

_PANELS_HEIGHT = 6.6  # inches, of three panels and their legend
# Ratios beyond this are drawn on a logarithmic axis: near 1 nothing could be told apart else.
_LINEAR_UP_TO = 4.0
_AXES = {
    "repetition": "Repeated 4-grams",
    "length": "Length (words)",
    "drift": "Other language",
}


def plot_damage(
    frame: pd.DataFrame,
    limit: Limits = DEFAULT_LIMITS,
    *,
    ax: Axes | None = None,
    theme: Theme = LIGHT,
) -> Axes:
    """Draw the perplexity of plain text by multiplier, as a multiple of the unsteered model's.

    The behavior's vector has its 95% interval as a band; random vectors, where there are any, are
    drawn as their mean with the range that they span. Where perplexity explodes, the axis is
    logarithmic.

    Args:
        frame: of `damage`, of one behavior and layer.
        limit: whose `ratio` is marked with a line.
        ax: axes to draw on; without, those of a new figure (`.figure` shows it in a notebook).
        theme: the colors.

    Returns:
        The axes drawn on.

    Raises:
        CAAError: the frame is of several behaviors or layers, or has no behavior's vector.

    >>> rows = [(-1.0, 1.02), (0.0, 1.0), (1.0, 1.05)]
    >>> frame = pd.DataFrame(rows, columns=["multiplier", "ratio"])
    >>> frame = frame.assign(behavior="tea", vector="behavior", layer=3, ratio_low=1, ratio_high=2)
    >>> plot_damage(frame).get_ylabel()
    'Perplexity of plain text\\n(multiple of the unsteered)'
    """
    _check_one(frame)
    ax = new_axes(theme) if ax is None else ax
    ax.axhline(1, color=theme.ink, linewidth=0.8)
    _curves(ax, frame, "ratio", theme)
    _limit_line(ax, limit.ratio, theme)
    if frame["ratio"].max() > _LINEAR_UP_TO:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=8))
        ax.yaxis.set_minor_formatter(NullFormatter())
    else:
        low, high = ax.get_ylim()
        # A change that doesn't matter shouldn't fill the figure.
        ax.set_ylim(min(low, 0.95), max(high, 1.2))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    ax.set_ylabel("Perplexity of plain text\n(multiple of the unsteered)")
    multiplier_axis(ax, frame["multiplier"])
    legend_above(ax, theme)
    return ax


def plot_answer_damage(
    frame: pd.DataFrame,
    limit: Limits = DEFAULT_LIMITS,
    *,
    theme: Theme = LIGHT,
) -> Axes:
    """Draw repetition, length and language drift of generated answers by multiplier.

    Bands and random vectors are drawn as in `plot_damage`. The lines named "limit" stand at the
    drift's limit, and at the repetition of the unsteered answers plus what `limit` allows.

    Args:
        frame: of `damage`, of one behavior and layer, with answers.
        limit: what is marked.
        theme: the colors.

    Returns:
        The first of the three axes of a new figure (`.figure` has all of them).

    Raises:
        CAAError: as `plot_damage`, or there are no answers.

    >>> from caa_nnsight.analysis import damage, load_run
    >>> answers = load_run("runs/small").generations
    >>> settings = answers[["behavior", "vector", "layer", "multiplier"]].drop_duplicates()
    >>> texts = settings.assign(text_index=0, n_tokens=10, logprob=-20.0)
    >>> len(plot_answer_damage(damage(texts, answers)).figure.axes)
    3
    """
    _check_one(frame)
    answered = frame[frame["n_answers"] > 0]
    if answered.empty:
        raise CAAError(
            "There are no answers to draw: give `damage` the generations beside the text scores."
        )
    panels = _panels(theme)
    for ax, (measure, label) in zip(panels, _AXES.items(), strict=True):
        measured = answered.dropna(subset=[measure])
        _curves(ax, measured, measure, theme)
        if measured.empty:
            _say(ax, "not told of any answer", theme)
        ax.set_ylabel(label)
        if measure == "length":
            ax.set_ylim(0, 1.08 * ax.get_ylim()[1])
            ax.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
        else:
            own = answered[answered["vector"] == BEHAVIOR_VECTOR].set_index("multiplier")
            unsteered = own.loc[0.0, "repetition"] if measure == "repetition" else 0.0
            _limit_line(ax, unsteered + getattr(limit, measure), theme)
            share_axis(ax, least=0.4, percent=True)
            ax.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    multiplier_axis(panels[-1], answered["multiplier"])
    legend_above(panels[0], theme)
    panels[0].figure.align_ylabels(panels)
    return panels[0]


def _check_one(frame: pd.DataFrame) -> None:
    for column in ("behavior", "layer"):
        values = sorted(set(frame[column]))
        if len(values) > 1:
            raise CAAError(
                f"The figure of damage got rows of several values of {column} "
                f"({', '.join(map(str, values))}): pass the rows of one."
            )
    if not (frame["vector"] == BEHAVIOR_VECTOR).any():
        raise CAAError(
            'The figure of damage found no rows with the vector "behavior": score the behavior\'s '
            "own vector too."
        )


def _curves(ax: Axes, frame: pd.DataFrame, measure: str, theme: Theme) -> None:
    """Draw a measure of the behavior's vector, and that of random ones as mean and range."""
    random = frame[frame["vector"].map(vector_kind) == CONTROL_KIND]
    if len(random):
        spread = random.groupby("multiplier")[measure].agg(["mean", "min", "max"]).reset_index()
        spread.columns = ["multiplier", measure, f"{measure}_low", f"{measure}_high"]
        label = f"{count(random['vector'].nunique(), 'random vector')} (mean and range)"
        band_line(ax, spread, "multiplier", measure, theme.random, label, "s--")
    own = frame[frame["vector"] == BEHAVIOR_VECTOR].sort_values("multiplier")
    label = "behavior vector (95% interval)"
    band_line(ax, own, "multiplier", measure, theme.behavior, label)


def _limit_line(ax: Axes, value: float, theme: Theme) -> None:
    """Mark the limit with a line, and name it beside the plot."""
    ax.axhline(value, color=theme.mark, linewidth=1.2, linestyle=(0, (4, 2)), zorder=1)
    ax.text(
        1.01,
        value,
        "limit",
        transform=ax.get_yaxis_transform(),
        va="center",
        color=theme.mark,
        fontsize=9.5,
    )


def _say(ax: Axes, text: str, theme: Theme) -> None:
    ax.text(0.5, 0.75, text, transform=ax.transAxes, ha="center", color=theme.ink, fontsize=10)


def _panels(theme: Theme) -> list[Axes]:
    """Axes below one another that share the multipliers, in the looks of `new_axes`."""
    size = (WIDTH, _PANELS_HEIGHT)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained", facecolor=theme.paper)
    return [in_theme(ax, theme) for ax in figure.subplots(len(_AXES), 1, sharex=True)]
