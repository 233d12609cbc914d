"""What a run's remote work cost, over all its starts."""

import json

import pytest

from caa_nnsight.remote import Traffic
from caa_nnsight.runs import RunFolder, read_manifest
from tests.core.test_runs import COMMAND, IDENTITY


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run"


def opened(path) -> RunFolder:
    return RunFolder(path, IDENTITY, COMMAND)


def test_a_run_in_this_process_has_no_traffic(path):
    assert "traffic" not in opened(path).manifest


def test_costs_of_each_start_add_up_on_disk(path):
    opened(path).add_traffic(Traffic(requests=3, bytes_up=100, seconds=0.1).as_dict())
    opened(path).add_traffic(Traffic(requests=2, resubmissions=1, seconds=0.2).as_dict())
    written = json.loads((path / "manifest.json").read_text(encoding="utf-8"))["traffic"]
    assert written == Traffic(3 + 2, 1, 0, 100, 0, 0.3).as_dict()
    assert [type(written[name]) for name in ("requests", "seconds")] == [int, float]


def test_traffic_is_no_part_of_what_a_run_is(path):
    opened(path).add_traffic(Traffic(requests=3).as_dict())
    assert opened(path).manifest["traffic"]["requests"] == 3


def test_a_counter_that_an_older_manifest_lacks_starts_at_nothing(path):
    folder = opened(path)
    folder.update(traffic={"requests": 1})
    folder.add_traffic({"requests": 1, "new": 5})
    assert read_manifest(path)["traffic"] == {"requests": 2, "new": 5}
