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
from caa_nnsight.composition import pairs_of
from caa_nnsight.errors import VectorError
from caa_nnsight.forms import Pair, ReadAt
from caa_nnsight.free_pairs import FreeFormPair, SystemPromptPair
from caa_nnsight.methods import get_method
from caa_nnsight.pairs import balance_letters
from caa_nnsight.prompts import template_hash
from caa_nnsight.readings import Reading, readings
from caa_nnsight.vectors import SteeringVectors, VectorMeta
from caa_nnsight.versions import library_versions

if TYPE_CHECKING:
    import torch

    from caa_nnsight.models import Model
    from caa_nnsight.shards import Shards

Progress = Callable[[int, int], None]

# Pairs read between two checkpoints in this process: what a killed run may lose.
PAIRS_PER_SHARD = 16


@dataclass(frozen=True, eq=False)
class PairActivations:
    """What was read of each pair: the mean over the tokens that its form reads.

    Attributes:
        positive, negative: float32 `[pairs, layers, hidden]`.
        layers: the layers, in the order of the second dimension.
        pairs: the pairs, in the order of the first dimension.
    """

    positive: torch.Tensor
    negative: torch.Tensor
    layers: tuple[int, ...]
    pairs: tuple[Pair, ...]


def pairs_hash(pairs: Sequence[Pair]) -> str:
    """SHA-256 of the pairs as they are used, in order."""
    text = json.dumps([pair.to_record() for pair in pairs], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def read_pairs(
    model: Model,
    pairs: Sequence[Pair],
    *,
    layers: Sequence[int] | None = None,
    read_at: ReadAt | None = None,
    system_prompt: str | None = None,
    progress: Progress | None = None,
) -> PairActivations:
    """Activations of both sides of every pair: at the answer token, for lettered choices.

    The whole of them is kept in memory: 2 × pairs × layers × hidden × 4 bytes.

    Args:
        model: a loaded model.
        pairs: as they are to be read; see `balance_letters`.
        layers: 0-indexed blocks, all by default.
        read_at: for pairs without letters, see `Behavior`; None is their form's default.
        system_prompt: put before every question.
        progress: called with (pairs done, pairs in all).

    Returns:
        float32 `positive` and `negative` of the shape `[pairs, layers, hidden]`, on the CPU, with
        the layers and the pairs in their orders.

    Raises:
        VectorError: no layers.
        SteeringError: a layer that the model doesn't have.

    Example:
        >>> import caa_nnsight as caa
        >>> model, refusal = caa.load("smollm2-135m"), caa.get_behavior("refusal")
        >>> read = read_pairs(model, refusal.split(generation=4).generation, layers=[10, 12])
        >>> read.positive.shape
        torch.Size([4, 2, 576])
    """
    chosen = _layers(model, layers)
    import torch

    sides = _sides(model, pairs, read_at, system_prompt)
    read = torch.zeros(len(sides), len(chosen), model.hidden_size, dtype=torch.float64)
    passes = model.tracer.iterate_captures(
        [side.ids for side in sides],
        chosen,
        [side.positions for side in sides],
        progress=_per_pair(progress),
    )
    for keys, hidden in passes:
        for (number, _), vectors in zip(keys, hidden.double(), strict=True):
            read[number] += vectors / len(sides[number].positions)
    return PairActivations(read[0::2].float(), read[1::2].float(), tuple(chosen), tuple(pairs))


def extract(
    model: Model,
    pairs: Sequence[Pair] | Behavior,
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

    `h_L` is the output of block L at the answer token (section 3 of arXiv 2312.06681), or
    where a behavior of another form declares it. The mean runs in float64 while the pairs pass,
    so memory doesn't grow with their number; methods other than the mean difference keep the
    activations. A behavior made from others gets the weighted sum of their vectors.

    Args:
        model: a loaded model.
        pairs: contrast pairs, or a behavior, whose generation pairs are then taken.
        layers: 0-indexed blocks, all by default.
        method: "mean_difference", "pca_difference" or "logistic_regression".
        balance: how answer letters are balanced, see `balance_letters`: without it the
            vector of a small model is mostly "A against B".
        system_prompt: put before every question.
        seed: decides which pairs are left out to balance the letters.
        behavior: whose name, polarity and source are written into the vectors, and which says
            where they are read and, made from others, how their parts are weighted.
        shards: where partial sums are kept, so that a killed extraction goes on.
        progress: called with (pairs done, pairs in all).

    Returns:
        float32 vectors, one per layer.

    Raises:
        VectorError: unknown method, no pairs, or no layers.
        BehaviorError: letters that can't be balanced.
        SteeringError: a layer that the model doesn't have.

    Example:
        >>> import caa_nnsight as caa
        >>> model, refusal = caa.load("smollm2-135m"), caa.get_behavior("refusal")
        >>> pairs = refusal.split(generation=4).generation
        >>> extract(model, pairs, layers=[12], behavior=refusal)
        SteeringVectors(refusal, layers 12, hidden 576, mean_difference, ...)
    """
    chosen_method = get_method(method)
    chosen = _layers(model, layers)
    if isinstance(pairs, Behavior):
        behavior = behavior or pairs
        pairs = pairs.split(seed=seed).generation
    if not pairs:
        raise VectorError("No contrast pairs to extract from: give at least one.")
    terms = _terms(behavior, pairs, balance, seed)
    total = sum(len(term.pairs) for term in terms)
    vectors: dict[int, torch.Tensor] = {}
    done = 0
    with model.tracer.keeping_prefixes():
        for number, term in enumerate(terms):
            report = _offset(progress, done, total)
            if chosen_method.streams:
                # A single term keeps the shards' names of a behavior that stands alone.
                prefix = "extract" if len(terms) == 1 else f"extract-{number}"
                part = _stream_mean(model, term, chosen, system_prompt, shards, prefix, report)
            else:
                read = read_pairs(
                    model,
                    term.pairs,
                    layers=chosen,
                    read_at=term.read_at,
                    system_prompt=system_prompt,
                    progress=report,
                )
                part = {
                    layer: chosen_method.fit(read.positive[:, index], read.negative[:, index])
                    for index, layer in enumerate(chosen)
                }
            for layer, vector in part.items():
                vectors[layer] = vectors.get(layer, 0) + term.weight * vector
            done += len(term.pairs)
    used = [pair for term in terms for pair in term.pairs]
    meta = VectorMeta(
        behavior=behavior.name if behavior else "",
        polarity=behavior.polarity if behavior else "",
        model=model.name,
        revision=model.revision or "",
        position="; ".join(dict.fromkeys(_position(term) for term in terms)),
        method=method,
        balance=balance,
        n_pairs=len(used),
        pair_ids=" ".join(dict.fromkeys(pair.id for pair in used)),
        parts=_shown_terms(terms),
        source=(behavior.source or "") if behavior else "",
        system_prompt=system_prompt or "",
        data_hash=pairs_hash(used),
        template_hash=template_hash(model.tokenizer),
        versions=" ".join(f"{name}=={version}" for name, version in library_versions().items()),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return SteeringVectors(vectors, meta)


@dataclass(frozen=True)
class _Term:
    """The pairs of one behavior in the sum that a vector is."""

    name: str
    weight: float
    pairs: list[Pair]
    read_at: ReadAt | None
    source: str = ""


def _terms(
    behavior: Behavior | None, pairs: Sequence[Pair], balance: str, seed: int
) -> list[_Term]:
    """Pairs by the part of the behavior that they belong to; letters are balanced in each."""
    if behavior is None or not behavior.parts:
        read_at = behavior.where_read() if behavior else None
        return [_Term("", 1.0, _balanced(behavior, pairs, balance, seed), read_at)]
    terms = []
    for weight, part in behavior.load_parts():
        used = pairs_of(part, pairs)
        if not used:
            raise VectorError(
                f"None of the pairs is of {part.name!r}, a part of {behavior.name!r}: give pairs "
                "of every part, as `split` does."
            )
        kept = _balanced(part, used, balance, seed)
        terms.append(_Term(part.name, weight, kept, part.where_read(), part.source or ""))
    return terms


def _balanced(
    behavior: Behavior | None, pairs: Sequence[Pair], balance: str, seed: int
) -> list[Pair]:
    """Balance letters; of an opposite, as of the behavior itself, so that one is -1 × the other."""
    if behavior is None or behavior.opposite_of is None:
        return balance_letters(pairs, balance, seed)
    turned = [pair.opposite() for pair in pairs]
    kept = _balanced(behavior.opposite_of, turned, balance, seed)
    return [pair.opposite() for pair in kept]


def _position(term: _Term) -> str:
    """Where the activations were read, in words."""
    form = type(term.pairs[0])
    if form is SystemPromptPair:
        return "mean over the shared end" if term.read_at == "mean" else "last prompt token"
    if form is FreeFormPair:
        return "last answer token" if term.read_at == "last" else "mean over the answer"
    return "answer token"


def _shown_terms(terms: Sequence[_Term]) -> str:
    """The parts of a sum as JSON, or nothing where there is no sum."""
    if len(terms) == 1 and terms[0].weight == 1:
        return ""
    return json.dumps(
        [
            {
                "behavior": term.name,
                "weight": term.weight,
                "source": term.source,
                "n_pairs": len(term.pairs),
                "data_hash": pairs_hash(term.pairs),
            }
            for term in terms
        ]
    )


def _stream_mean(
    model: Model,
    term: _Term,
    layers: Sequence[int],
    system_prompt: str | None,
    shards: Shards | None,
    prefix: str,
    progress: Progress | None,
) -> dict[int, torch.Tensor]:
    import torch

    pairs = term.pairs
    size = model.tracer.piece_size(len(pairs), PAIRS_PER_SHARD)

    def difference_sum(first: int, end: int) -> torch.Tensor:
        sides = _sides(model, pairs[first:end], term.read_at, system_prompt)
        return model.tracer.sum_captures(
            [side.ids for side in sides],
            layers,
            [side.positions for side in sides],
            [
                (-1.0 if number % 2 else 1.0) / len(side.positions)
                for number, side in enumerate(sides)
            ],
            progress=_per_pair(_offset(progress, first, len(pairs))),
        )

    total = torch.zeros(len(layers), model.hidden_size, dtype=torch.float64)
    for first in range(0, len(pairs), size):
        end = min(first + size, len(pairs))
        make = partial(difference_sum, first, end)
        # Both ends, so that pieces of another size are never taken for these.
        total += shards.tensor(f"{prefix}-{first:05d}-{end:05d}", make) if shards else make()
        if progress:
            progress(end, len(pairs))
    mean = (total / len(pairs)).float()
    return {layer: mean[index] for index, layer in enumerate(layers)}


def _sides(
    model: Model, pairs: Sequence[Pair], read_at: ReadAt | None, system_prompt: str | None
) -> list[Reading]:
    """Positive and negative side of each pair, one after the other."""
    return [
        side for pair in pairs for side in readings(model.tokenizer, pair, read_at, system_prompt)
    ]


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
