"""A server that was stopped leaves nothing behind."""

import socket

import pytest

from tests.ndif import parts
from tests.ndif.server import NdifServer

pytestmark = [pytest.mark.ndif, pytest.mark.servers]


def answers(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_nothing_is_left_of_a_server_that_was_stopped(ndif_installed):
    with NdifServer(models=["test-org/tiny-llama"]) as server:
        processes, ports = server.processes(), server.ports.numbers.values()
        assert len(processes) > len(parts.COMMANDS)
        assert answers(server.ports["api"])
    assert not any(process.is_running() for process in processes)
    assert not server.state.exists()
    assert not any(map(answers, ports))
