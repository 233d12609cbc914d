"""The cache folder: where it is, and what is said when it can't be used."""

import errno
import os
import shutil
from collections import namedtuple
from pathlib import Path

import platformdirs
import pytest

from caa_nnsight.errors import ModelError
from caa_nnsight.models.cache import ModelCache, shown

Usage = namedtuple("Usage", "total used free")


def test_the_folder_is_the_argument_else_the_variable_else_the_users_own(tmp_path, monkeypatch):
    monkeypatch.setenv("CAA_CACHE", str(tmp_path / "variable"))
    assert ModelCache(tmp_path / "argument").root == tmp_path / "argument"
    assert ModelCache().root == tmp_path / "variable"
    monkeypatch.delenv("CAA_CACHE")
    assert ModelCache().root == Path(platformdirs.user_cache_dir("caa_nnsight"))


def test_making_renames_at_the_end_and_records_the_sizes(tmp_path):
    cache = ModelCache(tmp_path)
    assert cache.record("m") is None
    with cache.locked("m"), cache.making("m", source="s") as folder:
        (folder / "a").write_text("four")
        assert cache.record("m") is None
        assert not cache.folder("m").exists()
    assert cache.record("m") == {"source": "s", "files": {"a": 4}}


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "a").write_text("longer than before"),
        lambda folder: (folder / "a").unlink(),
        lambda folder: (folder / "caa_model.json").write_text("[]"),
        lambda folder: (folder / "caa_model.json").write_text("{"),
    ],
)
def test_a_damaged_model_counts_as_absent_and_is_replaced(tmp_path, damage):
    cache = ModelCache(tmp_path)
    for content in ("one", "two"):
        with cache.locked("m"), cache.making("m") as folder:
            (folder / "a").write_text(content)
        assert (cache.folder("m") / "a").read_text() == content
        damage(cache.folder("m"))
        assert cache.record("m") is None


def test_a_full_disk_is_told_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(9, 8, 1_200_000_000))
    with pytest.raises(ModelError) as caught:
        ModelCache(tmp_path).require_space(3_200_000_000, "The model")
    assert str(caught.value) == (
        f"The model needs about 3.2 GB in the cache folder {tmp_path}, whose disk has 1.2 GB "
        "free: free some space, or name another folder with CAA_CACHE or cache_dir."
    )


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_disk_that_fills_up_during_the_work_is_told(tmp_path, error):
    cache = ModelCache(tmp_path)
    with pytest.raises(ModelError) as caught, cache.making("m"):
        raise error
    assert str(caught.value) == (
        f"The disk that holds the cache folder {tmp_path} is full: free some space, or name "
        "another folder with CAA_CACHE or cache_dir."
    )
    assert list((tmp_path / "models").iterdir()) == []


def test_a_folder_that_can_not_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError) as caught, ModelCache(tmp_path / "file").locked("m"):
        pass
    assert str(caught.value) == (
        f"The cache folder {tmp_path}/file can't be written ({os.strerror(errno.ENOTDIR)}): name "
        "another with CAA_CACHE or cache_dir."
    )


def test_paths_in_the_home_directory_are_shortened(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    assert shown("/home/somebody/models/tiny") == "~/models/tiny"
    assert shown("/home/somebody") == "~"
    assert shown("/home/somebodyelse/tiny") == "/home/somebodyelse/tiny"
