"""Pieces of any size give the same results, and pieces of different sizes are never mixed."""

import pandas as pd
import pytest
import torch

from caa_nnsight import extraction, sweep
from caa_nnsight.extraction import extract
from caa_nnsight.shards import Shards
from caa_nnsight.sweep import score
from tests.core.examples import made_up_pairs, tiny

PAIRS, ITEMS = made_up_pairs(10), made_up_pairs(5, first=40)
SIZES = [(2, 3), (3, 2), (100, 2), (2, 100)]


@pytest.fixture
def pieces(monkeypatch):
    def set_size(size: int) -> None:
        monkeypatch.setattr(extraction, "PAIRS_PER_SHARD", size)
        monkeypatch.setattr(sweep, "ITEMS_PER_SHARD", size)

    return set_size


@pytest.mark.parametrize(("before", "now"), SIZES)
def test_vectors_do_not_take_shards_of_another_size_for_their_own(pieces, tmp_path, before, now):
    expected = extract(tiny(), PAIRS, layers=[1])
    for size in (before, now):
        pieces(size)
        found = extract(tiny(), PAIRS, layers=[1], shards=Shards(tmp_path))
        torch.testing.assert_close(found[1], expected[1])


@pytest.mark.parametrize(("before", "now"), SIZES)
def test_scores_do_not_take_shards_of_another_size_for_their_own(pieces, tmp_path, before, now):
    vectors = extract(tiny(), PAIRS, layers=[1])
    expected = score(tiny(), ITEMS, vectors)
    for size in (before, now):
        pieces(size)
        found = score(tiny(), ITEMS, vectors, shards=Shards(tmp_path))
        pd.testing.assert_frame_equal(found, expected, rtol=0, atol=1e-4)


def test_the_back_end_says_how_large_pieces_are(monkeypatch, tmp_path):
    asked = []

    def piece_size(total, least):
        asked.append((total, least))
        return 4

    monkeypatch.setattr(tiny().tracer, "piece_size", piece_size)
    vectors = extract(tiny(), PAIRS, layers=[1], shards=Shards(tmp_path))
    score(tiny(), ITEMS, vectors, shards=Shards(tmp_path))
    assert asked == [(10, extraction.PAIRS_PER_SHARD), (5, sweep.ITEMS_PER_SHARD)]
    assert {path.stem for path in tmp_path.iterdir()} == {
        "extract-00000-00004",
        "extract-00004-00008",
        "extract-00008-00010",
        "score-held_out-none-00000-00004",
        "score-held_out-none-00004-00005",
    }
