"""What the card of vectors says of their effect and damage, worked out from scores.

This module sits on top of the core: it asks `analysis` for the figures.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caa_nnsight.errors import RunError, VectorError

if TYPE_CHECKING:
    import pandas as pd

    from caa_nnsight.vectors import SteeringVectors

CONFIDENCE = 0.95
_EFFECT = (
    "vector",
    "layer",
    "n_items",
    "n_vectors",
    "change",
    "change_low",
    "change_high",
    "change_max_abs",
    "share_up",
)
_DAMAGE = (
    "layer",
    "multiplier",
    "ratio",
    "ratio_low",
    "ratio_high",
    "repetition_change",
    "drift",
)


def figures(vectors: SteeringVectors, results: Any, damage: Any = None) -> dict[str, Any]:
    """Return what was measured with vectors, ready for JSON.

    Args:
        vectors: Which; their behavior's rows are taken.
        results: The folder of a finished run, a `RunResult`, or a score frame; None for nothing.
        damage: A frame of `analysis.damage`; None for nothing.

    Returns:
        "layer", the one that was measured, or None where there are several; "effect", with the
        unit, the two multipliers, sentences and a row per vector and layer; and "damage", a row
        per layer and multiplier. What was not measured is None.

    Raises:
        VectorError: The figures are of another behavior, other vectors or layers.
        RunError: The folder is no finished run.
        CAAError: A frame isn't usable.
    """
    found: dict[str, Any] = {"behavior": vectors.meta.behavior, "confidence": CONFIDENCE}
    scores, layer = None, None
    if results is not None:
        scores, layer = _scores(vectors, results)
    found["layer"] = layer
    found["effect"] = None if scores is None else _effect(vectors, scores, layer)
    found["damage"] = None if damage is None else _damage_rows(vectors, damage)
    if found["layer"] is None:
        measured = {row["layer"] for row in (found["effect"] or {}).get("rows", [])}
        measured |= {row["layer"] for row in found["damage"] or []}
        found["layer"] = measured.pop() if len(measured) == 1 else None
    return found


def _scores(vectors: SteeringVectors, results: Any) -> tuple[pd.DataFrame, int | None]:
    """Return a score frame, and the layer that a run picked."""
    import pandas as pd

    from caa_nnsight.analysis import load_run

    if isinstance(results, pd.DataFrame):
        return results, None
    folder = Path(getattr(results, "folder", results))
    run = load_run(folder)
    if run.kind != "run":
        raise RunError(
            f"{folder} is of a study, whose vectors are scaled together: give the folder that "
            "`caa run` wrote, or a score frame."
        )
    layer = run.manifest["picked_layer"]
    _refuse_others(vectors, folder, layer)
    return run.scores, layer


def _refuse_others(vectors: SteeringVectors, folder: Path, layer: int) -> None:
    from caa_nnsight.vectors import SteeringVectors as Vectors

    file = folder / "vectors.safetensors"
    measured = Vectors.load(file)
    same = layer in vectors.layers and vectors[layer].equal(measured[layer])
    if not same:
        raise VectorError(
            f"The run in {folder} measured other vectors than these at layer {layer}: push the "
            f"ones that it wrote, {file}, or leave its results out."
        )


def _effect(vectors: SteeringVectors, scores: pd.DataFrame, picked: int | None) -> dict[str, Any]:
    from caa_nnsight.analysis import conclude, effect
    from caa_nnsight.analysis.scores.frame import (
        BEHAVIOR_VECTOR,
        check_scores,
        choose_contrast,
        first_condition,
    )
    from caa_nnsight.analysis.scores.units import unit_of

    tidy = check_scores(scores)
    if picked is not None:
        tidy = tidy[tidy["layer"] == picked]
    tidy = _own(vectors, tidy, "The scores")
    tidy = tidy[tidy["split"] == "held_out"]
    own = tidy[tidy["vector"] == BEHAVIOR_VECTOR]
    if own.empty:
        raise VectorError(
            "The scores have no rows of the vector on held-out items, and others say little of an "
            "effect: score the held-out items."
        )
    tidy = tidy[tidy["condition"] == first_condition(own)]
    own = tidy[tidy["vector"] == BEHAVIOR_VECTOR]
    layers = sorted(set(own["layer"]))
    low, high = choose_contrast(own["multiplier"])
    finding = conclude(tidy, layers[0]) if len(layers) == 1 else None
    table = effect(tidy, low, high, confidence=CONFIDENCE)
    return {
        "split": "held-out",
        "unit": unit_of(tidy).name,
        "low": float(low),
        "high": float(high),
        "headline": finding.headline if finding else "",
        "points": list(finding.points) if finding else [],
        "rows": _rows(table, _EFFECT),
    }


def _damage_rows(vectors: SteeringVectors, damage: pd.DataFrame) -> list[dict[str, Any]]:
    import pandas as pd

    needed = ("behavior", "vector", *_DAMAGE)
    if not isinstance(damage, pd.DataFrame) or not set(needed) <= set(damage.columns):
        raise VectorError(
            "`damage` has to be a frame as `caa_nnsight.analysis.damage` gives it, with the "
            f"columns {', '.join(needed)}."
        )
    own = _own(vectors, damage, "The damage")
    steered = own[(own["vector"] == "behavior") & (own["multiplier"] != 0)]
    return _rows(steered.sort_values(["layer", "multiplier"]), _DAMAGE)


def _own(vectors: SteeringVectors, frame: pd.DataFrame, what: str) -> pd.DataFrame:
    """The rows of the vectors' behavior; refuses a frame of others, or of other layers."""
    behavior = vectors.meta.behavior
    own = frame[frame["behavior"] == behavior]
    if own.empty:
        others = ", ".join(sorted(map(str, set(frame["behavior"]))))
        raise VectorError(
            f"{what} are of {others or 'no behavior'}, but the vectors of {behavior or 'none'}: "
            "give those of the same behavior."
        )
    strangers = sorted(set(own["layer"]) - set(vectors.layers))
    if strangers:
        raise VectorError(
            f"{what} are of layer {strangers[0]}, for which there is no vector here: give those "
            "of the same vectors."
        )
    return own


def _rows(frame: pd.DataFrame, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rows of plain values; what is missing is None, which JSON has a word for."""
    return [
        {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in row.items()
        }
        for row in frame[list(columns)].astype(object).to_dict("records")
    ]
