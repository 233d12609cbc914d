"""One thread: for models of this size, threads cost more than they bring. And one server."""

import os

import pytest

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items):
    """The tests that take longest go first, so that no worker waits for them at the end."""
    items.sort(key=lambda item: not _needs_server(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """One worker for all tests that need an NDIF server: each would start its own."""
    from xdist.scheduler import LoadFileScheduling

    class OneServer(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return "ndif" if _needs_server(nodeid) else super()._split_scope(nodeid)

    return OneServer(config, log) if config.getvalue("dist") == "loadfile" else None


def _needs_server(nodeid: str) -> bool:
    return nodeid.startswith("tests/ndif/")
