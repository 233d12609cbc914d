"""From contrast pairs to steering vectors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from caa_nnsight.behavior import Behavior
from caa_nnsight.errors import VectorError
from caa_nnsight.methods import get_method
from caa_nnsight.pairs import ContrastPair, balance_letters
from caa_nnsight.prompts import choice_prompt, template_hash
from caa_nnsight.vectors import SteeringVectors, VectorMeta
from caa_nnsight.versions import library_versions

if TYPE_CHECKING:
    import torch

    from caa_nnsight.models import Model
    from caa_nnsight.shards import Shards

Progress = Callable[[int, int], None]

# Pairs read between two checkpoints: what a killed run may lose.
PAIRS_PER_SHARD = 16


@dataclass(frozen=True, eq=False)
class PairActivations:
    """What was read at the answer token of each pair.

    Attributes:
        positive, negative: float32 `[pairs, layers, hidden]`.
        layers: the layers, in the order of the second dimension.
        pairs: the pairs, in the order of the first dimension.
    """

    positive: torch.Tensor
    negative: torch.Tensor
    layers: tuple[int, ...]
    pairs: tuple[ContrastPair, ...]


def pairs_hash(pairs: Sequence[ContrastPair]) -> str:
    """SHA-256 of the pairs as they are used, in order."""
    text = json.dumps([pair.to_record() for pair in pairs], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def read_pairs(
    model: Model,
    pairs: Sequence[ContrastPair],
    *,
    layers: Sequence[int] | None = None,
    system_prompt: str | None = None,
    progress: Progress | None = None,
) -> PairActivations:
    """Activations of both completions of every pair at the answer token.

    The whole of them is kept in memory: 2 × pairs × layers × hidden × 4 bytes.

    Args:
        model: a loaded model.
        pairs: as they are to be read; see `balance_letters`.
        layers: 0-indexed blocks, all by default.
        system_prompt: put before every question.
        progress: called with (pairs done, pairs in all).

    Raises:
        SteeringError: a layer that the model doesn't have.
    """
    chosen = _layers(model, layers)
    activations = model.tracer.capture(
        _completions(model, pairs, system_prompt),
        chosen,
        [[-1]] * (2 * len(pairs)),
        progress=_per_pair(progress),
    )[:, 0]
    return PairActivations(activations[0::2], activations[1::2], tuple(chosen), tuple(pairs))


def extract(
    model: Model,
    pairs: Sequence[ContrastPair] | Behavior,
    *,
    layers: Sequence[int] | None = None,
    method: str = "mean_difference",
    balance: str = "stratify",
    system_prompt: str | None = None,
    seed: int = 0,
    behavior: Behavior | None = None,
    shards: Shards | None = None,
    progress: Progress | None = None,
) -> SteeringVectors:
    """Steering vectors of a behavior: `v_L = mean(h_L(positive) - h_L(negative))`.

    `h_L` is the output of block L at the answer token (section 3 of arXiv 2312.06681). The
    mean runs in float64 while the pairs pass, so memory doesn't grow with their number;
    methods other than the mean difference keep the activations.

    Args:
        model: a loaded model.
        pairs: contrast pairs, or a behavior, whose generation pairs are then taken.
        layers: 0-indexed blocks, all by default.
        method: a name in `METHODS`.
        balance: how answer letters are balanced, see `balance_letters`: without it the
            vector of a small model is mostly "A against B".
        system_prompt: put before every question.
        seed: decides which pairs are left out to balance the letters.
        behavior: whose name and polarity are written into the vectors.
        shards: where partial sums are kept, so that a killed extraction goes on.
        progress: called with (pairs done, pairs in all).

    Returns:
        float32 vectors, one per layer.

    Raises:
        VectorError: unknown method, no pairs, or no layers.
        BehaviorError: letters that can't be balanced.
        SteeringError: a layer that the model doesn't have.

    Example:
        >>> import caa_nnsight as caa  # doctest: +SKIP
        >>> model = caa.load("smollm2-135m")  # doctest: +SKIP
        >>> caa.extract(model, caa.get_behavior("refusal"), layers=[12])  # doctest: +SKIP
        SteeringVectors(refusal, layers 12, hidden 576, mean_difference, ...)
    """
    chosen_method = get_method(method)
    chosen = _layers(model, layers)
    if isinstance(pairs, Behavior):
        behavior = behavior or pairs
        pairs = pairs.split(seed=seed).generation
    used = balance_letters(pairs, balance, seed)
    if not used:
        raise VectorError("No contrast pairs to extract from: give at least one.")
    if chosen_method.streams:
        vectors = _stream_mean(model, used, chosen, system_prompt, shards, progress)
    else:
        read = read_pairs(
            model, used, layers=chosen, system_prompt=system_prompt, progress=progress
        )
        vectors = {
            layer: chosen_method.fit(read.positive[:, index], read.negative[:, index])
            for index, layer in enumerate(chosen)
        }
    meta = VectorMeta(
        behavior=behavior.name if behavior else "",
        polarity=behavior.polarity if behavior else "",
        model=model.name,
        revision=model.revision or "",
        method=method,
        balance=balance,
        n_pairs=len(used),
        pair_ids=" ".join(dict.fromkeys(pair.id for pair in used)),
        system_prompt=system_prompt or "",
        data_hash=pairs_hash(used),
        template_hash=template_hash(model.tokenizer),
        versions=" ".join(f"{name}=={version}" for name, version in library_versions().items()),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return SteeringVectors(vectors, meta)


def _stream_mean(
    model: Model,
    pairs: Sequence[ContrastPair],
    layers: Sequence[int],
    system_prompt: str | None,
    shards: Shards | None,
    progress: Progress | None,
) -> dict[int, torch.Tensor]:
    import torch

    def difference_sum(first: int) -> torch.Tensor:
        sequences = _completions(model, pairs[first : first + PAIRS_PER_SHARD], system_prompt)
        passes = model.tracer.iterate_captures(
            sequences,
            layers,
            [[-1]] * len(sequences),
            progress=_per_pair(_offset(progress, first, len(pairs))),
        )
        part = torch.zeros(len(layers), model.hidden_size, dtype=torch.float64)
        for keys, hidden in passes:
            signs = torch.tensor([-1.0 if number % 2 else 1.0 for number, _ in keys])
            part += (hidden.double() * signs.double()[:, None, None]).sum(0)
        return part

    total = torch.zeros(len(layers), model.hidden_size, dtype=torch.float64)
    for first in range(0, len(pairs), PAIRS_PER_SHARD):
        make = partial(difference_sum, first)
        total += shards.tensor(f"extract-{first:05d}", make) if shards else make()
        if progress:
            progress(min(first + PAIRS_PER_SHARD, len(pairs)), len(pairs))
    mean = (total / len(pairs)).float()
    return {layer: mean[index] for index, layer in enumerate(layers)}


def _completions(
    model: Model, pairs: Sequence[ContrastPair], system_prompt: str | None
) -> list[tuple[int, ...]]:
    """Positive and negative completion of each pair, side by side, ending at the answer token."""
    completions = []
    for pair in pairs:
        prompt = choice_prompt(model.tokenizer, pair, system_prompt)
        completions.append(prompt.completed(pair.positive_letter))
        completions.append(prompt.completed(pair.negative_letter))
    return completions


def _layers(model: Model, layers: Sequence[int] | None) -> list[int]:
    if layers is None:
        return list(range(model.num_layers))
    if not layers:
        raise VectorError("There are no layers to read: give at least one, or None for all.")
    return sorted(set(layers))


def _per_pair(progress: Progress | None) -> Progress | None:
    return progress and (lambda done, total: progress(done // 2, total // 2))


def _offset(progress: Progress | None, first: int, total: int) -> Progress | None:
    return progress and (lambda done, _: progress(first + done, total))
