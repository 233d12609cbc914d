"""A study's report: one self-contained HTML page of all its experiments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from caa_nnsight.errors import CAAError, RunError

from ..experiments import get_experiment
from ..experiments.base import Experiment
from ..folders.folder import again
from ..folders.study_folder import KIND, StudyFolder, read_study
from . import study_sections
from .answers import Answers, answer_tables
from .glossary import glossary
from .images import Image, draw
from .parts import Section
from .records import command, model_name
from .rendering import render, write
from .tables import Table
from .token_views import ShadedText, shade


@dataclass(frozen=True, slots=True)
class Shown:
    """An experiment as the page shows it; `gist` is for the summary."""

    name: str
    title: str
    asks: str
    source: str
    gist: tuple[str, ...]
    points: tuple[str, ...]
    images: list[Image]
    tables: tuple[Table, ...]
    more_tables: tuple[Table, ...]
    answers: list[Answers]
    texts: list[ShadedText]

    @property
    def id(self) -> str:
        """What links to it name."""
        return f"experiment-{self.name}"


def write_study_report(folder: str | Path) -> Path:
    """Write `report.html` and `figures/EXPERIMENT/*.png` into a study's folder.

    The page is what `write_report` says of every page: one file, no network, all text escaped.
    Each experiment is shown by its own `show`, from its frames alone.

    Args:
        folder: with manifest.json and a folder of frames per experiment.

    Returns:
        The path of report.html.

    Raises:
        RunError: a file is missing, damaged or incomplete, an experiment is unknown or its frames
            can't be shown, or a file can't be written.
    """
    study = read_study(folder)
    # Drawing takes longest: what can't be shown is refused before it.
    sections = [
        (name, *_section(study.path, name, frames)) for name, frames in study.frames.items()
    ]
    behaviors = list(study.manifest["behavior"])
    shown = [_drawn(*each, behaviors) for each in sections]
    page = _render(study, shown)
    for experiment in shown:
        for image in experiment.images:
            file = re.sub(r"[^\w.+=-]", "-", image.name)
            write(study.path / "figures" / experiment.name / f"{file}.png", image.png)
    report = study.path / "report.html"
    write(report, page.encode("utf-8"))
    return report


def _section(
    folder: Path, name: str, frames: Mapping[str, pd.DataFrame]
) -> tuple[Experiment, Section]:
    try:
        experiment = get_experiment(name)
    except CAAError:
        raise RunError(
            f"{folder / 'manifest.json'} has the experiment {name!r}, which this version of "
            "caa_nnsight doesn't know: upgrade caa_nnsight."
        ) from None
    try:
        return experiment, experiment.show(frames)
    except CAAError as error:
        raise RunError(f"The frames in {folder / name} can't be shown: {error}") from error
    except KeyError as error:
        raise RunError(
            f"The frames in {folder / name} lack {error}, so the study is damaged or of another "
            f"version: {again(KIND)}."
        ) from error


def _drawn(name: str, experiment: Experiment, section: Section, behaviors: Sequence[str]) -> Shown:
    return Shown(
        name,
        experiment.title,
        experiment.asks,
        experiment.source,
        section.gist(behaviors),
        section.points,
        [draw(plot) for plot in section.plots],
        section.tables,
        section.more_tables,
        [] if section.answers is None else answer_tables(section.answers),
        [shade(view) for view in section.token_views],
    )


def _render(study: StudyFolder, shown: list[Shown]) -> str:
    manifest = study.manifest
    tables = [table for one in shown for table in (*one.tables, *one.more_tables)]
    terms = glossary(tables)
    return render(
        "study_page.html.j2",
        links=[
            ("found", "What was found"),
            *((one.id, one.title) for one in shown),
            *([("columns", "Columns")] if terms else []),
            ("split", "Data"),
            ("again", "Run it again"),
        ],
        behaviors=list(manifest["behavior"]),
        model_name=model_name(manifest),
        shown=shown,
        skipped=[(_title(name), reason) for name, reason in study.skipped.items()],
        warnings=study_sections.warnings(manifest),
        glossary=terms,
        meanings=study_sections.meanings(manifest),
        split=study_sections.split_rows(manifest),
        split_notes=study_sections.split_notes(manifest),
        command=command(manifest),
        records=study_sections.records(manifest),
        behavior_records=study_sections.behavior_records(manifest),
    )


def _title(name: str) -> str:
    """The title of an experiment that was left out; its name, where this version has none such."""
    try:
        return get_experiment(name).title
    except CAAError:
        return name
