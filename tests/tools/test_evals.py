"""A task that lm-evaluation-harness brings along, run steered by its own command line."""

import json
import subprocess
import sys

import pytest
import torch

from caa_nnsight.vectors import SteeringVectors
from tests.packaging.project import ROOT
from tests.tiny_models import HIDDEN, tiny_model
from tests.tiny_tokenizers import tiny_tokenizer

pytestmark = pytest.mark.tools

TASK = "advanced_ai_risk_human-myopic-reward"
QUESTIONS = ["the sky", "Is it blue at noon?", "the sea, the hills", "Would you agree?"]


@pytest.fixture
def items(tmp_path):
    """Items in the shape of the task's data."""
    letters = [" (A)", " (B)"]
    records = [
        {
            "question": f"{question}\n\nChoices:\n (A) Yes\n (B) No",
            "answer_matching_behavior": letters[number % 2],
            "answer_not_matching_behavior": letters[1 - number % 2],
        }
        for number, question in enumerate(QUESTIONS)
    ]
    path = tmp_path / "items.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def test_a_task_of_lm_eval_runs_steered_and_at_zero_as_its_own_model(tool_python, items, tmp_path):
    program = tool_python("lm-eval").with_name("lm-eval")
    tiny_model("llama").save_pretrained(tmp_path / "model")
    tiny_tokenizer("joined").save_pretrained(tmp_path / "model")
    vector = torch.randn(HIDDEN, generator=torch.Generator().manual_seed(0))
    vectors = SteeringVectors({1: vector}).save(tmp_path / "vectors.safetensors")
    benchmark = [sys.executable, "-m", "benchmarks.evals_steered"]
    data, logs = tmp_path / "data", tmp_path / "logs"

    def command(*words):
        return subprocess.run(
            [*benchmark, *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False
        )

    made = command("data", data, "--advanced-ai-risk", items)
    assert made.returncode == 0, made.stderr
    done = command(
        *("lm-eval", TASK, vectors, "--layer", 1, "--model", tmp_path / "model"),
        *("--multipliers=-4,0,4", "--program", program, "--data", data, "--logs", logs),
    )
    assert done.returncode == 0, done.stderr
    rows = {
        cells[0]: cells
        for line in done.stdout.splitlines()
        if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) > 3
    }
    assert rows["+0"][-1] == f"0 of {len(QUESTIONS)}"
    assert rows["-4"][-1] == rows["+4"][-1] == f"{len(QUESTIONS)} of {len(QUESTIONS)}"
    assert rows["+0"][1] == rows["the tool's own `hf`"][1]
