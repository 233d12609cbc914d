"""From the plain integers of a pass to the model's arguments."""

import numpy as np
import pytest
import torch

from caa_nnsight.tracer.inputs import model_inputs, tree_mask
from caa_nnsight.tracer.packing import UNSTEERED, Request
from caa_nnsight.tracer.passes import Passes
from tests.core.examples import tiny

CPU = torch.device("cpu")


def random_tree(seed: int) -> list[int]:
    """Parents that come before their children; more than one root may stand in a row."""
    rng = np.random.default_rng(seed)
    return [int(rng.integers(-1, index)) for index in range(int(rng.integers(1, 30)))]


def ancestors(parents: list[int], token: int) -> set[int]:
    found = set()
    while token >= 0:
        found.add(token)
        token = parents[token]
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("seed", range(8))
def test_a_tree_s_mask_lets_each_token_see_itself_and_its_ancestors(seed, dtype):
    parents = random_tree(seed)
    mask = tree_mask(torch.tensor(parents), CPU, dtype)
    assert (mask.shape, mask.dtype) == ((1, 1, len(parents), len(parents)), dtype)
    for token in range(len(parents)):
        for other in range(len(parents)):
            seen = other in ancestors(parents, token)
            assert mask[0, 0, token, other] == (0 if seen else torch.finfo(dtype).min)


def requests(*prompts: tuple[int, ...]) -> list[Request]:
    return [Request(ids, UNSTEERED, len(ids), (n,)) for n, ids in enumerate(prompts)]


def test_a_padded_batch_goes_in_with_its_mask_positions_and_no_cache():
    one = Passes(tiny()).pad(requests((5, 6, 7), (8,)))
    inputs = model_inputs(one.tokens, CPU, torch.float32)
    assert set(inputs) == {"input_ids", "position_ids", "attention_mask", "use_cache"}
    assert inputs["input_ids"].tolist() == [[5, 6, 7], [0, 0, 8]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]
    assert inputs["position_ids"].tolist() == [[0, 1, 2], [0, 0, 0]]
    assert inputs["use_cache"] is False


def plan(packed: bool, max_logits: int | None):
    prompts = requests((5, 6, 7), (5, 6, 9, 4), (5, 6))
    return list(
        Passes(tiny()).plan(prompts, packed=packed, token_budget=100, max_logits=max_logits)
    )


def test_a_packed_row_asks_for_the_logits_of_the_tokens_that_are_read():
    (one,) = plan(packed=True, max_logits=10)
    inputs = model_inputs(one.tokens, CPU, torch.float32)
    assert inputs["input_ids"].tolist() == [[5, 6, 7, 9, 4]]
    assert inputs["position_ids"].tolist() == [[0, 1, 2, 2, 3]]
    assert inputs["logits_to_keep"].tolist() == [2, 4, 1]
    # Among the logits that come back, the reads stand in their own order.
    assert one.tokens["reads"].tolist() == [[0, 0, 0], [0, 1, 2]]


def test_a_packed_row_that_reads_hidden_states_asks_for_one_token_s_logits():
    (one,) = plan(packed=True, max_logits=None)
    assert model_inputs(one.tokens, CPU, torch.float32)["logits_to_keep"].numel() == 1
    assert one.tokens["reads"].tolist() == [[0, 0, 0], [2, 4, 1]]


def test_padded_rows_ask_for_as_many_logits_from_the_end_as_are_read():
    for one in plan(packed=False, max_logits=10):
        inputs = model_inputs(one.tokens, CPU, torch.float32)
        keep, (rows, places) = inputs["logits_to_keep"], one.tokens["reads"]
        assert isinstance(keep, int)
        width = inputs["input_ids"].shape[1]
        for request, row, place in zip(one.requests, rows, places, strict=True):
            at = width - keep + int(place)
            seen = inputs["attention_mask"][row, : at + 1].bool()
            assert inputs["input_ids"][row, : at + 1][seen].tolist() == list(request.ids)


@pytest.mark.parametrize("device", [None, torch.device("meta")])
def test_a_process_without_weights_gives_its_inputs_as_they_are(device):
    for packed in (True, False):
        for one in plan(packed, max_logits=10):
            inputs = model_inputs(one.tokens, device, torch.float16)
            tensors = [value for value in inputs.values() if isinstance(value, torch.Tensor)]
            assert {tensor.device for tensor in tensors} == {CPU}


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
def test_a_pass_is_plain_values_and_tensors_of_integers(packed):
    """Nothing of ours travels, so nothing has to be there where it arrives."""
    for one in plan(packed, max_logits=10):
        for name, value in one.tokens.items():
            assert type(name) is str
            assert type(value) in (int, torch.Tensor, type(None))
            if isinstance(value, torch.Tensor):
                assert value.dtype == torch.int64
