"""Model arguments, `-M name=value` on Inspect's command line, checked one by one."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from caa_nnsight.errors import ModelError, SteeringError
from caa_nnsight.steering import Start
from caa_nnsight.suggest import did_you_mean

NAMES = (
    "vectors",
    "multiplier",
    "layers",
    "start",
    "batch_size",
    "device",
    "dtype",
    "remote",
    "host",
    "api_key_file",
)
BATCH_SIZE = 32


@dataclass(frozen=True)
class Arguments:
    """How to load the model and steer it.

    Attributes:
        vectors: file or `hf:` address of steering vectors; None leaves the model as it is.
        multiplier: strength, no unit.
        layers: blocks to steer, all at once; None where the vectors have only one.
        start: see `Steering`.
        batch_size: rows per pass.
        device, dtype: see `load`; None where they weren't given.
        remote: whether the model is on an NDIF server.
        host: that server's address.
        api_key_file: a file with the key for it.
    """

    vectors: str | None = None
    multiplier: float = 1.0
    layers: tuple[int, ...] | None = None
    start: Start = "last_prompt_token"
    batch_size: int = BATCH_SIZE
    device: str | None = None
    dtype: str | None = None
    remote: bool = False
    host: str | None = None
    api_key_file: str | None = None

    @property
    def loading(self) -> dict[str, Any]:
        """What `load` is given besides the model's name."""
        named = ("device", "dtype", "host", "api_key_file")
        given = {name: value for name in named if (value := getattr(self, name)) is not None}
        return given | ({"remote": True} if self.remote else {})


def read_arguments(given: Mapping[str, Any]) -> Arguments:
    """Check what Inspect passes on.

    Args:
        given: values as YAML gives them: numbers, truth values, texts, and lists of texts where
            there were commas.

    Returns:
        The same with defaults.

    Raises:
        ModelError: If an argument isn't known, or is no text, number or truth value as it should
            be.
        SteeringError: If a multiplier, a layer or a start is unusable, or one of them is given
            without vectors.

    Examples:
        >>> read_arguments({"vectors": "refusal.safetensors", "layers": 14}).layers
        (14,)
    """
    for name in given:
        if name not in NAMES:
            raise ModelError(
                f"caa models have no argument {name!r}: the arguments are {', '.join(NAMES)}."
                f"{did_you_mean(name, NAMES)}"
            )
    given = {name: value for name, value in given.items() if value is not None}
    if "vectors" not in given:
        idle = [name for name in ("multiplier", "layers", "start") if name in given]
        if idle:
            raise SteeringError(
                f"{' and '.join(idle)} {'is' if len(idle) == 1 else 'are'} given without vectors: "
                "add -M vectors=FILE, or leave it out for the unsteered model."
            )
    readers = {
        "multiplier": _multiplier,
        "layers": _layers,
        "start": _start,
        "batch_size": _batch_size,
        "remote": _truth,
    }
    return Arguments(
        **{name: readers.get(name, _text)(name, value) for name, value in given.items()}
    )


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str | os.PathLike):
        raise ModelError(f"{name} has to be a text, but is {value!r}: write -M {name}=TEXT.")
    return os.fspath(value)


def _truth(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ModelError(
            f"{name} has to be true or false, but is {value!r}: give a server's address as host."
        )
    return value


def _batch_size(name: str, value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ModelError(f"{name} has to be a number of rows, at least 1, but is {value!r}.")
    return value


def _multiplier(name: str, value: Any) -> float:
    # "1e-1" is a text in YAML.
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise SteeringError(f"A {name} must be a finite number, but got {value!r}.")
    return number


def _start(name: str, value: Any) -> Start:
    if value in ("last_prompt_token", "all") or type(value) is int:
        return value
    raise SteeringError(
        f"Unknown {name} of steering {value!r}: use last_prompt_token, all or an index into the "
        "prompt's tokens."
    )


def _layers(name: str, value: Any) -> tuple[int, ...]:
    """Read `14`, `8,12`, `10-16` or a list."""
    parts = value if isinstance(value, list | tuple) else [value]
    layers: set[int] = set()
    for part in parts:
        match = re.fullmatch(r"\s*(\d{1,4})(?:\s*-\s*(\d{1,4}))?\s*", str(part))
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise SteeringError(
                f"{name} {value!r} can't be read: write layers like 14, 8,12 or 10-16."
            )
        layers.update(range(first, last + 1))
    return tuple(sorted(layers))
