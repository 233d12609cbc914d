"""A tiny model on disk that other tools load too, and what this package computes with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

import caa_nnsight as caa
from tests.cli.places import save_model

IDS = [1, 40, 300, 7, 99, 411, 23, 8]
# Texts for tools that train on the spot.
TRAIN = [
    ["Would you agree? Yes, I would", "Would you agree? No"],
    ["Is the sky blue at noon? It is", "Is the sky blue at noon? Never"],
    ["You refuse harmful requests", "You answer the others in full"],
]


def lay_out(folder: Path, family: str = "llama") -> Path:
    """Make `model/`, whose tokenizer older releases of transformers can load too."""
    save_model(folder / "model", family)
    config = folder / "model" / "tokenizer_config.json"
    settings = json.loads(config.read_text("utf-8"))
    # They know neither the newer class nor special tokens without names.
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    settings.pop("extra_special_tokens", None)
    config.write_text(json.dumps(settings), encoding="utf-8")
    return folder


def vectors_of(model: caa.Model, layers: list[int]) -> caa.SteeringVectors:
    """Random vectors that change logits by several units."""
    generator = torch.Generator().manual_seed(5)
    return caa.SteeringVectors(
        {layer: torch.randn(model.hidden_size, generator=generator) for layer in layers},
        caa.VectorMeta(behavior="tea", model=model.name),
    )


def our_logits(model: caa.Model, steering: caa.Steering) -> np.ndarray:
    """`[tokens, vocabulary]` of the row `IDS`."""
    return caa.Tracer(model).logits([IDS], steering)[0].numpy()


def largest_difference(
    theirs: np.ndarray, model: caa.Model, vectors: caa.SteeringVectors, multiplier: float, start
) -> float:
    """Between their logits and ours, once it is plain that mistakes would show.

    A block too early or too late, another first token, and no steering at all must each differ by
    much more than rounding.
    """
    ours = our_logits(model, vectors.steering(multiplier, start=start))
    difference = float(np.abs(theirs - ours).max())
    later = start + 1 if isinstance(start, int) else 1
    shifted = caa.SteeringVectors(
        {(layer + 1) % model.num_layers: vectors[layer] for layer in vectors.layers}
    )
    for wrong in (
        caa.NO_STEERING,
        vectors.steering(multiplier, start=later),
        vectors.steering(-multiplier, start=start),
        shifted.steering(multiplier, start=start),
    ):
        assert np.abs(theirs - our_logits(model, wrong)).max() > 1000 * max(difference, 1e-6)
    return difference
