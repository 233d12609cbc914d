"""What the shared server is: NDIF itself, with our models, for this machine only."""

import random

import httpx
import psutil
import pytest

from caa_nnsight.remote import remote_settings
from caa_nnsight.remote.client import NdifClient, envelope
from tests.ndif.models import TINY
from tests.ndif.plain import assert_the_server_is_right

pytestmark = pytest.mark.ndif


@pytest.mark.parametrize("repo", TINY)
def test_a_trace_gives_what_the_same_model_gives_here(ndif_host, repo):
    assert_the_server_is_right(repo)


def test_the_server_does_not_have_the_package_under_test(ndif_host):
    packages = httpx.get(f"{ndif_host}/env", timeout=60).json()["packages"]
    assert packages["nnsight"] == "0.8.1"
    assert "caa_nnsight" not in packages


def test_only_this_machine_can_reach_it(ndif):
    addresses = {
        connection.laddr.ip
        for process in ndif.processes()
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_a_request_of_many_megabytes_gets_in(ndif_host):
    # What is in it is for a model actor that doesn't exist to find out.
    noise = random.Random(0).randbytes(5_000_000)
    with NdifClient(remote_settings(ndif_host)) as client:
        assert client.submit(noise, envelope("nothing:{}")).status == "RECEIVED"
