"""Edits as tables of tensors, and the one function that applies them inside a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from caa_nnsight.steering import Steering


@dataclass(frozen=True)
class Stage:
    """The n-th edit of one layer, for every steering at once.

    Attributes:
        added: `[steerings + 1, hidden]`, what each steering adds, or None.
        removed: `[steerings + 1, hidden]`, the unit direction each one projects out, or None.
        strength: `[steerings + 1, 1]`, the multiplier of `removed`.

    The last row is zero: the index -1 stands for "not steered".
    """

    added: torch.Tensor | None
    removed: torch.Tensor | None
    strength: torch.Tensor | None


EditTable = dict[int, list[Stage]]


def edit_table(steerings: Sequence[Steering], hidden_size: int, device: torch.device) -> EditTable:
    """Tables by layer, float32 on `device`; layers without an edit are absent.

    The n-th edits of one layer share a stage, so several edits keep the order in which
    their steering lists them.
    """
    per_layer: dict[int, list[list[tuple[int, object]]]] = {}
    for index, steering in enumerate(steerings):
        seen: dict[int, int] = {}
        for edit in steering.edits:
            stages = per_layer.setdefault(edit.layer, [])
            stage = seen.get(edit.layer, 0)
            seen[edit.layer] = stage + 1
            if stage == len(stages):
                stages.append([])
            stages[stage].append((index, edit))
    return {
        layer: [_stage(entries, len(steerings), hidden_size, device) for entries in stages]
        for layer, stages in sorted(per_layer.items())
    }


def _stage(entries, count: int, hidden_size: int, device: torch.device) -> Stage:
    added = torch.zeros(count + 1, hidden_size)
    removed = torch.zeros(count + 1, hidden_size)
    strength = torch.zeros(count + 1, 1)
    operators = set()
    for index, edit in entries:
        vector = edit.vector.detach().to("cpu", torch.float32)
        operators.add(edit.operator)
        if edit.operator == "add":
            added[index] = edit.multiplier * vector
        else:
            removed[index] = torch.nn.functional.normalize(vector, dim=0)
            strength[index] = edit.multiplier
    ablates = "ablate" in operators
    return Stage(
        added=added.to(device) if "add" in operators else None,
        removed=removed.to(device) if ablates else None,
        strength=strength.to(device) if ablates else None,
    )


def block_hidden(output: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    """The residual stream `[batch, tokens, hidden]` in a block's output, a tensor or a tuple."""
    return output[0] if isinstance(output, tuple) else output


def apply_edits(hidden: torch.Tensor, stages: Sequence[Stage], index: torch.Tensor) -> None:
    """Edit a block's output in place.

    Args:
        hidden: `[batch, tokens, hidden]`, the model's dtype.
        stages: this layer's stages.
        index: int64 `[batch, tokens]`, each token's steering, -1 for none.
    """
    index = index.to(hidden.device)
    for stage in stages:
        if stage.removed is not None and stage.strength is not None:
            direction = stage.removed.to(hidden.device)[index]
            share = (hidden.float() * direction).sum(-1, keepdim=True)
            share = share * stage.strength.to(hidden.device)[index]
            hidden -= (share * direction).to(hidden.dtype)
        if stage.added is not None:
            hidden += stage.added.to(hidden.device)[index].to(hidden.dtype)
