"""The figures of a run: the effect by layer, and the scores by multiplier."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from caa_nnsight.errors import CAAError

from .effects import effect
from .frame import BEHAVIOR_VECTOR, CONTROL_KIND, check_scores, first_condition, vector_kind
from .style import LIGHT, Theme, legend_above, new_axes
from .summary import summarize
from .words import count, times

_X_MULTIPLIER = "Steering multiplier (0 = unsteered)"
_BEHAVIOR_LABEL = "behavior vector (95% interval)"
_SMALLEST_SPAN = 0.4  # of the probability axis, so that a small effect doesn't fill the figure


def plot_layer_curve(
    scores: pd.DataFrame,
    picked: int | None = None,
    *,
    ax: Axes | None = None,
    theme: Theme = LIGHT,
) -> Axes:
    """Draw the change in log-odds by steered layer, on the validation items.

    The change is that of `effect` from the smallest to the largest multiplier, with its 95%
    interval as a band; random vectors, where they were scored, give a second one.

    Args:
        scores: a score frame with validation rows of one behavior; other rows are left out.
        picked: a layer to mark.
        ax: axes to draw on; without, those of a new figure (`.figure` shows it in a notebook).
        theme: the colors.

    Returns:
        The axes drawn on.

    Raises:
        CAAError: no validation rows, several behaviors, fewer than two multipliers, or a picked
            layer that wasn't scored.

    >>> from caa_nnsight.analysis import example_scores
    >>> plot_layer_curve(example_scores(), picked=4).get_xlabel()
    'Steered layer (0 = first)'
    """
    tidy = _one_curve(scores, "validation", "The layer curve")
    low, high = tidy["multiplier"].min(), tidy["multiplier"].max()
    if low == high:
        raise CAAError(
            f"The layer curve needs two multipliers on the validation items, which have only "
            f"{low:g}: score at least -1 and 1."
        )
    changes = effect(tidy, low, high)
    own = changes[changes["vector"] == BEHAVIOR_VECTOR]
    if picked is not None and picked not in set(own["layer"]):
        raise CAAError(
            f"The layer curve can't mark layer {picked}, which has no validation scores: pick one "
            f"of {', '.join(map(str, own['layer']))}."
        )
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
    ax.set_xlabel("Steered layer (0 = first)")
    ax.set_ylabel(f"Change in log-odds\nfrom multiplier {times(low)} to {times(high)}")
    legend_above(ax, theme)
    return ax


def plot_multiplier_curve(
    scores: pd.DataFrame,
    layer: int | None = None,
    *,
    condition: str | None = None,
    ax: Axes | None = None,
    theme: Theme = LIGHT,
) -> Axes:
    """Draw the mean probability of the matching answer by multiplier, on the held-out items.

    The behavior's vector has its 95% bootstrap interval as a band, the random vectors their mean
    and the range from the lowest to the highest of them; a line at 0.5 is chance.

    Args:
        scores: a score frame with held-out rows of one behavior; other rows are left out.
        layer: the steered block; may be left out where the held-out rows have one.
        condition: the system prompt; by default "none" where that was scored.
        ax: axes to draw on; without, those of a new figure (`.figure` shows it in a notebook).
        theme: the colors.

    Returns:
        The axes drawn on.

    Raises:
        CAAError: no held-out rows, several behaviors, or several layers and none chosen.

    >>> from caa_nnsight.analysis import example_scores
    >>> plot_multiplier_curve(example_scores(), layer=4).get_ylabel()
    'Probability of the matching answer'
    """
    tidy = _one_curve(scores, "held_out", "The multiplier curve", layer, condition)
    table = summarize(tidy)
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


def plot_accuracy_curve(
    scores: pd.DataFrame,
    layer: int | None = None,
    *,
    condition: str | None = None,
    ax: Axes | None = None,
    theme: Theme = LIGHT,
) -> Axes:
    """Draw the order-averaged accuracy by multiplier, on the held-out items.

    It is the share of items on which the log-odds, averaged over both orders of the choices,
    favor the matching answer, with its 95% Wilson interval as a band. A preference for a letter
    cancels in it. Arguments, return and errors are those of `plot_multiplier_curve`; a frame with
    one choice order is an error too.

    >>> from caa_nnsight.analysis import example_scores
    >>> plot_accuracy_curve(example_scores(), layer=4).get_ylim()
    (-0.03, 1.03)
    """
    tidy = _one_curve(scores, "held_out", "The accuracy curve", layer, condition)
    table = summarize(tidy, n_resamples=2)  # the Wilson interval needs no bootstrap
    if table["accuracy"].isna().any():
        raise CAAError(
            "The accuracy curve needs both orders of the choices, and the held-out items have "
            "one: score both orders."
        )
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


def _one_curve(
    scores: pd.DataFrame,
    split: str,
    figure: str,
    layer: int | None = None,
    condition: str | None = None,
) -> pd.DataFrame:
    """Return the checked rows of one figure, or say why there is no single curve in them."""
    tidy = check_scores(scores)
    words = split.replace("_", "-")
    tidy = tidy[tidy["split"] == split]
    if not (tidy["vector"] == BEHAVIOR_VECTOR).any():
        raise CAAError(
            f'{figure} needs {words} rows of the vector "behavior", and the frame has none: '
            f"score the {words} items."
        )
    behaviors = sorted(set(tidy["behavior"]))
    if len(behaviors) > 1:
        raise CAAError(
            f"{figure} shows one behavior, and the frame has {', '.join(behaviors)}: pass the "
            "rows of one."
        )
    conditions = sorted(set(tidy["condition"]))
    condition = first_condition(tidy) if condition is None else condition
    if condition not in conditions:
        raise CAAError(
            f"{figure} has no {words} rows of condition {condition!r}: choose one of "
            f"{', '.join(conditions)}."
        )
    tidy = tidy[tidy["condition"] == condition]
    layers = sorted(set(tidy["layer"]))
    if split == "held_out" and layer is None and len(layers) > 1:
        raise CAAError(
            f"{figure} shows one layer, and the held-out rows have {len(layers)}: pass layer=, one "
            f"of {', '.join(map(str, layers))}."
        )
    if layer is not None:
        if layer not in layers:
            raise CAAError(
                f"{figure} has no {words} rows of layer {layer}: choose one of "
                f"{', '.join(map(str, layers))}."
            )
        tidy = tidy[tidy["layer"] == layer]
    return tidy


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
    ax.set_xlabel(_X_MULTIPLIER)
