"""The nnsight traces: every intervention that runs inside a model is written here.

The bodies use only envoys, tensors and the functions of `edits`, so that one body serves a
model in this process and one behind NDIF.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import nnsight
import torch

from caa_nnsight.tracer.edits import EditTable, apply_edits, block_hidden


def read_blocks(
    lm: Any, layers: Any, inputs: dict, wanted: Sequence[int], rows: torch.Tensor, at: torch.Tensor
) -> list[torch.Tensor]:
    """Block outputs at `(rows, at)` for each wanted layer, ascending: float32 `[reads, hidden]`.

    The pass stops after the last layer asked for.
    """
    with torch.no_grad(), lm.trace(**inputs) as tracer:
        kept = nnsight.save([])
        for layer in wanted:
            hidden = block_hidden(layers[layer].output)
            kept.append(hidden[rows.to(hidden.device), at.to(hidden.device)].float().cpu())
        tracer.stop()
    return list(kept)


def read_logits(
    lm: Any, layers: Any, inputs: dict, table: EditTable, steering_index: torch.Tensor
) -> torch.Tensor:
    """Steered logits as the model gives them, float32 on the CPU."""
    with torch.no_grad(), lm.trace(**inputs):
        for layer, stages in table.items():
            apply_edits(block_hidden(layers[layer].output), stages, steering_index)
        logits = lm.output.logits.float().cpu().save()
    return logits


def read_choices(
    lm: Any,
    layers: Any,
    inputs: dict,
    table: EditTable,
    steering_index: torch.Tensor,
    rows: torch.Tensor,
    at: torch.Tensor,
    answers: torch.Tensor,
) -> torch.Tensor:
    """Log-probabilities of the answer tokens: float32 `[reads, answers]`.

    Args:
        lm, layers: the nnsight model and its blocks.
        inputs: the model's own arguments.
        table: edits by layer, ascending.
        steering_index: `[batch, tokens]`, each token's steering.
        rows, at: int64 `[reads]`, where to read the logits that the model returns.
        answers: int64 `[reads, answers]`, token ids.

    Only these numbers leave the trace, never logits over the vocabulary.
    """
    with torch.no_grad(), lm.trace(**inputs):
        for layer, stages in table.items():
            apply_edits(block_hidden(layers[layer].output), stages, steering_index)
        logits = lm.output.logits
        logits = logits[rows.to(logits.device), at.to(logits.device)].float()
        chosen = logits.gather(-1, answers.to(logits.device))
        logprobs = (chosen - logits.logsumexp(-1, keepdim=True)).cpu().save()
    return logprobs


def generate_ids(
    lm: Any,
    layers: Any,
    encoding: dict,
    table: EditTable,
    prompt_index: torch.Tensor,
    token_index: torch.Tensor,
    settings: dict,
) -> torch.Tensor:
    """Token ids `[rows, prompt + new]`, steered in the prompt and at every new token.

    Args:
        lm, layers: the nnsight model and its blocks.
        encoding: `input_ids` and `attention_mask`, `[rows, prompt]`.
        table: edits by layer, ascending.
        prompt_index: `[rows, prompt]`, the steering of each prompt token.
        token_index: `[rows, 1]`, the steering of every generated token.
        settings: arguments of the model's own `generate`.
    """
    with torch.no_grad(), warnings.catch_warnings():
        # nnsight warns whenever an open loop over steps ends, which is how each of ours ends.
        warnings.filterwarnings("ignore", message=".*was never reached", category=UserWarning)
        with lm.generate(**settings) as tracer:
            with tracer.invoke(encoding):
                # Without an edit the loop would wait for nothing, and so would never end.
                if table:
                    for step in tracer.iter[:]:
                        # With a cache only the newest token passes, so every step is edited.
                        index = prompt_index if step == 0 else token_index
                        for layer, stages in table.items():
                            apply_edits(block_hidden(layers[layer].output), stages, index)
            with tracer.invoke():
                ids = tracer.result.save()
    return ids
