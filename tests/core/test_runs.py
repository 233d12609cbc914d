"""Run folders: gone on with under the same settings, refused under others, never overwritten."""

import copy
import json

import pandas as pd
import pytest
import torch

from caa_nnsight.errors import RunError
from caa_nnsight.runs import RunFolder, read_manifest

IDENTITY = {
    "settings": {"behavior": "tea", "seed": 0, "layers": (1, 2), "multipliers": (-1.0, 0.0, 1.0)},
    "model": {"name": "tiny", "revision": "abc"},
    "behavior": {"name": "tea", "data_hash": "d" * 64, "n_generation": 10},
}
COMMAND = "caa run tea --layers=1,2"


def changed(part: str, **values) -> dict:
    other = copy.deepcopy(IDENTITY)
    other[part] |= values
    return other


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "runs" / "one", IDENTITY, COMMAND)


def test_a_new_folder_has_a_manifest_at_once(folder):
    manifest = json.loads((folder.path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["status"] == "running"
    assert manifest["schema_version"] == "1"
    assert manifest["command"] == COMMAND
    assert manifest["settings"]["layers"] == [1, 2]
    assert manifest["model"] == IDENTITY["model"]
    assert manifest["behavior"] == IDENTITY["behavior"]
    assert not folder.done


def test_the_same_settings_go_on_with_what_is_there(folder):
    folder.update(picked_layer=2)
    folder.shards.tensor("sum", lambda: torch.ones(2))
    again = RunFolder(folder.path, IDENTITY, COMMAND)
    assert again.manifest["picked_layer"] == 2
    assert torch.equal(again.shards.tensor("sum", pytest.fail), torch.ones(2))


@pytest.mark.parametrize(
    ("part", "values", "said"),
    [
        ("settings", {"seed": 1}, "seed 0 there, 1 asked for"),
        ("settings", {"layers": (1, 2, 3)}, r"layers \[1, 2\] there, \[1, 2, 3\] asked for"),
        ("settings", {"new": True}, "new null there, true asked for"),
        ("model", {"revision": "def"}, 'revision "abc" there, "def" asked for'),
        ("behavior", {"data_hash": "e" * 64}, "data_hash"),
    ],
)
def test_other_settings_are_refused_by_name_and_nothing_is_overwritten(folder, part, values, said):
    before = (folder.path / "manifest.json").read_bytes()
    with pytest.raises(RunError, match=said) as caught:
        RunFolder(folder.path, changed(part, **values), COMMAND)
    assert str(folder.path) in str(caught.value)
    assert "--out" in str(caught.value)
    assert (folder.path / "manifest.json").read_bytes() == before


def test_many_differences_are_told_in_one_short_sentence(folder):
    other = changed("settings", **{f"new{number}": "long " * 50 for number in range(30)})
    with pytest.raises(RunError) as caught:
        RunFolder(folder.path, other, COMMAND)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 800


def test_a_setting_that_is_gone_is_refused_too(folder):
    other = copy.deepcopy(IDENTITY)
    del other["settings"]["seed"]
    with pytest.raises(RunError, match="seed 0 there, null asked for"):
        RunFolder(folder.path, other, COMMAND)


def test_a_folder_of_other_files_is_refused_and_one_of_them_named(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match=r"thesis\.tex"):
        RunFolder(tmp_path, IDENTITY, COMMAND)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_empty_folder_and_hidden_files_are_no_hindrance(tmp_path):
    (tmp_path / ".DS_Store").touch()
    assert RunFolder(tmp_path, IDENTITY, COMMAND).manifest["status"] == "running"


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_in_the_way_is_refused(tmp_path, below):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"file.*--out"):
        RunFolder(tmp_path / "file" / below, IDENTITY, COMMAND)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"status": "done"}', "\ud800"])
def test_a_damaged_manifest_is_refused_by_its_path(folder, content):
    file = folder.path / "manifest.json"
    file.write_bytes(content.encode("utf-8", "surrogatepass"))
    for call in (
        lambda: read_manifest(folder.path),
        lambda: RunFolder(folder.path, IDENTITY, COMMAND),
    ):
        with pytest.raises(RunError, match=r"manifest\.json"):
            call()


@pytest.mark.parametrize("missing", ["status", "settings", "model", "behavior", "command"])
def test_a_manifest_without_its_entries_is_refused(folder, missing):
    manifest = dict(folder.manifest)
    del manifest[missing]
    (folder.path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(RunError, match=missing):
        read_manifest(folder.path)


def test_a_newer_schema_is_refused_with_both_versions(folder):
    folder.update(schema_version="2")
    with pytest.raises(RunError, match=r"schema version 2, .* reads 1: upgrade"):
        read_manifest(folder.path)


def test_a_folder_without_a_manifest_is_no_run(tmp_path):
    with pytest.raises(RunError, match=r"no run folder: .*manifest\.json"):
        read_manifest(tmp_path)
    with pytest.raises(RunError, match="none"):
        read_manifest(tmp_path / "none")


def test_finishing_marks_the_run_and_drops_its_shards(folder):
    folder.shards.tensor("sum", lambda: torch.ones(2))
    folder.shards.frame("rows", lambda: pd.DataFrame({"a": [1]}))
    # What a killed process leaves behind.
    (folder.path / "shards" / ".sum.safetensors.1.tmp.safetensors").touch()
    folder.finish()
    assert folder.done
    assert RunFolder(folder.path, IDENTITY, COMMAND).done
    assert not (folder.path / "shards").exists()


def test_a_run_killed_while_it_dropped_its_shards_drops_them_when_it_is_opened_again(folder):
    folder.shards.tensor("sum", lambda: torch.ones(2))
    folder.update(status="done")
    assert RunFolder(folder.path, IDENTITY, COMMAND).done
    assert not (folder.path / "shards").exists()


def test_frames_are_written_as_parquet_and_on_request_as_csv(folder):
    frame = pd.DataFrame({"text": ["a,b", "é\n"], "value": [0.1 + 0.2, 1.0]})
    folder.write_frame("results", frame, csv=True)
    folder.write_frame("generations", frame)
    pd.testing.assert_frame_equal(pd.read_parquet(folder.path / "results.parquet"), frame)
    pd.testing.assert_frame_equal(pd.read_csv(folder.path / "results.csv"), frame)
    assert not (folder.path / "generations.csv").exists()


def test_entries_are_kept_across_updates_and_text_stays_readable(folder):
    folder.update(warnings=["wärmer"])
    folder.update(picked_layer=3)
    text = (folder.path / "manifest.json").read_text(encoding="utf-8")
    assert "wärmer" in text
    assert read_manifest(folder.path)["picked_layer"] == 3
    assert read_manifest(folder.path)["warnings"] == ["wärmer"]
