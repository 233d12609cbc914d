"""docs/example-plugin: installed beside our wheel, it is found, checked and run."""

from __future__ import annotations

import ast
import json
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.cli.calling import caa
from tests.cli.places import save_model
from tests.packaging.project import PYPROJECT
from tests.plugins.environment import (
    EXAMPLE,
    Environment,
    build_wheel,
    copy_checkout,
    copy_example,
    make_environment,
)

DATA = EXAMPLE / "src" / "caa_behavior_curiosity"
RUN = (
    "run curiosity --model=model --limit=12 --held-out=4 --layers=1-2 --multipliers=-1,1 "
    "--controls=1 --open-ended=2 --max-new-tokens=4 --quiet --out=run"
)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> dict[str, Path]:
    work = tmp_path_factory.mktemp("wheels")
    return {
        "ours": build_wheel(copy_checkout(work / "checkout"), work),
        "example": build_wheel(copy_example(work / "example"), work),
    }


@pytest.fixture(scope="module")
def installed(wheels, tmp_path_factory) -> Environment:
    environment = make_environment(tmp_path_factory.mktemp("environment") / "venv")
    done = environment.run(
        *("pip", "install", "-q", "--no-index", "--no-deps", "--ignore-installed"),
        *wheels.values(),
        folder=environment.folder,
    )
    assert done.returncode == 0, done.stderr
    return environment


@pytest.mark.slow
def test_the_package_is_the_installed_one(installed, tmp_path):
    code = (
        "import caa_nnsight, caa_behavior_curiosity as c; print(caa_nnsight.__file__, c.__file__)"
    )
    done = installed.run("python", "-c", code, folder=tmp_path)
    assert done.stdout.count(f"{installed.folder}/lib/") == 2, done.stderr


@pytest.mark.slow
def test_it_is_listed_with_its_package(installed, tmp_path):
    done = installed.run("caa", "behaviors", "list", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    line = "curiosity  66 pairs, 24 held out, 8 open-ended  check: ok  caa-behavior-curiosity 0.1.0"
    assert line in done.stdout


@pytest.mark.slow
def test_its_check_is_quiet_by_name(installed, tmp_path):
    done = installed.run("caa", "behaviors", "check", "--strict", "curiosity", folder=tmp_path)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "curiosity: ok"), done.stderr


@pytest.mark.slow
def test_its_own_test_passes(installed, tmp_path):
    tests = copy_example(tmp_path / "example") / "tests"
    done = installed.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", folder=tests)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_it_is_run_by_name(installed, tmp_path):
    save_model(tmp_path / "model")
    done = installed.run("caa", *RUN.split(), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["status"] == "done"
    assert manifest["behavior"]["name"] == "curiosity"
    assert manifest["behavior"]["source"] == "written for caa-behavior-curiosity"
    assert (tmp_path / "run" / "report.html").exists()


def test_it_is_what_new_writes_filled_in(tmp_path):
    assert caa("behaviors", "new", "curiosity", "--package", folder=tmp_path).code == 0
    written = tmp_path / "caa-behavior-curiosity"
    assert files_of(written) == files_of(EXAMPLE)
    test = "tests/test_behavior.py"
    assert (written / test).read_text("utf-8") == (EXAMPLE / test).read_text("utf-8")
    project, template = (
        tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
        for folder in (EXAMPLE, written)
    )
    assert project["project"].pop("license") == "Apache-2.0"
    # The version of ours that it was started with stays in it.
    assert template["project"].pop("dependencies") == [
        f"caa_nnsight>={PYPROJECT['project']['version']}"
    ]
    assert project["project"].pop("dependencies")[0].startswith("caa_nnsight>=")
    assert project == template
    module = "src/caa_behavior_curiosity/__init__.py"
    assert attributes(EXAMPLE / module) == [*attributes(written / module), "license"]
    assert headings(EXAMPLE) == headings(written)


def files_of(folder: Path) -> set[str]:
    found = {file.relative_to(folder) for file in folder.rglob("*") if file.is_file()}
    return {
        file.as_posix()
        for file in found
        if not {"__pycache__", "build", "dist"} & set(file.parts) and ".egg-info/" not in str(file)
    }


def attributes(module: Path) -> list[str]:
    (behavior,) = (
        node for node in ast.parse(module.read_text("utf-8")).body if isinstance(node, ast.ClassDef)
    )
    return [node.targets[0].id for node in behavior.body if isinstance(node, ast.Assign)]


def headings(folder: Path) -> list[str]:
    lines = (folder / "README.md").read_text("utf-8").splitlines()
    return [line for line in lines if line.startswith("#")]


def test_its_texts_are_as_long_as_small_models_take_them():
    for file in ("pairs.jsonl", "held_out.jsonl"):
        for line in (DATA / file).read_text("utf-8").splitlines():
            pair = json.loads(line)
            assert 8 <= len(pair["question"].split()) <= 40, line
            for side in ("positive", "negative"):
                assert 4 <= len(pair[side].split()) <= 20, line


def test_its_card_counts_what_is_there():
    card = (EXAMPLE / "README.md").read_text("utf-8")
    for file in ("pairs.jsonl", "held_out.jsonl", "open_ended.jsonl"):
        count = len((DATA / file).read_text("utf-8").splitlines())
        assert f"| `{file}` | {count} |" in card


@pytest.mark.slow
def test_it_is_neither_in_our_wheel_nor_among_our_tests(wheels):
    with zipfile.ZipFile(wheels["ours"]) as archive:
        assert [name for name in archive.namelist() if "example" in name.split("/")[0]] == []
        assert [name for name in archive.namelist() if "curiosity" in name] == []
    assert PYPROJECT["tool"]["pytest"]["ini_options"]["testpaths"] == ["tests"]
