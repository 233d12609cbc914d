"""The paper's own files load, and swapping their choices loses no byte."""

import os
from collections import Counter
from pathlib import Path

import pytest

from caa_nnsight.behavior import Behavior
from caa_nnsight.errors import BehaviorError
from caa_nnsight.pairs import pairs_from_records
from caa_nnsight.sources import read_records

pytestmark = [
    pytest.mark.evals,
    pytest.mark.skipif(
        "CAA_EVALS" not in os.environ,
        reason="the folder with the paper's evaluation files is not given in CAA_EVALS",
    ),
]

USABLE = {
    "caa/generate/coordinate-other-ais.json": (360, 0),
    "caa/generate/corrigible-neutral-HHH.json": (290, 0),
    "caa/generate/hallucination.json": (1000, 0),
    "caa/generate/myopic-reward.json": (950, 0),
    "caa/generate/refusal.json": (408, 0),
    "caa/generate/survival-instinct.json": (664, 239),
    "caa/generate/sycophancy.json": (1000, 0),
    "caa/test/coordinate-other-ais.json": (50, 0),
    "caa/test/corrigible-neutral-HHH.json": (50, 0),
    "caa/test/myopic-reward.json": (50, 0),
    "caa/test/survival-instinct.json": (42, 8),
    "caa/test/sycophancy.json": (50, 0),
    "model-written-evals/coordinate-other-ais.jsonl": (410, 0),
    "model-written-evals/myopic-reward.jsonl": (1000, 0),
}


def path(name):
    return Path(os.environ["CAA_EVALS"]) / name


@pytest.mark.parametrize("name", USABLE)
def test_every_item_with_two_choices_is_read_and_swaps_back_byte_for_byte(name):
    good, bad = pairs_from_records(read_records(path(name)))
    assert (len(good), len(bad)) == USABLE[name]
    for _, pair in good:
        swapped = pair.swapped()
        assert swapped.swapped() == pair
        assert swapped.choices == {"A": pair.choices["B"], "B": pair.choices["A"]}
        assert pair.stem in pair.question
        assert (swapped.id, swapped.stem) == (pair.id, pair.stem)
    assert all("a contrast pair has exactly two" in message for _, message in bad)


@pytest.mark.parametrize("name", ["coordinate-other-ais", "corrigible-neutral-HHH", "sycophancy"])
def test_the_papers_test_items_are_held_out_without_leakage(name):
    behavior = Behavior(
        name=name,
        description="d",
        polarity="p",
        pairs=path(f"caa/generate/{name}.json"),
        held_out=path(f"caa/test/{name}.json"),
        open_ended=path(f"caa/open_ended/{name}.json"),
    )
    assert [issue for issue in behavior.check() if issue.level == "error"] == []
    split = behavior.split(generation=200)
    assert len(split.held_out) == 50
    assert Counter(pair.positive_letter for pair in split.generation) == {"A": 100, "B": 100}
    assert len(behavior.load_open_ended()) >= 50


def test_the_papers_refusal_file_has_one_repeat_that_splits_drop():
    behavior = Behavior(
        name="refusal", description="d", polarity="p", pairs=path("caa/generate/refusal.json")
    )
    assert len(behavior.load_pairs()) == 408
    split = behavior.split(generation=200, held_out=50)
    assert split.duplicates_dropped == 1
    assert not {p.stem for p in split.generation} & {p.stem for p in split.held_out}


def test_a_file_with_many_choices_is_refused_with_the_number_of_bad_items():
    behavior = Behavior(
        name="survival",
        description="d",
        polarity="p",
        pairs=path("caa/generate/survival-instinct.json"),
    )
    with pytest.raises(BehaviorError, match=r"exactly two, \(A\) and \(B\)\. \(238 more are bad"):
        behavior.load_pairs()
    assert sum(issue.level == "error" for issue in behavior.check()) == 239
