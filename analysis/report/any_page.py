"""The report of a finished folder, whichever kind of work it holds."""

from __future__ import annotations

from pathlib import Path

from ..folders.folder import kind_of
from .run_page import write_run_report
from .study_page import write_study_report

_WRITERS = {"run": write_run_report, "study": write_study_report}


def write_report(folder: str | Path) -> Path:
    """Write `report.html` and `figures/` into the folder of a run or a study, from what it holds.

    The page needs nothing else: images and styles are in it, it asks no network, and reads well
    without its script, on a phone, in dark mode and on paper. Each file is written whole or not
    at all; the same folder gives the same bytes.

    Args:
        folder: what `caa run`, `caa experiment` or `caa reproduce` wrote.

    Returns:
        The path of report.html.

    Raises:
        RunError: a file is missing, damaged, incomplete or of another run, or can't be written.

    >>> write_report("runs/small").name
    'report.html'
    """
    return _WRITERS[kind_of(folder)](folder)
