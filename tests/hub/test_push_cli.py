"""`caa push`, and `hf:OWNER/NAME` in place of a file or a behavior's name."""

import pytest

from caa_nnsight.vectors import SteeringVectors
from tests.behaviors import made_up
from tests.cli.calling import caa
from tests.cli.places import save_model
from tests.hub.local_hub import READER, WRITER
from tests.hub.made_up import REPO, run_of, vectors

BEHAVIOR = "somebody/tea"
FILE = """
from caa_nnsight import Behavior

class Tea(Behavior):
    name, description, polarity = "tea", "Likes tea.", "Positive likes it."
    pairs = [{"question": "Tea?", "positive": "Yes", "negative": "No"}] * 2
"""


@pytest.mark.slow
def test_vectors_are_pushed_with_what_a_run_measured(hub, tmp_path):
    run_of(tmp_path / "run", vectors())
    done = caa(
        "push", "vectors", "run/vectors.safetensors", REPO, "--results=run", "--private",
        "--license=mit", "--message=Mine", folder=tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    made = hub.repositories["models", REPO]
    latest = made.at("main")
    assert made.private
    assert latest.message == "Mine"
    assert "results.json" in latest.files
    assert b"license: mit" in latest.files["README.md"]
    assert done.out == (
        f"Pushed: {hub.address}/{REPO}/commit/{latest.oid}\nLoad it by: hf:{REPO}@{latest.oid}\n"
    )
    assert WRITER not in done.out + done.err


def test_a_behavior_is_pushed_and_taken_by_its_address(hub, tmp_path):
    (tmp_path / "tea.py").write_text(FILE)
    done = caa("push", "behavior", "./tea.py", BEHAVIOR, "--revision=v1", folder=tmp_path)
    assert done.code == 0, done.err
    shown = caa("behaviors", "show", f"hf:{BEHAVIOR}@v1")
    assert "polarity: Positive likes it." in shown.out
    missing = caa("behaviors", "show", f"hf:{BEHAVIOR}@v2")
    assert missing.code == 2
    assert missing.sentence == f"{BEHAVIOR} has no revision 'v2' on the Hugging Face Hub."


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("push", "vectors", "nothing.safetensors", REPO), "There is no vector file"),
        (("push", "vectors", "v.safetensors", "mine"), "'mine' names no repository"),
        (("push", "vectors", "v.safetensors", REPO, "--results=v.safetensors"), "is a file"),
        (("push", "behavior", "refusel", REPO), "There is no behavior 'refusel'"),
        (("push", "behavior", "coordination", REPO), "The token may not do this"),
        (("score", f"hf:{REPO}", "refusal"), "has no model somebody/refusal-vectors"),
        (("generate", f"hf:{REPO}", "Hi", "--layers=1"), "has no model somebody/refusal-vectors"),
        (("run", "hf:somebody/nothing"), "has no data set somebody/nothing"),
        (("experiment", "controls", "hf:nothing"), "'hf:nothing' names no repository"),
    ],
)
def test_a_mistake_is_one_sentence(hub, tmp_path, monkeypatch, words, sentence):
    monkeypatch.setenv("HF_TOKEN", READER)
    vectors().save(tmp_path / "v.safetensors")
    done = caa(*words, folder=tmp_path)
    assert done.code == 2
    assert sentence in done.sentence
    assert READER not in done.out + done.err


def test_a_file_of_such_a_name_comes_first(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hf:somebody").mkdir()
    vectors().save(tmp_path / f"hf:{REPO}")
    assert len(SteeringVectors.load(f"hf:{REPO}")) == 3
    assert hub.requests == []


@pytest.mark.slow
def test_vectors_and_behaviors_of_the_hub_are_extracted_scored_and_steered_with(hub, tmp_path):
    save_model(tmp_path / "model")
    made_up.choices(held_out=made_up.made_up_pairs(4, first=90)).push_to_hub(BEHAVIOR)
    common = ("--model=model", "--layers=1", "--quiet")
    for words in (
        ("extract", f"hf:{BEHAVIOR}", "--limit=8", "--out=v.safetensors", *common),
        ("push", "vectors", "v.safetensors", REPO),
        ("score", f"hf:{REPO}", f"hf:{BEHAVIOR}", "--multipliers=-1,1", *common),
        ("generate", f"hf:{REPO}", "Tea?", "--max-new-tokens=2", *common),
    ):
        done = caa(*words, folder=tmp_path)
        assert done.code == 0, done.err
