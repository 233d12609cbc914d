"""Vectors in other tools: the tool really runs, and its logits are held against ours."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

import caa_nnsight as caa
from tests.docs.pages import blocks
from tests.packaging.project import ROOT
from tests.tools.elsewhere import call
from tests.tools.place import IDS, TRAIN, largest_difference, lay_out, vectors_of

pytestmark = pytest.mark.tools

# Float32 on both sides, whose logits are of the order of ten.
ROUNDING = 1e-4
PAGE = ROOT / "docs" / "exchange.md"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return lay_out(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module")
def model(place):
    return caa.load(place / "model", device="cpu", dtype="float32")


@pytest.mark.parametrize("layers", [[2], [1, 3]])
def test_repeng_steers_with_our_file_as_we_do(tool_python, place, model, compared, layers):
    vectors = vectors_of(model, [1, 2, 3])
    caa.export_vectors(vectors, place / "ours.gguf", "gguf", layers=layers, model_type="llama")
    request = {"file": "ours.gguf", "multiplier": -1.5, "ids": IDS}

    got = call(tool_python("steering-libraries"), "repeng_logits.py", place, **request)

    difference = largest_difference(got["logits"], model, vectors.select(layers), -1.5, "all")
    assert difference < ROUNDING
    compared(f"repeng {got['version']}", f"logits, our file of layers {layers}", difference)


def test_a_control_vector_that_repeng_trained_steers_here_as_it_does_there(
    tool_python, place, model, compared
):
    request = {"file": "theirs.gguf", "multiplier": 4.0, "ids": IDS, "train": TRAIN}

    got = call(tool_python("steering-libraries"), "repeng_logits.py", place, **request)

    vectors = caa.import_vectors(place / "theirs.gguf")
    assert vectors.layers == [1, 2, 3]
    assert vectors.norms() == pytest.approx(dict.fromkeys([1, 2, 3], 1.0))
    assert vectors.meta.source == "GGUF control vector theirs.gguf, model hint 'llama'"
    difference = largest_difference(got["logits"], model, vectors, 4.0, "all")
    assert difference < ROUNDING
    compared(f"repeng {got['version']}", "logits, a file that it trained and wrote", difference)


@pytest.mark.parametrize("first", [0, 5])
def test_steering_vectors_steers_with_our_vectors_as_we_do(
    tool_python, place, model, compared, first
):
    vectors = vectors_of(model, [0, 2])
    vectors.save(place / "ours.safetensors")
    request = {"file": "ours.safetensors", "multiplier": 1.5, "ids": IDS, "first": first}

    got = call(tool_python("steering-libraries"), "steering_vectors_logits.py", place, **request)

    difference = largest_difference(got["logits"], model, vectors, 1.5, first)
    assert difference < ROUNDING
    what = f"logits, our object of layers [0, 2] from token {first} on"
    compared(f"steering-vectors {got['version']}", what, difference)


def test_a_steering_vector_trained_there_steers_here_as_it_does_there(
    tool_python, place, model, compared
):
    request = {"file": "sv.safetensors", "multiplier": 2.0, "ids": IDS, "first": 0, "train": TRAIN}

    got = call(tool_python("steering-libraries"), "steering_vectors_logits.py", place, **request)

    vectors = caa.SteeringVectors.load(place / "sv.safetensors", model=model)
    assert vectors.layers == [0, 1, 2, 3]
    difference = largest_difference(got["logits"], model, vectors, 2.0, "all")
    assert difference < ROUNDING
    what = "logits, an object that it trained"
    compared(f"steering-vectors {got['version']}", what, difference)


@pytest.mark.parametrize(
    ("family", "layers_path"), [("llama", "model.layers"), ("gpt2", "transformer.h")]
)
def test_lm_eval_steers_with_our_file_as_we_do(
    tool_python, tmp_path, compared, family, layers_path
):
    lay_out(tmp_path, family)
    model = caa.load(tmp_path / "model", device="cpu", dtype="float32")
    vectors = vectors_of(model, [0, 2])
    file = tmp_path / "ours.pt"
    caa.export_vectors(vectors, file, "lm-eval", multiplier=1.5, layers_path=layers_path)

    got = call(tool_python("lm-eval"), "lm_eval_logits.py", tmp_path, file=file.name, ids=IDS)

    difference = largest_difference(got["logits"], model, vectors, 1.5, "all")
    assert difference < ROUNDING
    what = f"logits, our file of layers [0, 2] of a {family}"
    compared(f"lm-eval {got['version']}", what, difference)


def test_a_steering_file_of_lm_eval_steers_here_as_it_does_there(
    tool_python, place, model, compared
):
    vectors = vectors_of(model, [1, 2])
    written = {f"layers.{layer}": vectors[layer].tolist() for layer in vectors.layers}
    request = {"file": "theirs.pt", "ids": IDS, "write": written}

    got = call(tool_python("lm-eval"), "lm_eval_logits.py", place, **request)

    back = caa.import_vectors(place / "theirs.pt")
    difference = largest_difference(got["logits"], model, back, 1.0, "all")
    assert difference < ROUNDING
    compared(f"lm-eval {got['version']}", "logits, a file written there", difference)
    assert np.allclose(back[2], 2.5 * vectors[2])


def test_the_page_s_way_to_read_our_file_there_gives_our_vectors(
    tool_python, place, model, compared
):
    (block,) = (block for block in blocks(PAGE) if block.file == "read_there.py")
    vectors = vectors_of(model, [0, 2])
    vectors.save(place / "refusal.safetensors")
    save = "{str(layer): value.numpy() for layer, value in vector.layer_activations.items()}"
    (place / block.file).write_text(f"{block.text}\nimport numpy\nnumpy.savez('read', **{save})\n")

    subprocess.run([tool_python("steering-libraries"), block.file], cwd=place, check=True)

    with np.load(place / "read.npz") as read:
        assert sorted(read) == ["0", "2"]
        assert all(np.array_equal(read[str(layer)], vectors[layer]) for layer in vectors.layers)
    compared("steering-vectors 0.12.2", "vectors, our safetensors file read without us", 0.0)
