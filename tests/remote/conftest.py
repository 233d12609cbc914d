"""A fake server for each test, and no keys or addresses of whoever runs the tests."""

import pytest

from tests.remote.fake_ndif import Clock, FakeNdif

# What must never be seen anywhere: a key, and the middle of it.
KEY = "c0ffee11-2222-4333-8444-555566667777"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch):
    for name in ("NDIF_HOST", "NDIF_API_KEY", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def ndif():
    server = FakeNdif()
    yield server
    server.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def key():
    return KEY
