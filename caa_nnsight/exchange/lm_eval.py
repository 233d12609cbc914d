"""The steering file of lm-evaluation-harness: `--model steered --model_args steer_path=FILE`.

A dictionary: the path of a module inside the model's base model -> what its hook does. The tool
reads it with `torch.load`, so that it has to be a pickle. It holds only tensors, numbers and texts,
and is read here with `weights_only=True`, which runs no code of a file.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caa_nnsight.errors import VectorError
from caa_nnsight.exchange import provenance
from caa_nnsight.vectors import SteeringVectors, VectorMeta

if TYPE_CHECKING:
    import torch

# A zip archive as torch writes it, and a bare pickle as it did until 2020.
MAGIC = (b"PK\x03\x04", b"\x80\x02")
# The tool reads the keys that it knows, and lets others be.
_PROVENANCE = "caa_nnsight"
_BLOCK = re.compile(r"(?:.+\.)?(?:layers|h|blocks|block|layer)\.(\d{1,9})")


def write(vectors: SteeringVectors, path: Path, layers_path: str) -> None:
    """Fill a new file.

    Args:
        vectors: any layers.
        path: where.
        layers_path: where the decoder blocks are in the whole model, such as `model.layers`.

    Raises:
        VectorError: a path of one part only.
    """
    import torch

    # Hooks are named from the base model on, which is the first part of the path.
    _, dot, inside = layers_path.partition(".")
    if not dot or not inside:
        raise VectorError(
            f"layers_path {layers_path!r} doesn't lead to the decoder blocks of a whole model: "
            "give one such as model.layers or transformer.h."
        )
    entries: dict[str, dict[str, Any]] = {
        f"{inside}.{layer}": {
            "action": "add",
            # A copy, or else the file would hold all that the vector is a view of.
            "steering_vector": vector.clone(),
            "steering_coefficient": 1.0,
            "bias": None,
            "head_index": None,
        }
        for layer, vector in vectors.vectors.items()
    }
    first = next(iter(entries.values()))
    first[_PROVENANCE] = json.dumps(provenance.as_texts(vectors.meta))
    # Not straight into the file, whose name would become a part of the content.
    content = io.BytesIO()
    torch.save(entries, content)
    path.write_bytes(content.getvalue())


def read(path: Path) -> SteeringVectors:
    """Read a steering file whose hooks add a vector to the output of decoder blocks.

    A coefficient is multiplied into its vector.

    Raises:
        VectorError: damaged, something else than tensors, numbers and texts, or hooks that do
            something else.
    """
    import torch

    # torch raises errors of many kinds for damaged files; forbidden content is among them.
    try:
        entries = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise VectorError(
            f"{path} is no steering file of lm-eval, is damaged, or holds more than tensors, "
            "numbers and texts, which is not read because it could run code."
        ) from error
    if not isinstance(entries, Mapping) or not entries:
        raise VectorError(
            f"{path} is no steering file of lm-eval: it holds a {type(entries).__name__}, not a "
            "dictionary of modules."
        )
    by_layer: dict[int, torch.Tensor] = {}
    texts: object = None
    for name, entry in entries.items():
        layer, vector = _added(path, name, entry)
        if layer in by_layer:
            raise VectorError(f"{path} steers layer {layer} under two names: leave one.")
        by_layer[layer] = vector
        texts = entry.get(_PROVENANCE) if texts is None else texts
    return SteeringVectors(by_layer, _meta(path, texts))


def _added(path: Path, name: object, entry: object) -> tuple[int, torch.Tensor]:
    """The layer of one entry, and what its hook adds."""
    vector = _numbers(entry.get("steering_vector")) if isinstance(entry, Mapping) else None
    if vector is None:
        raise VectorError(
            f"{path} is no steering file of lm-eval: {name!r} has no tensor 'steering_vector' of "
            "plain numbers."
        )
    match = _BLOCK.fullmatch(str(name))
    if not match:
        raise VectorError(
            f"{path} steers {name!r}, but only the outputs of whole decoder blocks, such as "
            "layers.13, can be taken over."
        )
    unsupported = [key for key in ("bias", "head_index") if entry.get(key) is not None]
    if entry.get("action") != "add" or unsupported:
        does = (
            f"has the action {entry.get('action')!r}"
            if not unsupported
            else f"has a {unsupported[0]}"
        )
        raise VectorError(
            f"{path}: the hook of {name!r} {does}, but only a vector that is added to a block's "
            "output can be taken over."
        )
    try:
        coefficient = float(entry.get("steering_coefficient", 1.0))
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise VectorError(f"{path}: the steering_coefficient of {name!r} is no number.") from error
    return int(match[1]), vector * coefficient


def _numbers(value: object) -> torch.Tensor | None:
    """A tensor as float32; None for what isn't one, or is sparse, complex or without content."""
    import torch

    if not isinstance(value, torch.Tensor) or value.is_complex():
        return None
    try:
        return torch.from_numpy(value.detach().float().numpy())
    except (TypeError, RuntimeError):
        return None


def _meta(path: Path, texts: object) -> VectorMeta:
    if texts is None:
        return provenance.without_provenance(f"lm-eval steering file {path.name}")
    try:
        fields = json.loads(texts) if isinstance(texts, str) else None
    except (ValueError, RecursionError) as error:
        raise VectorError(f"{path} has damaged provenance.") from error
    if not isinstance(fields, Mapping):
        raise VectorError(f"{path} has damaged provenance.")
    return provenance.from_texts(fields, str(path))
