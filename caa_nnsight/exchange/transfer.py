"""Vectors written to and read from files of other tools."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from caa_nnsight.errors import VectorError
from caa_nnsight.exchange.choice import chosen
from caa_nnsight.exchange.formats import FORMATS, Target, get_format, guess_format
from caa_nnsight.exchange.provenance import named
from caa_nnsight.files import write_atomically
from caa_nnsight.vectors import SteeringVectors


def export_vectors(
    vectors: SteeringVectors,
    path: str | Path,
    format: str,
    *,
    layers: int | Iterable[int] | None = None,
    multiplier: float = 1.0,
    model_type: str = "",
    layers_path: str = "model.layers",
) -> Path:
    """Write vectors into a file that another tool steers with.

    The tools add at every layer of the file at once, and to every token, unless they are told
    otherwise: name the layer that you mean.

    Args:
        vectors: float32 `[hidden]` per layer, in units of the residual stream.
        path: ends in `.gguf`, or `.pt` for lm-eval; an existing file is replaced.
        format: `"gguf"` (repeng, llama.cpp, EasySteer) or `"lm-eval"`.
        layers: one layer or several; all that have a vector by default. Layer 0 doesn't go into
            GGUF files.
        multiplier: multiplied into the vectors.
        model_type: for GGUF, the family as transformers names it, such as `llama`; the model's
            name by default.
        layers_path: for lm-eval, where the decoder blocks are, such as `transformer.h`.

    Returns:
        The path.

    Raises:
        VectorError: an unknown format, another ending, a layer that has no vector or that the
            format can't hold, a multiplier that is not finite, or a path that can't be written.

    Example:
        >>> import tempfile, torch
        >>> from caa_nnsight import SteeringVectors, export_vectors, import_vectors
        >>> vectors = SteeringVectors({13: torch.tensor([3.0, 4.0])})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = export_vectors(vectors, f"{folder}/tea.gguf", "gguf", multiplier=2.0)
        ...     import_vectors(path).norms()
        {13: 10.0}
    """
    path, kind = Path(path), get_format(format)
    if path.suffix.lower() not in kind.suffixes:
        raise VectorError(
            f"{kind.tools} reads files that end in {' or '.join(kind.suffixes)}, but got {path}: "
            "name it so."
        )
    if not path.parent.is_dir():
        raise VectorError(f"Vectors can't be written to {path}: there is no folder {path.parent}.")
    picked = chosen(vectors, layers, multiplier)
    if kind.restrict:
        picked = kind.restrict(picked, layers is not None)
    target = Target(model_type, layers_path)
    try:
        return write_atomically(path, lambda temporary: kind.write(picked, temporary, target))
    except OSError as error:
        raise VectorError(
            f"Vectors can't be written to {path} ({error.strerror or error}): "
            "give the path of a file in a writable folder."
        ) from error


def import_vectors(
    path: str | Path, format: str | None = None, *, behavior: str = "", model: str = ""
) -> SteeringVectors:
    """Read vectors from a file of another tool.

    Files that `export_vectors` wrote bring their provenance along. Of others, only what the file
    says is known. No code of a file is run.

    Args:
        path: a GGUF control vector, or a steering file of lm-eval.
        format: `"gguf"` or `"lm-eval"`; seen from the content by default.
        behavior: name of the behavior, in place of what the file says.
        model: the model that the vectors were made on, likewise.

    Raises:
        VectorError: no such file, an unknown format, damage, or content that can't be taken over.

    Example:
        >>> import tempfile, torch
        >>> from caa_nnsight import SteeringVectors, VectorMeta, export_vectors, import_vectors
        >>> vectors = SteeringVectors({5: torch.ones(4)}, VectorMeta(behavior="tea"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = export_vectors(vectors, f"{folder}/tea.pt", "lm-eval")
        ...     import_vectors(path).meta.behavior
        'tea'
    """
    path = Path(path)
    if not path.is_file():
        raise VectorError(f"There is no file {path}: give one that another tool wrote.")
    kind = get_format(format) if format else guess_format(path)
    if kind is None:
        raise VectorError(
            f"{path} is of no format that can be imported ({', '.join(FORMATS)}); files of "
            "caa_nnsight itself are read with SteeringVectors.load."
        )
    vectors = kind.read(path)
    return replace(vectors, meta=named(vectors.meta, behavior, model))
