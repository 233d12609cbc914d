"""What has to be loaded before nnsight is, which then gives every object an attribute `save`."""

from __future__ import annotations

from contextlib import suppress


def load_anyio_classes() -> None:
    """Make anyio's classes of typed attributes, where anyio is installed.

    They refuse an attribute that has no annotation, and would take `save` for one of their own.
    anyio makes them when they are first needed, as by its event loop; nnsight's own import of
    anyio doesn't.
    """
    if hasattr(object, "save"):
        return
    with suppress(ImportError):
        from anyio.abc import SocketAttribute  # noqa: F401
        from anyio.streams.file import FileStreamAttribute  # noqa: F401
        from anyio.streams.tls import TLSAttribute  # noqa: F401
