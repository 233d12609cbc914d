"""A job's result: compressed bytes to named values, checked, and nothing unpickled freely."""

from __future__ import annotations

import io
from typing import Any

from caa_nnsight.errors import RemoteError


class DamagedResultError(RemoteError):
    """The bytes are not what the server wrote: a second download may do."""


def decode(content: bytes) -> dict[str, Any]:
    """Read a result: Zstandard around what `torch.save` writes, tensors on the CPU.

    Only tensors and plain values are accepted: a server can't make this process run code.

    Raises:
        DamagedResultError: bytes are missing or changed.
        RemoteError: it holds something else than named tensors and plain values.
    """
    import torch

    archive = _decompressed(content)
    _check_archive(archive)
    try:
        values = torch.load(io.BytesIO(archive), map_location="cpu", weights_only=True)
    except Exception as error:
        # Whole, as its checksums have shown, so another download would bring the same.
        raise RemoteError(
            f"The server's result can't be read safely ({type(error).__name__}): it must hold "
            "tensors and plain values only.",
            str(error),
        ) from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise RemoteError("The server's result is no set of named values: is its NDIF too new?")
    return values


def _decompressed(content: bytes) -> bytes:
    import zstandard

    try:
        return zstandard.ZstdDecompressor().decompress(content)
    except zstandard.ZstdError as error:
        raise DamagedResultError(f"The result is damaged ({error}).") from None


def _check_archive(archive: bytes) -> None:
    """Compare every part with its checksum, which `torch.load` does not."""
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as parts:
            damaged = parts.testzip()
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise DamagedResultError(f"The result is damaged ({type(error).__name__}).") from None
    if damaged is not None:
        raise DamagedResultError("The result is damaged (a checksum differs).")
