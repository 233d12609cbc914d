"""The table of file formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from caa_nnsight.errors import VectorError
from caa_nnsight.exchange import control_vectors, lm_eval
from caa_nnsight.suggest import did_you_mean
from caa_nnsight.vectors import SteeringVectors


@dataclass(frozen=True)
class Target:
    """What a file has to say of the model that it is for.

    Attributes:
        model_type: the family as transformers names it, or empty.
        layers_path: where the decoder blocks are in the whole model.
    """

    model_type: str
    layers_path: str


@dataclass(frozen=True)
class Format:
    """One file format.

    Attributes:
        tools: whose insistence on the endings it is, as the beginning of a sentence.
        suffixes: endings that they insist on.
        magic: what such files begin with; one of these.
        write: fills a new file.
        read: gives back vectors, or raises VectorError.
        restrict: leaves out layers that the format can't hold; it is told whether the user named
            the layers.
    """

    tools: str
    suffixes: tuple[str, ...]
    magic: tuple[bytes, ...]
    write: Callable[[SteeringVectors, Path, Target], None]
    read: Callable[[Path], SteeringVectors]
    restrict: Callable[[SteeringVectors, bool], SteeringVectors] | None = None


FORMATS = {
    "gguf": Format(
        tools="EasySteer",
        suffixes=(".gguf",),
        magic=control_vectors.MAGIC,
        write=lambda vectors, path, target: control_vectors.write(vectors, path, target.model_type),
        read=control_vectors.read,
        restrict=control_vectors.without_first_block,
    ),
    "lm-eval": Format(
        tools="lm-eval",
        suffixes=(".pt", ".pth"),
        magic=lm_eval.MAGIC,
        write=lambda vectors, path, target: lm_eval.write(vectors, path, target.layers_path),
        read=lm_eval.read,
    ),
}


def get_format(name: str) -> Format:
    """The format of that name.

    Raises:
        VectorError: there is none.
    """
    if name not in FORMATS:
        raise VectorError(
            f"There is no format {name!r}: use one of {', '.join(FORMATS)}."
            f"{did_you_mean(name, FORMATS)}"
        )
    return FORMATS[name]


def guess_format(path: Path) -> Format | None:
    """The format by a file's first bytes, or None."""
    with path.open("rb") as file:
        start = file.read(max(len(magic) for kind in FORMATS.values() for magic in kind.magic))
    return next((kind for kind in FORMATS.values() if start.startswith(kind.magic)), None)
