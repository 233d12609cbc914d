"""A real NDIF server for the tests of this folder, installed on first use.

Where it can't be installed, its tests are skipped, and the summary says why. With
CAA_NDIF=required they fail.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator

import pytest

from tests.ndif.client import pointed_at
from tests.ndif.install import InstallError, install
from tests.ndif.server import NdifServer


@pytest.fixture(scope="session")
def ndif_installed() -> None:
    """For tests that start servers of their own."""
    try:
        install()
    except InstallError as error:
        if os.environ.get("CAA_NDIF") == "required":
            pytest.fail(str(error), pytrace=False)
        warnings.warn(f"No test ran against an NDIF server. {error}", stacklevel=1)
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def ndif(ndif_installed) -> Iterator[NdifServer]:
    """One server for all tests that leave it as it is: no keys, requests run beside the model."""
    with NdifServer() as server:
        yield server


@pytest.fixture(scope="module")
def ndif_host(ndif) -> Iterator[str]:
    """The server's address, in an environment that leads to it, for the tests of one file.

    Not for the whole session: tests of other folders may follow in this process.
    """
    with pointed_at(ndif):
        yield ndif.host
