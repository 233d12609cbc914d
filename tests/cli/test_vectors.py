"""`caa vectors`: show, export and import."""

from __future__ import annotations

import pytest
import torch

import caa_nnsight as caa_package
from tests.cli.calling import caa


@pytest.fixture
def tea(tmp_path):
    meta = caa_package.VectorMeta(behavior="tea", model="cup", n_pairs=2, pair_ids="one two")
    vectors = caa_package.SteeringVectors({1: torch.ones(4), 2: 3 * torch.ones(4)}, meta)
    return vectors.save(tmp_path / "tea.safetensors")


def test_show_has_the_provenance_and_every_norm(tea):
    outcome = caa("vectors", "show", tea)
    assert outcome.code == 0
    assert "behavior: tea\nmodel: cup\nhidden size: 4\n" in outcome.out
    assert "n pairs: 2" in outcome.out
    assert "one two" not in outcome.out
    assert [line.split() for line in outcome.out.splitlines()[-3:-1]] == [
        ["1", "2.000"],
        ["2", "6.000"],
    ]


@pytest.mark.parametrize(("name", "format"), [("tea.gguf", "gguf"), ("tea.pt", "lm-eval")])
def test_vectors_go_out_and_come_back(tea, tmp_path, name, format):
    words = ("--format", format, "--layers=2", "--multiplier=2")
    outcome = caa("vectors", "export", tea, name, *words, folder=tmp_path)
    assert (outcome.code, outcome.out) == (0, f"Vectors for {format}: {tmp_path / name}\n")
    assert "behavior: 2 * (tea)" in caa("vectors", "show", tmp_path / name).out

    outcome = caa("vectors", "import", name, "back.safetensors", "--behavior=x", folder=tmp_path)

    assert outcome.code == 0
    assert outcome.out.endswith(f"Vectors: {tmp_path / 'back.safetensors'}\n")
    back = caa_package.SteeringVectors.load(tmp_path / "back.safetensors")
    assert (back.norms(), back.meta.behavior, back.meta.model) == ({2: 12.0}, "x", "cup")


def test_a_layer_left_out_is_one_line_on_standard_error(tmp_path):
    vectors = caa_package.SteeringVectors({0: torch.ones(4), 1: torch.ones(4)})
    vectors.save(tmp_path / "all.safetensors")
    outcome = caa(
        "vectors", "export", "all.safetensors", "a.gguf", "--format=gguf", folder=tmp_path
    )
    assert outcome.code == 0
    assert outcome.err == (
        "Warning: Layer 0 was left out, because llama.cpp refuses a file with direction.0.\n"
    )


def test_texts_of_a_file_can_t_steer_the_terminal(tmp_path):
    vectors = caa_package.SteeringVectors(
        {1: torch.ones(4)}, caa_package.VectorMeta(behavior="\x1b[2Jtea")
    )
    path = caa_package.export_vectors(vectors, tmp_path / "a.gguf", "gguf")
    assert "behavior: ?[2Jtea" in caa("vectors", "show", path).out
    outcome = caa("vectors", "import", path, "b.safetensors", folder=tmp_path)
    assert outcome.out.startswith("SteeringVectors(?[2Jtea, ")
    provenance = '{"schema_version": "\\u001b[2J99"}'
    vector = {"action": "add", "steering_vector": torch.ones(4), "caa_nnsight": provenance}
    torch.save({"layers.1": vector}, tmp_path / "a.pt")
    outcome = caa("vectors", "import", "a.pt", "b.safetensors", folder=tmp_path)
    assert outcome.code == 2
    assert "[2J99" in outcome.err
    assert "\x1b" not in outcome.err + outcome.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "none.gguf"), "There is no vector file none.gguf"),
        (("export", "tea.safetensors", "a.gguf", "--format=gug"), "There is no format 'gug'"),
        (("export", "tea.safetensors", "a.pt", "--format=gguf"), "end in .gguf"),
        (("export", "tea.safetensors", "a.gguf", "--format=gguf", "--layers=0"), "layer 0"),
        (("import", "tea.safetensors", "a.safetensors"), "SteeringVectors.load"),
        (("import", "none.gguf", "a.safetensors"), "There is no file none.gguf"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_two(tea, tmp_path, words, said):
    outcome = caa("vectors", *words, folder=tmp_path)
    assert outcome.code == 2
    assert said in outcome.sentence
