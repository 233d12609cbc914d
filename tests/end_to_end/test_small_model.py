"""The whole of `caa run` on a real model and a shipped behavior, against plain hooks."""

import json

import numpy as np
import pandas as pd
import pytest

from caa_nnsight.models import load
from caa_nnsight.prompts import choice_prompt, text_prompt
from caa_nnsight.registry import get_behavior
from caa_nnsight.vectors import SteeringVectors, random_like
from tests.cli.calling import Outcome, caa
from tests.oracle import Oracle

pytestmark = pytest.mark.weights

MODEL = "smollm2-135m"
WORDS = (
    "run refusal --model=smollm2-135m --device=cpu --dtype=float32 --limit=16 --held-out=6 "
    "--layers=12-14 --controls=2 --open-ended=2 --max-new-tokens=8 --out=run"
)
LAYERS = [12, 13, 14]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Outcome:
    folder = tmp_path_factory.mktemp("end_to_end")
    outcome = caa(*WORDS.split(), folder=folder)
    assert outcome.code == 0, outcome.err
    return outcome, folder / "run"


@pytest.fixture(scope="module")
def folder(finished):
    return finished[1]


@pytest.fixture(scope="module")
def manifest(folder) -> dict:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def vectors(folder) -> SteeringVectors:
    return SteeringVectors.load(folder / "vectors.safetensors")


@pytest.fixture(scope="module")
def held_out(folder) -> pd.DataFrame:
    results = pd.read_parquet(folder / "results.parquet")
    return results[results["split"] == "held_out"]


@pytest.fixture(scope="module")
def model():
    return load(MODEL, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def oracle(model) -> Oracle:
    return Oracle(model.module, model.layers_path)


@pytest.fixture(scope="module")
def pairs() -> dict:
    behavior = get_behavior("refusal")
    return {pair.id: pair for pair in [*behavior.load_pairs(), *behavior.load_held_out()]}


def test_the_run_ends_with_its_report(finished, manifest):
    outcome, folder = finished
    assert manifest["status"] == "done"
    assert (manifest["model"]["num_layers"], manifest["model"]["hidden_size"]) == ("30", "576")
    assert manifest["picked_layer"] in LAYERS
    assert f"Report: {folder / 'report.html'}" in outcome.out
    assert "data:image/png;base64," in (folder / "report.html").read_text(encoding="utf-8")


def test_scores_are_probabilities_with_the_model_s_mind_on_the_letters(held_out):
    assert len(held_out) == 6 * 2 * 3 * 5
    assert held_out["p_match"].between(0.01, 0.99).all()
    assert held_out["mass"].between(0, 1).all()
    # An instruct model that is asked for (A) or (B), and given the "(", writes one of the two.
    assert held_out.loc[held_out["multiplier"] == 0, "mass"].mean() > 0.2
    plain = held_out[held_out["multiplier"] == 0].groupby(["item", "order"])["log_odds"]
    assert (plain.nunique() == 1).all()


@pytest.mark.slow
def test_vectors_are_the_oracle_s_at_every_layer(vectors, manifest, pairs, model, oracle):
    assert vectors.layers == LAYERS
    used = vectors.meta.pair_ids.split()
    assert set(used) <= set(manifest["split"]["generation_ids"])
    completions = []
    for name in used:
        prompt = choice_prompt(model.tokenizer, pairs[name])
        letters = (pairs[name].positive_letter, pairs[name].negative_letter)
        completions.append(tuple((*prompt.ids, prompt.answers[letter]) for letter in letters))
    expected = SteeringVectors(oracle.mean_difference(completions)).select(LAYERS)
    assert min(vectors.cosine(expected).values()) > 0.9999
    norms, expected_norms = vectors.norms(), expected.norms()
    assert all(norms[n] == pytest.approx(expected_norms[n], rel=1e-3) for n in LAYERS)


@pytest.mark.slow
def test_scores_are_the_oracle_s_to_the_fourth_digit(held_out, vectors, pairs, model, oracle):
    named = {"behavior": vectors, "random-0": random_like(vectors, 0)}
    # Half of the items, in both orders: without a batch and a cache the oracle takes its time.
    some = held_out[held_out["item"].isin(held_out["item"].unique()[:3])]
    rows = pd.concat(
        [
            some[(some["vector"] == "behavior") & some["multiplier"].isin([-2, 0, 1])],
            some[(some["vector"] == "random-0") & (some["multiplier"] == 2)],
        ]
    )
    assert len(rows) == 3 * 2 * 4
    differences = []
    for row in rows.itertuples():
        shown = pairs[row.item] if row.order == "as_written" else pairs[row.item].swapped()
        prompt = choice_prompt(model.tokenizer, shown)
        steering = named[row.vector].steering(row.multiplier, layers=row.layer)
        a, b = oracle.choice_logprobs(prompt.ids, prompt.answers, steering, prompt.prompt_length)
        matching = a if shown.positive_letter == "A" else b
        p_match = float(matching.exp() / (a.exp() + b.exp()))
        differences.append((row.logprob_matching - float(matching), row.p_match - p_match))
    assert np.abs(differences).max() < 1e-4


def test_greedy_texts_are_the_oracle_s_token_by_token(folder, manifest, vectors, model, oracle):
    frame = pd.read_parquet(folder / "generations.parquet")
    assert frame["multiplier"].tolist() == [-2.0, 0.0, 2.0] * 2
    compared = 0
    for row in frame[frame["prompt_index"] == 0].itertuples():
        steering = vectors.steering(row.multiplier, layers=manifest["picked_layer"])
        ids = text_prompt(model.tokenizer, row.prompt).ids
        eos = model.tokenizer.eos_token_id
        expected = oracle.generate(ids, steering, max_new_tokens=8, eos=eos)
        # Where two tokens are as likely as each other, it would be a matter of rounding.
        if expected.margin > 1e-3:
            assert row.text == model.tokenizer.decode(expected.ids, skip_special_tokens=True)
            compared += 1
    assert compared >= 2
