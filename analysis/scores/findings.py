"""Whether a run worked, in plain sentences with their figures."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import pandas as pd

from caa_nnsight.errors import CAAError

from ..words import count, number, percent, split_name, times
from .cautions import LOW_MASS
from .effects import effect
from .frame import (
    BEHAVIOR_VECTOR,
    CONTROL_KIND,
    NO_PROMPT,
    check_scores,
    choose_contrast,
    first_condition,
)
from .summary import summarize
from .units import PER_TOKEN, Unit, unit_of

LARGE_SHARE = 0.25
"""Of the effect; where random vectors have as much on average, it is partly not the vector's."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a run shows.

    Attributes:
        verdict: "yes", "partly", "no", "backward" or "unknown".
        headline: the verdict as a sentence.
        points: sentences with the figures behind it.
    """

    verdict: str
    headline: str
    points: tuple[str, ...]

    def _repr_html_(self) -> str:
        points = "".join(f"<li>{escape(point)}</li>" for point in self.points)
        return f"<p><strong>{escape(self.headline)}</strong></p><ul>{points}</ul>"


def conclude(scores: pd.DataFrame, layer: int, *, seed: int = 0) -> Finding:
    """Say whether steering `layer` moved the held-out items of one behavior, and how surely.

    "yes" asks for all of these: the change in log-odds from the low to the high multiplier (-1 and
    1 where they were scored) has a 95% interval above zero, no random vector changes it as much,
    the random vectors don't move it reliably by a quarter as much, and the effect has its sign in
    both letter groups, where there are letters. A random direction is as likely as its opposite,
    so that from -m to m random vectors change nothing on average: one control in twenty has an
    interval beside zero by chance, and its size decides.

    Args:
        scores: a score frame with held-out rows of one behavior at `layer`.
        layer: the steered block.
        seed: of the bootstrap.

    Raises:
        CAAError: no held-out rows of the behavior's vector at `layer`, or one multiplier only.

    >>> from caa_nnsight.analysis import example_scores
    >>> scores = example_scores(layers=[4], slope=0.8, n_items=40, n_random=4)
    >>> conclude(scores, layer=4).verdict
    'yes'
    """
    tidy = check_scores(scores)
    tidy = tidy[(tidy["split"] == "held_out") & (tidy["layer"] == layer)]
    own = tidy[tidy["vector"] == BEHAVIOR_VECTOR]
    if own.empty:
        raise CAAError(
            f"There are no held-out scores of the behavior's vector at layer {layer}: score the "
            "held-out items at that layer."
        )
    condition = first_condition(own)
    tidy = tidy[tidy["condition"] == condition]
    low, high = choose_contrast(own.loc[own["condition"] == condition, "multiplier"])
    if low == high:
        raise CAAError(
            f"The held-out items were scored at one multiplier ({times(low)}): score at least two."
        )
    changes = effect(tidy, low, high, seed=seed).set_index("vector")
    row = changes.loc[BEHAVIOR_VECTOR]
    control = changes.loc[CONTROL_KIND] if CONTROL_KIND in changes.index else None
    if control is not None and control["n_items"] == 0:
        control = None
    table = summarize(tidy, seed=seed)
    curve = table[table["vector"] == BEHAVIOR_VECTOR].set_index("multiplier")
    unit = unit_of(curve)
    verdict, headline = _verdict(row, control, unit)
    points = [
        _effect_sentence(row, layer, condition, unit),
        _level_sentence(curve, low, high, unit),
        _share_sentence(row),
        _control_sentence(control, row, unit),
        _accuracy_sentence(curve, unit),
    ]
    if unit is not PER_TOKEN:
        points.append(_mass_sentence(curve))
    return Finding(verdict, headline, tuple(points))


def _verdict(row: pd.Series, control: pd.Series | None, unit: Unit) -> tuple[str, str]:
    name = row["behavior"]
    if pd.isna(row["change_low"]):
        return "unknown", "Too few items were scored to say whether it worked."
    if row["change_high"] < 0:
        return "backward", f"It works backward: steering moves the answers away from {name}."
    if not row["excludes_zero"]:
        return "no", f"No effect was shown: steering does not reliably move the answers on {name}."
    start = f"Steering moves the answers toward {name}, but"
    if control is None:
        return "partly", f"{start} there is no control to compare it with."
    if control["change_max_abs"] >= row["change"]:
        return (
            "no",
            f"{start} a vector of the same length in a random direction moves them as much.",
        )
    if pd.isna(control["change_low"]):
        return "partly", f"{start} one random vector is too small a control to be sure."
    if min(row["change_letter_a"], row["change_letter_b"]) <= 0:
        return "partly", f"{start} only for one answer letter: it may be about letters."
    if control["excludes_zero"] and abs(control["change"]) >= LARGE_SHARE * row["change"]:
        return "partly", f"{start} random vectors move them too, though less."
    if row["change"] < unit.small_change:
        return "yes", f"It worked, but the effect is small: the answers move toward {name}."
    return "yes", f"It worked: steering moves the answers toward {name}."


def _effect_sentence(row: pd.Series, layer: int, condition: str, unit: Unit) -> str:
    prompt = "" if condition == NO_PROMPT else f", condition {condition}"
    kind = "free-form item" if unit is PER_TOKEN else "item"
    items = count(row["n_items"], f"{split_name(row['split'])} {kind}")
    orders = {0: "", 1: ", one order of the choices", 2: ", both orders of the choices"}
    return (
        f"From multiplier {times(row['low'])} to {times(row['high'])} at layer {layer}{prompt}, "
        f"the {unit.name} of the matching answer change by {unit.signed(row['change'])} "
        f"({_bounds(row, unit)}; {items}{orders[row['n_orders']]})."
    )


def _bounds(row: pd.Series, unit: Unit) -> str:
    if pd.isna(row["change_low"]):
        return "no interval"
    return f"95% interval {unit.interval(row['change_low'], row['change_high'])}"


def _level_sentence(curve: pd.DataFrame, low: float, high: float, unit: Unit) -> str:
    per_token = unit is PER_TOKEN
    level, write = (curve["log_odds"], unit.signed) if per_token else (curve["p_match"], number)
    middle = f", {write(level[0.0])} unsteered" if 0.0 in level.index else ""
    levels = (
        f"{write(level[low])} at {times(low)}{middle} and {write(level[high])} at {times(high)}"
    )
    if per_token:
        return f"Their mean is {levels}; above 0, the matching answer is the likelier per token."
    return f"Its mean probability among the two answers is {levels}."


def _share_sentence(row: pd.Series) -> str:
    moved = round(row["share_up"] * row["n_items"])
    return (
        f"{moved} of {count(row['n_items'], 'item')} ({percent(row['share_up'])}) moved toward the "
        "behavior."
    )


def _control_sentence(control: pd.Series | None, row: pd.Series, unit: Unit) -> str:
    if control is None:
        return "Control: no random vectors were scored at these multipliers."
    largest = control["change_max_abs"]
    if control["n_vectors"] == 1:
        return (
            f"Control: 1 random vector of the same length changes them by "
            f"{unit.signed(control['change'])}; one is too few for an interval."
        )
    ratio = ""
    if row["change"] > 0 and largest > 0:
        factor = row["change"] / largest
        ratio = f"; the behavior's vector does {factor:.1f} times as much" if factor >= 1 else ""
    return (
        f"Control: {control['n_vectors']} random vectors of the same length change them by "
        f"{unit.signed(control['change'])} on average ({_bounds(control, unit)}), the strongest by "
        f"{unit.number(largest)} up or down{ratio}."
    )


def _accuracy_sentence(curve: pd.DataFrame, unit: Unit) -> str:
    if curve["accuracy"].isna().any():
        return (
            "Order-averaged accuracy: not available, because the choices were scored in one order."
        )
    lowest, highest = curve.index.min(), curve.index.max()
    parts = [f"{percent(curve['accuracy'][lowest])} of the items at {times(lowest)}"]
    if lowest < 0 < highest and 0.0 in curve.index:
        parts.append(f"{percent(curve['accuracy'][0.0])} unsteered")
    parts.append(f"{percent(curve['accuracy'][highest])} at {times(highest)}")
    shares = f"{', '.join(parts[:-1])} and {parts[-1]}"
    if unit is PER_TOKEN:
        return f"Per token, the matching answer is likelier than the other on {shares}."
    return (
        "With both orders of the choices averaged, the model prefers the matching answer on "
        f"{shares}."
    )


def _mass_sentence(curve: pd.DataFrame) -> str:
    unsteered = 0.0 in curve.index
    mass = curve["mass"][0.0] if unsteered else curve["mass"].mean()
    when = "Unsteered" if unsteered else "Averaged over the multipliers"
    end = (
        f": below {LOW_MASS}, so these figures speak of a small part of what the model would write."
        if mass < LOW_MASS
        else "."
    )
    return f"{when}, the two answer letters hold {number(mass)} of all probability{end}"
