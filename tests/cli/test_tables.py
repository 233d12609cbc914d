"""Printed tables say where a number is missing."""

from __future__ import annotations

import pandas as pd

from caa_nnsight.analysis.scores.example import example_scores
from caa_nnsight.cli.tables import print_frame, print_scores


def test_a_number_that_is_missing_is_not_called_nan(capsys):
    print_frame("Changes", pd.DataFrame({"vector": ["random"], "change": [float("nan")]}))
    printed = capsys.readouterr().out
    assert "n/a" in printed
    assert "nan" not in printed


def test_an_interval_without_bounds_is_not_called_nan(capsys):
    scores = example_scores()
    print_scores(scores[scores["item"] == scores["item"].iloc[0]])
    printed = capsys.readouterr().out
    assert "n/a" in printed
    assert "nan" not in printed
