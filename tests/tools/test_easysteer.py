"""Our control vectors in the reader of EasySteer, from a checkout of its vLLM.

It can't be installed from a registry, and runs on a GPU. CAA_EASYSTEER names the checkout; of it,
only the module that reads GGUF files is loaded, which needs no more than numpy and torch.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
import torch

import caa_nnsight as caa

pytestmark = pytest.mark.tools

READER = "vllm/steer_vectors/algorithms/loading.py"


@pytest.fixture
def reader():
    checkout = os.environ.get("CAA_EASYSTEER")
    if not checkout:
        pytest.skip("CAA_EASYSTEER doesn't name a checkout of EasySteer-vllm-v1.")
    spec = importlib.util.spec_from_file_location("easysteer_loading", Path(checkout, READER))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_easysteer_reads_the_directions_of_our_file(reader, tmp_path, compared):
    generator = torch.Generator().manual_seed(0)
    vectors = caa.SteeringVectors(
        {layer: torch.randn(64, generator=generator) for layer in (1, 7, 23)}
    )
    path = caa.export_vectors(vectors, tmp_path / "ours.gguf", "gguf")

    read = reader.read_gguf_directions(str(path), "cpu", torch.float32)

    assert list(read) == vectors.layers
    difference = max(float((read[layer] - vectors[layer]).abs().max()) for layer in read)
    assert difference == 0
    compared("EasySteer (its reader alone)", "vectors, our file of three layers", difference)
