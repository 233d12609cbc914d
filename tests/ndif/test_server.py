"""Servers of a test's own: their parts die and come back, and nothing is left of them."""

import socket

import psutil
import pytest
from nnsight import CONFIG
from nnsight.intervention.backends.remote import RemoteError

from tests.ndif import keys, parts
from tests.ndif.client import pointed_at
from tests.ndif.plain import assert_the_server_is_right, logits_from_the_server
from tests.ndif.server import KILLABLE, NdifServer

pytestmark = pytest.mark.ndif

LLAMA = "test-org/tiny-llama"


@pytest.fixture(scope="module")
def server(ndif_installed):
    """A server to mistreat."""
    with NdifServer(models=[LLAMA]) as started, pointed_at(started):
        yield started


def answers(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("part", [part for part in KILLABLE if part != "model_actor"])
def test_a_part_that_is_killed_comes_back(server, part):
    assert_the_server_is_right(LLAMA)
    before = server.pid(part)
    server.kill(part)
    assert not psutil.pid_exists(before)
    assert not answers(server.ports[part])
    server.restart(part)
    assert server.pid(part) != before
    assert_the_server_is_right(LLAMA)


def test_a_model_actor_that_is_killed_comes_back(server):
    assert_the_server_is_right(LLAMA)
    before = server.pid("model_actor")
    server.restart("model_actor")
    assert not psutil.pid_exists(before)
    refusal = ""
    try:
        assert_the_server_is_right(LLAMA)
    except RemoteError as error:
        refusal = str(error)
    if refusal:
        assert "try again later" in refusal
        assert_the_server_is_right(LLAMA)


def test_nothing_is_left_of_a_server_that_was_stopped(server):
    processes, ports = server.processes(), server.ports.numbers.values()
    assert len(processes) > len(parts.COMMANDS)
    server.stop()
    assert not any(process.is_running() for process in processes)
    assert not server.state.exists()
    assert not any(map(answers, ports))


def test_keys_are_checked_and_requests_that_are_not_trusted_run_in_a_sandbox(ndif_installed):
    guarded = NdifServer(auth=True, sandbox=True, models=[LLAMA])
    with guarded, pointed_at(guarded):
        for key in (keys.KNOWN, keys.TRUSTED):
            CONFIG.API.APIKEY = key
            assert_the_server_is_right(LLAMA)
        for key in (keys.UNKNOWN, "no key", ""):
            CONFIG.API.APIKEY = key
            with pytest.raises(RemoteError, match="Failed to send request"):
                logits_from_the_server(LLAMA)
        assert any("sandbox" in " ".join(each.cmdline()) for each in guarded.processes())
