"""Shards: finished pieces of a run on disk, so that a killed run goes on where it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from caa_nnsight.files import write_atomically, write_tensors

if TYPE_CHECKING:
    import pandas as pd
    import torch


class Shards:
    """Named pieces in one folder; each is made once and read back from then on.

    `extract` and `score` keep their finished pieces here, and a second call with the same arguments
    goes on where a killed one was. Names alone tell pieces apart: a folder is for one call with one
    set of arguments. `run` and `study` see to that by themselves.

    Args:
        folder: where they are; created if need be.

    Example:
        >>> import caa_nnsight as caa
        >>> model, refusal = caa.load("smollm2-135m"), caa.get_behavior("refusal")
        >>> pairs, pieces = refusal.split(generation=2).generation, caa.Shards("pieces")
        >>> caa.extract(model, pairs, layers=[12], shards=pieces).layers
        [12]
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def tensor(self, name: str, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """The tensor of this name: what `make` gives now, if it isn't there."""
        from safetensors.torch import load_file

        path = self.folder / f"{name}.safetensors"
        if not path.exists():
            write_tensors(path, {"value": make().contiguous()})
        return load_file(path)["value"]

    def frame(self, name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """The data frame of this name: what `make` gives now, if it isn't there."""
        import pandas as pd

        path = self.folder / f"{name}.parquet"
        if not path.exists():
            value = make()
            write_atomically(path, lambda temporary: value.to_parquet(temporary, index=False))
        return pd.read_parquet(path)
