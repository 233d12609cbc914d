"""What the shared server is: NDIF itself, with our models, for this machine only."""

import httpx
import psutil
import pytest

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
