"""The wheel and the source archive that setuptools builds from a copy of the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.packaging.project import PYPROJECT, ROOT, modules_on_disk, packages_on_disk

NAME = f"caa_nnsight-{PYPROJECT['project']['version']}"
DATA_SUFFIXES = (".jsonl", ".md", ".j2", ".css", ".js")
NOT_IN_SOURCES = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "build", "dist", "runs", "_build"
)
BUILD = "import setuptools.build_meta as b, sys; getattr(b, 'build_' + sys.argv[1])(sys.argv[2])"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the source archive, and the wheel built from that archive's content.

    Beside it, in `direct/`, the wheel that is built from the checkout itself.
    """
    work = tmp_path_factory.mktemp("build")
    checkout, out = work / "checkout", work / "out"
    shutil.copytree(ROOT, checkout, ignore=NOT_IN_SOURCES)
    for hidden in (".gitignore", ".ci", ".github"):
        source = ROOT / hidden
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, checkout / hidden)
    out.mkdir()
    build("sdist", checkout, out)
    with tarfile.open(out / f"{NAME}.tar.gz") as archive:
        archive.extractall(work, filter="data")
    build("wheel", work / NAME, out)
    (work / "direct").mkdir()
    build("wheel", checkout, work / "direct")
    return out


def build(kind: str, folder: Path, out: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BUILD, kind, str(out)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel_names(built) -> set[str]:
    with zipfile.ZipFile(built / f"{NAME}-py3-none-any.whl") as archive:
        return set(archive.namelist())


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def installed_path(package: str, name: str) -> str:
    return f"{package.replace('.', '/')}/{name}"


def test_the_list_of_packages_is_that_of_the_folders():
    listed = PYPROJECT["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(packages_on_disk())


def test_every_shipped_behavior_has_an_entry_point():
    points = PYPROJECT["project"]["entry-points"]["caa_nnsight.behaviors"]
    folders = [name.rpartition(".")[2] for name in packages_on_disk() if ".behaviors." in name]
    assert sorted(name.replace("-", "_") for name in points) == sorted(folders)


@pytest.mark.slow
def test_the_wheel_puts_one_name_into_site_packages(wheel_names):
    assert {name.split("/")[0] for name in wheel_names} == {"caa_nnsight", f"{NAME}.dist-info"}


@pytest.mark.slow
def test_the_wheel_holds_every_module(wheel_names):
    wanted = {
        installed_path(package, file.name)
        for package, folder in packages_on_disk().items()
        for file in folder.glob("*.py")
    }
    assert wanted - wheel_names == set()
    assert len(wanted) == len(modules_on_disk())


@pytest.mark.slow
def test_the_wheel_holds_every_data_file(wheel_names):
    wanted = {"caa_nnsight/py.typed"} | {
        installed_path(package, file.relative_to(folder).as_posix())
        for package, folder in packages_on_disk().items()
        for file in folder.rglob("*")
        if file.suffix in DATA_SUFFIXES
    }
    assert any(name.endswith("generation.jsonl") for name in wanted)
    assert wanted - wheel_names == set()


@pytest.mark.slow
def test_the_wheel_holds_no_file_of_a_kind_that_was_not_meant(wheel_names):
    kinds = {Path(name).suffix for name in wheel_names if ".dist-info/" not in name}
    assert kinds <= {".py", ".typed", *DATA_SUFFIXES}


def test_every_data_file_of_the_rooms_is_of_a_kind_that_is_packed():
    # A file of a new kind would be left out of the wheel without a word.
    kinds = {
        file.suffix
        for folder in packages_on_disk().values()
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert kinds <= {".py", ".typed", *DATA_SUFFIXES}


@pytest.mark.slow
def test_the_wheel_carries_the_license_and_the_command(built):
    with zipfile.ZipFile(built / f"{NAME}-py3-none-any.whl") as archive:
        info = f"{NAME}.dist-info"
        assert b"Apache License" in archive.read(f"{info}/licenses/LICENSE")
        assert b"caa = caa_nnsight.cli:main" in archive.read(f"{info}/entry_points.txt")


@pytest.mark.slow
def test_the_source_archive_holds_what_a_developer_needs(built):
    with tarfile.open(built / f"{NAME}.tar.gz") as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", ".ci/run"}
    wanted |= {"SECURITY.md", "CITATION.cff", ".github/PULL_REQUEST_TEMPLATE.md"}
    wanted |= {"constraints.txt", "pyproject.toml", "docs/conf.py", "docs/index.md"}
    wanted |= {"docs/notebooks/method.ipynb", "tests/notebooks/executing.py"}
    wanted |= {"tests/conftest.py", "tests/packaging/test_distributions.py"}
    wanted |= {file.relative_to(ROOT).as_posix() for file in modules_on_disk().values()}
    wanted |= {file.relative_to(ROOT).as_posix() for file in (ROOT / "behaviors").rglob("*.jsonl")}
    assert wanted - names == set()


@pytest.mark.slow
def test_the_source_archive_builds_the_wheel_that_the_checkout_builds(built):
    (from_archive,) = built.glob("*.whl")
    from_checkout = built.parent / "direct" / from_archive.name
    # RECORD is among them, with the hash of every file.
    assert contents(from_archive) == contents(from_checkout)


@pytest.mark.slow
def test_the_source_archive_holds_nothing_that_was_built(built):
    with tarfile.open(built / f"{NAME}.tar.gz") as archive:
        parts = {part for name in archive.getnames() for part in Path(name).parts}
    assert parts & {"__pycache__", "_build", "build", "dist", "runs", ".venv", ".git"} == set()


@pytest.mark.slow
def test_the_installed_wheel_works_in_an_empty_folder_and_in_a_checkout(built, tmp_path):
    installed = tmp_path / "installed"
    with zipfile.ZipFile(built / f"{NAME}-py3-none-any.whl") as archive:
        archive.extractall(installed)
    libraries = Path(pytest.__file__).parents[1]
    code = (
        f"import sys; sys.path += [{str(libraries)!r}, {str(installed)!r}]; "
        "import caa_nnsight.behaviors.refusal as room, caa_nnsight.analysis; "
        "print(len(room.Refusal().load_pairs()))"
    )
    for folder in (tmp_path, ROOT):
        # -S keeps this environment's own, editable installation out.
        done = subprocess.run(
            [sys.executable, "-S", "-c", code],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"in {folder}: {done.stderr}"
        assert int(done.stdout) > 100
