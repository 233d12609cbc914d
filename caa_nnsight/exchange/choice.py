"""Which layers go to another tool, and how strong."""

from __future__ import annotations

import math
from collections.abc import Iterable

from caa_nnsight.errors import VectorError
from caa_nnsight.vectors import SteeringVectors


def chosen(
    vectors: SteeringVectors, layers: int | Iterable[int] | None, multiplier: float
) -> SteeringVectors:
    """These layers, times the multiplier; the provenance says so.

    Raises:
        VectorError: a layer without a vector, or a multiplier that is not finite.
    """
    if not math.isfinite(multiplier):
        raise VectorError(f"A multiplier must be a finite number, but got {multiplier}.")
    if layers is not None:
        vectors = vectors.select([layers] if hasattr(layers, "__index__") else layers)
    return vectors if multiplier == 1 else vectors * multiplier
