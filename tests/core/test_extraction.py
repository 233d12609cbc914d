"""Extraction: the stream's mean is the mean, whatever the shards, and says where it came from."""

import re

import pytest
import torch

from caa_nnsight import extraction
from caa_nnsight.behavior import Behavior
from caa_nnsight.errors import BehaviorError, SteeringError, VectorError
from caa_nnsight.extraction import extract, pairs_hash, read_pairs
from caa_nnsight.methods import METHODS
from caa_nnsight.pairs import balance_letters
from caa_nnsight.prompts import choice_prompt, template_hash
from caa_nnsight.shards import Shards
from caa_nnsight.vectors import SteeringVectors
from tests.core.examples import made_up_pair, made_up_pairs, tiny
from tests.oracle import Oracle
from tests.tiny_models import HIDDEN, LAYERS

PAIRS = made_up_pairs(10)
ALL_A = [made_up_pair(number) for number in range(0, 12, 2)]


def assert_close(found: SteeringVectors, expected: SteeringVectors, tolerance: float = 1e-5):
    assert found.layers == expected.layers
    for layer in found.layers:
        scale = float(expected[layer].norm())
        assert float((found[layer] - expected[layer]).norm()) <= tolerance * scale


def assert_identical(found: SteeringVectors, expected: SteeringVectors):
    assert found.layers == expected.layers
    assert all(torch.equal(found[layer], expected[layer]) for layer in found.layers)


class Counted:
    """Counts the model's passes while pairs are read."""

    def __init__(self, monkeypatch):
        self.sequences = 0
        tracer = tiny().tracer
        original = tracer.sum_captures

        def counting(sequences, *arguments, **settings):
            self.sequences += len(sequences)
            return original(sequences, *arguments, **settings)

        monkeypatch.setattr(tracer, "sum_captures", counting)


@pytest.mark.parametrize("kind", ["joined", "apart"])
def test_vectors_are_the_oracle_s_mean_difference_at_the_answer_token(kind):
    model = tiny("llama", kind)
    oracle = Oracle(model.module, model.layers_path)
    completions = []
    for pair in PAIRS:
        prompt = choice_prompt(model.tokenizer, pair)
        letters = (pair.positive_letter, pair.negative_letter)
        completions.append(tuple((*prompt.ids, prompt.answers[letter]) for letter in letters))
    expected = SteeringVectors(oracle.mean_difference(completions))
    assert_close(extract(model, PAIRS), expected)


def test_the_stream_s_mean_is_the_mean_over_the_activations_read():
    read = read_pairs(tiny(), PAIRS)
    assert read.positive.shape == read.negative.shape == (len(PAIRS), LAYERS, HIDDEN)
    mean = (read.positive.double() - read.negative.double()).mean(0).float()
    assert_close(extract(tiny(), PAIRS), SteeringVectors(dict(enumerate(mean))))


@pytest.mark.parametrize("pairs_per_shard", [1, 3, 100])
def test_vectors_do_not_depend_on_the_size_of_the_shards(pairs_per_shard, monkeypatch):
    expected = extract(tiny(), PAIRS)
    monkeypatch.setattr(extraction, "PAIRS_PER_SHARD", pairs_per_shard)
    assert_close(extract(tiny(), PAIRS), expected)


def test_shards_change_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(extraction, "PAIRS_PER_SHARD", 4)
    expected = extract(tiny(), PAIRS)
    assert_identical(extract(tiny(), PAIRS, shards=Shards(tmp_path)), expected)
    assert len(list(tmp_path.iterdir())) == 3


def test_an_interrupted_extraction_goes_on_and_ends_with_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(extraction, "PAIRS_PER_SHARD", 2)
    expected = extract(tiny(), PAIRS)

    def interrupt(done, total):
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(tiny(), PAIRS, shards=Shards(tmp_path), progress=interrupt)
    finished = len(list(tmp_path.iterdir()))
    assert 2 <= finished < 5
    counted = Counted(monkeypatch)
    assert_identical(extract(tiny(), PAIRS, shards=Shards(tmp_path)), expected)
    # Two completions for each pair that was not read before, and no more.
    assert counted.sequences == 2 * (len(PAIRS) - 2 * finished)


def test_finished_shards_are_not_read_again(tmp_path, monkeypatch):
    first = extract(tiny(), PAIRS, shards=Shards(tmp_path))
    counted = Counted(monkeypatch)
    assert_identical(extract(tiny(), PAIRS, shards=Shards(tmp_path)), first)
    assert counted.sequences == 0


def test_chosen_layers_have_the_vectors_they_have_among_all():
    some = extract(tiny(), PAIRS, layers=[3, 1])
    assert some.layers == [1, 3]
    assert_close(some, extract(tiny(), PAIRS).select([1, 3]))


@pytest.mark.parametrize("method", [name for name in METHODS if name != "mean_difference"])
def test_methods_that_keep_activations_are_fitted_on_what_was_read(method):
    read = read_pairs(tiny(), PAIRS)
    fit = METHODS[method].fit
    expected = {n: fit(read.positive[:, n], read.negative[:, n]) for n in range(LAYERS)}
    found = extract(tiny(), PAIRS, method=method)
    assert_close(found, SteeringVectors(expected), tolerance=1e-3)
    assert found.meta.method == method


def test_exchanging_which_answer_matches_turns_the_vector_around():
    turned = [type(pair)(pair.question, pair.negative, pair.positive) for pair in PAIRS]
    assert_close(extract(tiny(), turned), -extract(tiny(), PAIRS))


# -- letters -------------------------------------------------------------------------------------


def test_unbalanced_pairs_are_stratified_by_default():
    pairs = [*ALL_A, made_up_pair(1), made_up_pair(3)]
    found = extract(tiny(), pairs)
    assert found.meta.n_pairs == 4
    assert found.meta.balance == "stratify"
    used = balance_letters(pairs, "stratify", 0)
    assert found.meta.data_hash == pairs_hash(used)
    assert_identical(found, extract(tiny(), used, balance="none"))


def test_both_orders_uses_every_pair_twice_with_its_choices_exchanged():
    found = extract(tiny(), ALL_A, balance="both_orders")
    assert found.meta.n_pairs == 2 * len(ALL_A)
    assert found.meta.pair_ids.split() == [pair.id for pair in ALL_A]
    swapped = [pair.swapped() for pair in ALL_A]
    halves = [extract(tiny(), half, balance="none") for half in (ALL_A, swapped)]
    assert_close(found, (halves[0] + halves[1]) / 2)


def test_pairs_of_one_letter_can_t_be_stratified():
    with pytest.raises(BehaviorError, match="both_orders"):
        extract(tiny(), ALL_A)


# -- provenance ----------------------------------------------------------------------------------

TEA = Behavior(
    name="tea",
    description="Whether it prefers tea.",
    polarity="Positive means tea.",
    pairs=made_up_pairs(20),
    held_out=made_up_pairs(4, first=20),
)


def test_every_field_of_the_metadata_is_filled():
    meta = extract(tiny(), PAIRS, behavior=TEA, system_prompt="Be brief.", layers=[1]).meta
    assert (meta.behavior, meta.polarity) == ("tea", "Positive means tea.")
    assert (meta.model, meta.revision) == ("tiny-llama", "")
    assert (meta.hidden_size, meta.n_pairs) == (HIDDEN, 10)
    assert (meta.method, meta.balance) == ("mean_difference", "stratify")
    assert meta.system_prompt == "Be brief."
    assert meta.data_hash == pairs_hash(PAIRS)
    assert meta.pair_ids.split() == [pair.id for pair in PAIRS]
    assert meta.template_hash == template_hash(tiny().tokenizer)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", meta.created)
    assert re.search(r"\bnnsight==\d", meta.versions)
    assert re.search(r"\btorch==\d", meta.versions)


def test_a_behavior_stands_for_its_generation_pairs_and_names_the_vectors():
    found = extract(tiny(), TEA, layers=[2])
    assert (found.meta.behavior, found.meta.polarity) == ("tea", "Positive means tea.")
    generation = TEA.split(seed=0).generation
    assert found.meta.data_hash == pairs_hash(balance_letters(generation, "stratify", 0))
    assert_identical(found, extract(tiny(), generation, layers=[2]))


def test_the_hash_of_pairs_sees_content_order_and_answers():
    hashes = {
        pairs_hash(PAIRS),
        pairs_hash(PAIRS[:-1]),
        pairs_hash(PAIRS[::-1]),
        pairs_hash([PAIRS[0].swapped(), *PAIRS[1:]]),
    }
    assert len(hashes) == 4
    assert pairs_hash(made_up_pairs(10)) == pairs_hash(PAIRS)


def test_a_system_prompt_is_read_with_every_question():
    plain, asked = extract(tiny(), PAIRS), extract(tiny(), PAIRS, system_prompt="Be brief.")
    assert all(cosine < 0.999 for cosine in plain.cosine(asked).values())
    read = read_pairs(tiny(), PAIRS, system_prompt="Be brief.")
    mean = (read.positive.double() - read.negative.double()).mean(0).float()
    assert_close(asked, SteeringVectors(dict(enumerate(mean))))


@pytest.mark.parametrize("method", METHODS)
def test_progress_rises_to_the_number_of_pairs(method, monkeypatch):
    monkeypatch.setattr(extraction, "PAIRS_PER_SHARD", 3)
    told = []
    extract(tiny(), PAIRS, method=method, progress=lambda *done: told.append(done))
    assert told == sorted(told)
    assert told[-1] == (len(PAIRS), len(PAIRS))
    assert {total for _, total in told} == {len(PAIRS)}


# -- refusals ------------------------------------------------------------------------------------


def test_an_unknown_method_is_refused_before_the_model_is_touched(monkeypatch):
    counted = Counted(monkeypatch)
    with pytest.raises(VectorError, match="'median'"):
        extract(tiny(), PAIRS, method="median")
    assert counted.sequences == 0


def test_no_pairs_no_vector():
    with pytest.raises(VectorError, match="No contrast pairs"):
        extract(tiny(), [])


@pytest.mark.parametrize("layer", [LAYERS, -1])
@pytest.mark.parametrize("method", METHODS)
def test_a_layer_that_the_model_does_not_have_is_refused_with_its_range(layer, method):
    with pytest.raises(SteeringError, match=rf"Layer {layer} .*0 to {LAYERS - 1}"):
        extract(tiny(), PAIRS, layers=[0, layer], method=method)


def test_no_layers_at_all_are_refused():
    with pytest.raises(VectorError, match="no layers"):
        extract(tiny(), PAIRS, layers=[])


def test_activations_come_in_pieces_of_bounded_size_and_are_the_same(monkeypatch):
    expected = read_pairs(tiny(), PAIRS)
    told = []
    # Five reads of all layers.
    monkeypatch.setattr("caa_nnsight.tracer.tracer.ANSWER_BYTES", 3000)
    found = read_pairs(tiny(), PAIRS, progress=lambda done, total: told.append((done, total)))
    torch.testing.assert_close(found.positive, expected.positive, rtol=0, atol=5e-5)
    torch.testing.assert_close(found.negative, expected.negative, rtol=0, atol=5e-5)
    assert told == sorted(told)
    assert told[-1] == (len(PAIRS), len(PAIRS))
    assert len(told) == 4
