"""Vectors that are made up, and run folders that say they measured them."""

from __future__ import annotations

from pathlib import Path

import torch

from caa_nnsight.vectors import SteeringVectors, VectorMeta
from tests.analysis.fake_run import LAYER, write_run

REPO = "somebody/refusal-vectors"


def vectors(seed: int = 0, **meta: object) -> SteeringVectors:
    """Vectors of three layers, `LAYER` among them."""
    generator = torch.Generator().manual_seed(seed)
    facts = {"behavior": "refusal", "polarity": "Positive refuses.", "n_pairs": 12} | meta
    return SteeringVectors(
        {layer: torch.randn(8, generator=generator) for layer in (LAYER - 1, LAYER, LAYER + 1)},
        VectorMeta(**facts),
    )


def run_of(folder: Path, measured: SteeringVectors) -> Path:
    """A finished run's folder, with the vectors that it measured."""
    write_run(folder)
    measured.save(folder / "vectors.safetensors")
    return folder
