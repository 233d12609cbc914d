"""What to be careful about when reading a run's scores, in sentences with their figures."""

from __future__ import annotations

import pandas as pd

from ..words import count, number, percent, signed, split_name, times
from .bootstrap import mean_intervals
from .effects import effect
from .frame import (
    BEHAVIOR_VECTOR,
    CONTROL_KIND,
    NO_PROMPT,
    by_item,
    check_scores,
    choose_contrast,
    is_free_form,
    vector_kind,
)
from .units import unit_of

LOW_MASS = 0.2
FEW_ITEMS = 20
FEW_VECTORS = 3
NOTABLE_SHARE = 0.1  # of the effect, had by the random vectors on average
STRONG_SHARE = 0.5  # of the effect, had by a single random vector


def warnings_for(scores: pd.DataFrame) -> list[str]:
    """Return what a reader of these scores must know, a sentence each; nothing wrong, no sentence.

    Looks at the held-out rows (at the validation rows where there are none), for every behavior,
    condition and layer in them: little probability on the two answers, unsteered or under
    steering; one choice order; few items; a control that is missing, small, or moves too; an
    effect on one answer letter only; one that turns over at large multipliers. Free-form items
    have no letters, orders or mass to warn of. On the validation rows: a largest change at the
    first or last layer scored.

    Args:
        scores: a score frame.

    Raises:
        CAAError: the frame is not a usable score frame.

    >>> from caa_nnsight.analysis import example_scores
    >>> warnings_for(example_scores(mass=0.9, slope={3: 0.1, 4: 0.5, 5: 0.1}))
    []
    >>> [text.split(":")[0] for text in warnings_for(example_scores(mass=0.05, n_items=40))][0]
    'example, held-out items'
    """
    tidy = check_scores(scores)
    found = []
    for name, rows in tidy.groupby("behavior", sort=True):
        judged = rows[rows["split"] == "held_out"]
        judged = judged if len(judged) else rows
        for condition, part in judged.groupby("condition", sort=True):
            about = f"{name}, {split_name(part['split'].iloc[0])} items"
            if condition != NO_PROMPT:
                about += f", condition {condition}"
            sentences = [*_size(part), *_mass(part), *_control(part), *_letters(part)]
            found += [f"{about}: {sentence}" for sentence in [*sentences, *_turn(part)]]
        validation = rows[(rows["split"] == "validation") & (rows["vector"] == BEHAVIOR_VECTOR)]
        found += [f"{name}, validation items: {sentence}" for sentence in _edge(validation)]
    return found


def _size(rows: pd.DataFrame) -> list[str]:
    found = []
    if rows["order"].nunique() == 1 and not is_free_form(rows):
        found.append(
            "the choices were scored in one order, so a preference for a letter is not averaged "
            "out and there is no order-averaged accuracy; score both orders."
        )
    n_items = rows["item"].nunique()
    if n_items < FEW_ITEMS:
        found.append(
            f"only {count(n_items, 'item')} were scored; below {FEW_ITEMS} the intervals are rough."
            if n_items > 1
            else "only 1 item was scored, so nothing can be said of other items."
        )
    return found


def _mass(rows: pd.DataFrame) -> list[str]:
    own = by_item(rows[rows["vector"] == BEHAVIOR_VECTOR])
    means = own.groupby(["layer", "multiplier"])["mass"].mean()
    unsteered = own.loc[own["multiplier"] == 0, "mass"].mean()
    if unsteered < LOW_MASS:
        return [
            f"unsteered, the two answer letters hold only {number(unsteered)} of the probability "
            f"on average (below {LOW_MASS}); the model would mostly write something else, so "
            "p(match) speaks of a small part of what it does."
        ]
    low = means[(means < LOW_MASS) & (means.index.get_level_values("multiplier") != 0)]
    return [
        f"at layer {layer} and multiplier {times(multiplier)} the two answer letters hold only "
        f"{number(mass)} of the probability on average (below {LOW_MASS}); steering this hard "
        "drives the model off the answer format."
        for (layer, multiplier), mass in low.items()
    ]


def _control(rows: pd.DataFrame) -> list[str]:
    random = rows[rows["vector"].map(vector_kind) == CONTROL_KIND]
    if random.empty:
        return [
            "no random control vectors were scored, so it is open whether any vector of this "
            "length would have done the same; score some."
        ]
    n_vectors = random["vector"].nunique()
    found = []
    if n_vectors < FEW_VECTORS:
        found.append(
            f"the control is {count(n_vectors, 'random vector')}, too few to stand for random "
            "directions; score five or more."
        )
    low, high = choose_contrast(rows["multiplier"])
    if low == high:
        return found
    changes = effect(rows, low, high)
    for layer, at_layer in changes.groupby("layer"):
        found += _control_at(layer, at_layer.set_index("vector"), low, high)
    return found


def _control_at(layer: int, kinds: pd.DataFrame, low: float, high: float) -> list[str]:
    if CONTROL_KIND not in kinds.index:
        return []
    control, unit, found = kinds.loc[CONTROL_KIND], unit_of(kinds), []
    if control["n_items"] == 0:
        return [
            f"the random vectors were not scored at layer {layer} with multipliers {times(low)} "
            f"and {times(high)}, so there is no control there; score them at both."
        ]
    own = kinds.loc[BEHAVIOR_VECTOR] if BEHAVIOR_VECTOR in kinds.index else None
    share = abs(control["change"] / own["change"]) if own is not None and own["change"] else 1
    if control["excludes_zero"] and share >= NOTABLE_SHARE:
        bounds = unit.interval(control["change_low"], control["change_high"])
        found.append(
            f"random vectors move the answers too: at layer {layer} they change the {unit.name} by "
            f"{unit.signed(control['change'])} on average (95% interval {bounds}) from multiplier "
            f"{times(low)} to {times(high)}."
        )
    if own is not None and own["excludes_zero"]:
        ratio = control["change_max_abs"] / abs(own["change"])
        if ratio >= STRONG_SHARE:
            found.append(
                f"one random vector changes the {unit.name} at layer {layer} by "
                f"{unit.number(control['change_max_abs'])}, {percent(ratio)} of what the "
                "behavior's vector does; that much may be had from any vector of this length."
            )
    return found


def _letters(rows: pd.DataFrame) -> list[str]:
    own = rows[rows["vector"] == BEHAVIOR_VECTOR]
    if own.empty or own["multiplier"].nunique() < 2:
        return []
    changes = effect(own, *choose_contrast(own["multiplier"]), n_resamples=2)
    return [
        f"at layer {row.layer} the effect depends on the letter: the log-odds change by "
        f"{signed(row.change_letter_a)} where the matching answer is A and by "
        f"{signed(row.change_letter_b)} where it is B; the vector may be about letters."
        for row in changes.itertuples()
        if row.change_letter_a * row.change_letter_b < 0
    ]


def _turn(rows: pd.DataFrame) -> list[str]:
    """Find neighboring multipliers between which the log-odds go against the whole curve."""
    own = by_item(rows[rows["vector"] == BEHAVIOR_VECTOR])
    found = []
    for layer, at_layer in own.groupby("layer"):
        curve = at_layer.pivot(index="item", columns="multiplier", values="log_odds").dropna()
        if curve.shape[1] < 3 or len(curve) < 2:
            continue
        steps = curve.diff(axis=1).iloc[:, 1:]
        low, high = choose_contrast(own["multiplier"])
        if (curve[high] - curve[low]).mean() < 0:
            steps = -steps
        bounds = mean_intervals([steps[m].to_numpy() for m in steps])
        for step, (_, upper) in enumerate(bounds):
            if upper < 0:
                before, after = curve.columns[step], curve.columns[step + 1]
                found.append(
                    f"at layer {layer} the effect turns over between multiplier {times(before)} "
                    f"and {times(after)}: more steering there does the opposite."
                )
    return found


def _edge(validation: pd.DataFrame) -> list[str]:
    layers = sorted(set(validation["layer"]))
    multipliers = sorted(set(validation["multiplier"]))
    if len(layers) < 3 or len(multipliers) < 2:
        return []
    found = []
    changes = effect(validation, multipliers[0], multipliers[-1], n_resamples=2)
    for _, part in changes.dropna(subset="change").groupby("condition"):
        best, unit = part.loc[part["change"].idxmax()], unit_of(part)
        if best["layer"] in (layers[0], layers[-1]):
            side = "first" if best["layer"] == layers[0] else "last"
            found.append(
                f"the change is largest at layer {best['layer']}, the {side} of those scored; "
                "unless the model ends there, score layers beyond it."
            )
        if best["change"] <= 0:
            found.append(
                f"no layer moves the answers toward the behavior; the best, layer "
                f"{best['layer']}, changes the {unit.name} by {unit.signed(best['change'])}."
            )
    return found
