"""Model folders on disk, whole and broken."""

from __future__ import annotations

import json
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tests.tiny_models import tiny_model
from tests.tiny_tokenizers import tiny_tokenizer


def tiny_folder(
    path: Path, family: str = "llama", **options
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Save a model and a tokenizer to `path`, as a user would, and return both."""
    module, tokenizer = tiny_model(family), tiny_tokenizer("joined")
    module.save_pretrained(path, **options)
    tokenizer.save_pretrained(path)
    return module, tokenizer


def edit_config(folder: Path, **changes) -> None:
    """Change entries of a folder's config.json; None removes one."""
    path = folder / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
