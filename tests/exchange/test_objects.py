"""Objects of the package steering-vectors, by their two fields; the package itself is in tools."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch

import caa_nnsight as caa
from caa_nnsight.errors import VectorError


def theirs(layers, layer_type="decoder_block") -> SimpleNamespace:
    return SimpleNamespace(layer_activations=layers, layer_type=layer_type)


def test_layers_keep_their_numbers_and_any_shape_becomes_flat():
    vectors = caa.from_steering_vector(
        theirs({0: torch.ones(1, 1, 4), 3: torch.zeros(4)}), behavior="tea", model="cup"
    )
    assert vectors.norms() == {0: 2.0, 3: 0.0}
    assert (vectors.meta.behavior, vectors.meta.model, vectors.meta.method) == ("tea", "cup", "")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({1: torch.ones(4)}, "A dict is no SteeringVector"),
        (theirs({1: torch.ones(4)}, "mlp"), "acts on mlp"),
        (theirs({-1: torch.ones(4)}), "counts the layer -1 from the end"),
        (theirs({}), "at least one layer"),
    ],
)
def test_what_can_t_be_taken_over_is_refused(given, said):
    with pytest.raises(VectorError, match=said):
        caa.from_steering_vector(given)


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "steering_vectors", None)
    with pytest.raises(VectorError, match="pip install --no-deps steering-vectors"):
        caa.to_steering_vector(caa.SteeringVectors({1: torch.ones(4)}))
