"""Writing a tiny Llama as a GGUF file, in the layout that llama.cpp's converter uses."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tests.tiny_models import tiny_model
from tests.tiny_tokenizers import EOS, PAD, tiny_tokenizer


def tiny_gguf(path: Path, *, tied: bool = False) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Write a GGUF file to `path`; return the model and the tokenizer that it must load as."""
    tokenizer = tiny_tokenizer("apart")
    module = tiny_model("llama", vocab_size=len(tokenizer))
    if tied:
        module.config.tie_word_embeddings = True
        module.lm_head.weight = module.model.embed_tokens.weight
    write_llama(path, module, tokenizer, tied=tied)
    return module, tokenizer


def write_llama(
    path: Path,
    module: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast | None = None,
    *,
    tied: bool = False,
) -> None:
    """Write a Llama of transformers in float32; without a tokenizer, rows are token ids."""
    writer = gguf.GGUFWriter(path, "llama")
    _write_settings(writer, module.config)
    if tokenizer is None:
        writer.add_tokenizer_model("none")
    else:
        _write_tokenizer(writer, tokenizer)
    _write_tensors(writer, module, tied)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_settings(writer: gguf.GGUFWriter, config) -> None:
    writer.add_name("tiny llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def _write_tokenizer(writer: gguf.GGUFWriter, tokenizer: PreTrainedTokenizerFast) -> None:
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    special = set(tokenizer.all_special_ids)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokenizer.convert_ids_to_tokens(range(len(tokenizer))))
    writer.add_token_types(
        [
            gguf.TokenType.CONTROL if index in special else gguf.TokenType.NORMAL
            for index in range(len(tokenizer))
        ]
    )
    writer.add_token_merges([" ".join(merge) for merge in model["merges"]])
    writer.add_eos_token_id(tokenizer.convert_tokens_to_ids(EOS))
    writer.add_bos_token_id(tokenizer.convert_tokens_to_ids(EOS))
    writer.add_pad_token_id(tokenizer.convert_tokens_to_ids(PAD))
    writer.add_chat_template(tokenizer.chat_template)


def _write_tensors(writer: gguf.GGUFWriter, module: PreTrainedModel, tied: bool) -> None:
    config = module.config
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, weight in module.state_dict().items():
        if tied and name == "lm_head.weight":
            continue
        array = weight.numpy()
        if name.endswith("q_proj.weight"):
            array = _interleaved(array, config.num_attention_heads)
        elif name.endswith("k_proj.weight"):
            array = _interleaved(array, config.num_key_value_heads)
        writer.add_tensor(names.get_name(name, (".weight",)), array)


def _interleaved(array: np.ndarray, heads: int) -> np.ndarray:
    """GGUF keeps the two halves of each head's rotary dimensions interleaved."""
    rows, width = array.shape
    halves = array.reshape(heads, 2, rows // heads // 2, width)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, width))
