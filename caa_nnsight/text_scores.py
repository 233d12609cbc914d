"""How likely a model finds plain texts while it is steered: what perplexity is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from caa_nnsight.errors import PromptError, SteeringError
from caa_nnsight.frames import TEXT_COLUMNS
from caa_nnsight.prompts import AnsweredPrompt, encode
from caa_nnsight.steering import Operator
from caa_nnsight.sweep import grid_of, refuse_overflow
from caa_nnsight.vectors import SteeringVectors

if TYPE_CHECKING:
    import pandas as pd

    from caa_nnsight.models import Model


def score_texts(
    model: Model,
    texts: Sequence[str],
    vectors: SteeringVectors | Mapping[str, SteeringVectors],
    *,
    layers: Sequence[int] | None = None,
    multipliers: Sequence[float] = (-1.0, 0.0, 1.0),
    operator: Operator = "add",
    behavior: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Log-probability of plain texts under every vector, layer and multiplier.

    The texts stand by themselves, without a chat template but behind the token that begins a
    sequence where the tokenizer has one, and all of their tokens are steered.
    The perplexity of a text is `exp(-logprob / n_tokens)`.

    Args:
        model: a loaded model.
        texts: plain texts, of two tokens or more each.
        vectors: one set of vectors, or several by name. A single set is called `"behavior"`.
        layers: blocks to steer, one at a time; all that have a vector by default.
        multipliers: 0 is the plain model.
        operator: see `Edit`.
        behavior: name for the frame; the vectors' own by default.
        progress: called with (scores done, scores in all).

    Returns:
        a row per text × vector × layer × multiplier, with the columns `TEXT_COLUMNS`: `logprob`
        is the sum over all tokens but the first, in nats, and `n_tokens` their number.

    Raises:
        SteeringError: no texts, vectors or multipliers, or a multiplier under which the model's
            numbers overflow.
        PromptError: a text of fewer than two tokens.
        VectorError: a layer without a vector, or vectors of another hidden size.

    Example:
        >>> import caa_nnsight as caa
        >>> model, refusal = caa.load("smollm2-135m"), caa.get_behavior("refusal")
        >>> vectors = caa.extract(model, refusal.split(generation=4).generation, layers=[12])
        >>> scores = score_texts(model, ["The sun is warm."], vectors)
        >>> scores[["multiplier", "n_tokens"]].values.tolist()
        [[-1.0, 4.0], [0.0, 4.0], [1.0, 4.0]]
    """
    import pandas as pd

    if not texts:
        raise SteeringError("Scoring texts needs at least one text.")
    named = {"behavior": vectors} if isinstance(vectors, SteeringVectors) else dict(vectors)
    grid = grid_of(model, named, layers, multipliers, operator, "all")
    prompts = []
    for number, text in enumerate(texts):
        ids = encode(model.tokenizer, text, plain=True)
        if len(ids) < 2:
            raise PromptError(
                f"Text {number} ({text[:40]!r}) has {len(ids)} tokens, but at least 2 are needed "
                "for a probability: leave it out."
            )
        prompts.append(AnsweredPrompt(text, ids, 1))
    logprob = model.tracer.score_answers(prompts, grid.steerings, progress=progress)
    refuse_overflow(logprob, multipliers)
    label = behavior or next(iter(named.values())).meta.behavior
    rows = [
        (label, number, *setting, prompt.answer_length, logprob[number, index])
        for number, prompt in enumerate(prompts)
        for setting, index in zip(grid.settings, grid.columns, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(TEXT_COLUMNS))
