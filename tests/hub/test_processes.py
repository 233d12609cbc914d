"""Processes of their own, which learn of the Hub by `HF_ENDPOINT` alone; one of them is killed."""

import json
import signal
import subprocess
import sys
import threading

import pytest

from caa_nnsight.behavior import Behavior
from caa_nnsight.errors import HubError
from caa_nnsight.vectors import SteeringVectors
from tests.behaviors import made_up
from tests.cli.calling import finish, start
from tests.hub.local_hub import WRITER, Fault
from tests.hub.made_up import REPO, vectors
from tests.hub.test_push_cli import BEHAVIOR, FILE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "repo", "words", "moment"),
    [
        ("models", REPO, ("vectors", "v.safetensors"), "PUT /large/"),
        ("models", REPO, ("vectors", "v.safetensors"), "POST .*/commit/"),
        ("datasets", BEHAVIOR, ("behavior", "./tea.py"), "POST .*/commit/"),
    ],
)
def test_a_push_that_is_killed_leaves_no_half_of_it(hub, tmp_path, kind, repo, words, moment):
    vectors().save(tmp_path / "v.safetensors")
    (tmp_path / "tea.py").write_text(FILE)
    never = threading.Event()
    hub.faults.append(Fault(moment, never))
    process = start("push", *words, repo, folder=tmp_path, **hub.variables)
    assert hub.reached.wait(60)
    process.kill()
    assert finish(process).code == -signal.SIGKILL
    assert hub.files(kind, repo) == {}
    read = Behavior.from_pretrained if kind == "datasets" else SteeringVectors.from_pretrained
    with pytest.raises(HubError, match="it is empty"):
        read(repo)

    hub.faults.clear()
    never.set()
    again = finish(start("push", *words, repo, folder=tmp_path, **hub.variables))
    assert again.code == 0, again.err
    assert read(repo)


@pytest.mark.slow
def test_what_one_process_pushes_another_reads_online_and_then_offline(hub, tmp_path):
    (tmp_path / "tea.py").write_text(FILE)
    pushed = finish(
        start("-v", "push", "behavior", "./tea.py", BEHAVIOR, folder=tmp_path, **hub.variables)
    )
    assert pushed.code == 0, pushed.err
    assert WRITER not in pushed.out + pushed.err
    show = ("behaviors", "show", f"hf:{BEHAVIOR}")
    online = finish(start(*show, folder=tmp_path, **hub.variables))
    assert "name: tea" in online.out
    hub.requests.clear()
    offline = hub.variables | {"HF_HUB_OFFLINE": "1"}
    again = finish(start(*show, folder=tmp_path, **offline))
    assert again.out == online.out
    other = finish(start(*show[:2], "hf:somebody/other", folder=tmp_path, **offline))
    assert other.code == 2
    assert other.sentence == (
        "The Hugging Face Hub is off (HF_HUB_OFFLINE), and its cache here doesn't have "
        "hf:somebody/other: connect once, or give a folder."
    )
    assert hub.requests == []


@pytest.mark.slow
def test_datasets_reads_a_behavior_without_this_package(hub, tmp_path):
    made = made_up.choices(
        held_out=made_up.made_up_free_pairs(4), held_out_form="free_form", open_ended=["One?"]
    )
    made.push_to_hub(BEHAVIOR)
    program = f"""
import datasets, json, sys
read = {{
    name: datasets.load_dataset({BEHAVIOR!r}, name)[split].to_list()
    for name, split in (("pairs", "train"), ("held_out", "test"), ("open_ended", "test"))
}}
read["default"] = datasets.load_dataset({BEHAVIOR!r})["train"].to_list()
assert "caa_nnsight" not in sys.modules
print(json.dumps(read))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PATH": "", "HF_DATASETS_CACHE": str(tmp_path / "d")} | hub.variables,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    read = json.loads(done.stdout)
    assert read["pairs"] == read["default"] == [pair.to_record() for pair in made.load_pairs()]
    assert read["held_out"] == [pair.to_record() for pair in made.load_held_out()]
    assert read["open_ended"] == [{"question": "One?"}]
