"""`SteeringVectors`: arithmetic in closed form, provenance, files, and what is refused."""

import json
from dataclasses import asdict, fields, replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from caa_nnsight.behavior import Behavior
from caa_nnsight.errors import VectorError
from caa_nnsight.vectors import SteeringVectors, VectorMeta, normalize_across, random_like
from tests.core.examples import tiny
from tests.tiny_models import HIDDEN, LAYERS

META = VectorMeta(
    behavior="tea",
    polarity="Positive means tea.",
    model="tiny",
    revision="abc",
    position="answer token",
    method="mean_difference",
    balance="stratify",
    n_pairs=12,
    pair_ids="aaa bbb",
    parts='[{"behavior": "tea", "weight": 2.0}]',
    source="written for this test",
    normalized="refusal, tea",
    system_prompt="Be brief.\nBe kind, «wärmer».",
    data_hash="d" * 64,
    template_hash="t" * 64,
    versions="torch==2 numpy==2",
    created="2026-01-02T03:04:05+00:00",
)


def vectors(seed: int = 0, layers=(2, 5), hidden: int = 6, **meta) -> SteeringVectors:
    generator = torch.Generator().manual_seed(seed)
    made = {layer: torch.randn(hidden, generator=generator) for layer in layers}
    return SteeringVectors(made, replace(META, **meta))


def assert_equal(found: SteeringVectors, expected: dict[int, torch.Tensor]) -> None:
    assert found.layers == sorted(expected)
    for layer, vector in expected.items():
        torch.testing.assert_close(found[layer], vector, rtol=1e-6, atol=0)


ONE, OTHER = vectors(0, behavior="tea"), vectors(1, behavior="rain", n_pairs=8)


# -- making --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made_of", "said"),
    [
        ({}, "at least one layer"),
        ({3: torch.ones(2, 2)}, r"layer 3 .*\[2, 2\]"),
        ({3: torch.tensor([1.0, float("nan")])}, "layer 3 .*not finite"),
        ({3: torch.tensor([1.0, float("inf")])}, "layer 3 .*not finite"),
        ({3: torch.ones(4), 4: torch.ones(5)}, r"\[4, 5\]"),
    ],
)
def test_unusable_vectors_are_refused_and_the_layer_named(made_of, said):
    with pytest.raises(VectorError, match=said):
        SteeringVectors(made_of)


def test_vectors_are_float32_on_the_cpu_without_gradient_and_in_order_of_layers():
    made = SteeringVectors(
        {
            7: torch.ones(3, dtype=torch.bfloat16, requires_grad=True),
            2: np.array([1.0, 2.0, 3.0]),
            4: [0.0, 0.0, 1.0],
        }
    )
    assert made.layers == [2, 4, 7]
    assert {vector.dtype for vector in made.vectors.values()} == {torch.float32}
    assert not any(vector.requires_grad for vector in made.vectors.values())
    assert made.hidden_size == made.meta.hidden_size == 3
    assert len(made) == 3


def test_a_layer_without_a_vector_is_refused_with_the_layers_there_are():
    with pytest.raises(VectorError, match=r"layer 4: .* 2-3, 9"):
        vectors(layers=(2, 3, 9))[4]


# -- arithmetic ----------------------------------------------------------------------------------


def test_arithmetic_is_that_of_the_tensors_layer_by_layer():
    assert_equal(-ONE, {layer: -ONE[layer] for layer in (2, 5)})
    assert_equal(ONE * 2.5, {layer: ONE[layer] * 2.5 for layer in (2, 5)})
    assert_equal(2.5 * ONE, {layer: ONE[layer] * 2.5 for layer in (2, 5)})
    assert_equal(ONE / 4, {layer: ONE[layer] / 4 for layer in (2, 5)})
    assert_equal(ONE + OTHER, {layer: ONE[layer] + OTHER[layer] for layer in (2, 5)})
    assert_equal(ONE - OTHER, {layer: ONE[layer] - OTHER[layer] for layer in (2, 5)})
    assert_equal(ONE.select([5]), {5: ONE[5]})


def test_the_polarity_is_turned_with_the_sign_and_back():
    opposite = "The opposite of this. Positive means tea."
    for turned in (-ONE, -2.0 * ONE, ONE * -1, ONE / -4):
        assert turned.meta.polarity == opposite
        assert (-turned).meta.polarity == (-3 * turned).meta.polarity == ONE.meta.polarity
    for same in (2.0 * ONE, ONE / 4, ONE.normalized(), ONE + OTHER, ONE - -OTHER):
        assert same.meta.polarity == ONE.meta.polarity
    # Of a difference, and where there is none, nobody knows what it means.
    assert [(ONE - OTHER).meta.polarity, (-vectors(polarity="")).meta.polarity] == ["", ""]
    behavior = Behavior(name="tea", description="d", polarity=ONE.meta.polarity, pairs=[{}])
    assert (-behavior).polarity == opposite


def test_norms_and_cosines_in_closed_form():
    made = SteeringVectors({1: torch.tensor([3.0, 4.0]), 2: torch.tensor([0.0, -2.0])})
    assert made.norms() == {1: 5.0, 2: 2.0}
    turned = SteeringVectors({1: torch.tensor([-4.0, 3.0]), 2: torch.tensor([0.0, 1.0])})
    assert made.cosine(turned) == pytest.approx({1: 0.0, 2: -1.0})
    assert made.cosine(made) == pytest.approx({1: 1.0, 2: 1.0})


def test_cosines_are_given_at_the_layers_that_both_have():
    assert list(vectors(layers=(1, 2)).cosine(vectors(layers=(2, 3)))) == [2]


def test_normalized_vectors_keep_their_direction_and_have_norm_one():
    unit = ONE.normalized()
    assert unit.norms() == pytest.approx({2: 1.0, 5: 1.0})
    assert unit.cosine(ONE) == pytest.approx({2: 1.0, 5: 1.0})


@pytest.mark.parametrize("combine", [SteeringVectors.__add__, SteeringVectors.__sub__])
def test_other_layers_or_sizes_can_t_be_combined(combine):
    with pytest.raises(VectorError, match="layers 2, 5 and 2"):
        combine(ONE, vectors(layers=(2,)))
    with pytest.raises(VectorError, match="sizes 6 and 7"):
        combine(ONE, vectors(hidden=7))


def test_normalizing_across_behaviors_gives_each_layer_its_own_mean_norm():
    sets = {
        "a": SteeringVectors({1: torch.tensor([3.0, 4.0]), 2: torch.tensor([30.0, 40.0])}),
        "b": SteeringVectors({1: torch.tensor([0.0, 1.0]), 2: torch.tensor([10.0, 0.0])}),
    }
    scaled = normalize_across(sets)
    assert list(scaled) == ["a", "b"]
    for name, each in scaled.items():
        assert each.norms() == pytest.approx({1: 3.0, 2: 30.0})
        assert each.cosine(sets[name]) == pytest.approx({1: 1.0, 2: 1.0})


def test_normalizing_across_leaves_a_zero_vector_zero():
    sets = {
        "a": SteeringVectors({1: torch.zeros(2)}),
        "b": SteeringVectors({1: torch.tensor([0.0, 4.0])}),
    }
    scaled = normalize_across(sets)
    assert scaled["a"].norms() == {1: 0.0}
    assert scaled["b"].norms() == {1: 2.0}


def test_normalizing_across_refuses_nothing_and_unlike_sets():
    with pytest.raises(VectorError, match="at least one behavior"):
        normalize_across({})
    with pytest.raises(VectorError, match="layers 2, 5 and 2"):
        normalize_across({"a": ONE, "b": vectors(layers=(2,))})
    with pytest.raises(VectorError, match="sizes 6 and 7"):
        normalize_across({"a": ONE, "b": vectors(hidden=7)})


# -- provenance ----------------------------------------------------------------------------------


def test_a_combination_names_its_parts_and_claims_only_what_they_share():
    made = vectors(0, behavior="tea", n_pairs=12, data_hash="one", pair_ids="a b c") - vectors(
        1, behavior="rain", n_pairs=8, data_hash="other", pair_ids="b d", created="later"
    )
    assert made.meta.behavior == "(tea) - (rain)"
    assert made.meta.n_pairs == 20
    assert made.meta.pair_ids == "a b c d"
    assert made.meta.data_hash == made.meta.created == ""
    assert made.meta.model == "tiny"
    assert made.meta.template_hash == META.template_hash
    assert made.hidden_size == 6


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (-ONE, "-(tea)"),
        (ONE * 0.5, "0.5 * (tea)"),
        (ONE / 4, "(tea) / 4"),
        (ONE.normalized(), "normalized(tea)"),
        (-(ONE + OTHER), "-((tea) + (rain))"),
        (ONE.select([2]), "tea"),
    ],
)
def test_the_behavior_s_name_says_what_was_done_and_the_rest_is_kept(made, name):
    assert made.meta.behavior == name
    assert made.meta.model == "tiny"


def test_random_controls_have_the_same_norms_but_no_part_in_the_direction():
    real = vectors(layers=range(20), hidden=400)
    control = random_like(real, seed=3)
    assert control.norms() == pytest.approx(real.norms(), rel=1e-5)
    # Cosines of random directions in 400 dimensions have a deviation of 1/20.
    assert max(abs(cosine) for cosine in control.cosine(real).values()) < 0.25


def test_random_controls_differ_by_seed_and_layer_and_do_not_depend_on_the_selection():
    real = vectors(layers=(2, 5), hidden=400)
    control = random_like(real, 3)
    assert control.cosine(random_like(real, 3)) == pytest.approx({2: 1.0, 5: 1.0})
    assert abs(control.cosine(random_like(real, 4))[2]) < 0.25
    assert abs(torch.cosine_similarity(control[2], control[5], dim=0)) < 0.25
    assert torch.equal(random_like(real.select([5]), 3)[5], control[5])


def test_neighboring_seeds_of_one_run_never_share_a_direction():
    """A run's controls are `seed * 1000 + index`; no two of (seed, layer) may coincide."""
    real = SteeringVectors({layer: torch.ones(8) for layer in range(40)})
    seen = {
        tuple(random_like(real, seed)[layer].tolist())
        for seed in (0, 1, 2, 1000, 1001)
        for layer in real.layers
    }
    assert len(seen) == 5 * 40


# -- steering ------------------------------------------------------------------------------------


def test_steering_takes_all_layers_some_or_one():
    assert ONE.steering(2.0).layers == (2, 5)
    assert ONE.steering(layers=[5]).layers == (5,)
    assert ONE.steering(layers=5).layers == (5,)
    assert ONE.steering(layers=np.int64(5)).layers == (5,)
    steering = ONE.steering(-2.0, layers=2, operator="ablate", start="all")
    (edit,) = steering.edits
    assert (edit.layer, edit.multiplier, edit.operator, steering.start) == (
        2,
        -2.0,
        "ablate",
        "all",
    )
    assert torch.equal(edit.vector, ONE[2])


def test_steering_at_a_layer_without_a_vector_is_refused():
    with pytest.raises(VectorError, match="layer 4"):
        ONE.steering(layers=[2, 4])


# -- files ---------------------------------------------------------------------------------------


def test_a_saved_file_gives_back_every_bit_and_every_field(tmp_path):
    path = ONE.save(tmp_path / "tea.safetensors")
    back = SteeringVectors.load(path)
    assert back.meta == ONE.meta
    assert back.layers == ONE.layers
    assert all(torch.equal(back[layer], ONE[layer]) for layer in ONE.layers)


def test_metadata_are_strings_that_others_can_read_without_us(tmp_path):
    ONE.save(tmp_path / "tea.safetensors")
    with safe_open(tmp_path / "tea.safetensors", framework="np") as file:
        metadata, names = file.metadata(), set(file.keys())
    assert names == {"layers.2", "layers.5"}
    assert all(isinstance(value, str) for value in metadata.values())
    assert {spec.name for spec in fields(VectorMeta)} <= set(metadata)
    assert metadata["schema_version"] == "1"
    assert metadata["n_pairs"] == "12"
    assert metadata["system_prompt"] == META.system_prompt
    assert json.loads(metadata["layers"]) == [2, 5]
    assert json.loads(metadata["norms"]) == {str(k): v for k, v in ONE.norms().items()}


def test_a_saved_file_may_be_read_by_whoever_may_read_other_files(tmp_path):
    (tmp_path / "other").touch()
    path = ONE.save(tmp_path / "v.safetensors")
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


def test_saving_over_a_file_replaces_it_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "v.safetensors"
    ONE.save(path)
    OTHER.save(path)
    assert SteeringVectors.load(path).meta.behavior == "rain"
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.safetensors"]


def test_a_file_fit_for_the_model_is_loaded_with_it(tmp_path):
    path = vectors(layers=(0, LAYERS - 1), hidden=HIDDEN).save(tmp_path / "v.safetensors")
    assert SteeringVectors.load(path, model=tiny()).layers == [0, LAYERS - 1]


def test_vectors_of_another_hidden_size_are_refused_with_both_sizes(tmp_path):
    path = vectors(hidden=6).save(tmp_path / "v.safetensors")
    with pytest.raises(VectorError, match=rf"hidden size 6 \(from tiny\).* {HIDDEN}:"):
        SteeringVectors.load(path, model=tiny())


def test_vectors_that_reach_beyond_the_model_are_refused_with_its_range(tmp_path):
    path = vectors(layers=(1, LAYERS), hidden=HIDDEN).save(tmp_path / "v.safetensors")
    with pytest.raises(VectorError, match=rf"layer {LAYERS}, .*0 to {LAYERS - 1}"):
        SteeringVectors.load(path, model=tiny())


@pytest.mark.parametrize("content", [b"", b"no safetensors at all", b"\x08" + b"\x00" * 7 + b"{}"])
def test_a_file_that_is_no_safetensors_is_refused(tmp_path, content):
    path = tmp_path / "v.safetensors"
    path.write_bytes(content)
    with pytest.raises(VectorError, match=r"v\.safetensors"):
        SteeringVectors.load(path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, kept):
    path = ONE.save(tmp_path / "v.safetensors")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(VectorError, match="damaged"):
        SteeringVectors.load(path)


@pytest.mark.parametrize("missing", ["none.safetensors", "."])
def test_a_missing_file_or_a_folder_is_refused_by_its_path(tmp_path, missing):
    with pytest.raises(VectorError, match="There is no vector file"):
        SteeringVectors.load(tmp_path / missing)


def rewritten(path, **changes: str | None):
    """The file again, with other metadata."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() | changes
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    metadata = {name: value for name, value in metadata.items() if value is not None}
    save_file(tensors, path, metadata or None)
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "pt"}, "'pt'"),
        ({"format": None}, "'nothing'"),
        ({"schema_version": "2"}, "schema version '2', .*reads 1: upgrade"),
        ({"schema_version": None}, "schema version 'None'"),
        ({"schema_version": "9\n\x1b[2J" + "9" * 99}, r"version '9\\n\\x1b\[2J9{14}', but"),
        ({"n_pairs": "many"}, "damaged metadata"),
    ],
)
def test_foreign_newer_or_damaged_metadata_are_refused(tmp_path, changes, said):
    path = rewritten(ONE.save(tmp_path / "v.safetensors"), **changes)
    with pytest.raises(VectorError, match=said):
        SteeringVectors.load(path)


def test_a_foreign_file_without_metadata_is_refused(tmp_path):
    save_file({"weight": torch.ones(3)}, tmp_path / "v.safetensors")
    with pytest.raises(VectorError, match="holds no steering vectors"):
        SteeringVectors.load(tmp_path / "v.safetensors")


@pytest.mark.parametrize(
    "name", ["layers.first", "layers.-5", "layers.01", "layers.", "layers.9999999", "direction.1"]
)
def test_a_file_whose_tensors_are_not_layers_is_refused(tmp_path, name):
    metadata = {"format": "caa_nnsight.steering_vectors", "schema_version": "1"}
    tensors = {"layers.1": torch.ones(3), name: torch.ones(3)}
    save_file(tensors, tmp_path / "v.safetensors", metadata)
    with pytest.raises(VectorError, match=f"holds '{name}', which is no vector of a layer"):
        SteeringVectors.load(tmp_path / "v.safetensors")


def test_half_of_a_character_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(VectorError, match="`polarity` of these vectors holds half of a character"):
        vectors(polarity="tea \ud800").save(tmp_path / "v.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_numbers_that_are_not_finite_is_refused_and_named(tmp_path):
    metadata = {"format": "caa_nnsight.steering_vectors", "schema_version": "1"}
    save_file({"layers.1": torch.tensor([torch.nan])}, tmp_path / "v.safetensors", metadata)
    with pytest.raises(VectorError, match=r"layer 1 .*not finite"):
        SteeringVectors.load(tmp_path / "v.safetensors")


def test_saving_where_there_is_no_folder_is_refused_and_makes_none(tmp_path):
    with pytest.raises(VectorError, match=r"none/v\.safetensors"):
        ONE.save(tmp_path / "none" / "v.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_saving_below_a_file_or_over_a_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "v.safetensors", tmp_path / "folder"):
        with pytest.raises(VectorError, match=str(path)):
            ONE.save(path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]


def test_no_half_file_is_left_and_the_old_one_stays_when_writing_fails(tmp_path, monkeypatch):
    path = ONE.save(tmp_path / "v.safetensors")
    before = path.read_bytes()

    def fail_half_way(target, content):
        with target.open("wb") as file:
            file.write(content[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(path), "write_bytes", fail_half_way)
    with pytest.raises(VectorError, match="No space left"):
        OTHER.save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.safetensors"]


# -- looking -------------------------------------------------------------------------------------


def test_the_short_forms_say_what_it_is_and_html_is_escaped():
    made = vectors(layers=(1, 2, 3, 7), behavior="<b>tea</b>")
    assert repr(made) == (
        "SteeringVectors(<b>tea</b>, layers 1-3, 7, hidden 6, mean_difference, 12 pairs, "
        "model tiny)"
    )
    html = made._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;tea" in html
    assert html.count("<tr>") == 5


def test_metadata_round_trip_covers_every_field():
    """A field that is left at its default here would not be tested by the round trip."""
    assert all(value not in ("", 0) for value in asdict(ONE.meta).values())
