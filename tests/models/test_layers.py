"""Decoder layers are found in every family, or the error says what to pass."""

import pytest
import transformers
from torch import nn

from caa_nnsight.errors import ModelError
from caa_nnsight.models.layers import find_layers, hidden_size
from tests.tiny_models import FAMILIES, HIDDEN, LAYERS, tiny_model

TEXT = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_and_width_are_found(family):
    module = tiny_model(family)
    path = find_layers(module)
    assert path == FAMILIES[family].layers_path
    assert len(module.get_submodule(path)) == LAYERS
    assert hidden_size(module) == HIDDEN


def test_multimodal_models_give_the_layers_of_their_language_model():
    vision = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "image_size": 16,
        "patch_size": 8,
    }
    config = transformers.Gemma3Config(
        text_config=TEXT | {"head_dim": 8}, vision_config=vision, mm_tokens_per_image=4
    )
    module = transformers.Gemma3ForConditionalGeneration(config)
    assert find_layers(module) == "model.language_model.layers"
    assert hidden_size(module) == 32


def test_experts_are_not_taken_for_layers():
    config = transformers.MixtralConfig(**TEXT, num_local_experts=3, num_experts_per_tok=1)
    assert find_layers(transformers.MixtralForCausalLM(config)) == "model.layers"


class Stack(nn.Module):
    """A model of no known family: its lists of blocks are where a test puts them."""

    def __init__(self, layers: int | None, **lists: int) -> None:
        super().__init__()
        self.config = transformers.PretrainedConfig()
        if layers is not None:
            self.config.num_hidden_layers = layers
        self.embedding = nn.Embedding(10, 6)
        self.body = nn.Module()
        for name, length in lists.items():
            self.body.add_module(name, nn.ModuleList(nn.Linear(6, 6) for _ in range(length)))

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embedding


def test_an_unknown_family_is_found_by_the_number_of_its_layers():
    assert find_layers(Stack(4, towers=2, steps=4)) == "body.steps"


def test_the_width_falls_back_on_the_embedding():
    assert hidden_size(Stack(4, steps=4)) == 6


def test_a_given_path_is_taken():
    assert find_layers(Stack(4, towers=2, steps=4), "body.towers") == "body.towers"


@pytest.mark.parametrize(
    ("stack", "given", "message"),
    [
        (
            Stack(4, left=4, right=4),
            None,
            "2 lists of 4 layers were found in Stack: pass layers_path (--layers-path on the "
            "command line), one of: body.left (4 × Linear); body.right (4 × Linear).",
        ),
        (
            Stack(None, left=4),
            None,
            "No decoder layers were found in Stack: pass layers_path (--layers-path on the "
            "command line), one of: body.left (4 × Linear).",
        ),
        (
            Stack(4),
            None,
            "No decoder layers were found in Stack: it has no list of modules, so its layers "
            "can't be steered.",
        ),
        (
            Stack(4, left=4),
            "body.rigth",
            "The layers_path 'body.rigth' names no list of layers in Stack: pass layers_path "
            "(--layers-path on the command line), one of: body.left (4 × Linear).",
        ),
        (
            Stack(4, left=4),
            "embedding",
            "The layers_path 'embedding' names no list of layers in Stack: pass layers_path "
            "(--layers-path on the command line), one of: body.left (4 × Linear).",
        ),
    ],
    ids=["several", "none of that length", "no lists", "no such path", "not a list"],
)
def test_what_to_pass_is_said_when_layers_are_not_found(stack, given, message):
    with pytest.raises(ModelError) as caught:
        find_layers(stack, given)
    assert str(caught.value) == message
