"""The ledger tells after any kill which jobs may still be there."""

import json

import pytest

from caa_nnsight.remote import Ledger
from caa_nnsight.remote.keys import ApiKey


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "run" / "jobs.jsonl")


def test_a_ledger_that_is_not_there_yet_is_empty_and_is_made_with_its_folder(ledger):
    assert list(ledger.records()) == []
    assert ledger.last_job("a") is None
    ledger.record("a", "job1", "submitted", label="chunk 1 of 3")
    (record,) = ledger.records()
    assert record["label"] == "chunk 1 of 3"
    assert record["time"].endswith("+00:00")


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([("j1", "submitted")], "j1"),
        ([("j1", "submitted"), ("j1", "finished")], "j1"),
        ([("j1", "submitted"), ("j1", "failed")], None),
        ([("j1", "submitted"), ("j1", "abandoned")], None),
        ([("j1", "submitted"), ("j1", "abandoned"), ("j2", "submitted")], "j2"),
        ([("j1", "submitted"), ("j2", "submitted"), ("j2", "failed")], "j1"),
        ([("j1", "finished"), ("j2", "submitted"), ("j1", "failed")], "j2"),
    ],
)
def test_the_last_job_is_the_latest_that_may_still_be_there(ledger, events, expected):
    for job, event in events:
        ledger.record("a", job, event)
        ledger.record("other", f"other-{job}", "submitted")
    assert ledger.last_job("a") == expected
    assert Ledger(ledger.path).last_job("a") == expected


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_torn_last_line_is_ignored_and_does_not_spoil_the_next(ledger, cut):
    ledger.record("a", "job1", "submitted")
    ledger.record("a", "job2", "submitted")
    content = ledger.path.read_bytes()
    ledger.path.write_bytes(content[:-cut])
    assert ledger.last_job("a") == ("job1" if cut > 1 else "job2")
    ledger.record("a", "job3", "submitted")
    assert ledger.last_job("a") == "job3"
    assert [json.loads(line)["job"] for line in ledger.path.read_bytes().splitlines()[:1]] == [
        "job1"
    ]


def test_lines_that_are_no_records_are_ignored(ledger):
    ledger.path.parent.mkdir()
    ledger.path.write_bytes(b"[1]\n\xff\xfe\n{}\nnull\n")
    ledger.record("a", "job1", "submitted")
    assert [record["job"] for record in ledger.records()] == ["job1"]


def test_every_record_is_on_disk_before_the_call_returns(ledger, monkeypatch):
    synced = []
    monkeypatch.setattr("os.fsync", lambda number: synced.append(ledger.path.read_bytes()))
    ledger.record("a", "job1", "submitted")
    assert b"job1" in synced[0]


def test_an_unknown_event_is_refused(ledger):
    with pytest.raises(ValueError, match="submitted, finished, failed, abandoned"):
        ledger.record("a", "job1", "sent")


def test_a_key_can_not_be_written(ledger, key):
    with pytest.raises(TypeError):
        ledger.record("a", "job1", "submitted", key=ApiKey(key))
    assert not ledger.path.exists()
