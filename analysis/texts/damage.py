"""What steering does to the text itself, and how far one can steer before it suffers."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from caa_nnsight.frames import GENERATION_COLUMNS

from ..scores.bootstrap import N_RESAMPLES
from .answer_measures import summarize_answers
from .perplexity import perplexities
from .text_frames import SETTING, VECTOR


@dataclass(frozen=True, slots=True)
class Limits:
    """Up to where damage is called small.

    Attributes:
        ratio: perplexity of plain text, as a multiple of the unsteered model's.
        repetition: rise in the share of repeated word 4-grams of answers over the unsteered ones.
        drift: share of answers in another language than the unsteered ones.
        empty: rise in the share of answers without any words over the unsteered ones.

    >>> Limits(ratio=1.5).repetition
    0.1
    """

    ratio: float = 1.1
    repetition: float = 0.1
    drift: float = 0.1
    empty: float = 0.1


DEFAULT_LIMITS = Limits()


def damage(
    text_scores: pd.DataFrame,
    generations: pd.DataFrame | None = None,
    *,
    confidence: float = 0.95,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> pd.DataFrame:
    """Return what steering does to text, a row per behavior, vector, layer and multiplier.

    Args:
        text_scores: a frame of `score_texts`, multiplier 0 among its settings.
        generations: answers to the same prompts at every multiplier, 0 among them, as `generate`
            gives them; where there are none, their columns are missing values.
        confidence: of the intervals.
        seed: of the bootstrap; the same frames and seed give the same bytes.
        n_resamples: of the bootstrap.

    Returns:
        The frame of `perplexities`, with the columns of `summarize_answers` beside it.

    Raises:
        CAAError: a column is missing, a row stands twice or is not finite, multiplier 0 is
            missing, or texts or prompts differ between the multipliers of a vector.

    >>> scores = pd.DataFrame({
    ...     "behavior": "tea", "text_index": [0, 1, 0, 1], "vector": "behavior", "layer": 3,
    ...     "multiplier": [0.0, 0.0, 2.0, 2.0], "n_tokens": 10, "logprob": [-20, -22, -24, -26],
    ... })
    >>> damage(scores)[["multiplier", "ratio", "n_answers"]].round(3).values.tolist()
    [[0.0, 1.0, 0.0], [2.0, 1.492, 0.0]]
    """
    settings = {"confidence": confidence, "seed": seed, "n_resamples": n_resamples}
    if generations is None:
        generations = pd.DataFrame(columns=list(GENERATION_COLUMNS))
    answers = summarize_answers(generations, **settings)
    merged = perplexities(text_scores, **settings).merge(answers, on=SETTING, how="left")
    counts = ["n_answers", "n_identified"]
    return merged.assign(**merged[counts].fillna(0).astype(int))


def largest_multiplier(frame: pd.DataFrame, limit: Limits = DEFAULT_LIMITS) -> pd.DataFrame:
    """Return how far one can steer to either side before the text suffers.

    The answer is the multiplier farthest from 0 such that it, and all that were tried between it
    and 0, keep within every limit. The figures themselves decide, not their intervals, whose upper
    ends stand beside them. What was not measured, as the drift of answers whose language can't be
    told, binds nothing.

    Args:
        frame: of `damage`.
        limit: what is still called small; a figure may be exactly as large.

    Returns:
        A row per behavior, vector, layer and side:

        | column | meaning |
        |---|---|
        | behavior, vector, layer | as in the frame |
        | side | "negative" or "positive" |
        | multiplier | the largest within the limits; 0 where the first one tried exceeds one |
        | ratio, ratio_high | the perplexity ratio there, and its interval's upper end |
        | repetition_change, drift, drift_high, empty | as in the frame, there |
        | next_multiplier | the next that was tried, NaN where all keep within the limits |
        | exceeds | what the next one exceeds, such as "perplexity and drift"; else empty |

    >>> rows = [(-1.0, 1.02, 1.04), (0.0, 1.0, 1.0), (1.0, 1.05, 1.12), (2.0, 1.3, 1.4)]
    >>> frame = pd.DataFrame(rows, columns=["multiplier", "ratio", "ratio_high"])
    >>> frame = frame.assign(behavior="tea", vector="behavior", layer=3)
    >>> frame[["repetition_change", "drift", "drift_high", "empty"]] = float("nan")
    >>> found = largest_multiplier(frame)
    >>> found[["side", "multiplier", "exceeds"]].values.tolist()
    [['negative', -1.0, ''], ['positive', 1.0, 'perplexity']]
    """
    figures = ["ratio", "ratio_high", "repetition_change", "drift", "drift_high", "empty"]
    rows = []
    for key, part in frame.groupby(VECTOR, sort=True):
        for side, sign in (("negative", -1), ("positive", 1)):
            tried = part[part["multiplier"] * sign > 0].sort_values("multiplier", key=abs)
            if tried.empty:
                continue
            unsteered = part[part["multiplier"] == 0].iloc[0]
            best, after, exceeds = unsteered, float("nan"), ""
            for _, row in tried.iterrows():
                exceeds = " and ".join(_exceeded(row, unsteered, limit))
                if exceeds:
                    after = row["multiplier"]
                    break
                best = row
            rows.append((*key, side, best["multiplier"], *best[figures], after, exceeds))
    columns = [*VECTOR, "side", "multiplier", *figures, "next_multiplier", "exceeds"]
    return pd.DataFrame(rows, columns=columns)


def _exceeded(row: pd.Series, unsteered: pd.Series, limit: Limits) -> list[str]:
    # Rounded, so that a rise from 0.3 to 0.4 is one of 0.1.
    emptied = round(row["empty"] - unsteered["empty"], 12)
    named = (
        ("perplexity", row["ratio"], limit.ratio),
        ("repetition", row["repetition_change"], limit.repetition),
        ("drift", row["drift"], limit.drift),
        ("empty answers", emptied, limit.empty),
    )
    return [name for name, value, most in named if value > most]
