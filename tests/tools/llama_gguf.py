"""A tiny Llama of transformers as a GGUF file in float32, for llama.cpp."""

from __future__ import annotations

from pathlib import Path

import gguf
import torch
from transformers import LlamaForCausalLM

# Ours -> llama.cpp's, inside a block.
BLOCK = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
REST = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def write_llama(module: LlamaForCausalLM, path: Path) -> Path:
    """Write its weights, without a vocabulary: rows are given as token ids."""
    config = module.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("none")
    for ours, theirs in REST.items():
        writer.add_tensor(f"{theirs}.weight", module.get_submodule(ours).weight.numpy())
    for index, block in enumerate(module.model.layers):
        for ours, theirs in BLOCK.items():
            weight = block.get_submodule(ours).weight
            if theirs in ("attn_q", "attn_k"):
                weight = _interleaved(weight, config.head_dim)
            writer.add_tensor(f"blk.{index}.{theirs}.weight", weight.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _interleaved(weight: torch.Tensor, head_dim: int) -> torch.Tensor:
    """Rotated pairs side by side; transformers has them half a head apart."""
    halves = weight.unflatten(0, (-1, 2, head_dim // 2))
    return halves.transpose(1, 2).reshape(weight.shape).contiguous()
