"""What a remote model is compared on: with plain hooks, and with the same weights here.

Every figure is the largest difference: relative for tensors, in nats for scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import pandas as pd
import torch

import caa_nnsight as caa
from caa_nnsight.frames import GENERATION_COLUMNS
from caa_nnsight.models import Model
from tests.core.examples import made_up_free_pairs, made_up_pairs
from tests.ndif.models import REAL, TINY
from tests.parity import cases

PAIRS = made_up_pairs(40)
ITEMS = made_up_pairs(6, first=40)
FREE_PAIRS = made_up_free_pairs(8)
MULTIPLIERS = (-2.0, -1.0, 0.0, 1.0, 2.0)
PROMPTS = ("What of the hills?", "Name a book that you like.")


@dataclass(frozen=True)
class Both:
    """The same weights on a server and in this process."""

    there: Model
    here: Model


@cache
def remote(repo: str) -> Model:
    """The model on the server that this process is pointed at."""
    return caa.load(repo, remote=True)


@cache
def both(repo: str) -> Both:
    """The model there, and loaded here from what the server has it from."""
    if repo in TINY:
        here = cases.case(TINY[repo]).model
        # As it was saved for the server: tokenizer and all.
        here = Model.wrap(here.module, remote(repo).tokenizer, name=repo)
    else:
        here = caa.load(REAL[repo], device="cpu", dtype="float32")
    return Both(remote(repo), here)


def against_oracle(repo: str) -> cases.Case:
    """The remote model as a case of the parity tests: every family's own checks serve it too."""
    return replace(cases.case(TINY[repo]), model=remote(repo))


def stack(vectors: caa.SteeringVectors) -> torch.Tensor:
    """`[layers, hidden]`."""
    return torch.stack([vectors[layer] for layer in vectors.layers])


def vector_difference(of: Both, free_form: bool = False, count: int = 40) -> float:
    """Vectors of all layers, of letters or of free answers (means over tokens)."""
    pairs = FREE_PAIRS if free_form else PAIRS[:count]
    found, expected = (stack(caa.extract(model, pairs)) for model in (of.there, of.here))
    return cases.vector_difference(found, expected)


def sweep_difference(
    of: Both, free_form: bool = False, count: int = 6, layers: Sequence[int] | None = None
) -> float:
    """Log-probabilities over layers and multipliers, of two sets of vectors at once."""
    vectors = random_vectors(of.here)
    named = {"behavior": vectors, "random": caa.random_like(vectors, 1)}
    items = FREE_PAIRS[:2] if free_form else ITEMS[:count]
    found, expected = (
        caa.score(model, items, named, multipliers=MULTIPLIERS, layers=layers)
        for model in (of.there, of.here)
    )
    values = ["logprob_matching", "logprob_other"]
    keys = [column for column in found.columns if found[column].dtype.kind not in "f"]
    pd.testing.assert_frame_equal(found[keys], expected[keys])
    return float((found[values] - expected[values]).abs().to_numpy().max())


def random_vectors(model: Model) -> caa.SteeringVectors:
    """Vectors of all layers, of a length that shows in scores and answers."""
    generator = torch.Generator().manual_seed(3)
    made = torch.randn(model.num_layers, model.hidden_size, generator=generator)
    meta = caa.VectorMeta(behavior="made-up", model=model.name)
    return caa.SteeringVectors(dict(enumerate(made)), meta)


def texts(of: Both) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Greedy answers at several multipliers and two layers, there and here."""
    vectors = random_vectors(of.here)
    layers = [vectors.layers[1], vectors.layers[-2]]
    found, expected = (
        caa.generate(
            model, PROMPTS, vectors, layers=layers, multipliers=(-1, 0, 1), max_new_tokens=12
        )
        for model in (of.there, of.here)
    )
    return found[list(GENERATION_COLUMNS)], expected[list(GENERATION_COLUMNS)]
