"""A behavior's vectors, extracted once for a model and then kept in the user's cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from caa_nnsight.behavior import Behavior
from caa_nnsight.errors import VectorError
from caa_nnsight.extraction import extract
from caa_nnsight.models.cache import ModelCache, explained_disk_errors
from caa_nnsight.models.files import files_of
from caa_nnsight.prompts import template_hash
from caa_nnsight.run_pairs import split_at_most
from caa_nnsight.vectors import SteeringVectors

if TYPE_CHECKING:
    from caa_nnsight.models import Model

SEED = 0
"""Of the behavior's split, as in `caa extract`."""

FORMAT = 1
"""Goes up when vectors are to be made anew, because they are made another way."""

Progress = Callable[[int, int], None]


def kept_vectors(
    model: Model, behavior: Behavior, limit: int, progress: Progress | None = None
) -> SteeringVectors:
    """The vectors that `caa extract BEHAVIOR --limit LIMIT` makes, at all layers.

    They are kept in the folder `vectors` of the cache, under all that they depend on.

    Args:
        model: a loaded model.
        behavior: whose generation pairs are read.
        limit: how many of them at most, of each part of a behavior made from others.
        progress: called with (pairs done, pairs in all) where they have to be extracted.

    Raises:
        BehaviorError: its pairs can't be read.
        ModelError: the cache can't be written.
        RemoteError: the server of a remote model can't be asked.
    """
    pairs = split_at_most(behavior, seed=SEED, limit=limit, held_out=None).generation
    if model.source.startswith("object:"):
        # Nothing tells one such model from another.
        return extract(model, pairs, seed=SEED, behavior=behavior, progress=progress)
    cache = ModelCache()
    identity = {
        "format": FORMAT,
        "model": model.describe(),
        "weights": files_of(model),
        "template": template_hash(model.tokenizer),
        "behavior": behavior.provenance(),
        "pairs": [pair.id for pair in pairs],
    }
    key = f"{behavior.name}-{_digest(identity)}"
    path = cache.root / "vectors" / f"{key}.safetensors"
    with cache.locked(f"vectors-{key}"):
        if path.is_file():
            try:
                return SteeringVectors.load(path, model=model)
            except VectorError:
                # Damaged: made again, in its place.
                pass
        vectors = extract(model, pairs, seed=SEED, behavior=behavior, progress=progress)
        with explained_disk_errors(cache.root):
            path.parent.mkdir(parents=True, exist_ok=True)
        return SteeringVectors.load(vectors.save(path))


def _digest(identity: dict[str, Any]) -> str:
    text = json.dumps(identity, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
