"""One folder with a tiny model and its data, and one finished run, for the whole session."""

import pytest

from tests.cli.calling import Outcome, caa
from tests.cli.places import DATA, lay_out

SETTINGS = (
    *DATA,
    "--open-ended-prompts=prompts.jsonl",
    "--limit=12",
    "--layers=1-2",
    "--multipliers=-2,0,2",
    "--controls=2",
    "--open-ended=6",
    "--max-new-tokens=4",
    "--seed=3",
)


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    return lay_out(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="session")
def finished(place) -> tuple[Outcome, object]:
    """What `caa run` printed, and its folder."""
    outcome = caa("run", "refusal", *SETTINGS, "--out=finished", folder=place)
    assert outcome.code == 0, outcome.err
    return outcome, place / "finished"


@pytest.fixture
def no_report(monkeypatch):
    """Leave out drawing the figures, which takes most of the time of a tiny run."""
    monkeypatch.setattr("caa_nnsight.analysis.write_report", lambda run: run / "report.html")


@pytest.fixture(scope="session")
def vectors(place):
    """Vectors that `caa extract` wrote, at all layers of the tiny model."""
    outcome = caa(
        "extract", "refusal", *DATA, "--limit=8", "--out=vectors.safetensors", folder=place
    )
    assert outcome.code == 0, outcome.err
    return place / "vectors.safetensors"
