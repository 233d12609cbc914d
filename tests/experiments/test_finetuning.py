"""Finetuning moves the planted model both ways, steering works on top, and nothing is redone."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from caa_nnsight import Lab, LabSettings, finetune
from caa_nnsight.analysis.experiments import finetuning as experiment
from caa_nnsight.analysis.experiments.finetuning import EXPERIMENT, finetuning
from caa_nnsight.analysis.figures.style import DARK, LIGHT
from caa_nnsight.analysis.scores.effects import effect
from caa_nnsight.errors import CAAError
from caa_nnsight.models import Model
from tests.behaviors.made_up import choices, free_form, system_prompts
from tests.experiments.labs import (
    PLANTED_LAYER,
    planted_behavior,
    planted_lab,
    planted_model,
    tiny_lab,
)
from tests.tiny_models import tiny_model
from tests.tiny_tokenizers import tiny_tokenizer

# Far more than by default: the planted model is small, and its pairs are few.
RATE = 3e-3


@pytest.fixture(scope="module")
def lab():
    return planted_lab(limit=20)


@pytest.fixture(scope="module")
def frames(lab):
    return finetuning(lab, learning_rate=RATE)


def asked(count=10):
    """A behavior without answers to train on, and held-out items to pick its layer with."""
    items = [pair.to_record() for pair in choices("x", count, 100).load_pairs()]
    return system_prompts("asked", held_out=items)


def test_finetuning_moves_held_out_answers_the_way_it_was_trained(frames):
    own = frames["scores"].query("vector == 'behavior' and multiplier == 0")
    levels = own.groupby("condition")["log_odds"]
    assert levels.get_group("positive").min() > 0.5
    assert levels.get_group("negative").max() < -0.5
    assert levels.get_group("none").abs().max() < 1e-4
    assert set(frames["scores"]["split"]) == {"held_out"}


def test_steering_with_the_untuned_vector_works_on_top_of_it(frames):
    own = frames["scores"].query("vector == 'behavior'")
    changes = effect(own).set_index("condition")
    assert (changes["change_low"] > 10).all()
    means = own.pivot_table(index="condition", columns="multiplier", values="log_odds")
    assert (means[1.0] > means.loc["positive", 0.0]).all()
    assert (means[-1.0] < means.loc["negative", 0.0]).all()


def test_the_untuned_model_is_scored_as_in_other_experiments(lab, frames):
    untuned = frames["scores"].query("condition == 'none'").reset_index(drop=True)
    pd.testing.assert_frame_equal(untuned, lab.held_out_scores("agreeing"))


def test_the_tuned_scores_are_those_of_a_model_tuned_by_hand(lab, frames):
    tuned = finetune(
        planted_model(), lab.pairs("agreeing").generation, toward="negative", learning_rate=RATE
    )
    own = Lab(tuned, [planted_behavior()], lab.settings)
    scores = own.score("own", "agreeing", lab.vectors("agreeing"), layers=[PLANTED_LAYER])
    kept = frames["scores"].query("condition == 'negative' and vector == 'behavior'")
    np.testing.assert_allclose(kept["log_odds"], scores["log_odds"], atol=1e-5)


def test_random_vectors_are_scored_where_effects_are_compared(frames):
    tuned = frames["scores"].query("condition != 'none' and vector != 'behavior'")
    assert set(tuned["vector"]) == {"random-0", "random-1"}
    assert set(tuned["multiplier"]) == {-1.0, 1.0}


def test_the_vector_of_the_tuned_model_is_compared_with_the_untuned_one(frames):
    tuned = frames["tuned"].set_index("condition")
    assert (tuned["cosine"] > 0.9).all()
    assert tuned["untuned_norm"].tolist() == pytest.approx([4, 4])
    assert set(tuned["learning_rate"]) == {RATE}
    assert set(tuned["n_pairs"]) <= {14, 16}


def test_the_section_tells_what_each_does_alone_and_both_together(frames):
    section = EXPERIMENT.show(frames)
    said = " ".join(section.points)
    assert section.points[0].startswith(
        "agreeing: steering works on top of finetuning toward it and finetuning against it. "
        "Steering from multiplier −1 to +1 at layer 1 moves the log-odds"
    )
    assert "without finetuning, steering changes the log-odds by −9.4" in said
    assert "LoRA of rank 8, adamw at a rate of 0.003" in said
    assert "no effect of finetuning" not in said
    (plot,) = section.plots
    for theme in (LIGHT, DARK):
        drawn = {line.get_label(): line.get_ydata() for line in plot.draw(theme).lines}
    means = (
        frames["scores"]
        .query("vector == 'behavior'")
        .pivot_table(index="condition", columns="multiplier", values="p_match")
    )
    np.testing.assert_allclose(drawn["finetuning toward it"], means.loc["positive"])
    np.testing.assert_allclose(drawn["no finetuning"], means.loc["none"])
    np.testing.assert_allclose(drawn["finetuning against it"], means.loc["negative"])


def test_finetuning_without_an_effect_is_not_called_one(frames):
    scores = frames["scores"].copy()
    tuned = scores["condition"] != "none"
    wiggle = np.where(np.arange(len(scores)) % 4 < 2, 0.1, -0.1)
    untuned = scores.loc[~tuned].set_index(["vector", "item", "order", "multiplier"])["log_odds"]
    at = pd.MultiIndex.from_frame(scores[["vector", "item", "order", "multiplier"]])
    scores["log_odds"] = untuned.reindex(at).to_numpy() + np.where(tuned, wiggle, 0)
    points = EXPERIMENT.show(frames | {"scores": scores}).points
    assert any("no effect of finetuning toward it was shown" in point for point in points)


@pytest.mark.slow
def test_a_study_that_was_killed_goes_on_without_training_again(tmp_path, monkeypatch):
    calls = []

    def counted(*arguments, **settings):
        calls.append(settings["toward"])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return finetune(*arguments, **settings)

    monkeypatch.setattr(experiment, "finetune", counted)
    settings = {"folder": tmp_path, "limit": 8, "held_out": 3, "controls": 0, "layers": (1,)}
    with pytest.raises(KeyboardInterrupt):
        EXPERIMENT.run(planted_lab(**settings))
    first = EXPERIMENT.run(planted_lab(**settings))
    assert calls == ["positive", "negative", "negative"]
    again = EXPERIMENT.run(planted_lab(**settings))
    assert calls == ["positive", "negative", "negative"]
    for name, frame in first.items():
        pd.testing.assert_frame_equal(again[name], frame)
    finetuning(planted_lab(**settings), learning_rate=RATE)
    assert len(calls) == 5


@pytest.mark.slow
def test_two_behaviors_are_shown_from_files_and_one_without_answers_is_left_out(tmp_path):
    behaviors = [choices("tea"), free_form("talk"), asked()]
    lab = tiny_lab(behaviors=behaviors, controls=0, limit=8, held_out=4, layers=(1, 2))
    frames = EXPERIMENT.run(lab)
    assert frames["left_out"]["behavior"].tolist() == ["asked"]
    for name, frame in frames.items():
        frame.to_parquet(tmp_path / f"{name}.parquet")
    section = EXPERIMENT.show(
        {name: pd.read_parquet(tmp_path / f"{name}.parquet") for name in frames}
    )
    assert [plot.name for plot in section.plots] == ["conditions-tea", "conditions-talk"]
    assert section.plots[1].draw(LIGHT).get_ylabel().startswith("Log-odds per token")
    assert any(point.startswith("talk: ") and "per token" in point for point in section.points)
    assert section.points[-1] == (
        "asked is left out: its generation pairs are system prompts, which have no answers to "
        "train on."
    )


def test_what_is_missing_is_said_before_anything_is_computed(monkeypatch):
    assert EXPERIMENT.lacks(planted_lab()) == ""
    assert "No behavior has generation pairs with answers" in EXPERIMENT.lacks(
        tiny_lab(behaviors=[asked()])
    )
    remote = Model.wrap(tiny_model("llama"), tiny_tokenizer("joined"), name="far away")
    remote.remote = SimpleNamespace()
    lab = Lab(remote, [choices("tea")], LabSettings())
    assert EXPERIMENT.lacks(lab).startswith("far away is on an NDIF server")
    monkeypatch.setattr(experiment, "find_spec", lambda name: None)
    with pytest.raises(CAAError, match=r"pip install 'caa_nnsight\[finetune\]'"):
        EXPERIMENT.run(planted_lab())
