"""Vectors written for other tools and read back, and files that anybody may have written."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

import caa_nnsight as caa
from caa_nnsight.errors import VectorError
from tests.packaging.project import ROOT

FORMATS = {"gguf": "tea.gguf", "lm-eval": "tea.pt"}
# Every field filled, with texts that a format might trip over.
META = caa.VectorMeta(
    **{
        spec.name: 7 if spec.type == "int" else f"{spec.name} – “ß”\n{{}}"
        for spec in fields(caa.VectorMeta)
    }
)


@pytest.fixture
def vectors() -> caa.SteeringVectors:
    generator = torch.Generator().manual_seed(0)
    return caa.SteeringVectors(
        {layer: torch.randn(8, generator=generator) for layer in (1, 2, 10)}, META
    )


def write_gguf(path: Path, tensors, architecture="controlvector", **strings) -> Path:
    writer = gguf.GGUFWriter(path, architecture)
    for name, text in strings.items():
        writer.add_string(name.replace("__", "."), text)
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def entry(**changes) -> dict:
    plain = {"action": "add", "steering_vector": torch.ones(4), "steering_coefficient": 1.0}
    return plain | changes


def save_pt(path: Path, content) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize("format", FORMATS)
def test_vectors_and_their_provenance_come_back_bit_by_bit(vectors, tmp_path, format):
    path = caa.export_vectors(vectors, tmp_path / FORMATS[format], format)

    back = caa.import_vectors(path)

    assert back.layers == vectors.layers
    assert all(torch.equal(back[layer], vectors[layer]) for layer in vectors.layers)
    assert back.meta == vectors.meta


@pytest.mark.parametrize("format", FORMATS)
def test_empty_provenance_stays_empty(tmp_path, format):
    meta = caa.VectorMeta(position="", method="", site="")
    vectors = caa.SteeringVectors({3: torch.ones(8)}, meta)

    path = caa.export_vectors(vectors, tmp_path / FORMATS[format], format)

    assert caa.import_vectors(path).meta == vectors.meta


@pytest.mark.parametrize("format", FORMATS)
def test_chosen_layers_and_multiplier_are_in_the_file_and_in_its_provenance(
    vectors, tmp_path, format
):
    path = caa.export_vectors(vectors, tmp_path / FORMATS[format], format, layers=2, multiplier=-3)

    back = caa.import_vectors(path)

    assert back.layers == [2]
    assert torch.equal(back[2], -3 * vectors[2])
    assert back.meta.behavior == f"-3 * ({META.behavior})"


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_vectors_give_the_same_bytes_under_any_name(vectors, tmp_path, format):
    suffix = Path(FORMATS[format]).suffix
    paths = [
        caa.export_vectors(vectors, tmp_path / f"{name}{suffix}", format) for name in ("a", "b")
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert sorted(tmp_path.iterdir()) == sorted(paths)


@pytest.mark.parametrize("format", FORMATS)
def test_names_given_on_import_win(vectors, tmp_path, format):
    path = caa.export_vectors(vectors, tmp_path / FORMATS[format], format)

    meta = caa.import_vectors(path, format, behavior="tea", model="cup").meta

    assert (meta.behavior, meta.model) == ("tea", "cup")


def test_vectors_live_on_when_their_file_is_overwritten(vectors, tmp_path):
    path = caa.export_vectors(vectors, tmp_path / "tea.gguf", "gguf")
    back = caa.import_vectors(path)
    with path.open("r+b") as file:
        file.write(b"\0" * path.stat().st_size)
    assert torch.equal(back[10], vectors[10])


# -- layer 0 and llama.cpp ---------------------------------------------------------------------


def test_a_first_layer_that_nobody_asked_for_is_left_out_with_a_warning(tmp_path):
    vectors = caa.SteeringVectors({0: torch.ones(8), 1: torch.ones(8)})
    with pytest.warns(UserWarning, match="Layer 0 was left out, because llama.cpp refuses"):
        path = caa.export_vectors(vectors, tmp_path / "tea.gguf", "gguf")
    assert caa.import_vectors(path).layers == [1]


@pytest.mark.parametrize("layers", [0, [0, 1]])
def test_a_first_layer_that_was_asked_for_is_refused(tmp_path, layers):
    vectors = caa.SteeringVectors({0: torch.ones(8), 1: torch.ones(8)})
    with pytest.raises(VectorError, match=r"can't hold layer 0, because llama\.cpp refuses"):
        caa.export_vectors(vectors, tmp_path / "tea.gguf", "gguf", layers=layers)
    assert not any(tmp_path.iterdir())


def test_a_first_layer_goes_to_lm_eval(tmp_path):
    vectors = caa.SteeringVectors({0: torch.ones(8)})
    path = caa.export_vectors(vectors, tmp_path / "tea.pt", "lm-eval")
    assert caa.import_vectors(path).layers == [0]


# -- what the files look like to their tools ---------------------------------------------------


def test_a_control_vector_has_the_keys_of_repeng_and_float32_directions(vectors, tmp_path):
    path = caa.export_vectors(vectors, tmp_path / "tea.gguf", "gguf", model_type="llama")

    reader = gguf.GGUFReader(path)

    assert reader.get_field("general.architecture").contents() == "controlvector"
    assert reader.get_field("controlvector.model_hint").contents() == "llama"
    assert reader.get_field("controlvector.layer_count").contents() == 3
    assert [tensor.name for tensor in reader.tensors] == [f"direction.{n}" for n in (1, 2, 10)]
    assert {tensor.tensor_type for tensor in reader.tensors} == {gguf.GGMLQuantizationType.F32}


@pytest.mark.parametrize(
    ("layers_path", "hook"),
    [
        ("model.layers", "layers.2"),
        ("transformer.h", "h.2"),
        ("model.decoder.layers", "decoder.layers.2"),
    ],
)
def test_hooks_of_lm_eval_are_named_from_the_base_model_on(vectors, tmp_path, layers_path, hook):
    path = caa.export_vectors(
        vectors, tmp_path / "tea.pt", "lm-eval", layers=2, layers_path=layers_path
    )

    content = torch.load(path, weights_only=True)

    assert list(content) == [hook]
    assert content[hook]["action"] == "add"
    assert content[hook]["steering_coefficient"] == 1.0
    assert content[hook]["bias"] is None
    assert torch.equal(content[hook]["steering_vector"], vectors[2])
    assert caa.import_vectors(path).layers == [2]


def test_one_layer_s_file_does_not_carry_the_others(tmp_path):
    table = torch.randn(64, 1024)
    vectors = caa.SteeringVectors(dict(enumerate(table)))
    path = caa.export_vectors(vectors, tmp_path / "tea.pt", "lm-eval", layers=5)
    assert path.stat().st_size < 16_000


# -- files of others ---------------------------------------------------------------------------


def test_a_control_vector_of_repeng_s_kind_says_what_it_knows(tmp_path):
    path = write_gguf(
        tmp_path / "happy.gguf",
        {"direction.4": np.ones(8, np.float32), "direction.0": np.zeros(8, np.float32)},
        controlvector__model_hint="mistral",
    )

    back = caa.import_vectors(path)

    assert back.norms() == {0: 0.0, 4: pytest.approx(8**0.5)}
    assert back.meta == caa.VectorMeta(
        hidden_size=8,
        position="",
        method="",
        source="GGUF control vector happy.gguf, model hint 'mistral'",
    )


@pytest.mark.parametrize("type", [np.float16, np.float64])
def test_directions_of_other_types_become_float32(tmp_path, type):
    path = write_gguf(tmp_path / "a.gguf", {"direction.1": np.full(8, 0.5, type)})
    if type is np.float64:
        with pytest.raises(VectorError, match="is no GGUF file, or is damaged"):
            caa.import_vectors(path)
    else:
        assert torch.equal(caa.import_vectors(path)[1], torch.full((8,), 0.5))


def test_a_coefficient_of_lm_eval_is_multiplied_in(tmp_path):
    path = save_pt(
        tmp_path / "a.pt",
        {"layers.3": entry(steering_coefficient=-2.0), "model.layers.4": entry()},
    )
    back = caa.import_vectors(path)
    assert back.layers == [3, 4]
    assert torch.equal(back[3], torch.full((4,), -2.0))
    assert back.meta.source == "lm-eval steering file a.pt"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "holds a dict, not a dictionary"),
        ([torch.ones(4)], "holds a list, not a dictionary"),
        ({"layers.1": torch.ones(4)}, "'layers.1' has no tensor 'steering_vector'"),
        ({"layers.1": entry(steering_vector=[1.0])}, "has no tensor"),
        ({"layers.1.mlp": entry()}, "only the outputs of whole decoder blocks"),
        ({"layers.1": entry(action="clamp")}, "has the action 'clamp'"),
        ({"layers.1": entry(bias=torch.ones(4))}, "has a bias"),
        ({"layers.1": entry(head_index=3)}, "has a head_index"),
        ({"layers.1": entry(steering_coefficient="much")}, "steering_coefficient of 'layers.1'"),
        ({"layers.1": entry(), "model.layers.1": entry()}, "layer 1 under two names"),
        ({"layers.1": entry(steering_vector=torch.ones(2, 2))}, r"shape \[hidden\]"),
        ({"layers.1": entry(steering_vector=torch.full((4,), torch.nan))}, "not finite"),
        ({"layers.1": entry(steering_vector=torch.ones(4).to_sparse())}, "plain numbers"),
        ({"layers.1": entry(steering_vector=torch.ones(4, device="meta"))}, "plain numbers"),
        ({"layers.1": entry(steering_vector=torch.ones(4) * 1j)}, "plain numbers"),
        ({"layers.1": entry(steering_coefficient=torch.ones(3))}, "steering_coefficient of"),
        ({"layers.1": entry(steering_coefficient=10**400)}, "steering_coefficient of"),
        ({f"layers.{'1' * 5000}": entry()}, "only the outputs of whole decoder blocks"),
        ({"layers.1": entry(caa_nnsight=torch.ones(3))}, "damaged provenance"),
        ({"layers.1": entry(caa_nnsight="[" * 100_000)}, "damaged provenance"),
        ({"layers.1": entry(caa_nnsight="{")}, "damaged provenance"),
        ({"layers.1": entry(caa_nnsight="[]")}, "damaged provenance"),
        ({"layers.1": entry(caa_nnsight='{"schema_version": "99"}')}, "schema version '99'"),
        (
            {"layers.1": entry(caa_nnsight='{"schema_version": "1", "n_pairs": "many"}')},
            "damaged provenance",
        ),
        (
            {"layers.1": entry(caa_nnsight='{"schema_version": "1", "n_pairs": []}')},
            "damaged provenance",
        ),
    ],
)
def test_steering_files_that_can_t_be_taken_over_are_refused_with_the_reason(
    tmp_path, content, said
):
    with pytest.raises(VectorError, match=said):
        caa.import_vectors(save_pt(tmp_path / "a.pt", content))


class Hostile:
    """Unpickled without care, it writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("new_zip", [True, False])
def test_no_code_of_a_hostile_file_is_run(tmp_path, new_zip):
    target, path = tmp_path / "owned", tmp_path / "a.pt"
    torch.save(
        {"layers.1": entry(bias=Hostile(target))}, path, _use_new_zipfile_serialization=new_zip
    )
    with pytest.raises(VectorError, match="not read because it could run code"):
        caa.import_vectors(path)
    assert not target.exists()


def test_a_whole_model_in_gguf_is_no_control_vector(tmp_path):
    path = write_gguf(
        tmp_path / "a.gguf", {"token_embd.weight": np.ones((2, 8), np.float32)}, "llama"
    )
    with pytest.raises(VectorError, match=r"no control vector \(its architecture is 'llama'"):
        caa.import_vectors(path)


def test_directions_of_several_sizes_are_refused(tmp_path):
    tensors = {"direction.1": np.ones(8, np.float32), "direction.2": np.ones(4, np.float32)}
    with pytest.raises(VectorError, match="vectors of one size"):
        caa.import_vectors(write_gguf(tmp_path / "a.gguf", tensors))


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_cut_anywhere_is_said_to_be_damaged(vectors, tmp_path, format):
    whole = caa.export_vectors(vectors, tmp_path / FORMATS[format], format).read_bytes()
    path = tmp_path / "cut"
    for kept in range(4, len(whole) - 1, max(1, len(whole) // 40)):
        path.write_bytes(whole[:kept])
        with pytest.raises(VectorError, match="damaged"):
            caa.import_vectors(path, format)


def test_files_of_no_known_format_are_refused(tmp_path):
    for name, content in {"empty": b"", "text.gguf": b"hello", "short.pt": b"PK"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(VectorError, match=r"can be imported \(gguf, lm-eval\)"):
            caa.import_vectors(tmp_path / name)


def test_our_own_files_are_not_imported_but_loaded(vectors, tmp_path):
    path = vectors.save(tmp_path / "tea.safetensors")
    with pytest.raises(VectorError, match=r"read with SteeringVectors\.load"):
        caa.import_vectors(path)


# -- what can't be done ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "format", "options", "said"),
    [
        ("a.gguf", "ggfu", {}, "no format 'ggfu': use one of gguf, lm-eval. Did you mean 'gguf'"),
        ("a.bin", "gguf", {}, "end in .gguf, but got"),
        ("a.safetensors", "lm-eval", {}, "end in .pt or .pth, but got"),
        ("no/a.gguf", "gguf", {}, "there is no folder"),
        ("a.gguf", "gguf", {"layers": 5}, "no vector for layer 5"),
        ("a.gguf", "gguf", {"multiplier": float("inf")}, "finite number"),
        ("a.pt", "lm-eval", {"layers_path": "layers"}, "model.layers or transformer.h"),
    ],
)
def test_exports_that_can_t_be_are_refused_and_leave_nothing(
    vectors, tmp_path, name, format, options, said
):
    with pytest.raises(VectorError, match=said):
        caa.export_vectors(vectors, tmp_path / name, format, **options)
    assert not any(tmp_path.iterdir())


def test_an_import_of_nothing_says_so(tmp_path):
    with pytest.raises(VectorError, match="There is no file"):
        caa.import_vectors(tmp_path / "a.gguf")
    with pytest.raises(VectorError, match="There is no format 'repeng'"):
        caa.import_vectors(ROOT / "README.md", "repeng")
