"""Our control vectors in llama.cpp: its loader reads them, and its model is steered."""

from __future__ import annotations

import os

import gguf
import numpy as np
import pytest

import caa_nnsight as caa
from tests.models.gguf_files import write_llama
from tests.tools import llama_cpp
from tests.tools.environments import InstallError
from tests.tools.place import IDS, largest_difference, lay_out, our_logits, vectors_of

pytestmark = pytest.mark.tools

# Float32 on both sides, with sums in another order.
ROUNDING = 1e-3
TOOL = f"llama.cpp {llama_cpp.VERSION}"


@pytest.fixture(scope="module", autouse=True)
def _installed():
    try:
        llama_cpp.program()
    except InstallError as error:
        if os.environ.get("CAA_TOOLS") == "required":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return lay_out(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module")
def model(place):
    loaded = caa.load(place / "model", device="cpu", dtype="float32")
    write_llama(place / "model.gguf", loaded.module)
    return loaded


@pytest.mark.parametrize("layers", [[1], [2, 3]])
def test_llama_cpp_steers_with_our_file_as_we_do(place, model, compared, layers):
    vectors = vectors_of(model, [1, 2, 3])
    file = caa.export_vectors(vectors, place / "ours.gguf", "gguf", layers=layers)

    theirs = llama_cpp.logits(place / "model.gguf", file, 1.5, IDS)

    difference = largest_difference(theirs, model, vectors.select(layers), 1.5, "all")
    assert difference < ROUNDING
    compared(TOOL, f"logits, our file of layers {layers}", difference)


def test_without_steering_the_two_agree_as_well(place, model):
    file = caa.export_vectors(vectors_of(model, [1]), place / "ours.gguf", "gguf")

    theirs = llama_cpp.logits(place / "model.gguf", file, 0.0, IDS)

    assert np.abs(theirs - our_logits(model, caa.NO_STEERING)).max() < ROUNDING


def test_llama_cpp_refuses_a_file_with_layer_0(place, model):
    file = place / "zero.gguf"
    writer = gguf.GGUFWriter(file, "controlvector")
    for layer in (0, 1):
        writer.add_tensor(f"direction.{layer}", np.ones(model.hidden_size, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    assert llama_cpp.logits(place / "model.gguf", file, 1.0, IDS) is None
