"""The figures of a report: drawn in both themes, with a caption and a text in their place."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from .effects import effect
from .figures import plot_accuracy_curve, plot_layer_curve, plot_multiplier_curve
from .frame import BEHAVIOR_VECTOR, CONTROL_KIND, first_condition, vector_kind
from .run_folder import RunFolder
from .style import DARK, DPI, HEIGHT, LIGHT, WIDTH, Theme
from .summary import summarize
from .words import count, number, percent, signed, times


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of the report: its file's name, its texts, and its images as data URIs."""

    name: str
    caption: str
    alt: str
    light: str
    dark: str
    width: int = round(WIDTH * 100)
    height: int = round(HEIGHT * 100)


def draw(run: RunFolder) -> list[tuple[Figure, bytes]]:
    """Draw every figure that the run's scores allow, with its light PNG for the figures' folder."""
    held_out = run.scores[(run.scores["split"] == "held_out") & (run.scores["layer"] == run.layer)]
    validation = run.scores[
        (run.scores["split"] == "validation") & (run.scores["vector"] == BEHAVIOR_VECTOR)
    ]
    own = held_out[held_out["vector"] == BEHAVIOR_VECTOR]
    n_items = count(own["item"].nunique(), "held-out item")
    at = f"{n_items}, layer {run.layer}"
    pictures = [
        _picture(
            "multiplier_curve",
            lambda theme: plot_multiplier_curve(held_out, run.layer, theme=theme),
            f"Mean probability of the matching answer among the two answers ({at}; the bands "
            "are named above the plot). A flat line would mean that steering does nothing.",
            _curve_alt(held_out, "p_match"),
        )
    ]
    if own["order"].nunique() == 2:
        pictures.append(
            _picture(
                "accuracy_curve",
                lambda theme: plot_accuracy_curve(held_out, run.layer, theme=theme),
                "Order-averaged accuracy: share of items on which the model prefers the matching "
                f"answer once both orders of the choices are averaged ({at}). A liking for one "
                "letter cancels out here.",
                _curve_alt(held_out, "accuracy"),
            )
        )
    if validation["layer"].nunique() > 1 and validation["multiplier"].nunique() > 1:
        marked = run.layer if run.layer in set(validation["layer"]) else None
        pictures.append(
            _picture(
                "layer_curve",
                lambda theme: plot_layer_curve(run.scores, marked, theme=theme),
                "Change in the log-odds of the matching answer by steered layer, on the "
                f"{count(validation['item'].nunique(), 'validation item')} that the layer was "
                "picked on.",
                _layer_alt(validation),
            )
        )
    return pictures


def _picture(
    name: str, plot: Callable[[Theme], Axes], caption: str, alt: str
) -> tuple[Figure, bytes]:
    light, dark = _png(plot(LIGHT)), _png(plot(DARK))
    return Figure(name, caption, alt, _data_uri(light), _data_uri(dark)), light


def _png(axes: Axes) -> bytes:
    buffer = io.BytesIO()
    # Without the library's name in it, the file changes only when the picture does.
    axes.figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _curve_alt(held_out: pd.DataFrame, measure: str) -> str:
    condition = first_condition(held_out)
    table = summarize(held_out[held_out["condition"] == condition], n_resamples=2)
    write = number if measure == "p_match" else percent
    own = table[table["vector"] == BEHAVIOR_VECTOR]
    points = ", ".join(
        f"{write(value)} at multiplier {times(multiplier)}"
        for multiplier, value in zip(own["multiplier"], own[measure], strict=True)
    )
    random = table[table["vector"].map(vector_kind) == CONTROL_KIND][measure]
    control = (
        f"; random vectors stay between {write(random.min())} and {write(random.max())}"
        if len(random)
        else ""
    )
    return f"Line chart. Behavior vector: {points}{control}."


def _layer_alt(validation: pd.DataFrame) -> str:
    low, high = validation["multiplier"].min(), validation["multiplier"].max()
    condition = first_condition(validation)
    rows = validation[validation["condition"] == condition]
    changes = effect(rows, low, high, n_resamples=2).dropna(subset="change")
    best = changes.loc[changes["change"].idxmax()]
    return (
        f"Line chart over layers {changes['layer'].min()} to {changes['layer'].max()}: the change "
        f"is largest at layer {best['layer']}, {signed(best['change'])}, and smallest "
        f"{signed(changes['change'].min())}."
    )
