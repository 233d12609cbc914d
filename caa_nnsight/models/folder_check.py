"""Whether a folder holds a whole transformers model, told without loading anything."""

from __future__ import annotations

import json
from pathlib import Path

from caa_nnsight.errors import ModelError
from caa_nnsight.models.cache import shown
from caa_nnsight.models.complaints import first_line

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
                f"The model folder {shown(folder)} has no tokenizer (such as tokenizer.json): save "
                "one there with tokenizer.save_pretrained."
            )


def _read_config(folder: Path) -> dict:
    path = folder / "config.json"
    if not path.exists():
        raise ModelError(f"The folder {shown(folder)} has no config.json{_hint(folder)}.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{shown(path)} can't be read as JSON ({first_line(error)}).") from error
    if not isinstance(config, dict) or "model_type" not in config:
        raise ModelError(
            f"{shown(path)} names no model_type: it is not the config of a transformers model."
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
            raise ModelError(
                f"{shown(index)} can't be read as an index of weight files: get it again."
            ) from error
        if missing := sorted(file for file in files if not (folder / file).exists()):
            raise ModelError(
                f"The model folder {shown(folder)} lacks {len(missing)} of its {len(files)} weight "
                f"files, such as {missing[0]}: get those too."
            )
        return
    raise ModelError(
        f"The model folder {shown(folder)} has a config.json but no weights (model.safetensors): "
        "save them there with model.save_pretrained."
    )
