"""Writing files so that nothing is ever left half-written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def write_atomically(path: Path, write: Callable[[Path], None]) -> Path:
    """Let `write` fill a temporary file beside `path`, then put it in place in one step."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp{path.suffix}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def write_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None
) -> Path:
    """Write a safetensors file in one step.

    The bytes are written here: what safetensors writes by itself only its owner may read, and
    a full disk is an error of its own there.

    Raises:
        OSError: it can't be written.
    """
    from safetensors.torch import save

    content = save(dict(tensors), metadata and dict(metadata))
    return write_atomically(path, lambda temporary: temporary.write_bytes(content))
