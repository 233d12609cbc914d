"""The oracle can tell right from wrong: each usual mistake gives a clearly different result."""

import pytest
import torch

from caa_nnsight.steering import Edit, Steering
from tests import closed_form
from tests.oracle import Oracle
from tests.parity.cases import (
    NEW_TOKENS,
    TEXT_PROMPTS,
    TOLERANCE,
    case,
    random_vector,
    vector_difference,
)
from tests.tiny_models import EOS

PROMPT = list(TEXT_PROMPTS[0].ids)
VECTOR = random_vector(0)
RIGHT = Steering((Edit(1, VECTOR),), start=5)
MISTAKES = {
    "one layer too late": Steering((Edit(2, VECTOR),), start=5),
    "one layer too early": Steering((Edit(0, VECTOR),), start=5),
    "one token too late": Steering((Edit(1, VECTOR),), start=6),
    "one token too early": Steering((Edit(1, VECTOR),), start=4),
    "everywhere": Steering((Edit(1, VECTOR),), start="all"),
    "wrong sign": Steering((Edit(1, VECTOR, -1.0),), start=5),
    "wrong strength": Steering((Edit(1, VECTOR, 1.1),), start=5),
    "wrong operator": Steering((Edit(1, VECTOR, 1.0, "ablate"),), start=5),
    "forgotten": Steering(),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3-window-6"])
def test_a_steering_mistake_changes_the_last_logits_clearly(family, mistake):
    oracle = case(family).oracle
    right = oracle.forward(PROMPT, RIGHT).logits[-1:]
    wrong = oracle.forward(PROMPT, MISTAKES[mistake]).logits[-1:]
    assert vector_difference(wrong, right) > 100 * TOLERANCE


def test_neighboring_layers_and_positions_differ_clearly():
    blocks = case("llama").oracle.forward(PROMPT).blocks
    assert vector_difference(blocks[:-1], blocks[1:]) > 100 * TOLERANCE
    assert vector_difference(blocks[:, :-1], blocks[:, 1:]) > 100 * TOLERANCE


def test_edits_touch_only_their_layer_and_positions():
    oracle = case("llama").oracle
    plain, steered = oracle.forward(PROMPT).blocks, oracle.forward(PROMPT, RIGHT).blocks
    torch.testing.assert_close(steered[0], plain[0], rtol=0, atol=0)
    torch.testing.assert_close(steered[:, :5], plain[:, :5], rtol=0, atol=0)
    torch.testing.assert_close(steered[1, 5:], plain[1, 5:] + VECTOR)


def test_hooks_are_gone_after_a_steered_pass():
    of = case("llama")
    before = of.oracle.forward(PROMPT).logits
    of.oracle.forward(PROMPT, RIGHT)
    torch.testing.assert_close(of.oracle.forward(PROMPT).logits, before, rtol=0, atol=0)
    assert not any(block._forward_hooks for block in of.oracle.blocks)


def test_unsteered_generation_is_that_of_transformers():
    of = case("gpt-neox")
    for prompt in TEXT_PROMPTS:
        ids = torch.tensor([prompt.ids])
        out = of.model.module.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=NEW_TOKENS,
        )
        found = of.oracle.generate(prompt.ids, None, NEW_TOKENS, eos=EOS)
        assert out[0, ids.shape[1] :].tolist() == found.ids + [EOS] * found.ended


def test_the_oracle_agrees_with_the_closed_form():
    oracle = Oracle(closed_form.model(), "model.layers")
    for question in (closed_form.Question("A"), closed_form.Question("B", padding=3)):
        for layer in range(closed_form.LAYERS):
            steering = Steering((Edit(layer, closed_form.planted_vector(1), 0.5),))
            run = oracle.forward(question.ids, steering, question.prompt_length)
            expected = torch.tensor(closed_form.choice_logits(question, 0.5, layer)).float()
            torch.testing.assert_close(run.logits[-1], expected, rtol=1e-5, atol=1e-5)
