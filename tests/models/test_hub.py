"""Models of the Hub: found in its cache, downloaded at one commit, refused in one sentence."""

import errno
import socket
import time
from dataclasses import replace

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants

from caa_nnsight.errors import ModelError
from caa_nnsight.models import ALIASES, hub, load
from tests.models.fake_hub import COMMIT, FakeHub
from tests.models.folders import tiny_folder
from tests.models.package_index import publish

ON_CPU = {"device": "cpu", "dtype": "float32"}
REPO = "somebody/tiny"


@pytest.fixture
def online(tmp_path, monkeypatch):
    """A Hub that has one tiny model, with files beside it that loading does not need."""
    folder = tmp_path / "repository"
    module, _ = tiny_folder(folder)
    (folder / "README.md").write_text("# tiny")
    (folder / "pytorch_model.bin").write_bytes(b"the same again")
    with FakeHub({REPO: folder}) as server:
        _connect(monkeypatch, server.address)
        server.folder, server.module = folder, module
        yield server


def _connect(monkeypatch, address):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def test_a_model_is_downloaded_once_at_one_commit(online, capfd):
    capfd.readouterr()
    model = load(REPO, **ON_CPU)
    size = sum(
        path.stat().st_size
        for path in online.folder.iterdir()
        if path.name not in ("README.md", "pytorch_model.bin")
    )
    assert capfd.readouterr().err == (
        f"Downloading somebody/tiny from the Hugging Face Hub ({size / 1e6:.0f} MB)\n"
    )
    ids = torch.tensor([[5, 6, 7]])
    torch.testing.assert_close(model.module(ids).logits, online.module(ids).logits)
    assert model.source == "hub:somebody/tiny"
    assert model.describe()["revision"] == COMMIT
    assert not any(path.endswith(("README.md", ".bin")) for path in online.requests)

    online.requests.clear()
    again = load(REPO, **ON_CPU)
    assert again.revision == COMMIT
    assert online.requests == []


def test_a_commit_can_be_asked_for(online):
    assert load(REPO, revision=COMMIT, **ON_CPU).revision == COMMIT


def test_an_interrupted_download_is_completed(online, tmp_path):
    load(REPO, **ON_CPU)
    next((tmp_path / "hub").rglob("snapshots/*/model.safetensors")).unlink()
    assert load(REPO, **ON_CPU).revision == COMMIT


def test_an_alias_prefers_the_hub_to_the_packages(online, tmp_path, monkeypatch):
    alias = publish(b"hello world", tmp_path / "index")
    monkeypatch.setitem(ALIASES, "tiny", replace(alias, name="tiny", hub_id=REPO))
    model = load("tiny", **ON_CPU)
    assert (model.name, model.source) == ("tiny", "hub:somebody/tiny")
    assert "sha256" not in model.describe()


def _gated(server):
    server.refuse = (403, "GatedRepo")


def _no_config(server):
    (server.folder / "config.json").unlink()


def _gguf_only(server):
    _no_config(server)
    (server.folder / "tiny.gguf").write_bytes(b"GGUF")


def _no_weights(server):
    (server.folder / "model.safetensors").unlink()
    (server.folder / "pytorch_model.bin").unlink()


def _as_it_is(server):
    pass


@pytest.mark.parametrize(
    ("repo", "revision", "spoil", "message"),
    [
        (
            REPO,
            None,
            _gated,
            "somebody/tiny is gated: accept its licence at https://huggingface.co/somebody/tiny, "
            "then set HF_TOKEN to a token that may read it.",
        ),
        (
            "somebody/tyni",
            None,
            _as_it_is,
            "The Hugging Face Hub has no model somebody/tyni, or it is private: check the "
            "spelling, or set HF_TOKEN to a token that may read it.",
        ),
        (
            REPO,
            "v9",
            _as_it_is,
            "somebody/tiny has no revision 'v9' on the Hugging Face Hub.",
        ),
        (
            REPO,
            None,
            _no_config,
            "somebody/tiny on the Hugging Face Hub has no config.json: name a repository that "
            "holds a transformers model.",
        ),
        (
            REPO,
            None,
            _gguf_only,
            "somebody/tiny on the Hugging Face Hub has no config.json: it holds GGUF files: "
            "download one and pass its path.",
        ),
        (
            REPO,
            None,
            _no_weights,
            "somebody/tiny on the Hugging Face Hub has no weights that transformers reads "
            "(model.safetensors).",
        ),
    ],
)
def test_what_the_hub_refuses_is_told_in_one_sentence(
    online, monkeypatch, repo, revision, spoil, message
):
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecret")
    spoil(online)
    with pytest.raises(ModelError) as caught:
        load(repo, revision=revision, **ON_CPU)
    assert str(caught.value) == message


def test_a_hub_that_does_not_answer_costs_a_few_seconds(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        _connect(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(hub, "REACH_SECONDS", 0.3)
        began = time.monotonic()
        with pytest.raises(ModelError, match="the Hugging Face Hub can't be reached from here"):
            load(REPO, **ON_CPU)
        assert time.monotonic() - began < 3


def test_a_name_lookup_that_hangs_costs_a_few_seconds(monkeypatch):
    _connect(monkeypatch, "http://hub.invalid")
    monkeypatch.setattr(hub, "REACH_SECONDS", 0.2)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(4))
    began = time.monotonic()
    with pytest.raises(ModelError, match=r"can't be reached from here \(TimeoutError\)"):
        load(REPO, **ON_CPU)
    assert time.monotonic() - began < 3


def test_a_network_error_never_repeats_the_token(monkeypatch):
    def broken(*_):
        raise ValueError("Illegal header value b'Bearer hf_secretsecret'")

    monkeypatch.setattr(hub, "_reach", broken)
    with pytest.raises(ModelError) as caught:
        load(REPO, **ON_CPU)
    assert "secret" not in str(caught.value)


def test_a_token_that_no_header_can_carry_is_told_and_not_shown(online, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_ünicode")
    with pytest.raises(ModelError, match="characters that no token has") as caught:
        load(REPO, **ON_CPU)
    assert "ünicode" not in str(caught.value)
    assert online.requests == []


def test_a_full_disk_during_a_download_is_told(online, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", full)
    with pytest.raises(ModelError) as caught:
        load(REPO, **ON_CPU)
    assert str(caught.value) == (
        "The disk that holds the Hugging Face cache is full, so somebody/tiny could not be "
        "downloaded: free some space, or name another folder with HF_HOME."
    )
