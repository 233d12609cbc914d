"""Point this process at a server: what its environment says, also where that was read already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import huggingface_hub
import pytest
from huggingface_hub import constants
from nnsight import CONFIG

from tests.ndif.server import NdifServer


@contextmanager
def pointed_at(server: NdifServer, **changes: str | None) -> Iterator[None]:
    """Be a client of `server` inside the block; `changes` to its environment, None to unset.

    Child processes get all they need from the environment. In this process, huggingface_hub and
    nnsight took theirs over when they were imported, long before there was a server.
    """
    environment = {**server.environment, **changes}
    endpoint = environment["HF_ENDPOINT"]
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            if value is None:
                patch.delenv(name, raising=False)
            else:
                patch.setenv(name, value)
        patch.delenv("HF_HUB_CACHE", raising=False)
        patch.setattr(constants, "ENDPOINT", endpoint)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.setattr(constants, "HF_HUB_CACHE", f"{environment['HF_HOME']}/hub")
        # What functions like huggingface_hub.model_info are methods of.
        patch.setattr(huggingface_hub.hf_api.api, "endpoint", endpoint)
        patch.setattr(CONFIG.API, "HOST", environment["NDIF_HOST"])
        patch.setattr(CONFIG.API, "APIKEY", environment["NDIF_API_KEY"])
        patch.setattr(CONFIG.APP, "REMOTE_LOGGING", False)
        yield
