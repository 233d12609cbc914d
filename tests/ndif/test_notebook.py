"""The notebook on NDIF does what it shows on a real server, the killed and resumed run included."""

from __future__ import annotations

import json

import pytest

from tests.ndif import keys
from tests.notebooks.executing import execute, read, shape
from tests.notebooks.ndif_server import provide_model

pytestmark = [pytest.mark.ndif, pytest.mark.weights]


@pytest.fixture(scope="module")
def executed(ndif, ndif_host, tmp_path_factory):
    """The notebook, executed, and the folder that it worked in."""
    provide_model(ndif)
    folder = tmp_path_factory.mktemp("notebook")
    return execute(read("ndif"), folder), folder


def test_it_runs_again_and_shows_the_same_kinds_of_output(executed):
    assert shape(executed[0]) == shape(read("ndif"))


def test_the_run_that_it_kills_is_picked_up_and_finished(executed):
    _, folder = executed
    lines = (folder / "runs" / "formality" / "jobs.jsonl").read_text().splitlines()
    notes = [json.loads(line) for line in lines]
    work = {
        event: {note["fingerprint"] for note in notes if note["event"] == event}
        for event in ("submitted", "finished")
    }
    assert work["submitted"] == work["finished"]
    assert len(work["submitted"]) >= 4
    assert (folder / "runs" / "formality" / "report.html").exists()


def test_the_key_is_nowhere_in_it(executed):
    notebook, folder = executed
    assert keys.KNOWN not in json.dumps(notebook)
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert [file for file in files if keys.KNOWN.encode() in file.read_bytes()] == []
