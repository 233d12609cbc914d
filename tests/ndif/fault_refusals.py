"""Faults that keep work from beginning: the server, the key, the model, the versions."""

from __future__ import annotations

import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.calling import caa
from tests.cli.places import save_model
from tests.models.fake_hub import FakeHub
from tests.ndif import keys
from tests.ndif.bench import MODEL, Bench
from tests.ndif.client import pointed_at
from tests.ndif.outcomes import Outcome, outcome_of_a_run
from tests.ndif.proxy import Proxy
from tests.tiny_tokenizers import VOCABULARY, tiny_tokenizer

MALFORMED = "c0ffee-is-no-key-of-any-server"
NOTHING_BEGAN = "no work had begun, no folder made"
# A word of every question of the bench.
WORD = "Question"


def server_not_started(bench: Bench) -> Outcome:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    host = f"--host=http://127.0.0.1:{port}"
    refused = bench.run("not-started", host)
    kept = _nothing_began(bench, "not-started")
    with Proxy(bench.server.host, port=port):
        done = bench.run("not-started", host)
    return outcome_of_a_run(bench, "server not started", "not-started", (refused, done), kept)


def unknown_key(bench: Bench) -> Outcome:
    return _wrong_key(bench, "unknown key", "unknown-key", keys.UNKNOWN)


def malformed_key(bench: Bench) -> Outcome:
    return _wrong_key(bench, "malformed key", "malformed-key", MALFORMED)


def no_key(bench: Bench) -> Outcome:
    return _wrong_key(bench, "no key", "no-key", None)


def _wrong_key(bench: Bench, fault: str, name: str, key: str | None) -> Outcome:
    with pointed_at(bench.server, NDIF_API_KEY=key):
        checked = caa("remote", "check", folder=bench.place)
        refused = bench.run(name)
    assert refused.sentence in checked.out
    kept = _nothing_began(bench, name)
    done = bench.run(name)
    return outcome_of_a_run(bench, fault, name, (checked, refused, done), kept)


def model_unknown_to_the_hub(bench: Bench) -> Outcome:
    refused = bench.run("no-such-model", model="test-org/no-such-model")
    kept = _nothing_began(bench, "no-such-model")
    done = bench.run("no-such-model")
    calls = (refused, done)
    return outcome_of_a_run(bench, "model that the Hub doesn't have", "no-such-model", calls, kept)


def model_unknown_to_the_server(bench: Bench) -> Outcome:
    with _hub_of_our_own(bench, "test-org/only-here"):
        refused = bench.run("only-here", model="test-org/only-here")
    kept = _nothing_began(bench, "only-here")
    done = bench.run("only-here")
    fault = "model that the server can't get"
    return outcome_of_a_run(bench, fault, "only-here", (refused, done), kept)


def token_that_the_model_lacks(bench: Bench) -> Outcome:
    """The tokenizer here knows more tokens than the server's model: its forward pass fails."""
    tokenizer = tiny_tokenizer("joined", "system")
    missing = VOCABULARY - len(tokenizer)
    tokenizer.add_tokens([*(f"<filler-{number}>" for number in range(missing)), WORD])
    with _hub_of_our_own(bench, MODEL) as folder:
        tokenizer.save_pretrained(folder)
        failed = bench.run("lacking-token")
    done = bench.run("lacking-token")
    fault = "exception in the trace: a token that the server's model lacks"
    kept = "what was done before it is kept"
    return outcome_of_a_run(bench, fault, "lacking-token", (failed, done), kept)


def server_wants_a_newer_client(bench: Bench) -> Outcome:
    """The server asks for at least the release that is really here."""
    with _nnsight_that_says("0.8.0"):
        refused = bench.run("old-client")
    kept = _nothing_began(bench, "old-client")
    done = bench.run("old-client")
    fault = "version mismatch: the server asks for a newer nnsight"
    return outcome_of_a_run(bench, fault, "old-client", (refused, done), kept)


def client_of_another_series(bench: Bench) -> Outcome:
    with _nnsight_that_says("0.6.0"):
        checked = caa("remote", "check", folder=bench.place)
        refused = bench.run("other-series")
    assert refused.sentence in checked.out
    kept = _nothing_began(bench, "other-series")
    done = bench.run("other-series")
    fault = "version mismatch: nnsight of another series"
    return outcome_of_a_run(bench, fault, "other-series", (checked, refused, done), kept)


def _nothing_began(bench: Bench, name: str) -> str:
    assert not (bench.place / name).exists()
    return NOTHING_BEGAN


@contextmanager
def _hub_of_our_own(bench: Bench, repo: str) -> Iterator[Path]:
    """A Hub for the client, which isn't the server's, with a tiny Llama; yields its folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = save_model(Path(name, "model"))
        with (
            FakeHub({repo: folder}) as hub,
            pointed_at(bench.server, HF_ENDPOINT=hub.address, HF_HOME=f"{name}/cache"),
        ):
            yield folder


@contextmanager
def _nnsight_that_says(version: str) -> Iterator[None]:
    """Be a client whose installed nnsight is of this version, by what its package says."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        facts = Path(folder, f"nnsight-{version}.dist-info", "METADATA")
        facts.parent.mkdir()
        facts.write_text(f"Metadata-Version: 2.1\nName: nnsight\nVersion: {version}\n")
        patch.setattr(sys, "path", [folder, *sys.path])
        yield
