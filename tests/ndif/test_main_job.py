"""`caa run --remote` does the whole experiment, and finds what `caa run` finds here."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from caa_nnsight import SteeringVectors
from tests.cli.calling import caa
from tests.docs.console import run_page
from tests.ndif import keys
from tests.ndif.models import REAL, write_models
from tests.packaging.project import ROOT

pytestmark = [pytest.mark.ndif, pytest.mark.weights]

SETTINGS = (
    *("run", "refusal", "--model=smollm2-135m", "--limit=10", "--held-out=2", "--layers=12-13"),
    *("--controls=1", "--multipliers=-2,2", "--open-ended=1", "--max-new-tokens=6"),
)


@pytest.fixture(scope="module", autouse=True)
def real_model(ndif, ndif_host):
    write_models(ndif.state / "hub", REAL)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, real_model):
    """The same run there and here."""
    folder = tmp_path_factory.mktemp("runs")
    there = caa(*SETTINGS, "--remote", "--out=there", folder=folder)
    here = caa(*SETTINGS, "--device=cpu", "--dtype=float32", "--out=here", folder=folder)
    assert (there.code, here.code) == (0, 0), there.err + here.err
    return folder / "there", folder / "here"


def test_vectors_scores_and_answers_are_those_of_the_model_here(runs):
    vectors = [SteeringVectors.load(run / "vectors.safetensors") for run in runs]
    for layer in (12, 13):
        change = vectors[0][layer] - vectors[1][layer]
        assert change.norm() < 1e-4 * vectors[1][layer].norm()
    scores = [pd.read_parquet(run / "results.parquet") for run in runs]
    numbers = scores[0].select_dtypes("number").columns
    others = [column for column in scores[0].columns if column not in numbers]
    pd.testing.assert_frame_equal(scores[0][others], scores[1][others])
    np.testing.assert_allclose(scores[0][numbers], scores[1][numbers], atol=1e-4)
    answers = [pd.read_parquet(run / "generations.parquet") for run in runs]
    pd.testing.assert_frame_equal(*answers)


def test_the_run_says_where_it_ran_and_what_it_cost_but_not_the_key(runs, ndif):
    there, _ = runs
    manifest = json.loads((there / "manifest.json").read_text())
    assert manifest["model"]["source"] == f"ndif:{ndif.host}"
    assert manifest["model"]["dtype"] == "float32"
    assert " --remote " in manifest["command"]
    assert 5 <= manifest["traffic"]["requests"] <= 13
    assert (there / "report.html").exists()
    for file in there.rglob("*"):
        assert not file.is_file() or keys.KNOWN.encode() not in file.read_bytes()


def test_a_finished_run_asks_the_server_for_no_work(runs):
    there, _ = runs
    before = (there / "jobs.jsonl").read_text()
    assert caa(*SETTINGS, "--remote", "--out=there", folder=there.parent).code == 0
    assert (there / "jobs.jsonl").read_text() == before


def test_what_the_page_on_remote_models_shows_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_page(ROOT / "docs" / "remote.md", tmp_path, having="NDIF")
    assert "requests to the server" in capsys.readouterr().out
