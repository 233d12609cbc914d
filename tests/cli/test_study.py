"""`caa experiment`, `reproduce` and `compare` on a tiny model."""

import json
import shlex

import pandas as pd
import pytest

from caa_nnsight.analysis import load_run
from caa_nnsight.errors import RunError
from caa_nnsight.frames import SCORE_COLUMNS
from caa_nnsight.studies import PAPER_BEHAVIORS, StudySettings, experiment_names
from caa_nnsight.vectors import SteeringVectors
from tests.cli.calling import caa
from tests.cli.places import lay_out

TEA = """
from caa_nnsight import Behavior

class Tea(Behavior):
    name = "{name}"
    description = "Likes tea."
    polarity = "The matching answer likes it."
    pairs = "pairs.jsonl"
    held_out = "held_out.jsonl"
    open_ended = ["Say tea.", "Is it raining?"]
"""
NAMES = "layer-sweep,multiplier-curve"
SETTINGS = (
    "./tea.py",
    "--model=model",
    "--limit=12",
    "--layers=1-2",
    "--multipliers=-1,1",
    "--controls=1",
    "--max-new-tokens=3",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = lay_out(tmp_path_factory.mktemp("studies"))
    for name in ("tea", "more-tea"):
        (folder / f"{name}.py").write_text(TEA.format(name=name), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def finished(place):
    outcome = caa("experiment", NAMES, *SETTINGS, "--out=done", folder=place)
    assert outcome.code == 0, outcome.err
    return outcome, place / "done"


def manifest(folder) -> dict:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def test_the_folder_holds_frames_vectors_report_and_figures(finished):
    folder = finished[1]
    assert {entry.name for entry in folder.iterdir()} == {
        "manifest.json", "layer-sweep", "multiplier-curve", "vectors", "report.html", "figures",
    }  # fmt: skip
    scores = pd.read_parquet(folder / "layer-sweep" / "scores.parquet")
    assert list(scores.columns) == list(SCORE_COLUMNS)
    assert SteeringVectors.load(folder / "vectors" / "tea.safetensors").layers == [1, 2]
    assert manifest(folder)["picked_layers"].keys() == {"tea"}
    assert load_run(folder).kind == "study"


def test_each_experiment_s_gist_and_the_report_are_printed(finished):
    lines = finished[0].out.strip().splitlines()
    gist = "Layer sweep: tea: the change toward the behavior is largest at layer "
    assert lines[0].startswith(gist)
    assert lines[1].startswith("Multiplier curve: ")
    assert lines[-1] == f"Report: {(finished[1] / 'report.html').resolve()}"


@pytest.mark.slow
def test_the_command_in_the_manifest_is_this_study(finished, place):
    words = shlex.split(manifest(finished[1])["command"])
    again = caa(*words[1:], "--out=done", folder=place)
    assert again.code == 0, again.err
    assert again.out == finished[0].out


def test_a_study_that_was_stopped_goes_on_with_the_same_results(place, finished, monkeypatch):
    from caa_nnsight.analysis.experiments import multiplier_curve

    def stop(lab):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        stopping = multiplier_curve.EXPERIMENT.__class__(
            **{
                name: getattr(multiplier_curve.EXPERIMENT, name)
                for name in multiplier_curve.EXPERIMENT.__slots__
            }
            | {"run": stop}
        )
        patched.setattr(multiplier_curve, "EXPERIMENT", stopping)
        stopped = caa("experiment", NAMES, *SETTINGS, "--out=stopped", folder=place)
    assert stopped.code == 130
    assert "the same command goes on" in stopped.err
    scored = []
    monkeypatch.setattr(
        "caa_nnsight.extraction.extract", lambda *_, **__: scored.append("extracted") or 1 / 0
    )
    again = caa("experiment", NAMES, *SETTINGS, "--out=stopped", folder=place)
    assert again.code == 0, again.err
    assert scored == []
    for name in ("layer-sweep", "multiplier-curve"):
        found, expected = (
            pd.read_parquet(folder / name / "scores.parquet")
            for folder in (place / "stopped", finished[1])
        )
        pd.testing.assert_frame_equal(found, expected)


def test_of_several_experiments_one_that_lacks_something_is_left_out_and_said(place):
    names = "layer-sweep,model-transfer"
    outcome = caa("experiment", names, *SETTINGS, "--out=lacking", folder=place)
    assert outcome.code == 0, outcome.err
    assert "Model transfer: left out. " in outcome.out
    assert "--other-model" in manifest(place / "lacking")["skipped"]["model-transfer"]
    alone = caa("experiment", "model-transfer", *SETTINGS, "--out=alone", folder=place)
    assert alone.code == 2
    assert "--other-model" in alone.sentence


@pytest.mark.parametrize(
    ("change", "said"),
    [("    judge_rubric = 'Rate it.'\n", "prompts_hash"), ("    license = 'MIT'\n", "license")],
)
def test_what_a_behavior_declares_is_part_of_what_a_study_is(place, finished, change, said):
    before = (place / "tea.py").read_text("utf-8")
    (place / "tea.py").write_text(before + change, encoding="utf-8")
    try:
        refused = caa("experiment", NAMES, *SETTINGS, "--out=done", folder=place)
    finally:
        (place / "tea.py").write_text(before, encoding="utf-8")
    assert refused.code == 2
    assert said in refused.sentence


def test_list_names_every_experiment_with_its_question():
    lines = caa("experiment", "list").out.strip().splitlines()
    assert [line.split(":")[0] for line in lines] == list(experiment_names())
    assert all("?" in line for line in lines)


def test_reproduce_takes_all_experiments_and_the_paper_s_behaviors(monkeypatch):
    caught = []
    monkeypatch.setattr(
        "caa_nnsight.studies.study", lambda settings, *_, **__: caught.append(settings) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        caa("reproduce", "--no-normalize", "--judge=local:model")
    (settings,) = caught
    assert settings.experiments == experiment_names()
    assert settings.behaviors == PAPER_BEHAVIORS
    assert settings == StudySettings(normalize=False, judge="local:model")
    with pytest.raises(ZeroDivisionError):
        caa(*shlex.split(settings.command())[1:])
    assert caught[1] == settings


@pytest.mark.slow
def test_runs_are_compared_item_by_item(place, finished):
    other = caa(
        "experiment", NAMES, "./more-tea.py", *SETTINGS[1:], "--seed=1", "--out=other", folder=place
    )
    assert other.code == 0, other.err
    outcome = caa("compare", "done", "other", "--out=compared.csv", folder=place)
    assert outcome.code == 0, outcome.err
    assert "Change in log-odds of the matching answer from -1 to 1" in outcome.out
    frame = pd.read_csv(place / "compared.csv")
    assert list(frame["kind"]) == ["run", "run"] + ["difference"] * (len(frame) - 2)
    page = caa("compare", "done", "other", "--out=compared.html", folder=place)
    assert page.out.endswith(f"Report: {(place / 'compared.html').resolve()}\n")
    assert "<html" in (place / "compared.html").read_text("utf-8")


def test_settings_that_name_nothing_known_are_refused():
    with pytest.raises(
        RunError, match=r"no experiment 'layer-sweeps'.* Did you mean 'layer-sweep'"
    ):
        StudySettings(experiments=("layer-sweeps",))
    with pytest.raises(RunError, match="needs a behavior"):
        StudySettings(behaviors=())


def test_a_study_s_folder_is_refused_by_another_study(place, finished):
    refused = caa("experiment", NAMES, *SETTINGS, "--seed=4", "--out=done", folder=place)
    assert refused.code == 2
    assert "seed 0 there, 4 asked for" in refused.sentence
