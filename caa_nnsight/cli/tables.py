"""What the commands print: short tables on standard output."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from caa_nnsight.experiment import RunResult
    from caa_nnsight.studies import StudyResult


# Longer texts in the first column are wrapped as in any other.
MAX_NAME = 24


def print_frame(title: str, frame: pd.DataFrame) -> None:
    """A data frame as a table, numbers to three places."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for number, column in enumerate(frame.columns):
        numeric = frame[column].dtype.kind in "fi"
        # The first column names the row, so it is the last to be broken.
        table.add_column(
            column,
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=number == 0 and frame[column].astype(str).str.len().max() < MAX_NAME,
        )
    for row in frame.itertuples(index=False):
        # Texts of models and files are shown as they are, never read as markup.
        cells = (_number(cell) if isinstance(cell, float) else str(cell) for cell in row)
        table.add_row(*(Text(cell) for cell in cells))
    Console().print(table)


def print_scores(scores: pd.DataFrame) -> None:
    """Summary of a score frame: by layer and multiplier, of the behavior's own vector."""
    from caa_nnsight.analysis import summarize
    from caa_nnsight.analysis.scores.frame import is_free_form

    shown = summarize(scores)
    shown = shown[shown["vector"] == "behavior"]
    # Short names, so that the table fits into 80 columns.
    table = shown[["layer"]].assign(
        m=[f"{multiplier:g}" for multiplier in shown["multiplier"]], items=shown["n_items"]
    )
    if is_free_form(scores):
        print_frame(
            "Log-odds per token of the matching answer, with 95 % intervals",
            table.assign(
                log_odds=shown["log_odds"],
                interval=_interval(shown["log_odds_low"], shown["log_odds_high"], " to "),
                accuracy=shown["accuracy"],
            ),
        )
        return
    print_frame(
        "Scores on each item in both orders, with 95 % intervals",
        table.assign(
            p_match=shown["p_match"],
            interval=_interval(shown["p_match_low"], shown["p_match_high"], "–"),
            accuracy=shown["accuracy"],
            log_odds=shown["log_odds"],
            mass=shown["mass"],
        ),
    )


def _interval(low: pd.Series, high: pd.Series, between: str) -> list[str]:
    """Bounds in a cell; a single control vector, for one, has none."""
    return [
        "n/a" if math.isnan(one) else f"{one:.3f}{between}{other:.3f}"
        for one, other in zip(low, high, strict=True)
    ]


def _number(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.3f}"


def print_run(result: RunResult) -> None:
    """What a run found, and where its report is."""
    import pandas as pd

    from caa_nnsight.analysis import effect
    from caa_nnsight.analysis.scores.units import unit_of
    from caa_nnsight.runs import read_manifest

    scores = pd.read_parquet(result.folder / "results.parquet")
    held_out = scores[scores["split"] == "held_out"]
    print_scores(held_out)
    multipliers = sorted(held_out["multiplier"].unique())
    low, high = (-1.0, 1.0) if {-1.0, 1.0} <= {*multipliers} else (multipliers[0], multipliers[-1])
    effects = effect(held_out, low=low, high=high)
    unit = unit_of(held_out).name
    print_frame(
        f"Change in {unit} of the matching answer from {low:g} to {high:g}",
        effects[["vector", "layer", "n_vectors", "change"]].assign(
            interval=_interval(effects["change_low"], effects["change_high"], " to "),
            share_up=effects["share_up"],
        ),
    )
    print(f"Layer picked on validation items: {result.picked_layer}")
    if traffic := read_manifest(result.folder).get("traffic"):
        from caa_nnsight.remote import summary

        print(f"Remote work: {summary(traffic)}")
    print(f"Report: {result.report.resolve()}")


def print_study(result: StudyResult) -> None:
    """What each experiment of a study found, in a sentence, and where its report is."""
    from caa_nnsight.analysis import load_run
    from caa_nnsight.analysis.experiments import get_experiment

    frames: dict[str, dict[str, pd.DataFrame]] = {}
    run = load_run(result.folder)
    for place, frame in run.frames.items():
        name, _, part = place.partition("/")
        frames.setdefault(name, {})[part] = frame
    for name, parts in frames.items():
        experiment = get_experiment(name)
        for point in experiment.show(parts).gist(run.manifest["behavior"]):
            print(f"{experiment.title}: {point}")
    for name, reason in result.skipped.items():
        print(f"{get_experiment(name).title}: left out. {reason}")
    if result.skipped:
        names = ",".join(result.skipped)
        print(f"Once they have what they lack, run them by themselves: caa experiment {names} ...")
    print(f"Report: {result.report.resolve()}")


def print_comparison(frame: pd.DataFrame) -> None:
    """What steering changes in each run, and the differences between runs."""
    first = frame.iloc[0]
    span = f"from {first['low']:g} to {first['high']:g}"
    shown = frame.assign(
        interval=_interval(frame["change_low"], frame["change_high"], " to "),
        layer=frame["layer"].map(lambda layer: f"{layer:g}").replace("nan", ""),
    )
    runs = shown[shown["kind"] == "run"].rename(columns={"first": "run"})
    print_frame(
        f"Change in log-odds of the matching answer {span}, with 95 % intervals",
        runs[["run", "layer", "unit", "n_items", "change", "interval"]],
    )
    differences = shown[shown["kind"] == "difference"]
    if len(differences):
        columns = ["second", "first", "change", "interval", "paired", "excludes_zero"]
        print_frame("Differences: second less first", differences[columns])
