"""Control vectors in GGUF files, as repeng, llama.cpp and EasySteer read and write them.

A tensor `direction.N` is added to the output of block N, counted from 0, in all three. llama.cpp
refuses a file that has a `direction.0`, and tensors that aren't float32. It and repeng add to every
token; EasySteer is told to which. Nothing is rescaled on the way in.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from caa_nnsight.errors import VectorError
from caa_nnsight.exchange import provenance
from caa_nnsight.vectors import SteeringVectors

if TYPE_CHECKING:
    import torch

MAGIC = (b"GGUF",)
ARCHITECTURE = "controlvector"
# Ours begin with the package's name, so that no reader takes them for its own.
_PREFIX = "caa_nnsight."
_DIRECTION = re.compile(r"direction\.(\d+)")


def without_first_block(vectors: SteeringVectors, asked_for: bool) -> SteeringVectors:
    """Leave out layer 0, which llama.cpp can't steer.

    Args:
        vectors: what is to be written.
        asked_for: whether the user named the layers.

    Raises:
        VectorError: layer 0 was asked for, or there is no other.
    """
    if 0 not in vectors.layers:
        return vectors
    rest = [layer for layer in vectors.layers if layer != 0]
    if asked_for or not rest:
        raise VectorError(
            "A GGUF control vector can't hold layer 0, because llama.cpp refuses a file with "
            "direction.0: give other layers."
        )
    warnings.warn(
        "Layer 0 was left out, because llama.cpp refuses a file with direction.0.", stacklevel=3
    )
    return vectors.select(rest)


def write(vectors: SteeringVectors, path: Path, model_type: str) -> None:
    """Fill a new file.

    Args:
        vectors: layers from 1 on.
        path: where.
        model_type: the family as transformers names it, such as `llama`; repeng warns where it
            adds vectors of different ones.
    """
    import gguf

    writer = gguf.GGUFWriter(path, ARCHITECTURE)
    hint = model_type or vectors.meta.model or "unknown"
    writer.add_string(f"{ARCHITECTURE}.model_hint", hint)
    writer.add_uint32(f"{ARCHITECTURE}.layer_count", len(vectors))
    for name, text in provenance.as_texts(vectors.meta).items():
        writer.add_string(f"{_PREFIX}{name}", text)
    for layer, vector in vectors.vectors.items():
        writer.add_tensor(f"direction.{layer}", vector.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read(path: Path) -> SteeringVectors:
    """Read a control vector, of any tensor type that `gguf` can turn into float32.

    Raises:
        VectorError: damaged, no control vector, or directions of several sizes.
    """
    import gguf

    # Its reader has no error of its own: what it trips over in a damaged file is any exception.
    try:
        reader = gguf.GGUFReader(path)
        texts = {
            name: field.contents()
            for name, field in reader.fields.items()
            if field.types == [gguf.GGUFValueType.STRING]
        }
        directions = {
            int(match[1]): _float32(tensor)
            for tensor in reader.tensors
            if (match := _DIRECTION.fullmatch(tensor.name))
        }
    except Exception as error:
        raise VectorError(f"{path} is no GGUF file, or is damaged ({_reason(error)}).") from error
    if not directions:
        architecture = texts.get("general.architecture", "unknown")
        raise VectorError(
            f"{path} is a GGUF file without tensors direction.1, direction.2, …, so it holds no "
            f"control vector (its architecture is {architecture!r})."
        )
    ours = {
        name.removeprefix(_PREFIX): text for name, text in texts.items() if name.startswith(_PREFIX)
    }
    if ours:
        return SteeringVectors(directions, provenance.from_texts(ours, str(path)))
    hint = texts.get(f"{ARCHITECTURE}.model_hint", "unknown")
    meta = provenance.without_provenance(f"GGUF control vector {path.name}, model hint {hint!r}")
    return SteeringVectors(directions, meta)


def _float32(tensor) -> torch.Tensor:
    import torch
    from gguf.quants import dequantize

    # A copy: the file is mapped into memory, and may be replaced while the vectors live on.
    return torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).astype("float32"))


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
