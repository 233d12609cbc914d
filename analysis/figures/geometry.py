"""The figures of geometry: activations in a plane, their separation by layer, and cosines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from caa_nnsight.errors import CAAError

from ..scores.frame import NO_CHOICES
from ..words import percent
from .matrices import draw_matrix
from .style import DPI, LIGHT, WIDTH, Theme, legend_above, new_axes

MOST_PANELS = 6

_COLUMNS = 2
_PANEL_HEIGHT = 1.7  # inches
_MARKERS = {"A": "o", "B": "^", NO_CHOICES: "o"}


def plot_activations(
    points: pd.DataFrame,
    layer: int,
    *,
    within_letters: bool = False,
    explained: tuple[float, float] | None = None,
    ax: Axes | None = None,
    theme: Theme = LIGHT,
) -> Axes:
    """Draw the activations of one behavior at one layer in the plane of their components.

    Args:
        points: a frame "points" of the experiment activation-pca, of one behavior; other layers
            are left out.
        layer: which layer.
        within_letters: draw them with each letter's mean taken off.
        explained: the two components' shares of the variance, for the axes' names.
        ax: axes to draw on; without, those of a new figure, which has a legend.
        theme: the colors.

    Returns:
        The axes drawn on; matching answers are blue and the others orange, a disc stands for the
        letter A and a triangle for B.

    Raises:
        CAAError: several behaviors, a layer that wasn't read, or no letters to take off.

    >>> rows = [("matching", "A", 1.0, 0.2), ("other", "B", -1.0, -0.2)]
    >>> points = pd.DataFrame(rows, columns=["side", "letter", "pc1", "pc2"])
    >>> plot_activations(points.assign(behavior="tea", layer=3), layer=3).get_xlabel()
    'First component'
    """
    _check_behavior(points, "The plot of activations")
    here = points[points["layer"] == layer]
    if here.empty:
        there = ", ".join(map(str, sorted(set(points["layer"]))))
        raise CAAError(f"There are no activations of layer {layer}: choose one of {there}.")
    names = ["pc1_within", "pc2_within"] if within_letters else ["pc1", "pc2"]
    if here[names].isna().any(axis=None):
        raise CAAError(
            "These activations are of pairs without letters, or of one letter only, so no letter's "
            "mean can be taken off: leave within_letters out."
        )
    own = ax is None
    ax = new_axes(theme) if own else ax
    _scatter(ax, here, names, theme)
    shares = ("", "") if explained is None else [f" ({percent(each)})" for each in explained]
    ax.set_xlabel(f"First component{shares[0]}")
    ax.set_ylabel(f"Second component{shares[1]}")
    if own:
        handles = _handles(here, theme)
        ax.figure.legend(handles=handles, loc="outside upper left", **_legend(theme, 2))
    return ax


def draw_activation_layers(
    points: pd.DataFrame, layers: pd.DataFrame, chosen: Sequence[int], theme: Theme
) -> Axes:
    """Draw `plot_activations` at several layers beside each other; return the first one's axes.

    Where there are letters, each layer is drawn twice: as it is, and with each letter's mean taken
    off. `layers` is the frame "layers" of the same behavior.
    """
    views = [False, True] if points["pc1_within"].notna().all() else [False]
    panels = [(layer, view) for layer in chosen for view in views]
    n_rows = -(-len(panels) // _COLUMNS)
    size = (WIDTH, n_rows * _PANEL_HEIGHT + 0.7)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained", facecolor=theme.paper)
    grid = figure.subplots(n_rows, _COLUMNS, squeeze=False).ravel()
    for ax in grid[len(panels) :]:
        ax.set_visible(False)
    by_layer = layers.set_index("layer")
    for ax, (layer, within) in zip(grid, panels, strict=False):
        row = by_layer.loc[layer]
        plot_activations(points, layer, within_letters=within, ax=ax, theme=theme)
        shares = row[[f"explained{'_within' * within}_{each}" for each in (1, 2)]]
        ax.set_facecolor(theme.paper)
        ax.set(xticks=[], yticks=[], ylabel="")
        ax.set_xlabel(
            f"{percent(shares.iloc[0])} and {percent(shares.iloc[1])} of variance",
            color=theme.ink,
            size=9,
        )
        title = f"layer {layer}{' (steered)' * bool(row['picked'])}{', letters off' * within}"
        ax.set_title(title, color=theme.mark if row["picked"] else theme.ink, size=10, pad=3)
        for spine in ax.spines.values():
            spine.set_color(theme.faint)
    figure.legend(handles=_handles(points, theme), loc="outside upper left", **_legend(theme, 2))
    return grid[0]


def spread_layers(layers: Sequence[int], picked: int, most: int = MOST_PANELS) -> list[int]:
    """Return a few layers spread over all, the picked one among them.

    >>> spread_layers(range(24), 14), spread_layers([3, 4], 3)
    ([0, 5, 9, 14, 18, 23], [3, 4])
    """
    layers = sorted(layers)
    if len(layers) <= most:
        return layers
    places = np.linspace(0, len(layers) - 1, most).round().astype(int)
    nearest = np.abs(places - layers.index(picked)).argmin()
    places[nearest] = layers.index(picked)
    return [layers[place] for place in places]


def plot_separation(layers: pd.DataFrame, *, ax: Axes | None = None, theme: Theme = LIGHT) -> Axes:
    """Draw how well the two sides of a behavior's pairs are told apart at each layer.

    Args:
        layers: a frame "layers" of the experiment activation-pca, of one behavior.
        ax: axes to draw on; without, those of a new figure.
        theme: the colors.

    Returns:
        The axes drawn on. Along the vector and random directions: the share of held-out pairs whose
        matching side lies further. In planes of two components: the area under the ROC curve.

    Raises:
        CAAError: several behaviors.

    >>> measures = ["share_vector", "share_vector_low", "share_vector_high", "share_random_max"]
    >>> layers = pd.DataFrame({"behavior": "tea", "layer": [3, 4], "picked": [False, True]})
    >>> layers[[*measures, "auc_sides_plane", "auc_sides_within"]] = 0.75
    >>> plot_separation(layers).get_xlabel()
    'Layer (0 = first; dashed: 4, the steered one)'
    """
    _check_behavior(layers, "The plot of separation")
    ax = new_axes(theme) if ax is None else ax
    x = layers["layer"].to_numpy(float)
    bounds = [layers[f"share_vector_{side}"].to_numpy(float) for side in ("low", "high")]
    ax.fill_between(x, *bounds, color=theme.behavior, alpha=0.22, linewidth=0)
    lines = (
        ("share_vector", "held-out pairs, along the vector", theme.behavior, "-", "o"),
        ("share_random_max", "held-out pairs, best random direction", theme.random, "--", None),
        ("auc_sides_plane", "two components", theme.mark, ":", None),
        ("auc_sides_within", "two components, letters' means off", theme.mark, "-", "s"),
    )
    for column, label, color, style, marker in lines:
        if layers[column].notna().any():
            ax.plot(
                x,
                layers[column].to_numpy(float),
                color=color,
                linestyle=style,
                marker=marker,
                markersize=4,
                linewidth=1.8,
                label=label,
            )
    picked = layers.loc[layers["picked"], "layer"]
    if len(picked):
        ax.axvline(picked.iloc[0], color=theme.ink, linewidth=1.2, linestyle=(0, (4, 2)), zorder=1)
    ax.axhline(0.5, color=theme.ink, linewidth=0.8)
    ax.set_ylim(min(0.45, np.nanmin([0.5, *bounds[0]]) - 0.05), 1.03)
    ax.set_xlim(x.min() - 0.7, x.max() + 0.7)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    at = f"; dashed: {picked.iloc[0]}, the steered one" if len(picked) else ""
    ax.set_xlabel(f"Layer (0 = first{at})")
    ax.set_ylabel("Sides told apart\n(0.5 = chance)")
    legend_above(ax, theme)
    return ax


def plot_layer_similarity(
    cosines: pd.DataFrame, *, ax: Axes | None = None, theme: Theme = LIGHT
) -> Axes:
    """Draw the cosines between one behavior's vectors of all layers as a heat map.

    Args:
        cosines: a frame "layers" of the experiment similarity, of one behavior.
        ax: axes to draw on; without, those of a new figure.
        theme: the colors.

    Returns:
        The axes drawn on; a vector of length 0 is left blank.

    Raises:
        CAAError: several behaviors.

    >>> rows = [(3, 3, 1.0), (3, 4, 0.6), (4, 3, 0.6), (4, 4, 1.0)]
    >>> cosines = pd.DataFrame(rows, columns=["layer", "other_layer", "cosine"])
    >>> plot_layer_similarity(cosines.assign(behavior="tea")).get_xlabel()
    'Layer'
    """
    _check_behavior(cosines, "The plot of layers")
    table = cosines.pivot(index="layer", columns="other_layer", values="cosine")
    table = table.rename_axis(index="Layer", columns="Layer")
    return draw_matrix(table, ax, theme, label="Cosine", limits=(-1, 1))


def plot_behavior_similarity(
    cosines: pd.DataFrame,
    layer: int | None = None,
    *,
    ax: Axes | None = None,
    theme: Theme = LIGHT,
) -> Axes:
    """Draw the cosines between behaviors' vectors as a heat map.

    Args:
        cosines: a frame "behaviors" of the experiment similarity.
        layer: of all vectors; without one, each row has the vectors of the layer at which its
            behavior is steered.
        ax: axes to draw on; without, those of a new figure.
        theme: the colors.

    Returns:
        The axes drawn on.

    Raises:
        CAAError: a layer without vectors.

    >>> rows = [("tea", "tea", 1), ("tea", "milk", 0.3), ("milk", "tea", 0.3), ("milk", "milk", 1)]
    >>> cosines = pd.DataFrame(rows, columns=["behavior", "other", "cosine"])
    >>> ax = plot_behavior_similarity(cosines.assign(layer=3, picked=True), layer=3)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['tea', 'milk']
    """
    here = cosines[cosines["picked"] if layer is None else cosines["layer"] == layer]
    if here.empty:
        there = ", ".join(map(str, sorted(set(cosines["layer"]))))
        raise CAAError(f"There are no vectors of layer {layer}: choose one of {there}.")
    names = list(dict.fromkeys(here["behavior"]))
    table = here.pivot(index="behavior", columns="other", values="cosine").loc[names, names]
    table = table.rename_axis(index=None, columns=None)
    if layer is None:
        at = here.drop_duplicates("behavior").set_index("behavior")["layer"]
        table.index = [f"{name} ({at[name]})" for name in names]
    return draw_matrix(table, ax, theme, label="Cosine", limits=(-1, 1))


def plot_model_similarity(
    cosines: pd.DataFrame, *, ax: Axes | None = None, theme: Theme = LIGHT
) -> Axes:
    """Draw the cosine between two models' vectors by layer, a line per behavior.

    Args:
        cosines: a frame "models" of the experiment similarity.
        ax: axes to draw on; without, those of a new figure.
        theme: the colors.

    Returns:
        The axes drawn on; the band around 0 holds 95% of random directions.

    >>> cosines = pd.DataFrame({"behavior": "tea", "layer": [3, 4], "cosine": [0.7, 0.8]})
    >>> ax = plot_model_similarity(cosines.assign(width=576, picked=[False, True]))
    >>> ax.get_xlabel()
    'Layer (0 = first; a disc = the steered one)'
    """
    ax = new_axes(theme) if ax is None else ax
    chance = chance_cosine(int(cosines["width"].iloc[0]))
    ax.axhspan(-chance, chance, color=theme.random, alpha=0.3, linewidth=0, label="chance (95%)")
    ax.axhline(0, color=theme.ink, linewidth=0.8)
    groups = list(cosines.groupby("behavior", sort=False))
    colors = [theme.behavior] if len(groups) == 1 else sns.color_palette("colorblind", len(groups))
    styles = ["-", "--", "-.", ":"]
    for number, (behavior, rows) in enumerate(groups):
        style = {"color": colors[number], "linestyle": styles[number % len(styles)]}
        ax.plot(rows["layer"], rows["cosine"], linewidth=1.8, label=behavior, **style)
        at = rows[rows["picked"]]
        ax.plot(at["layer"], at["cosine"], "o", color=colors[number], markersize=7)
    low = cosines["cosine"].min()
    ax.set_ylim(min(-0.2, np.nan_to_num(low) - 0.1), 1.05)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_xlabel("Layer (0 = first; a disc = the steered one)")
    ax.set_ylabel("Cosine of the\ntwo models' vectors")
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "borderaxespad": 0.2}
    ax.legend(**place, **_legend(theme, 2) | {"handletextpad": 0.6})
    return ax


def chance_cosine(width: int) -> float:
    """Return the absolute cosine that 95% of pairs of random directions stay below.

    Cosines of independent directions of `width` numbers have a standard deviation of 1 over the
    root of `width`, and are close to normal.

    >>> round(chance_cosine(896), 3)
    0.065
    """
    return 1.959964 / width**0.5


def _scatter(ax: Axes, points: pd.DataFrame, names: Sequence[str], theme: Theme) -> None:
    for letter in sorted(set(points["letter"])):
        for side, color in _colors(theme).items():
            here = points[(points["letter"] == letter) & (points["side"] == side)]
            ax.scatter(
                *(here[name] for name in names),
                s=14,
                marker=_MARKERS[letter],
                color=color,
                alpha=0.6,
                linewidths=0,
            )


def _colors(theme: Theme) -> dict[str, str]:
    return {"matching": theme.behavior, "other": theme.mark}


def _handles(points: pd.DataFrame, theme: Theme) -> list[Line2D]:
    plain = {"linestyle": "", "markersize": 6}
    handles = [
        Line2D([], [], marker="s", color=color, label=f"{side} answer", **plain)
        for side, color in _colors(theme).items()
    ]
    letters = sorted(set(points["letter"]) - {NO_CHOICES})
    return handles + [
        Line2D([], [], marker=_MARKERS[each], color=theme.random, label=f"letter {each}", **plain)
        for each in letters
    ]


def _legend(theme: Theme, columns: int) -> dict[str, object]:
    return {
        "ncols": columns,
        "frameon": False,
        "labelcolor": theme.ink,
        "fontsize": 10,
        "handletextpad": 0.2,
        "columnspacing": 1.0,
        "labelspacing": 0.25,
    }


def _check_behavior(frame: pd.DataFrame, plot: str) -> None:
    behaviors = sorted(set(frame["behavior"]))
    if len(behaviors) != 1:
        raise CAAError(
            f"{plot} shows one behavior, and the frame has {', '.join(behaviors) or 'none'}: pass "
            "the rows of one."
        )
