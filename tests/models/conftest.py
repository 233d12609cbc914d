"""Every test here has a cache of its own, and no Hub."""

import pytest
from huggingface_hub import constants


@pytest.fixture(autouse=True)
def cache(request, tmp_path, monkeypatch):
    """An empty cache folder, named by the environment as a user would, and the Hub switched off.

    Tests of real weights keep the user's own cache and Hub.
    """
    folder = tmp_path / "cache"
    if request.node.get_closest_marker("weights") is None:
        monkeypatch.setenv("CAA_CACHE", str(folder))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return folder
