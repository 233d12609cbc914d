"""The page of frames names every frame and column of every experiment, as they really are."""

from __future__ import annotations

import re

import pytest

import caa_nnsight
from caa_nnsight.analysis import compare_runs
from caa_nnsight.analysis.experiments import NAMES, get_experiment
from caa_nnsight.analysis.judges.ratings import RATING_COLUMNS
from caa_nnsight.analysis.scores.comparisons import compare_settings
from caa_nnsight.frames import GENERATION_COLUMNS, SCORE_COLUMNS, TEXT_COLUMNS
from tests.analysis.fake_run import run_scores, write_run
from tests.docs.pages import code_spans, sections, table_rows
from tests.experiments.labs import planted_behavior, planted_lab, planted_model, planted_pairs
from tests.experiments.test_capability import write_items
from tests.packaging.project import ROOT

PAGE = sections(ROOT / "docs" / "frames.md")
_PARTS = re.split(r"^### (.+)$", PAGE["Frames of the experiments"], flags=re.MULTILINE)
DOCUMENTED = dict(zip(_PARTS[1::2], _PARTS[2::2], strict=True))


def columns(title: str) -> list[str]:
    return [name for row in table_rows(PAGE[title]) for name in code_spans(row[0])]


SHAPES = {
    "score frame": list(SCORE_COLUMNS),
    "generation frame": list(GENERATION_COLUMNS),
    "test frame": columns("Test frame"),
    "text frame": list(TEXT_COLUMNS),
}


def documented(experiment: str) -> dict[str, set[str]]:
    """The columns of each of its frames; a row without a frame goes on with the one above."""
    frames: dict[str, set[str]] = {}
    name = ""
    for frame, names, _ in table_rows(DOCUMENTED[experiment]):
        if frame:
            (name,) = code_spans(frame)
            frames[name] = set()
        shape = re.search(r"\[(.+ frame)\]", names)
        frames[name] |= {*(SHAPES[shape[1]] if shape else ()), *code_spans(names)}
    return frames


@pytest.fixture(scope="module")
def lab_of(tmp_path_factory):
    """A lab with as little to do as there may be, but with something for every experiment."""
    folder = tmp_path_factory.mktemp("items")
    items = write_items(folder / "items.json", planted_pairs(4, first=100), ["agreeing"] * 4)
    texts = folder / "texts.txt"
    texts.write_text("well well go\n")
    behaviors = [
        planted_behavior("refusal", positive_system_prompt="well", negative_system_prompt="go"),
        planted_behavior("other", agrees=False, open_ended=None),
    ]
    settings = {"held_out": 4, "limit": 8, "controls": 2, "max_new_tokens": 2, "texts": str(texts)}
    settings |= {"mmlu": items, "truthful_qa": items, "capability_items": 2, "other_model": "same"}
    return lambda: planted_lab(behaviors, **settings)


def test_every_experiment_has_its_section_in_the_order_of_a_report():
    assert list(DOCUMENTED) == list(NAMES)


@pytest.mark.parametrize(
    "experiment",
    [pytest.param(name, marks=[pytest.mark.slow] * (name == "finetuning")) for name in NAMES],
)
def test_the_frames_of_an_experiment_are_those_on_the_page(lab_of, experiment, monkeypatch):
    monkeypatch.setattr(caa_nnsight, "load", lambda name, **settings: planted_model())
    frames = get_experiment(experiment).run(lab_of())
    shown = documented(experiment)
    for name, frame in frames.items():
        assert set(frame.columns) == shown.pop(name), name
    # What only some labs give.
    rest = {"ratings", "left_out"} if experiment == "open-ended" else set()
    assert set(shown) <= rest


def test_the_ratings_are_those_that_a_judge_adds():
    assert documented("open-ended")["ratings"] == {*GENERATION_COLUMNS, *RATING_COLUMNS}


def test_the_shapes_that_several_experiments_have_are_documented(tmp_path):
    scores = run_scores(layers=[14])
    assert set(columns("Test frame")) == set(compare_settings(scores).columns)
    assert columns("Text frame") == list(TEXT_COLUMNS)
    table = compare_runs(
        [write_run(tmp_path / name, scores, model={"name": name}) for name in ("a", "b")]
    )
    assert set(columns("Comparison frame")) == set(table.columns)
