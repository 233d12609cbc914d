"""The figures of a run: the effect by layer, and the scores by multiplier."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from caa_nnsight.errors import CAAError

from ..scores.effects import effect
from ..scores.frame import BEHAVIOR_VECTOR, check_scores, first_condition
from ..scores.summary import summarize
from .curves import draw_accuracy_curve, draw_layer_curve, draw_multiplier_curve
from .style import LIGHT, Theme


def plot_layer_curve(
    scores: pd.DataFrame,
    picked: int | None = None,
    *,
    ax: Axes | None = None,
    theme: Theme = LIGHT,
) -> Axes:
    """Draw the change in log-odds by steered layer, on the validation items.

    The change is that of `effect` from the smallest to the largest multiplier, with its 95%
    interval as a band; random vectors, where they were scored, give a second one. Log-odds of
    free-form items are per token, as the axis says.

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
    return draw_layer_curve(changes, picked, ax, theme)


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
    and the range from the lowest to the highest of them; a line at 0.5 is chance. Of free-form
    items the mean log-odds per token are drawn, with a line at 0 where the curve comes near it.

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
    return draw_multiplier_curve(summarize(tidy), ax, theme)


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
    cancels in it; free-form items have neither letters nor orders.

    Args:
        scores, layer, condition, ax, theme: see `plot_multiplier_curve`.

    Returns:
        The axes drawn on.

    Raises:
        CAAError: as `plot_multiplier_curve`, or the items were scored in one order of the choices.

    >>> from caa_nnsight.analysis import example_scores
    >>> plot_accuracy_curve(example_scores(), layer=4).get_xlabel()
    'Steering multiplier (0 = unsteered)'
    """
    tidy = _one_curve(scores, "held_out", "The accuracy curve", layer, condition)
    table = summarize(tidy, n_resamples=2)  # the Wilson interval needs no bootstrap
    if table["accuracy"].isna().any():
        raise CAAError(
            "The accuracy curve needs both orders of the choices, and the held-out items have "
            "one: score both orders."
        )
    return draw_accuracy_curve(table, ax, theme)


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
