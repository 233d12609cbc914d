"""The model of the NDIF notebook on a server of this machine, and the way there."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import caa_nnsight
from tests.ndif.client import pointed_at
from tests.ndif.install import install
from tests.ndif.models import REAL, write_models
from tests.ndif.server import NdifServer


@contextmanager
def server_that_checks_keys() -> Iterator[None]:
    """Start a server that has the model, and be its client, with a key, inside the block."""
    install()
    with NdifServer(auth=True, execution_timeout=600.0) as server, pointed_at(server):
        provide_model(server)
        yield


def provide_model(server: NdifServer) -> None:
    """Put the real model on a server, and have it loaded, as models of the public NDIF are."""
    write_models(server.state / "hub", REAL)
    with warnings.catch_warnings():
        # That the model isn't running yet.
        warnings.simplefilter("ignore")
        model = caa_nnsight.load("smollm2-135m", remote=True)
    # The server tells it of the loaded model.
    assert str(model.dtype) == "torch.float32"
