"""The files of a model that its user may change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caa_nnsight.models.model import Model


def files_of(model: Model) -> list[tuple[str, int, int]]:
    """Names, sizes in bytes and times in nanoseconds, of a folder or a GGUF file.

    Of other models there are none: what the Hub gives doesn't change under its name.
    """
    kind, _, place = model.source.partition(":")
    if kind not in ("folder", "gguf"):
        return []
    path = Path(place).expanduser()
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    stats = [(file.name, file.stat()) for file in files if file.is_file()]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
