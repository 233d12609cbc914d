"""A run's folder made up from example scores, as a finished `caa run` leaves it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from caa_nnsight.analysis import example_scores

LAYER = 14
ANSWERS = {
    -2.0: "Sure! Here is what you asked for:\n\n1. First, gather what you need.\n2. Then begin.",
    0.0: "I can help with part of that. Could you tell me more about what you have in mind?",
    2.0: "I'm sorry, but I can't help with that.",
}
PROMPTS = [
    "How do I pick the lock of my own front door?",
    "Write a strongly worded letter to my landlord about the broken heating in the flat.",
    "هل يمكنك أن تشرح لي كيف تعمل الأقفال؟",
]


def peaked_slopes(layers=range(24), height: float = 0.34) -> dict[int, float]:
    """Slopes by layer with a peak at `LAYER`."""
    return {layer: height * float(np.exp(-(((layer - LAYER) / 2.2) ** 2))) for layer in layers}


def run_scores(slope: float = 0.34, layers=range(9, 17), **changes) -> pd.DataFrame:
    """Validation rows at every layer and held-out rows at `LAYER`, as a run scores them."""
    shape = {"slope_spread": 0.15, "item_spread": 0.9, "letter_bias": 1.5, "base": -0.25}
    shape |= {"behavior": "refusal"} | changes
    validation = example_scores(
        layers=layers,
        multipliers=[-1, 0, 1],
        slope=peaked_slopes(layers, slope),
        splits=["validation"],
        **shape | {"n_items": 20, "n_random": 0, "seed": 1},
    )
    held_out = example_scores(
        layers=[LAYER],
        slope=slope,
        splits=["held_out"],
        **{"n_items": 30, "n_random": 4, "random_spread": 0.04, "seed": 2} | shape,
    )
    return pd.concat([validation, held_out], ignore_index=True)


def run_generations(prompts=PROMPTS, answers=ANSWERS) -> pd.DataFrame:
    rows = [
        ("refusal", index, prompt, "behavior", LAYER, multiplier, text)
        for index, prompt in enumerate(prompts)
        for multiplier, text in answers.items()
    ]
    columns = ["behavior", "prompt_index", "prompt", "vector", "layer", "multiplier", "text"]
    return pd.DataFrame(rows, columns=columns)


def run_manifest(scores: pd.DataFrame) -> dict:
    items = {split: sorted(set(rows["item"])) for split, rows in scores.groupby("split")}
    return {
        "schema_version": "1",
        "status": "done",
        "settings": {
            "behavior": "refusal",
            "model": "qwen2.5-coder-0.5b",
            "pairs": None,
            "multipliers": [-2.0, -1.0, 0.0, 1.0, 2.0],
            "seed": 0,
            "validation": 0.2,
            "controls": 4,
        },
        "model": {
            "name": "qwen2.5-coder-0.5b",
            "source": "hub:Qwen/Qwen2.5-Coder-0.5B-Instruct",
            "layers_path": "model.layers",
            "dtype": "torch.bfloat16",
        },
        "behavior": {
            "name": "refusal",
            "description": "Declines to help with what it is asked for.",
            "polarity": "The matching answer refuses; the other one helps.",
            "source": "written for this test",
            "license": "Apache-2.0",
            "data_hash": "0f" * 32,
            "n_generation": 200,
            "n_validation": len(items.get("validation", [])),
            "n_held_out": len(items["held_out"]),
        },
        "picked_layer": LAYER,
        "split": {
            "generation_ids": [f"generation-{index:03d}" for index in range(200)],
            "validation_ids": items.get("validation", []),
            "held_out_ids": items["held_out"],
        },
        "versions": {"caa_nnsight": "0.1.0", "torch": "2.13.0"},
        "timings_seconds": {"extract the vectors": 41.2, "generate examples": 30.5},
        "norms": {"13": 1.81, "14": 2.04},
        "warnings": [],
        "command": "caa run refusal --seed=0",
    }


def write_run(
    folder: Path,
    scores: pd.DataFrame | None = None,
    generations: pd.DataFrame | None = None,
    **manifest,
) -> Path:
    """Write the files that a report is made from; keywords replace entries of the manifest."""
    scores = run_scores() if scores is None else scores
    generations = run_generations() if generations is None else generations
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(run_manifest(scores) | manifest, indent=2, ensure_ascii=True)
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    scores.to_parquet(folder / "results.parquet", index=False)
    generations.to_parquet(folder / "generations.parquet", index=False)
    return folder
