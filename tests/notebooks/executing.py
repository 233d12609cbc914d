"""Executing the notebooks of `docs/notebooks/`, and putting their outputs into a form to commit."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

from tests.packaging.project import ROOT

FOLDER = ROOT / "docs" / "notebooks"
# A server that starts a model on a busy machine takes its time.
CELL_SECONDS = 600
# Figures of a handful of colors: more would only cost bytes.
COLORS = 64
SOURCES = "sources_sha256"
# What depends on the machine: where ipywidgets is missing, tqdm says in every kernel that its bars
# will be of plain text; that a server's transformers differs is in the preflight that is shown.
QUIET = "ignore:IProgress not found,ignore:transformers is "


def read(name: str) -> NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def write(name: str, notebook: NotebookNode) -> None:
    """Write a notebook whole or not at all."""
    path = FOLDER / f"{name}.ipynb"
    temporary = path.with_suffix(".part")
    nbformat.write(notebook, temporary)
    os.replace(temporary, path)


def execute(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Run all cells in a new kernel that works in `folder`; return a copy with their outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised.
    """
    notebook = nbformat.from_dict(notebook)
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(
        notebook, timeout=CELL_SECONDS, resources=resources, kernel_name="python3"
    )
    client.execute(env={**os.environ, "PYTHONWARNINGS": QUIET})
    return committable(notebook)


def committable(notebook: NotebookNode) -> NotebookNode:
    """Drop what differs from machine to machine, shrink pictures, and note what the cells were."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            SOURCES: sources_hash(notebook),
        }
    )
    for cell in notebook.cells:
        # When each cell began and ended.
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = small_png(output.data["image/png"])
                # What a figure would say in a terminal.
                output.data.pop("text/plain", None)
    return notebook


def small_png(encoded: str) -> str:
    picture = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
    out = io.BytesIO()
    picture.quantize(COLORS).save(out, "png", optimize=True)
    return base64.b64encode(out.getvalue()).decode("ascii")


def sources_hash(notebook: NotebookNode) -> str:
    """SHA-256 of the code cells: outputs are of these cells where it is the one noted."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(code).encode("utf-8")).hexdigest()


def shape(notebook: NotebookNode) -> list[list[tuple[str, ...]]]:
    """For each code cell, the kinds of its outputs: what must not differ between two executions."""
    return [
        [_kind(output) for output in cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def _kind(output: NotebookNode) -> tuple[str, ...]:
    return (output.output_type, output.get("name", ""), *sorted(output.get("data", {})))
