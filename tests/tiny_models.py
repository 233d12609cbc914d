"""Small random models of every family that is claimed, built from transformers' config classes.

Weights are drawn wide enough that logits differ clearly between tokens and attention is not
uniform: a wrong mask, position or layer then shows in the third digit, not in the sixth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel

LAYERS = 4
HIDDEN = 32
VOCABULARY = 512
PAD, EOS = 0, 1


@dataclass(frozen=True)
class Family:
    """How to build one family, and where its blocks are.

    `own_masks`: its blocks build their own masks from the order of the tokens in the row.
    """

    config: str
    settings: dict[str, Any]
    layers_path: str = "model.layers"
    change: Callable[[PreTrainedModel], None] | None = None
    own_masks: bool = False


COMMON = {
    "hidden_size": HIDDEN,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
HEAD_DIM = {"head_dim": 8}
SLIDING_AND_FULL = {
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]
}
GPT2_NAMES = {"n_embd": HIDDEN, "n_layer": LAYERS, "n_head": 4, "n_positions": 256}


def _blocks_return_tuples(module: PreTrainedModel) -> None:
    """Make a Llama whose blocks return `(hidden,)`, as older releases of transformers did."""
    block_class, norm_class = type(module.model.layers[0]), type(module.model.norm)

    class TupleBlock(block_class):
        def forward(self, hidden_states, *args, **kwargs):
            if isinstance(hidden_states, tuple):
                hidden_states = hidden_states[0]
            return (super().forward(hidden_states, *args, **kwargs),)

    class NormOfTuple(norm_class):
        def forward(self, hidden_states):
            return super().forward(hidden_states[0])

    for block in module.model.layers:
        block.__class__ = TupleBlock
    module.model.norm.__class__ = NormOfTuple


def _gpt_neo(window: int) -> Family:
    """A family whose blocks return tuples."""
    return Family(
        "GPTNeo",
        {
            "hidden_size": HIDDEN,
            "num_layers": LAYERS,
            "num_heads": 4,
            "intermediate_size": 48,
            "attention_types": [[["global", "local"], 2]],
            "window_size": window,
            "max_position_embeddings": 1024,
        },
        "transformer.h",
        own_masks=True,
    )


FAMILIES: dict[str, Family] = {
    "llama": Family("Llama", COMMON),
    "llama-eager": Family("Llama", COMMON | {"attn_implementation": "eager"}),
    "llama-tuple-blocks": Family("Llama", COMMON, change=_blocks_return_tuples),
    "qwen2": Family("Qwen2", COMMON),
    "qwen3": Family("Qwen3", COMMON | HEAD_DIM),
    "gemma2": Family("Gemma2", COMMON | HEAD_DIM | {"query_pre_attn_scalar": 8}),
    "gemma2-window-6": Family(
        "Gemma2", COMMON | HEAD_DIM | {"query_pre_attn_scalar": 8, "sliding_window": 6}
    ),
    "gemma3": Family(
        "Gemma3Text", COMMON | HEAD_DIM | SLIDING_AND_FULL | {"query_pre_attn_scalar": 8}
    ),
    "gemma3-window-6": Family(
        "Gemma3Text",
        COMMON | HEAD_DIM | SLIDING_AND_FULL | {"query_pre_attn_scalar": 8, "sliding_window": 6},
    ),
    "mistral": Family("Mistral", COMMON | {"sliding_window": 20}),
    "mistral-window-6": Family("Mistral", COMMON | {"sliding_window": 6}),
    "gpt2": Family("GPT2", GPT2_NAMES, "transformer.h"),
    "gpt-neox": Family("GPTNeoX", COMMON, "gpt_neox.layers"),
    "phi": Family("Phi", COMMON),
    "phi3": Family("Phi3", COMMON),
    "opt": Family(
        "OPT", COMMON | {"ffn_dim": 48, "word_embed_proj_dim": HIDDEN}, "model.decoder.layers"
    ),
    "gpt-neo-window-6": _gpt_neo(6),
    "gpt-neo-window-64": _gpt_neo(64),
    "falcon": Family("Falcon", COMMON | {"alibi": False}, "transformer.h"),
}


def tiny_model(family: str, *, vocab_size: int = VOCABULARY, seed: int = 0) -> PreTrainedModel:
    """A random float32 model with `LAYERS` blocks of width `HIDDEN`.

    The end of sequence (id `EOS`) is made a little likelier than other tokens, so that some
    greedy continuations end early and most do not.
    """
    spec = FAMILIES[family]
    config = getattr(transformers, f"{spec.config}Config")(
        **spec.settings, vocab_size=vocab_size, pad_token_id=PAD, bos_token_id=EOS, eos_token_id=EOS
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = transformers.AutoModelForCausalLM.from_config(config).eval()
        _draw_weights(module)
    if spec.change:
        spec.change(module)
    module.requires_grad_(False)
    return module


@torch.no_grad()
def _draw_weights(module: PreTrainedModel) -> None:
    output = module.get_output_embeddings().weight
    for name, weight in module.named_parameters():
        if weight is output:
            # Small, for where it is the input embedding too, a model would repeat its last token.
            weight.normal_(0.0, 0.25)
        elif "embed" in name or ".wte" in name or ".wpe" in name:
            weight.normal_()
        elif weight.dim() == 2:
            weight.normal_(0.0, 1.5 * weight.shape[1] ** -0.5)
        elif name.endswith("bias"):
            weight.normal_(0.0, 0.1)
        else:
            weight.add_(torch.randn_like(weight) * 0.1)
    output[EOS] *= 2.0
