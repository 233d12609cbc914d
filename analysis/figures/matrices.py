"""Drawing of a matrix: a colored cell per row and column, its number in it where there is room."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from caa_nnsight.errors import CAAError

from ..words import signed, times
from .style import LIGHT, WIDTH, Theme, new_axes

MOST_NUMBERED = 12
"""Columns up to which numbers fit into the cells."""

_MOST_LABELED = 16  # of rows or columns; beyond, only some of them get their label
_CELL_HEIGHT = 0.36  # inches, of a cell that holds a number
_MARGIN = 1.9  # inches above and below the cells, for the labels and the color bar


def draw_matrix(
    table: pd.DataFrame,
    ax: Axes | None = None,
    theme: Theme = LIGHT,
    *,
    label: str,
    limits: tuple[float, float] | None = None,
    marks: pd.DataFrame | None = None,
    outlined: pd.DataFrame | None = None,
    number_format: Callable[[float], str] | None = signed,
) -> Axes:
    """Draw a table of numbers as a heat map.

    Where the limits lie on both sides of 0, that is the color of the paper, numbers above it are
    blue and those below orange, the fuller the farther away; else the low limit is the paper's.

    Args:
        table: a row and a column per label, floats; NaN is left blank. The names of its index
            and columns, where they have one, become the axes' names.
        ax: axes to draw on; without, those of a new figure, as tall as the rows need.
        theme: the colors.
        label: what the numbers are, written over the color bar.
        limits: numbers of the fullest colors; by default those of the largest absolute number on
            both sides of 0.
        marks: of the table's shape, texts that are put behind the numbers, such as "*".
        outlined: of the table's shape, true for cells that get a frame.
        number_format: writes the numbers; None leaves them out. They are left out of more than
            `MOST_NUMBERED` columns in any case, where they would not fit.

    Returns:
        The axes drawn on.

    Raises:
        CAAError: an empty table, `marks` or `outlined` of another shape, or limits that don't rise.

    >>> table = pd.DataFrame([[1.0, -0.2], [-0.2, 1.0]], index=["a", "b"], columns=["a", "b"])
    >>> axes = draw_matrix(table, label="Cosine", limits=(-1, 1))
    >>> [text.get_text() for text in axes.texts]
    ['+1.00', '−0.20', '−0.20', '+1.00']
    """
    low, high = _limits(table, limits)
    for name, other in (("marks", marks), ("outlined", outlined)):
        if other is not None and other.shape != table.shape:
            raise CAAError(
                f"{name} has the shape {list(other.shape)}, but the matrix to draw has "
                f"{list(table.shape)}: give a table with the same rows and columns."
            )
    numbered = number_format is not None and table.shape[1] <= MOST_NUMBERED
    if ax is None:
        ax = new_axes(theme)
        ax.figure.set_size_inches(WIDTH, _height(len(table), numbered))
    ax.grid(visible=False)
    sns.heatmap(
        table.astype(float),
        ax=ax,
        cmap=_colors(theme, low, high),
        vmin=low,
        vmax=high,
        annot=_texts(table, number_format, marks) if numbered else None,
        fmt="",
        annot_kws={"fontsize": 9 if table.shape[1] <= 6 else 7.5},
        linewidths=0.6 if numbered else 0,
        linecolor=theme.faint,
        xticklabels=_step(table.shape[1]),
        yticklabels=_step(len(table)),
        cbar_kws={"orientation": "horizontal", "location": "top", "aspect": 40, "pad": 0.02},
    )
    if numbered:
        _contrast(ax, table)
    _dress(ax, table, theme)
    _dress_bar(ax, label, theme)
    for row, column in zip(*np.nonzero([] if outlined is None else outlined), strict=True):
        frame = Rectangle((column, row), 1, 1, fill=False, edgecolor=theme.ink, linewidth=1.8)
        frame.set_clip_on(False)
        ax.add_patch(frame)
    return ax


def _limits(table: pd.DataFrame, limits: tuple[float, float] | None) -> tuple[float, float]:
    if table.empty:
        raise CAAError("The matrix to draw is empty: give at least one row and one column.")
    if limits is None:
        largest = np.nanmax(np.abs(table.to_numpy(float)), initial=0.0)
        return (-largest, largest) if largest else (-1.0, 1.0)
    if not limits[0] < limits[1]:
        raise CAAError(
            f"The limits of the matrix are {limits[0]:g} and {limits[1]:g}: give a low one and a "
            "higher one."
        )
    return limits


def _height(n_rows: int, numbered: bool) -> float:
    """Return the height of a new figure in inches; cells without numbers are about square."""
    cells = n_rows * _CELL_HEIGHT if numbered else WIDTH - 1.3
    return max(2.8, cells + _MARGIN)


def _colors(theme: Theme, low: float, high: float) -> Colormap:
    ends = [theme.mark, theme.paper, theme.behavior] if low < 0 < high else []
    if not ends:
        ends = [theme.mark, theme.paper] if high <= 0 else [theme.paper, theme.behavior]
    middle = [0, -low / (high - low), 1] if len(ends) == 3 else [0, 1]
    return LinearSegmentedColormap.from_list("matrix", list(zip(middle, ends, strict=True)))


def _texts(
    table: pd.DataFrame, number_format: Callable[[float], str], marks: pd.DataFrame | None
) -> np.ndarray:
    texts = [[number_format(value) for value in row] for row in table.to_numpy(float)]
    if marks is None:
        return np.array(texts)
    return np.char.add(texts, marks.astype(str).to_numpy(str))


def _step(size: int) -> int:
    """Return at every how many-th row or column there is a label."""
    return -(-size // _MOST_LABELED)


def _contrast(ax: Axes, table: pd.DataFrame) -> None:
    """Write each number black or white, whichever is easier to read on its cell."""
    colors = ax.collections[-1].get_facecolors()[table.notna().to_numpy().ravel()]
    for text, color in zip(ax.texts[-len(colors) :], colors, strict=True):
        linear = np.where(
            color[:3] <= 0.04045, color[:3] / 12.92, ((color[:3] + 0.055) / 1.055) ** 2.4
        )
        # Where the contrasts with black and with white are equal (WCAG 2.2, relative luminance).
        text.set_color("black" if linear @ (0.2126, 0.7152, 0.0722) > 0.179 else "white")


def _dress(ax: Axes, table: pd.DataFrame, theme: Theme) -> None:
    ax.tick_params(colors=theme.ink, labelsize=9.5, length=0)
    for name in ax.get_yticklabels():
        name.set_rotation(0)
    # Numbers and a few names stay level; more names would run into one another.
    level = table.shape[1] <= 2 or max(len(str(name)) for name in table.columns) <= 3
    turned = {"rotation": 0} if level else {"rotation": 40, "ha": "right"}
    for name in ax.get_xticklabels():
        name.set(rotation_mode="anchor", **turned)
    ax.set_xlabel(table.columns.name or "", color=theme.ink, size=10.5)
    ax.set_ylabel(table.index.name or "", color=theme.ink, size=10.5)


def _dress_bar(ax: Axes, label: str, theme: Theme) -> None:
    bar = ax.collections[-1].colorbar
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=theme.ink, labelsize=9.5)
    bar.ax.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: times(round(value, 6))))
    bar.set_label(label, color=theme.ink, size=10.5)
