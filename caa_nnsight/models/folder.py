"""Opening a transformers folder: a causal language model and its tokenizer, or a clear refusal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from caa_nnsight.errors import ModelError
from caa_nnsight.models.cache import shown
from caa_nnsight.models.complaints import (
    explained_load_errors,
    first_line,
    loading_alone,
    quiet_transformers,
    require_all_weights,
)
from caa_nnsight.models.folder_check import check_folder

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


def open_folder(
    folder: Path,
    *,
    dtype: torch.dtype,
    device: torch.device,
    trust_remote_code: bool = False,
    attn_implementation: str | None = None,
    device_map: str | dict | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the causal language model in `folder` onto `device`, and its tokenizer.

    With a `device_map`, accelerate lays the model out over devices, main memory and disk, and
    `device` says nothing.

    Raises:
        ModelError: the folder is incomplete or damaged, its model is no causal language model or
            of an architecture that this transformers does not know, it needs trust_remote_code, or
            it does not fit into memory.
    """
    check_folder(folder)
    where = shown(folder)
    with explained_load_errors(where, device), loading_alone(), quiet_transformers():
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
        auto_class = causal_class(config, where)
        extra = {"attn_implementation": attn_implementation} if attn_implementation else {}
        if device_map is not None:
            extra["device_map"] = device_map
        elif device.type == "cuda":
            extra["device_map"] = {"": device}  # straight to the GPU, no copy in main memory
        module, facts = auto_class.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
            **extra,
        )
        require_all_weights(facts, where)
        if device_map is None:
            module.to(device)
        tokenizer = open_tokenizer(folder, trust_remote_code)
    return module, tokenizer


def causal_class(config: PretrainedConfig, where: str) -> type:
    """The transformers auto class that builds a causal language model from `config`.

    Raises:
        ModelError: the config is of an encoder, of an encoder-decoder, or of no text generator.
    """
    import transformers
    from transformers.models.auto import modeling_auto as auto

    kind = config.model_type
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(
            f"The model in {where} is an encoder-decoder ({kind}), and steering needs a causal "
            "language model (decoder only)."
        )
    is_encoder = kind in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if is_encoder and not getattr(config, "is_decoder", False):
        raise ModelError(
            f"The model in {where} is an encoder ({kind}), and steering needs a causal language "
            "model (decoder only)."
        )
    custom = getattr(config, "auto_map", None) or {}
    if kind in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or "AutoModelForCausalLM" in custom:
        return transformers.AutoModelForCausalLM
    if kind in auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return transformers.AutoModelForImageTextToText
    raise ModelError(
        f"The model in {where} ({kind}) generates no text, and steering needs a causal language "
        "model (decoder only)."
    )


def open_tokenizer(folder: Path, trust_remote_code: bool) -> PreTrainedTokenizerBase:
    """The tokenizer in `folder`.

    Raises:
        ModelError: there is none, or it is damaged.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except Exception as error:
        if "trust_remote_code" in str(error):
            raise
        raise ModelError(
            f"The tokenizer in {shown(folder)} can't be loaded ({type(error).__name__}: "
            f"{first_line(error)}): save it there again with tokenizer.save_pretrained."
        ) from error
