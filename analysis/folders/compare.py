"""Runs side by side: what steering changes in each, and how far two of them differ."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from caa_nnsight.errors import CAAError

from ..scores.bootstrap import N_RESAMPLES, check_confidence, mean_intervals
from ..scores.effects import effect
from ..scores.frame import (
    BEHAVIOR_VECTOR,
    CONTROL_KIND,
    by_item,
    check_scores,
    choose_contrast,
    first_condition,
)
from ..scores.units import LETTER, PER_TOKEN, unit_of
from .loading import Run, load_run

COLUMNS = [
    "kind",
    "first",
    "second",
    "behavior",
    "model",
    "version",
    "layer",
    "unit",
    "low",
    "high",
    "n_items",
    "paired",
    "change",
    "change_low",
    "change_high",
    "excludes_zero",
    "random_max_abs",
    "unsteered",
    "unsteered_low",
    "unsteered_high",
]

# Of the column `unit`, by its name.
UNITS = {unit.name: unit for unit in (LETTER, PER_TOKEN)}


@dataclass(frozen=True, slots=True)
class _Entry:
    """One behavior of one run: its held-out scores at the picked layer, item by item."""

    run: Run
    behavior: str
    layer: int
    scores: pd.DataFrame
    items: pd.DataFrame  # item × multiplier: order-averaged log-odds under the behavior's vector

    @property
    def version(self) -> str:
        return str((self.run.manifest.get("versions") or {}).get("caa_nnsight", ""))

    @property
    def unit(self) -> str:
        return unit_of(self.scores).name


def compare_runs(
    runs: Iterable[str | Path | Run],
    *,
    confidence: float = 0.95,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> pd.DataFrame:
    """Return what steering changes in each run, and the differences between runs.

    Each behavior of each run is one entry, at its own picked layer, on its held-out items and
    without a system prompt. All entries are compared between the same two multipliers: -1 and 1
    where all have them, else the smallest and the largest that all have.

    Two entries are compared where they share the run or the behavior, and are in one unit. Where
    one scored every item that the other did, the difference is taken item by item over the shared
    ones, and its interval is of those differences (BCa over items). Else the two are resampled
    independently of each other (BCa); where they share some items, that interval is rather too
    wide than too narrow. Intervals are not corrected for how many differences there are.

    Args:
        runs: finished folders, or what `load_run` returned.
        confidence: of the intervals.
        seed: of the bootstrap; the same runs and seed give the same bytes.
        n_resamples: of the bootstrap.

    Returns:
        A frame, first a row per entry, then a row per difference:

        | column | meaning |
        |---|---|
        | kind | "run" or "difference" |
        | first, second | the entry's label; of a difference, the two labels; it is second - first |
        | behavior, model, version | the entry's; of a difference, what both have in common |
        | layer | the picked layer; of a difference, that of both if it is the same |
        | unit | "log-odds" (nats) or "log-odds per token" (nats per token) |
        | low, high | the two multipliers |
        | n_items | items; of a difference that is not paired, of the entry that has fewer |
        | paired | whether a difference is over the same items; missing for a run |
        | change, change_low, change_high | mean change in log-odds from low to high, or the |
        | | difference of two such changes, and its interval |
        | excludes_zero | whether that interval excludes 0 |
        | random_max_abs | largest absolute mean change by a single random vector |
        | unsteered, unsteered_low, unsteered_high | mean log-odds at multiplier 0, or the |
        | | difference of two; missing where 0 was not scored |

    Raises:
        RunError: a folder can't be read, or a study has no multiplier curve.
        CAAError: there are fewer than two entries, one has no held-out scores at its layer, or
            the entries have no two multipliers in common.

    >>> table = compare_runs(["runs/small", "runs/large"])
    >>> table["kind"].tolist(), bool(table["paired"].iloc[-1])
    (['run', 'run', 'difference'], True)
    """
    check_confidence(confidence)
    loaded = [run if isinstance(run, Run) else load_run(run) for run in runs]
    entries = [entry for run in loaded for entry in _entries(run)]
    if len(entries) < 2:
        raise CAAError(
            "There is nothing to compare: give at least two runs, or a study of two behaviors."
        )
    low, high = _contrast(entries)
    settings = {"confidence": confidence, "seed": seed, "n_resamples": n_resamples}
    labels = _labels(entries)
    rows = [
        _run_row(entry, label, low, high, settings)
        for entry, label in zip(entries, labels, strict=True)
    ]
    for (first, first_label), (second, second_label) in combinations(
        zip(entries, labels, strict=True), 2
    ):
        related = first.run is second.run or first.behavior == second.behavior
        if related and first.unit == second.unit:
            row = _difference_row(first, second, low, high, settings)
            rows.append(row | {"first": first_label, "second": second_label})
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["excludes_zero"] = (table["change_low"] > 0) | (table["change_high"] < 0)
    return table.astype({"paired": "boolean", "layer": "Int64"})


def _entries(run: Run) -> list[_Entry]:
    scores = check_scores(run.scores, where=str(run.path))
    entries = []
    for behavior, layer in run.picked_layers.items():
        own = scores[
            (scores["behavior"] == behavior)
            & (scores["split"] == "held_out")
            & (scores["layer"] == layer)
        ]
        if not (own["vector"] == BEHAVIOR_VECTOR).any():
            raise CAAError(
                f"{run.path} has no held-out scores of {behavior} at layer {layer}, which was "
                "picked: run the experiment multiplier-curve."
            )
        own = own[own["condition"] == first_condition(own)]
        items = by_item(own[own["vector"] == BEHAVIOR_VECTOR])
        matrix = items.pivot(index="item", columns="multiplier", values="log_odds")
        entries.append(_Entry(run, behavior, layer, own, matrix))
    return entries


def _contrast(entries: list[_Entry]) -> tuple[float, float]:
    common = set.intersection(*(set(entry.items.columns) for entry in entries))
    if len(common) < 2:
        raise CAAError(
            "The runs have fewer than two multipliers in common, so their effects can't be "
            "compared: run them with the same --multipliers."
        )
    return choose_contrast(pd.Series(sorted(common)))


def _labels(entries: list[_Entry]) -> list[str]:
    """Name each entry by what tells it from the others."""
    facts = [[entry.behavior, entry.run.model, entry.version] for entry in entries]
    telling = [place for place in range(3) if len({fact[place] for fact in facts}) > 1]
    labels = [", ".join(fact[place] for place in telling) for fact in facts]
    for extra in (lambda run: run.path.name, lambda run: str(run.path)):
        if len(set(labels)) == len(labels):
            break
        labels = [
            f"{label} ({extra(entry.run)})" if label else extra(entry.run)
            for label, entry in zip(labels, entries, strict=True)
        ]
    return labels


def _run_row(entry: _Entry, label: str, low: float, high: float, settings: dict) -> dict:
    changes = effect(entry.scores, low, high, **settings).set_index("vector")
    own = changes.loc[BEHAVIOR_VECTOR]
    levels = _levels(entry)
    bounds = mean_intervals([levels], **settings)[0]
    random = CONTROL_KIND in changes.index
    return _facts(entry) | {
        "kind": "run",
        "first": label,
        "low": low,
        "high": high,
        "n_items": int(own["n_items"]),
        **own[["change", "change_low", "change_high"]],
        "random_max_abs": changes.loc[CONTROL_KIND, "change_max_abs"] if random else np.nan,
        **_measured("unsteered", levels.mean() if len(levels) else np.nan, bounds),
    }


def _facts(entry: _Entry) -> dict:
    return {
        "behavior": entry.behavior,
        "model": entry.run.model,
        "version": entry.version,
        "layer": entry.layer,
        "unit": entry.unit,
    }


def _difference_row(first: _Entry, second: _Entry, low: float, high: float, settings: dict) -> dict:
    one, other = _facts(first), _facts(second)
    shared = first.items.index.intersection(second.items.index)
    fewer = min(len(first.items), len(second.items))
    paired = len(shared) == fewer
    a, b = first.items, second.items
    if paired:
        a, b = a.loc[shared], b.loc[shared]
    change = _difference(_change(a, low, high), _change(b, low, high), paired, settings)
    level = (np.nan, (np.nan, np.nan))
    if 0.0 in a.columns and 0.0 in b.columns:
        level = _difference(a[0.0].to_numpy(), b[0.0].to_numpy(), paired, settings)
    return {key: value if other[key] == value else None for key, value in one.items()} | {
        "kind": "difference",
        "low": low,
        "high": high,
        "n_items": fewer,
        "paired": paired,
        **_measured("change", *change),
        **_measured("unsteered", *level),
    }


def _change(items: pd.DataFrame, low: float, high: float) -> np.ndarray:
    return (items[high] - items[low]).to_numpy()


def _levels(entry: _Entry) -> np.ndarray:
    return entry.items[0.0].to_numpy() if 0.0 in entry.items.columns else np.empty(0)


def _measured(name: str, value: float, bounds: Iterable[float]) -> dict[str, float]:
    low, high = bounds
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _difference(
    first: np.ndarray, second: np.ndarray, paired: bool, settings: dict
) -> tuple[float, tuple[float, float]]:
    """Return the mean of `second` less that of `first`, and its interval."""
    if paired:
        differences = second - first
        return float(differences.mean()), tuple(mean_intervals([differences], **settings)[0])
    return float(second.mean() - first.mean()), difference_interval(first, second, **settings)


def difference_interval(
    first: np.ndarray,
    second: np.ndarray,
    *,
    confidence: float = 0.95,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> tuple[float, float]:
    """Bootstrap the difference of two means, each sample resampled on its own.

    Args:
        first, second: one-dimensional float arrays; their lengths may differ.
        confidence: between 0 and 1.
        seed: of the resampling.
        n_resamples: how many differences to draw.

    Returns:
        BCa bounds of mean(second) - mean(first) (Efron 1987, as in `scipy.stats.bootstrap`); those
        of the percentiles where BCa is undefined, as for equal values; NaN where a sample has
        fewer than two.

    >>> difference_interval(np.zeros(5), np.ones(3))
    (1.0, 1.0)
    """
    check_confidence(confidence)
    if min(len(first), len(second)) < 2:
        return np.nan, np.nan
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            # scipy warns of the degenerate samples that the second method is for.
            warnings.simplefilter("ignore")
            interval = stats.bootstrap(
                (second, first),
                lambda one, other, axis: one.mean(axis=axis) - other.mean(axis=axis),
                vectorized=True,
                method=method,
                confidence_level=confidence,
                n_resamples=n_resamples,
                rng=np.random.default_rng(seed),
            ).confidence_interval
        if np.isfinite([interval.low, interval.high]).all():
            break
    return float(interval.low), float(interval.high)
