"""Whether a model can take packed rows: found out by trying, on the model itself."""

from __future__ import annotations

import logging

import numpy as np
import torch

from caa_nnsight.errors import RemoteError, RemoteInterventionError
from caa_nnsight.prompts import ChoicePrompt
from caa_nnsight.steering import NO_STEERING, Edit, Steering
from caa_nnsight.tracer import traces
from caa_nnsight.tracer.back_ends import BackEnd
from caa_nnsight.tracer.edits import edit_table
from caa_nnsight.tracer.passes import Passes, TracedModel
from caa_nnsight.tracer.planning import answer_plan, choice_requests

logger = logging.getLogger(__name__)

# Largest difference in log-probability between packed and plain that counts as agreement:
# measured differences are about 1e-5 in float32, where a wrong mask is off by more than 1.
PACKED_TOLERANCE = {torch.float32: 1e-3, torch.float16: 5e-2, torch.bfloat16: 3e-1}


def packed_agrees(model: TracedModel, passes: Passes, back_end: BackEnd, token_budget: int) -> bool:
    """Whether packed scores of random tokens agree with plain ones.

    The check's row is longer than the model's attention window, if it has one that rows of
    `token_budget` can outgrow: some families count the window in places of the row, not in
    positions.

    Raises:
        RemoteError: the server can't be asked.
    """
    window = passes.window
    length = min(12, window or 12)
    if length < 4:
        return False
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, passes.vocabulary, (length,), generator=generator).tolist()
    # Two prompts, one ending inside the other; a branch is the longer one's second half.
    half = length // 2
    prompts = [
        ChoicePrompt("", tuple(ids[:end]), half + 1, {"A": 0, "B": 1}) for end in (length, half + 1)
    ]
    outgrown = window is not None and window <= token_budget
    branches = 2 + (window // half if outgrown else 0)
    vectors = torch.randn(branches, model.hidden_size, generator=generator)
    layer = model.num_layers // 2
    steerings = [NO_STEERING, *(Steering((Edit(layer, vector),)) for vector in vectors)]
    try:
        difference = _difference(model, passes, back_end, prompts, steerings, token_budget)
    except Exception as error:  # a family whose attention takes no such mask
        if isinstance(error, RemoteError) and not isinstance(error, RemoteInterventionError):
            raise  # the server failed, and not the pass
        logger.info("packed path not available, using the plain one: %s", error)
        return False
    agrees = difference <= PACKED_TOLERANCE.get(back_end.dtype, 1e-3)
    logger.info(
        "packed path %s: differs from the plain one by %.1e in log-probability",
        "chosen" if agrees else "refused, using the plain one",
        difference,
    )
    return agrees


def _difference(
    model: TracedModel,
    passes: Passes,
    back_end: BackEnd,
    prompts: list[ChoicePrompt],
    steerings: list[Steering],
    token_budget: int,
) -> float:
    """Largest difference between the two ways, in nats."""
    requests, answers = choice_requests(prompts, steerings)
    # Both ways in one go: behind NDIF, that is one request.
    planned = [
        one
        for packed in (True, False)
        for one in answer_plan(passes, answers, packed=packed)(requests, token_budget)
    ]
    table = edit_table(steerings, model.hidden_size, back_end.device)
    values = back_end.run(traces.read_choices, [one.tokens for one in planned], (table,))
    found: dict[tuple[int, ...], list[np.ndarray]] = {}
    for one, (_, logprobs) in zip(planned, values, strict=True):
        for request, value in zip(one.requests, logprobs.double().numpy(), strict=True):
            found.setdefault(request.key, []).append(value)
    return float(np.max([np.abs(packed - plain).max() for packed, plain in found.values()]))
