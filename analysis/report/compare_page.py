"""A comparison of runs as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pandas as pd

from ..figures.comparison import plot_comparison
from ..folders.compare import UNITS, compare_runs
from ..folders.loading import Run, load_run
from ..scores.units import Unit
from ..words import count, times
from .images import draw
from .parts import Plot
from .records import command
from .rendering import render, write
from .tables import Cell, Table

# More differences than these are left to the table.
_MOST_POINTS = 6
_LINKS = [
    ("found", "What was found"),
    ("figures", "Figures"),
    ("numbers", "Numbers"),
    ("sources", "Where they come from"),
]


def write_comparison(runs: Iterable[str | Path | Run], path: str | Path) -> Path:
    """Write what `compare_runs` finds as a page.

    It shows what steering changes in each run, and how far two of them differ. As every page of
    `write_report`, it is one file, asks no network and escapes all text.

    Args:
        runs: finished folders, or what `load_run` returned.
        path: of the page, such as "comparison.html".

    Returns:
        The path.

    Raises:
        RunError: a folder can't be read, or the page can't be written.
        CAAError: the runs can't be compared, see `compare_runs`.

    >>> write_comparison(["runs/small", "runs/large"], "comparison.html").name
    'comparison.html'
    """
    loaded = [run if isinstance(run, Run) else load_run(run) for run in runs]
    table = compare_runs(loaded)
    entries, differences = (table[table["kind"] == kind] for kind in ("run", "difference"))
    tables = [_run_table(entries)]
    page = render(
        "compare_page.html.j2",
        links=_LINKS,
        points=_points(differences),
        images=[draw(plot) for plot in _plots(entries)],
        tables=[*tables, _difference_table(differences)] if len(differences) else tables,
        sources=[(str(run.path), command(run.manifest)) for run in loaded],
    )
    target = Path(path)
    write(target, page.encode("utf-8"))
    return target


def _points(differences: pd.DataFrame) -> list[str]:
    if differences.empty:
        return [
            "No two of them can be set against each other: they share neither the run nor the "
            "behavior, or are in different units."
        ]
    shown = int(differences["excludes_zero"].sum())
    gist = (
        f"Of {count(len(differences), 'difference')}, {shown} "
        f"{'has' if shown == 1 else 'have'} a 95% interval that excludes 0; the intervals are not "
        "corrected for how many there are."
    )
    if len(differences) > _MOST_POINTS:
        return [gist]
    return [gist, *(_sentence(row) for row in differences.itertuples())]


def _sentence(row) -> str:
    unit = UNITS[row.unit]
    items = f"{row.n_items} items of both" if row.paired else "different items"
    figures = (
        f"{unit.signed(row.change)} {unit.name} (95% interval "
        f"{unit.interval(row.change_low, row.change_high)}; {items})"
    )
    if not row.excludes_zero:
        return f"No difference was shown between {row.first} and {row.second}: {figures}."
    way = "higher" if row.change > 0 else "lower"
    return f"The change is {way} for {row.second} than for {row.first}: {figures}."


def _plots(entries: pd.DataFrame) -> list[Plot]:
    plots = []
    for name, rows in entries.groupby("unit", sort=True):
        unit = UNITS[name]
        values = ", ".join(
            f"{unit.signed(row.change)} for {row.first}" for row in rows.itertuples()
        )
        plots.append(
            Plot(
                f"comparison-{len(plots)}",
                f"Change in the {name} of the matching answer from multiplier "
                f"{times(rows['low'].iloc[0])} to {times(rows['high'].iloc[0])}, held-out items, "
                "at each one's picked layer. The gray bar reaches as far as the strongest random "
                "vector moves the answers, up or down.",
                f"Dots with their intervals, one per run: {values}.",
                partial(_draw, rows),
            )
        )
    return plots


def _draw(rows: pd.DataFrame, theme):
    return plot_comparison(rows, theme=theme)


def _run_table(entries: pd.DataFrame) -> Table:
    rows = [
        [
            Cell(row.first, row.first, numeric=False),
            Cell(str(row.layer), row.layer),
            Cell(str(row.n_items), row.n_items),
            *_measured(row, "change", UNITS[row.unit]),
            _number(row.random_max_abs, UNITS[row.unit].number),
            *_measured(row, "unsteered", UNITS[row.unit]),
        ]
        for row in entries.itertuples()
    ]
    headings = ["Run", "Layer", "Items", "Change", "95% interval", "Strongest random"]
    return Table("Each run", [*headings, "Unsteered", "95% interval"], rows)


def _difference_table(differences: pd.DataFrame) -> Table:
    rows = [
        [
            Cell(row.second, row.second, numeric=False),
            Cell(row.first, row.first, numeric=False),
            Cell(str(row.n_items), row.n_items),
            Cell("yes" if row.paired else "no", "yes" if row.paired else "no", numeric=False),
            *_measured(row, "change", UNITS[row.unit]),
            *_measured(row, "unsteered", UNITS[row.unit]),
        ]
        for row in differences.itertuples()
    ]
    headings = ["Of", "Less that of", "Items", "Paired", "Change", "95% interval"]
    return Table("Differences", [*headings, "Unsteered", "95% interval"], rows)


def _measured(row, name: str, unit: Unit) -> list[Cell]:
    value, low, high = (getattr(row, f"{name}{end}") for end in ("", "_low", "_high"))
    bounds = "n/a" if pd.isna(low) else unit.interval(low, high)
    return [_number(value, unit.signed), Cell(bounds, low)]


def _number(value: float, write_number) -> Cell:
    return Cell(write_number(value), value)
