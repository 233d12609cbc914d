"""Opening a transformers folder: a causal language model and its tokenizer, or a clear refusal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from caa_nnsight.errors import ModelError
from caa_nnsight.models.cache import shown

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tekken.json",
)


def check_folder(folder: Path) -> None:
    """See that `folder` holds a config, all its weights and a tokenizer, before anything is loaded.

    Raises:
        ModelError: naming the folder and the first thing that is missing from it.
    """
    config = _read_config(folder)
    _check_weights(folder)
    if not any((folder / name).exists() for name in _TOKENIZER_FILES):
        custom = "tokenizer_class" in config or list(folder.glob("*.tiktoken"))
        if not custom:
            raise ModelError(
                f"the model folder {shown(folder)} has no tokenizer (such as tokenizer.json): save "
                "one there with tokenizer.save_pretrained"
            )


def open_folder(
    folder: Path,
    *,
    dtype: torch.dtype,
    device: torch.device,
    trust_remote_code: bool = False,
    attn_implementation: str | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the causal language model in `folder` onto `device`, and its tokenizer.

    Raises:
        ModelError: the folder is incomplete or damaged, its model is no causal language model or
            of an architecture that this transformers does not know, it needs trust_remote_code, or
            it does not fit into memory.
    """
    check_folder(folder)
    where = shown(folder)
    with explained_load_errors(where, device), quiet_transformers():
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
        auto_class = causal_class(config, where)
        extra = {"attn_implementation": attn_implementation} if attn_implementation else {}
        if device.type == "cuda":
            extra["device_map"] = {"": device}  # straight to the GPU, no copy in main memory
        module, loaded = auto_class.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
            **extra,
        )
        if missing := sorted(loaded["missing_keys"]):
            raise ModelError(
                f"the weights in {where} lack {len(missing)} tensors of the model, such as "
                f"{missing[0]}: it may have been saved without its language-model head"
            )
        module.to(device)
        tokenizer = _open_tokenizer(folder, trust_remote_code)
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
            f"the model in {where} is an encoder-decoder ({kind}), and steering needs a causal "
            "language model (decoder only)"
        )
    is_encoder = kind in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if is_encoder and not getattr(config, "is_decoder", False):
        raise ModelError(
            f"the model in {where} is an encoder ({kind}), and steering needs a causal language "
            "model (decoder only)"
        )
    custom = getattr(config, "auto_map", None) or {}
    if kind in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or "AutoModelForCausalLM" in custom:
        return transformers.AutoModelForCausalLM
    if kind in auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return transformers.AutoModelForImageTextToText
    raise ModelError(
        f"the model in {where} ({kind}) generates no text, and steering needs a causal language "
        "model (decoder only)"
    )


@contextmanager
def explained_load_errors(where: str, device: torch.device | None = None) -> Iterator[None]:
    """Turn what transformers raises on a model it can't load into a ModelError of one sentence."""
    import torch
    from safetensors import SafetensorError

    try:
        yield
    except ModelError:
        raise
    except SafetensorError as error:
        raise ModelError(
            f"the weights in {where} can't be read ({_first_line(error)}): the file is incomplete "
            "or damaged, so get it again"
        ) from error
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"the model in {where} does not fit into the memory of {device}: pass a smaller dtype "
            "(dtype='bfloat16') or device='cpu'"
        ) from error
    except Exception as error:
        text = str(error)
        if "trust_remote_code" in text:
            raise ModelError(
                f"the model in {where} brings Python code of its own: read it, and if you trust "
                "it, pass trust_remote_code=True"
            ) from error
        if "does not recognize this architecture" in text:
            raise ModelError(
                f"the architecture of the model in {where} is unknown to transformers "
                f"{_transformers_version()}: upgrade transformers"
            ) from error
        if "attn_implementation" in text or "attention implementation" in text.lower():
            raise ModelError(
                f"attn_implementation is not usable for the model in {where} "
                f"({_first_line(error)}): pass eager or sdpa, or leave it out"
            ) from error
        raise ModelError(
            f"the model in {where} can't be loaded ({type(error).__name__}: {_first_line(error)})"
        ) from error


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Switch transformers' progress bars off meanwhile: loading from disk takes seconds."""
    from transformers.utils import logging

    if not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


def _open_tokenizer(folder: Path, trust_remote_code: bool) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except Exception as error:
        if "trust_remote_code" in str(error):
            raise
        raise ModelError(
            f"the tokenizer in {shown(folder)} can't be loaded ({_first_line(error)})"
        ) from error


def _read_config(folder: Path) -> dict:
    path = folder / "config.json"
    if not path.exists():
        raise ModelError(f"the folder {shown(folder)} has no config.json{_hint(folder)}")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{shown(path)} can't be read as JSON ({_first_line(error)})") from error
    if not isinstance(config, dict) or "model_type" not in config:
        raise ModelError(
            f"{shown(path)} names no model_type: it is not the config of a transformers model"
        )
    return config


def _hint(folder: Path) -> str:
    if (folder / "adapter_config.json").exists():
        return ": it holds an adapter, so merge that into its base model and save the result"
    if found := sorted(folder.glob("*.gguf")):
        return f": to load the GGUF file in it, pass {shown(found[0])}"
    return ": pass a folder that model.save_pretrained and tokenizer.save_pretrained wrote"


def _check_weights(folder: Path) -> None:
    for name in _WEIGHTS:
        if (folder / name).exists():
            return
        index = folder / f"{name}.index.json"
        if not index.exists():
            continue
        try:
            files = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise ModelError(f"{shown(index)} can't be read as an index of weight files") from error
        if missing := sorted(file for file in files if not (folder / file).exists()):
            raise ModelError(
                f"the model folder {shown(folder)} lacks {len(missing)} of its {len(files)} weight "
                f"files, such as {missing[0]}"
            )
        return
    raise ModelError(
        f"the model folder {shown(folder)} has a config.json but no weights (model.safetensors)"
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _transformers_version() -> str:
    import transformers

    return transformers.__version__
