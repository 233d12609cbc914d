"""The README's commands exist, its example runs, and its size stays within bounds."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import python_blocks, run_blocks
from tests.packaging.project import ROOT

README = ROOT / "README.md"
# The example on the small model, with as little of everything as still shows each step.
SMALL = {
    "qwen2.5-coder-0.5b": "smollm2-135m",
    "generation=100": "generation=4",
    "held_out=20": "held_out=2",
    "vectors, layers=[14], multipliers=[-2, 0, 2])\nprint(answers": (
        "vectors, layers=[14], multipliers=[-2, 0, 2], max_new_tokens=3)\nprint(answers"
    ),
}


def test_the_example_is_one_block_of_under_twenty_lines():
    (example,) = python_blocks(README)
    assert len(example.text.splitlines()) < 20


def test_the_example_is_cut_down_where_this_test_means_to():
    (example,) = python_blocks(README)
    assert [text for text in SMALL if text not in example.text] == []


@pytest.mark.weights
def test_the_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = run_blocks(README, python_blocks(README), SMALL)
    assert (tmp_path / "refusal.safetensors").exists()
    assert names["model"].source != ""
    assert set(names["scores"]["order"]) == {"as_written", "swapped"}
    assert list(names["answers"]["multiplier"]) == [-2, 0, 2]
    assert "p_match" in capsys.readouterr().out


def test_the_commands_are_targets_of_the_makefile():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    text = README.read_text("utf-8") + (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = set(re.findall(r"\bmake ([a-z]+)\b", text))
    assert {"run", "test"} <= named <= targets


def test_the_readme_stays_under_two_screens():
    assert len(README.read_text("utf-8").splitlines()) <= 120


def test_the_makefile_stays_under_a_page():
    assert len((ROOT / "Makefile").read_text("utf-8").splitlines()) <= 75
