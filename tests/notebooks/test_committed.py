"""The notebooks as committed: outputs of these very cells, small, and of no one machine."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.ndif import keys
from tests.notebooks.executing import FOLDER, SOURCES, read, sources_hash

NAMES = ("method", "ndif")
# Folders of one machine, and a date with a time.
PLACES = re.compile(r"/(?:home|root|Users|tmp|work|opt|usr|var)/|[A-Z]:\\\\|site-packages")
TIMES = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
LARGEST = 300_000  # bytes

notebooks = pytest.mark.parametrize("name", NAMES)


def code_cells(name: str) -> list:
    return [cell for cell in read(name).cells if cell.cell_type == "code"]


def outputs(name: str) -> list:
    return [output for cell in code_cells(name) for output in cell.outputs]


def test_these_are_all_notebooks():
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == sorted(NAMES)


@notebooks
def test_outputs_are_those_of_the_cells_above_them(name):
    notebook = read(name)
    message = f"cells changed after their outputs: run `python -m tests.notebooks {name}`"
    assert notebook.metadata[SOURCES] == sources_hash(notebook), message


@notebooks
def test_every_cell_was_executed_in_order_and_shows_something(name):
    cells = code_cells(name)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert [cell.source for cell in cells if not cell.outputs] == []


@notebooks
def test_no_output_is_an_error_or_a_warning(name):
    kinds = {(output.output_type, output.get("name", "stdout")) for output in outputs(name)}
    assert kinds <= {("stream", "stdout"), ("execute_result", "stdout")}


@notebooks
def test_there_is_a_figure_and_a_table_of_an_object(name):
    kinds = {kind for output in outputs(name) for kind in output.get("data", {})}
    assert {"image/png", "text/html"} <= kinds


@notebooks
def test_no_output_tells_of_a_machine_a_time_or_a_key(name):
    texts = [_texts(output) for output in outputs(name)]
    assert [text for text in texts if PLACES.search(text) or TIMES.search(text)] == []
    whole = (FOLDER / f"{name}.ipynb").read_text("utf-8")
    assert not any(key in whole for key in (keys.KNOWN, keys.TRUSTED, keys.UNKNOWN))
    assert str(Path.home()) not in whole


@notebooks
def test_the_file_stays_small(name):
    assert (FOLDER / f"{name}.ipynb").stat().st_size < LARGEST


def _texts(output) -> str:
    """All of an output but its pictures."""
    data = {kind: value for kind, value in output.get("data", {}).items() if kind != "image/png"}
    return output.get("text", "") + json.dumps(data)
