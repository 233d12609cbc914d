"""A Hub of its own for each test, an empty cache, and a token that may write."""

import pytest
from huggingface_hub import constants

from tests.hub.local_hub import WRITER, LocalHub


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The client reads these where it is used; processes of their own get `variables`."""
    with LocalHub() as server:
        template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
        for name, value in {
            "ENDPOINT": server.address,
            "HUGGINGFACE_CO_URL_TEMPLATE": template,
            "HF_HUB_OFFLINE": False,
            "HF_HUB_CACHE": str(tmp_path / "hub"),
            "HF_TOKEN_PATH": str(tmp_path / "no-login"),
            # The other protocol for large files is a server of its own.
            "HF_HUB_DISABLE_XET": True,
        }.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setenv("HF_TOKEN", WRITER)
        server.variables = {
            "HF_ENDPOINT": server.address,
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_TOKEN": WRITER,
        }
        yield server
