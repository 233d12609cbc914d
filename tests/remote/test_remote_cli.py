"""`caa remote`: what it prints, and its exit codes."""

import subprocess
import sys

import pytest

from caa_nnsight.cli.app import app
from tests.cli.calling import caa
from tests.remote.test_preflight import replica


@pytest.fixture
def server(ndif, key, monkeypatch):
    monkeypatch.setenv("NDIF_HOST", ndif.host)
    monkeypatch.setenv("NDIF_API_KEY", key)
    ndif.keys = {key}
    ndif.deployments = {
        "a": replica("org/zebra"),
        "b": replica("org/ant", "COLD", None, None),
        "c": replica("org/zebra"),
        "d": replica("org/bee", revision="v1"),
    }
    return ndif


def test_check_prints_a_line_for_each_check_and_never_the_key(server, key):
    outcome = caa("remote", "check", "--model", "org/zebra")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "server",
        "compute",
        "key",
        "nnsight",
        "transformers",
        "python",
        "model",
    ]
    assert lines[2] == "key           ok       The server accepts the API key."
    assert key not in outcome.out + outcome.err


def test_a_failed_check_is_exit_code_two(server, monkeypatch):
    monkeypatch.setenv("NDIF_API_KEY", "another-key")
    outcome = caa("remote", "check")
    assert outcome.code == 2
    assert "key           failed   The server doesn't know the API key" in outcome.out
    assert "another-key" not in outcome.out + outcome.err


def test_an_alias_is_looked_for_by_its_hub_id(server):
    server.deployments["x"] = replica("HuggingFaceTB/SmolLM2-135M-Instruct")
    assert "135M-Instruct is running." in caa("remote", "check", "-m", "smollm2-135m").out


def test_a_revision_is_looked_for(server):
    outcome = caa("remote", "check", "-m", "org/bee", "--revision", "v1")
    assert "org/bee at revision v1 is running." in outcome.out


def test_models_lists_the_readiest_first(server):
    outcome = caa("remote", "models")
    assert outcome.code == 0
    assert [line.split() for line in outcome.out.splitlines()] == [
        ["org/bee", "running", "revision", "v1"],
        ["org/zebra", "running", "2", "copies"],
        ["org/ant", "on", "disk"],
    ]


def test_a_server_without_models_says_so(server):
    server.deployments = {}
    assert "has no models now" in caa("remote", "models").out


def test_host_and_key_file_come_before_the_environment(server, key, tmp_path, monkeypatch):
    monkeypatch.setenv("NDIF_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("NDIF_API_KEY", "another-key")
    file = tmp_path / "key"
    file.write_text(key)
    file.chmod(0o600)
    outcome = caa("remote", "check", "--host", server.host, "--api-key-file", file)
    assert outcome.code == 0, outcome.out
    assert outcome.err == ""


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["check", "--host", "nowhere"], "The host 'nowhere' is no address of an NDIF server"),
        (["models", "--host", "http://127.0.0.1:9"], "nothing listens there"),
        (["check", "--api-key-file", "no-such-file"], "No such file or directory"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_two(server, words, sentence):
    outcome = caa("remote", *words)
    assert outcome.code == 2
    assert sentence in outcome.err
    assert outcome.err.startswith("Error: ")
    assert outcome.err.count("\n") == 1


def test_no_command_takes_a_key_on_its_command_line():
    commands = [app, *(group.typer_instance for group in app.registered_groups)]
    for group in commands:
        for command in group.registered_commands:
            names = command.callback.__annotations__
            assert "api_key" not in names, command.callback
    outcome = caa("remote", "check", "--api-key", "s3cret")
    assert outcome.code == 2
    assert "s3cret" not in outcome.out + outcome.err


def test_the_transport_imports_neither_nnsight_nor_anything_heavy():
    code = (
        "import sys, caa_nnsight.remote, caa_nnsight.cli.remote; "
        "print([n for n in ('torch', 'nnsight', 'httpx', 'zstandard') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
