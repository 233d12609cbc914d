"""`caa play` before its page is there: a port that is taken, a library that isn't."""

from __future__ import annotations

import asyncio
import importlib.util

import pytest

from caa_nnsight.play import server
from tests.cli.calling import caa

pytest.importorskip("nicegui")


def test_a_port_that_is_taken_is_one_sentence():
    with server.bind(0) as taken:
        port = taken.getsockname()[1]
        outcome = caa("play", "refusal", f"--port={port}")
    assert outcome.code == 2
    assert outcome.sentence.startswith(f"Port {port} can't be used (another program has it): ")


def test_a_missing_library_is_one_sentence(monkeypatch):
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    outcome = caa("play", "refusal")
    assert outcome.code == 2
    assert outcome.sentence.endswith("pip install 'caa_nnsight[play]'.")
    assert importlib.util.find_spec("nicegui")


def test_the_page_is_this_machines_alone():
    with server.bind(0) as sock:
        assert sock.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "origin", "ours"),
    [
        ("127.0.0.1:80", None, True),
        ("localhost:80", "http://localhost:80", True),
        ("127.0.0.1:80", "http://evil.example", False),
        ("evil.example", None, False),
        ("[", None, False),
        ("127.0.0.1:80", "http://[", False),
        ("", None, False),
    ],
)
def test_only_requests_of_this_machines_pages_are_answered(host, origin, ours):
    sent = []

    async def inner(_scope, _receive, _send):
        sent.append("answered")

    async def send(message):
        sent.append(message.get("status"))

    headers = [(b"host", host.encode())] + ([(b"origin", origin.encode())] if origin else [])
    app = server.OnlyFromHere(inner)
    asyncio.run(app({"type": "http", "headers": headers}, None, send))
    assert sent[0] == ("answered" if ours else 403)
