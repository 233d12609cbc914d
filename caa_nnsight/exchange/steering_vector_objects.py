"""Objects of the package steering-vectors, which has no file format of its own.

It asks for transformers before 5, and this package for a newer one. What is needed of it here runs
with either.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from caa_nnsight.errors import VectorError
from caa_nnsight.exchange import provenance
from caa_nnsight.exchange.choice import chosen
from caa_nnsight.vectors import SteeringVectors

if TYPE_CHECKING:
    import steering_vectors

# Where that package reads and adds, by its own name for it; others are parts of a block.
_SITE = "decoder_block"


def to_steering_vector(
    vectors: SteeringVectors,
    *,
    layers: int | Iterable[int] | None = None,
    multiplier: float = 1.0,
) -> steering_vectors.SteeringVector:
    """Make a `SteeringVector` of the package steering-vectors.

    Both count blocks from 0 and add to their output. Its `apply(model)` adds to every token; for
    steering from the last token of the prompt on, as here, give it
    `min_token_index=prompt_length - 1`, which holds for a forward pass over the whole row only: it
    counts columns of the pass, and a cached step of generation has a single one. Provenance is
    lost.

    Args:
        vectors: float32 `[hidden]` per layer, in units of the residual stream.
        layers: one layer or several; all that have a vector by default.
        multiplier: multiplied into the vectors.

    Raises:
        VectorError: steering-vectors isn't installed, a layer without a vector, or a multiplier
            that is not finite.

    Example:
        >>> import torch
        >>> from importlib.util import find_spec
        >>> from caa_nnsight import SteeringVectors, to_steering_vector
        >>> vectors = SteeringVectors({13: torch.ones(4)})
        >>> if find_spec("steering_vectors"):
        ...     theirs = to_steering_vector(vectors, multiplier=2.0)
        ...     assert theirs.layer_activations[13].tolist() == [2.0, 2.0, 2.0, 2.0]
    """
    try:
        from steering_vectors import SteeringVector
    except ImportError as error:
        raise VectorError(
            "Making a SteeringVector needs the package steering-vectors, without the older "
            "transformers that it asks for: pip install --no-deps steering-vectors."
        ) from error
    picked = chosen(vectors, layers, multiplier)
    return SteeringVector(
        {layer: vector.clone() for layer, vector in picked.vectors.items()}, layer_type=_SITE
    )


def from_steering_vector(
    steering_vector: steering_vectors.SteeringVector | Any,
    *,
    behavior: str = "",
    model: str = "",
) -> SteeringVectors:
    """Take over a `SteeringVector` of the package steering-vectors.

    Args:
        steering_vector: one that acts on decoder blocks.
        behavior: name of the behavior, which such an object doesn't know.
        model: the model that it was made on, likewise.

    Raises:
        VectorError: no such object, one that acts on a part of a block, or layers counted from
            the end.

    Example:
        >>> import torch
        >>> from types import SimpleNamespace
        >>> from caa_nnsight import from_steering_vector
        >>> theirs = SimpleNamespace(
        ...     layer_activations={2: torch.ones(4)}, layer_type="decoder_block"
        ... )
        >>> from_steering_vector(theirs, behavior="tea").norms()
        {2: 2.0}
    """
    activations = getattr(steering_vector, "layer_activations", None)
    if not isinstance(activations, dict):
        raise VectorError(
            f"A {type(steering_vector).__name__} is no SteeringVector of the package "
            "steering-vectors: give one that `train_steering_vector` returned."
        )
    if steering_vector.layer_type != _SITE:
        raise VectorError(
            f"This SteeringVector acts on {steering_vector.layer_type}, but only vectors of whole "
            "decoder blocks (decoder_block) can be taken over."
        )
    if any(layer < 0 for layer in activations):
        raise VectorError(
            f"This SteeringVector counts the layer {min(activations)} from the end: rename it to "
            "the block's index from 0."
        )
    meta = provenance.without_provenance("SteeringVector of the package steering-vectors")
    by_layer = {layer: vector.flatten() for layer, vector in activations.items()}
    return SteeringVectors(by_layer, provenance.named(meta, behavior, model))
