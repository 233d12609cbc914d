"""Every test here has a cache of its own, and no Hub."""

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder, named by the environment as a user would."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("CAA_CACHE", str(folder))
    return folder


@pytest.fixture(autouse=True)
def no_hub(tmp_path, monkeypatch):
    """The Hub switched off, its local cache empty."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
