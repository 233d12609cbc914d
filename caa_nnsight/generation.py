"""Open-ended answers at several multipliers, as one tidy data frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from caa_nnsight.errors import SteeringError
from caa_nnsight.frames import GENERATION_COLUMNS
from caa_nnsight.prompts import text_prompt
from caa_nnsight.steering import NO_STEERING, Operator, Start

if TYPE_CHECKING:
    import pandas as pd

    from caa_nnsight.models import Model
    from caa_nnsight.vectors import SteeringVectors


def generate(
    model: Model,
    prompts: Sequence[str],
    vectors: SteeringVectors,
    *,
    layers: Sequence[int] | None = None,
    multipliers: Sequence[float] = (-1.0, 0.0, 1.0),
    operator: Operator = "add",
    start: Start = "last_prompt_token",
    system_prompt: str | None = None,
    behavior: str | None = None,
    max_new_tokens: int = 100,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    batch_size: int = 128,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Answer every prompt at every multiplier, steered at each new token.

    Args:
        model: a loaded model.
        prompts: questions in plain words; the chat template is put around them here.
        vectors: what to steer with.
        layers: blocks to steer, one at a time; all that have a vector by default.
        multipliers: 0 is the plain model.
        operator, start: see `Edit` and `Steering`.
        system_prompt: put before every question.
        behavior: name for the frame; the vectors' own by default.
        max_new_tokens, temperature, top_p, seed, batch_size: see `Tracer.generate_ids`.
        progress: called with (texts done, texts in all).

    Returns:
        a row per prompt × layer × multiplier, with the columns `GENERATION_COLUMNS`.

    Raises:
        SteeringError: no prompts or multipliers, a setting out of its range, or a start outside a
            prompt.
        VectorError: a layer without a vector, or vectors of another hidden size.

    Example:
        >>> import caa_nnsight as caa
        >>> model, refusal = caa.load("smollm2-135m"), caa.get_behavior("refusal")
        >>> vectors = caa.extract(model, refusal.split(generation=4).generation, layers=[12])
        >>> answers = generate(model, ["Name a fruit."], vectors, max_new_tokens=3)
        >>> answers["multiplier"].tolist()
        [-1.0, 0.0, 1.0]
    """
    import pandas as pd

    if not prompts or not multipliers:
        raise SteeringError("Generating needs at least one prompt and one multiplier.")
    vectors.check_model(model)
    chosen = vectors.layers if layers is None else sorted(set(layers))
    grid = [(layer, float(multiplier)) for layer in chosen for multiplier in multipliers]
    steerings = [
        vectors.steering(multiplier, layers=layer, operator=operator, start=start)
        if multiplier
        else NO_STEERING
        for layer, multiplier in grid
    ]
    settings: dict[str, Any] = {
        "max_new_tokens": max_new_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "seed": seed,
        "batch_size": batch_size,
    }
    rendered = [text_prompt(model.tokenizer, prompt, system_prompt) for prompt in prompts]
    texts = model.tracer.generate(rendered, steerings, progress=progress, **settings)
    label = behavior or vectors.meta.behavior
    return pd.DataFrame(
        [
            (label, number, prompt, "behavior", layer, multiplier, text)
            for number, prompt in enumerate(prompts)
            for (layer, multiplier), text in zip(grid, texts[number], strict=True)
        ],
        columns=list(GENERATION_COLUMNS),
    )
