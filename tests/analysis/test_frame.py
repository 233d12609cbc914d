"""The score frame at the entrance: what is wrong is named, what is right doesn't depend on rows."""

import numpy as np
import pandas as pd
import pytest

from caa_nnsight.analysis import example_scores, summarize
from caa_nnsight.analysis.frame import COLUMNS, check_scores, sort_settings
from caa_nnsight.errors import CAAError

SMALL = example_scores(n_items=3, layers=[3], n_random=1, splits=["held_out"])


def changed(**columns) -> pd.DataFrame:
    """The small frame with its first row changed."""
    frame = SMALL.copy()
    for column, value in columns.items():
        frame[column] = frame[column].astype(object)
        frame.loc[0, column] = value
    return frame


BAD = [
    (
        [1, 2],
        "must be a pandas DataFrame with a row per item, choice order and setting, not a list",
    ),
    (SMALL.drop(columns=["mass", "p_match"]), "lacks the columns p_match, mass: pass a frame"),
    (SMALL.drop(columns="letter"), "lacks the column letter: pass a frame"),
    (SMALL.iloc[:0], "has no rows: score at least one item first"),
    (
        changed(split="test"),
        "has 'test' in the column split, where only 'generation', 'validation'",
    ),
    (changed(order="reversed"), "has 'reversed' in the column order"),
    (changed(letter="C"), "has 'C' in the column letter"),
    (changed(item=None), "has 1 rows without a value in the column item"),
    (changed(layer=3.5), "has a layer that is not a whole number"),
    (changed(log_odds="high"), "has text in the column log_odds, which must be a number"),
    (changed(log_odds=np.nan), "has 1 rows in which log_odds is not a finite number (first: item "),
    (changed(logprob_other=-np.inf), "logprob_other is not a finite number"),
    (
        changed(p_match=1.2),
        "has p_match = 1.2 (first: item held_out-000, held_out, vector behavior",
    ),
    (changed(mass=-0.1), "has mass = -0.1"),
    (pd.concat([SMALL, SMALL.iloc[:2]]), "has 2 rows twice (first: item held_out-000"),
    (SMALL.iloc[1:], "has items in one choice order where others of the same setting have both"),
    (changed(letter="B"), "gives both choice orders of an item the same letter"),
]


@pytest.mark.parametrize(("frame", "sentence"), BAD)
def test_an_unusable_frame_gets_a_sentence_that_says_where(frame, sentence):
    with pytest.raises(CAAError) as error:
        check_scores(frame, where="results.parquet")
    assert str(error.value).startswith("results.parquet ")
    assert sentence in str(error.value)
    assert str(error.value).count("\n") == 0


def test_the_order_of_the_rows_does_not_matter():
    shuffled = SMALL.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(check_scores(shuffled), check_scores(SMALL))


def test_categories_small_numbers_and_further_columns_are_taken_as_they_mean():
    frame = SMALL.astype({"vector": "category", "layer": "int8", "multiplier": "float32"})
    frame["note"] = "kept out"
    tidy = check_scores(frame)
    assert list(tidy.columns) == COLUMNS
    pd.testing.assert_frame_equal(tidy, check_scores(SMALL))


def test_the_frame_that_comes_in_is_left_alone():
    before = SMALL.copy()
    summarize(SMALL)
    pd.testing.assert_frame_equal(SMALL, before)


def test_multipliers_that_differ_by_rounding_are_the_same():
    frame = SMALL[SMALL["multiplier"].isin([1.0])].assign(multiplier=0.1 + 0.2)
    assert set(check_scores(frame)["multiplier"]) == {0.3}


def test_vectors_are_sorted_by_number_with_the_behavior_first():
    names = ["random-10", "random-2", "behavior", "letter"]
    rows = pd.DataFrame({"vector": names})
    assert sort_settings(rows)["vector"].tolist() == ["behavior", "letter", "random-2", "random-10"]
