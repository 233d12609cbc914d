"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated

import typer

from caa_nnsight.errors import SteeringError
from caa_nnsight.models.aliases import DEFAULT_MODEL


def parse_layers(text: str | None) -> tuple[int, ...] | None:
    """Read `13`, `8,12` or `10-16,20`; nothing and `all` mean every layer.

    Raises:
        SteeringError: the text is none of these.

    Example:
        >>> parse_layers("10-12,20")
        (10, 11, 12, 20)
    """
    if text is None or text.strip().lower() == "all":
        return None
    layers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", part)
        if not match:
            raise SteeringError(
                f"--layers {text!r} can't be read: write layers like 13, 8,12 or 10-16."
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last > 10_000:
            raise SteeringError(
                f"--layers {text!r} holds the range {part.strip()}, which runs backwards or "
                "beyond any model."
            )
        layers.update(range(first, last + 1))
    return tuple(sorted(layers))


def parse_multipliers(text: str) -> tuple[float, ...]:
    """Read `-2,-1,0,1,2`.

    Raises:
        SteeringError: a part is no finite number.

    Example:
        >>> parse_multipliers("-1,0.5")
        (-1.0, 0.5)
    """
    try:
        multipliers = tuple(float(part) for part in text.split(","))
    except ValueError:
        multipliers = (math.nan,)
    if not all(math.isfinite(multiplier) for multiplier in multipliers):
        raise SteeringError(
            f"--multipliers {text!r} can't be read: write finite numbers like -2,-1,0,1,2."
        )
    return multipliers


BehaviorArgument = Annotated[
    str,
    typer.Argument(help="A behavior's name, a file or folder that holds one, or hf:OWNER/NAME."),
]
ModelOption = Annotated[
    str, typer.Option("--model", "-m", help="Alias, Hub id, folder or GGUF file.")
]
RevisionOption = Annotated[str | None, typer.Option(help="Revision of a Hub model.")]
LayersPathOption = Annotated[
    str | None, typer.Option(help="Where the decoder blocks are, such as model.layers.")
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
DtypeOption = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]
DeviceMapOption = Annotated[
    str | None, typer.Option(help="auto lays a large model out over all GPUs, memory and disk.")
]
MemoryBudgetOption = Annotated[
    float | None, typer.Option(help="GiB that one pass may take besides the weights.")
]
RemoteOption = Annotated[
    bool, typer.Option("--remote", help="Use the model on an NDIF server; no weights come here.")
]
HostOption = Annotated[
    str | None, typer.Option(help="The server's address; else NDIF_HOST, else NDIF's own.")
]
# There is no option for the key itself: it would stay in the shell's history.
ApiKeyFileOption = Annotated[
    Path | None, typer.Option(help="A file with the API key; else NDIF_API_KEY.")
]
RemoteTimeoutOption = Annotated[
    float | None, typer.Option(help="Seconds that one request may take, an hour by default.")
]
LayersOption = Annotated[str | None, typer.Option(help="Layers such as 13, 8,12 or 10-16.")]
MultipliersOption = Annotated[str, typer.Option(help="Multipliers such as -2,-1,0,1,2.")]
SeedOption = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of every random choice.")]
SourceOption = Annotated[
    str | None,
    typer.Option(help="Use a source of the behavior's: NAME, NAME=PATH or NAME@COMMIT."),
]
PairsOption = Annotated[
    str | None, typer.Option(help="Use the contrast pairs in this file instead.")
]
HeldOutPairsOption = Annotated[
    str | None, typer.Option(help="Use the held-out pairs in this file instead.")
]
LimitOption = Annotated[int | None, typer.Option(help="Use at most this many pairs.")]
HeldOutOption = Annotated[int | None, typer.Option(help="Held-out items to score, all by default.")]
ValidationOption = Annotated[
    float, typer.Option(help="Share of the pairs on which the layer is picked.")
]
ControlsOption = Annotated[int, typer.Option(help="Number of random control vectors.")]
MethodOption = Annotated[
    str, typer.Option(help="mean_difference, pca_difference or logistic_regression.")
]
BalanceOption = Annotated[str, typer.Option(help="Answer letters: stratify, both_orders or none.")]
OpenEndedOption = Annotated[int, typer.Option(help="Open-ended prompts to answer.")]
LengthOption = Annotated[int, typer.Option(help="Length of each answer.")]
BatchSizeOption = Annotated[int, typer.Option(help="Answers written at once, at most.")]
OutOption = Annotated[Path | None, typer.Option("--out", "-o", help="Where to write.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")]

__all__ = ["DEFAULT_MODEL"]
