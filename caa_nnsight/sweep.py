"""Scores over a grid of vectors, layers and multipliers, as one tidy data frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from caa_nnsight.errors import SteeringError, VectorError
from caa_nnsight.frames import NO_CHOICES, SCORE_COLUMNS
from caa_nnsight.item_scores import Orders, choice_logprobs, free_form_logprobs, is_free_form
from caa_nnsight.steering import NO_STEERING, Operator, Start, Steering
from caa_nnsight.vectors import SteeringVectors

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from caa_nnsight.forms import ScorablePair
    from caa_nnsight.models import Model
    from caa_nnsight.prompts import Example
    from caa_nnsight.shards import Shards

Progress = Callable[[int, int], None]

# Items scored between two checkpoints in this process: what a killed run may lose.
ITEMS_PER_SHARD = 8


def score(
    model: Model,
    pairs: Sequence[ScorablePair],
    vectors: SteeringVectors | Mapping[str, SteeringVectors],
    *,
    layers: Sequence[int] | None = None,
    multipliers: Sequence[float] = (-1.0, 0.0, 1.0),
    orders: Orders = "both",
    operator: Operator = "add",
    start: Start = "last_prompt_token",
    system_prompt: str | None = None,
    examples: Sequence[Example] = (),
    condition: str = "none",
    split: str = "held_out",
    behavior: str | None = None,
    method: Literal["auto", "packed", "cached", "plain"] = "auto",
    shards: Shards | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Score items under every vector, layer and multiplier (section 4 of the paper).

    An item with lettered choices is scored by the probabilities of the two letters; a free-form
    item by the log-probabilities of its two answers, each divided by its number of tokens.

    Args:
        model: a loaded model.
        pairs: items to score; held-out ones, if the score is to count.
        vectors: one set of vectors, or several by name. A single set is called `"behavior"`.
        layers: blocks to steer, one at a time; all that have a vector by default.
        multipliers: 0 is the plain model.
        orders: `"both"` scores each item with its choices in both orders, so that the bias
            for a letter cancels; free-form items have no choices to exchange.
        operator, start: see `Edit` and `Steering`.
        system_prompt: put before every question.
        examples: few-shot examples, questions and their answers, that come before every question.
        condition: name of the condition that these two make, for the frame.
        split: name of the items' split, for the frame; items of the splits `"held_out"` and
            `"validation"` must not be among the pairs that a vector was made from.
        behavior: name for the frame; the vectors' own by default.
        method: see `Tracer.score_choices`.
        shards: where finished items are kept, so that a killed sweep goes on.
        progress: called with (items done, items in all).

    Returns:
        a row per item × order × vector × layer × multiplier, with the columns
        `SCORE_COLUMNS`; log-probabilities in nats over the whole vocabulary, for free-form
        items nats per token. Those have "none" for order and letter, and no mass.

    Raises:
        SteeringError: no items or multipliers, items of different forms, a layer that the
            model doesn't have, or a multiplier under which its numbers overflow.
        VectorError: a layer without a vector, vectors of another hidden size, or items that
            the vectors were made from.

    Example:
        >>> import caa_nnsight as caa
        >>> model, refusal = caa.load("smollm2-135m"), caa.get_behavior("refusal")
        >>> split = refusal.split(generation=4, held_out=2)
        >>> vectors = caa.extract(model, split.generation, layers=[12])
        >>> scores = score(model, split.held_out, vectors, multipliers=[-1, 1])
        >>> len(scores) == 2 * 2 * 2  # items, orders of their choices, multipliers
        True
    """
    import pandas as pd

    named = {"behavior": vectors} if isinstance(vectors, SteeringVectors) else dict(vectors)
    if not pairs:
        raise SteeringError("Scoring needs at least one item.")
    grid = grid_of(model, named, layers, multipliers, operator, start)
    if split in ("held_out", "validation"):
        for each in named.values():
            _refuse_leaks(pairs, each)
    label = behavior or next(iter(named.values())).meta.behavior

    free_form = is_free_form(pairs)

    def score_items(chunk: Sequence[ScorablePair], done: int) -> pd.DataFrame:
        report = progress and (
            lambda part, total: progress(done + len(chunk) * part // total, len(pairs))
        )
        read = free_form_logprobs if free_form else choice_logprobs
        items, logprob = read(
            model,
            chunk,
            grid.steerings,
            orders,
            system_prompt,
            examples,
            method=method,
            progress=report,
        )
        refuse_overflow(logprob, multipliers)
        rows = [
            (label, split, pair.id, order, letter, condition, *setting, *logprob[number, index])
            for number, (pair, order, letter) in enumerate(items)
            for setting, index in zip(grid.settings, grid.columns, strict=True)
        ]
        return _with_scores(pd.DataFrame(rows, columns=list(SCORE_COLUMNS[:11])))

    size = model.tracer.piece_size(len(pairs), ITEMS_PER_SHARD)
    frames = []
    with model.tracer.keeping_prefixes():
        for done in range(0, len(pairs), size):
            chunk = pairs[done : done + size]

            def make(chunk=chunk, done=done) -> pd.DataFrame:
                return score_items(chunk, done)

            # Both ends, so that pieces of another size are never taken for these.
            name = f"score-{split}-{condition}-{done:05d}-{done + len(chunk):05d}"
            frames.append(shards.frame(name, make) if shards else make())
            if progress:
                progress(done + len(chunk), len(pairs))
    return pd.concat(frames, ignore_index=True)


@dataclass(frozen=True)
class Grid:
    """Vectors × layers × multipliers.

    Attributes:
        settings: vector's name, layer and multiplier of each.
        steerings: what the model runs under; the first is the plain model.
        columns: for each setting, its place among the steerings.
    """

    settings: list[tuple[str, int, float]]
    steerings: list[Steering]
    columns: list[int]


def grid_of(
    model: Model,
    named: Mapping[str, SteeringVectors],
    layers: Sequence[int] | None,
    multipliers: Sequence[float],
    operator: Operator,
    start: Start,
) -> Grid:
    """Every vector at every layer and multiplier; the arguments are those of `score`.

    Raises:
        SteeringError: no vectors or multipliers.
        VectorError: a layer without a vector, or vectors of another hidden size.
    """
    if not named or not multipliers:
        raise SteeringError("Scoring needs at least one vector and one multiplier.")
    for each in named.values():
        each.check_model(model)
    chosen = next(iter(named.values())).layers if layers is None else sorted(set(layers))
    grid = Grid([], [NO_STEERING], [])
    for name, vectors in named.items():
        for layer in chosen:
            for multiplier in map(float, multipliers):
                grid.settings.append((name, layer, multiplier))
                if multiplier == 0:
                    # The plain model is one setting, whatever vector it is the zero of.
                    grid.columns.append(0)
                    continue
                grid.columns.append(len(grid.steerings))
                grid.steerings.append(
                    vectors.steering(multiplier, layers=layer, operator=operator, start=start)
                )
    return grid


def _refuse_leaks(pairs: Sequence[ScorablePair], vectors: SteeringVectors) -> None:
    seen = set(vectors.meta.pair_ids.split())
    leaked = [pair for pair in pairs if pair.id in seen]
    if leaked:
        raise VectorError(
            f"{len(leaked)} of the {len(pairs)} items to score are among the pairs that the "
            f"vectors were made from (such as {leaked[0].stem[:60]!r}): score others, or give "
            'split="generation" if that is what you want to look at.'
        )


def refuse_overflow(logprob: np.ndarray, multipliers: Sequence[float]) -> None:
    """Refuse log-probabilities that are no numbers.

    Raises:
        SteeringError: one of them isn't finite.
    """
    import numpy as np

    if not np.isfinite(logprob).all():
        # Settings that share a row share its overflow, so the culprit is named by its size.
        raise SteeringError(
            f"The model's numbers overflow at a multiplier of {max(multipliers, key=abs):g}: "
            "use smaller ones."
        )


def _with_scores(frame: pd.DataFrame) -> pd.DataFrame:
    import numpy as np
    from scipy.special import expit

    frame["log_odds"] = frame["logprob_matching"] - frame["logprob_other"]
    frame["p_match"] = expit(frame["log_odds"])
    mass = np.exp(frame["logprob_matching"]) + np.exp(frame["logprob_other"])
    # Free answers are two out of endlessly many: what they hold together says nothing.
    frame["mass"] = mass.where(frame["letter"] != NO_CHOICES)
    return frame[list(SCORE_COLUMNS)]
