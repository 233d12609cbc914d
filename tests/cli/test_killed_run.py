"""A run that is killed goes on where it was, and ends with the results of an undisturbed one."""

import json
import signal
import time

import pandas as pd
import pytest
import torch

from caa_nnsight.vectors import SteeringVectors
from tests.cli.calling import caa, start
from tests.cli.places import lay_out
from tests.core.examples import made_up_pairs, write_pairs

# Enough work that the process is caught in the middle of it.
SETTINGS = (
    "--pairs=many.jsonl",
    "--held-out-pairs=held_out.jsonl",
    "--open-ended-prompts=prompts.jsonl",
    "--model=model",
    "--multipliers=-2,-1,0,1,2",
    "--controls=4",
    "--max-new-tokens=4",
)
FRAMES = ("results", "generations")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = lay_out(tmp_path_factory.mktemp("killed"))
    write_pairs(folder / "many.jsonl", made_up_pairs(200, first=100))
    write_pairs(folder / "held_out.jsonl", made_up_pairs(40))
    return folder


def run_until(shard: str, place) -> dict[str, int]:
    """Start the run, kill it when a shard of this name is there; shards and when they were made."""
    shards = place / "run" / "shards"
    process = start("run", "refusal", *SETTINGS, "--out=run", folder=place)
    try:
        deadline = time.monotonic() + 120
        while not list(shards.rglob(f"{shard}*")):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.001)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    return {path.name: path.stat().st_mtime_ns for path in shards.rglob("[!.]*.*")}


@pytest.mark.slow
@pytest.mark.usefixtures("no_report")
def test_a_run_killed_twice_ends_with_the_results_of_an_undisturbed_one(place, monkeypatch):
    undisturbed = caa("run", "refusal", *SETTINGS, "--out=undisturbed", folder=place)
    assert undisturbed.code == 0, undisturbed.err

    # Killed while it extracts ...
    first = run_until("extract-00016", place)
    assert not any(name.startswith("score") for name in first)
    manifest = json.loads((place / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["status"] == "running"

    # ... other settings are refused meanwhile, and change nothing ...
    refused = caa("run", "refusal", *SETTINGS, "--seed=5", "--out=run", folder=place)
    assert refused.code == 2
    assert "seed 0 there, 5 asked for" in refused.sentence
    unfinished = caa("report", "run", folder=place)
    assert unfinished.code == 2
    assert "caa run" in unfinished.sentence

    # ... and again while it scores the held-out items.
    second = run_until("score-held_out-none-00008", place)
    assert first.items() <= second.items()
    assert "score-held_out-none-00032-00040.parquet" not in second

    made = []
    from caa_nnsight import files

    original = files.os.replace
    monkeypatch.setattr(
        files.os,
        "replace",
        lambda source, target: (made.append(target.name), original(source, target)),
    )
    last = caa("run", "refusal", *SETTINGS, "--out=run", folder=place)
    assert last.code == 0, last.err
    # What was there is not made again, and what was missing is.
    assert not set(made) & set(second)
    assert "score-held_out-none-00032-00040.parquet" in made

    run, whole = place / "run", place / "undisturbed"
    for name in FRAMES:
        found, expected = (pd.read_parquet(folder / f"{name}.parquet") for folder in (run, whole))
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert (run / "results.csv").read_bytes() == (whole / "results.csv").read_bytes()
    found, expected = (
        SteeringVectors.load(folder / "vectors.safetensors") for folder in (run, whole)
    )
    assert all(torch.equal(found[layer], expected[layer]) for layer in expected.layers)
    manifests = [
        json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        for folder in (run, whole)
    ]
    differing = {key for key in manifests[0] if manifests[0][key] != manifests[1].get(key)}
    assert differing <= {"timings_seconds"}
    assert manifests[0]["status"] == "done"
    assert not (run / "shards").exists()
    assert {entry.name for entry in run.iterdir()} == {entry.name for entry in whole.iterdir()}


@pytest.mark.usefixtures("no_report")
def test_a_run_that_is_interrupted_says_that_it_can_be_gone_on_with(place, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("caa_nnsight.sweep.score", interrupt)
        stopped = caa(
            "run", "refusal", *SETTINGS, "--limit=8", "--seed=8", "--out=stopped", folder=place
        )
    assert stopped.code == 130
    assert stopped.sentence == "Stopped: the same command goes on where this one was."
    assert "Traceback" not in stopped.err
    again = caa("run", "refusal", *SETTINGS, "--limit=8", "--seed=8", "--out=stopped", folder=place)
    assert again.code == 0, again.err


@pytest.mark.usefixtures("no_report")
def test_a_full_disk_is_one_sentence_and_the_run_can_be_gone_on_with(place, monkeypatch):
    from caa_nnsight import files

    def full(path, write):
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patched:
        patched.setattr("caa_nnsight.shards.write_atomically", full)
        failed = caa(
            "run", "refusal", *SETTINGS, "--limit=8", "--seed=9", "--out=full", folder=place
        )
    assert failed.code == 2
    assert failed.sentence.startswith(
        "No space left on device (full/shards/validation-refusal/score-validation"
    )
    assert files.write_atomically is not full
    again = caa("run", "refusal", *SETTINGS, "--limit=8", "--seed=9", "--out=full", folder=place)
    assert again.code == 0, again.err
