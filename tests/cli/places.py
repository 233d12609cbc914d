"""A folder with what the commands need: a tiny model, pairs, prompts."""

from __future__ import annotations

import json
from pathlib import Path

from tests.core.examples import made_up_pairs, write_pairs
from tests.tiny_models import tiny_model
from tests.tiny_tokenizers import tiny_tokenizer

PROMPTS = (
    "What of the hills?",
    "Name a book.",
    "Is it summer?",
    "Where is the sea?",
    "Who switched it off?",
    "Which would you rather?",
    "And tomorrow?",
)
N_PAIRS, N_HELD_OUT = 40, 8

# The data and the model of every run here, in a folder that `lay_out` made.
DATA = ("--pairs=pairs.jsonl", "--held-out-pairs=held_out.jsonl", "--model=model")


def save_model(folder: Path, family: str = "llama", **settings) -> Path:
    tiny_model(family, **settings).save_pretrained(folder)
    tiny_tokenizer("joined", "system").save_pretrained(folder)
    return folder


def write_prompts(path: Path, prompts) -> Path:
    lines = [json.dumps({"question": prompt}) for prompt in prompts]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def lay_out(folder: Path) -> Path:
    """Make `model/`, `pairs.jsonl`, `held_out.jsonl` and `prompts.jsonl`."""
    save_model(folder / "model")
    write_pairs(folder / "pairs.jsonl", made_up_pairs(N_PAIRS))
    write_pairs(folder / "held_out.jsonl", made_up_pairs(N_HELD_OUT, first=N_PAIRS))
    write_prompts(folder / "prompts.jsonl", PROMPTS)
    return folder
