"""What importing costs, and that imports find all three rooms wherever they are started."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.project import ROOT

HEAVY = ["torch", "transformers", "nnsight", "pandas", "numpy", "sklearn", "datasets", "matplotlib"]


def loaded_by(code: str, tmp_path: Path) -> list[str]:
    """Which heavy libraries a fresh interpreter has loaded after running `code`."""
    program = f"""
import contextlib, io, json, sys
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    {code}
print(json.dumps([name for name in {HEAVY} if name in sys.modules]))
"""
    return json.loads(run_python(["-c", program], tmp_path))


def run_python(arguments: list[str], folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_loads_no_heavy_library(tmp_path):
    assert loaded_by("import caa_nnsight", tmp_path) == []


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["run", "--help"], ["behaviors", "show", "refusal"]]
)
def test_commands_that_only_inform_load_no_heavy_library(words, tmp_path):
    code = f"from caa_nnsight.cli import main; sys.argv = {['caa', *words]}; main()"
    assert loaded_by(code, tmp_path) == []


def test_looking_a_behavior_up_loads_no_heavy_library(tmp_path):
    code = "import caa_nnsight; caa_nnsight.get_behavior('refusal').split(seed=0)"
    assert loaded_by(code, tmp_path) == []


def test_analysis_loads_no_model_library(tmp_path):
    loaded = loaded_by("import caa_nnsight.analysis", tmp_path)
    assert not {"torch", "transformers", "nnsight", "datasets"} & set(loaded)


def test_an_unknown_attribute_is_an_attribute_error():
    import caa_nnsight

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = caa_nnsight.nothing


@pytest.mark.parametrize(
    "folder",
    [
        ROOT,
        pytest.param(ROOT / "behaviors", marks=pytest.mark.slow),
        pytest.param(ROOT.parent, marks=pytest.mark.slow),
    ],
)
def test_all_rooms_are_found_from_the_folders_of_a_checkout(folder):
    code = "import caa_nnsight.behaviors.refusal, caa_nnsight.analysis, caa_nnsight.cli"
    run_python(["-c", code], folder)
