"""Edits as tables of tensors, and the one function that applies them inside a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from caa_nnsight.steering import Edit, Steering

# One operator of one layer for every steering at once, as plain values, because it travels to
# servers that haven't our classes:
# - the operator's name;
# - int64 `[steerings + 1]`, which vector each steering uses; the last stands for "not steered";
# - float32 `[vectors + 1, hidden]`; the last is zero; for "ablate" the others have length 1;
# - float32 `[steerings + 1, 1]`, the multipliers.
# Steerings that differ in their multiplier alone share a vector: a grid's table is small.
Stage = tuple[str, torch.Tensor, torch.Tensor, torch.Tensor]
EditTable = dict[int, list[Stage]]


def edit_table(steerings: Sequence[Steering], hidden_size: int, device: torch.device) -> EditTable:
    """Stages by layer, float32 on `device`, ascending; layers without an edit are absent.

    The n-th edits of one layer share a stage, so several edits keep the order in which
    their steering lists them.
    """
    per_layer: dict[int, list[dict[str, _StageDraft]]] = {}
    for index, steering in enumerate(steerings):
        seen: dict[int, int] = {}
        for edit in steering.edits:
            places = per_layer.setdefault(edit.layer, [])
            place = seen.get(edit.layer, 0)
            seen[edit.layer] = place + 1
            if place == len(places):
                places.append({})
            places[place].setdefault(edit.operator, _StageDraft()).add(index, edit)
    return {
        layer: [
            draft.stage(operator, len(steerings), hidden_size, device)
            for drafts in places
            for operator, draft in drafts.items()
        ]
        for layer, places in sorted(per_layer.items())
    }


@dataclass
class _StageDraft:
    """A stage while steerings are added to it."""

    vectors: list[torch.Tensor] = field(default_factory=list)
    uses: list[tuple[int, int, float]] = field(default_factory=list)
    _numbers: dict[int, int] = field(default_factory=dict)

    def add(self, steering: int, edit: Edit) -> None:
        # The edits keep their vectors alive, so an id stands for one vector throughout.
        number = self._numbers.setdefault(id(edit.vector), len(self.vectors))
        if number == len(self.vectors):
            vector = edit.vector.detach().to("cpu", torch.float32)
            if edit.operator == "ablate":
                vector = torch.nn.functional.normalize(vector, dim=0)
            self.vectors.append(vector)
        self.uses.append((steering, number, edit.multiplier))

    def stage(self, operator: str, count: int, hidden_size: int, device: torch.device) -> Stage:
        rows = torch.full((count + 1,), len(self.vectors), dtype=torch.int64)
        strength = torch.zeros(count + 1, 1, dtype=torch.float64)
        for steering, number, multiplier in self.uses:
            rows[steering] = number
            strength[steering] = multiplier
        vectors = torch.stack([*self.vectors, torch.zeros(hidden_size)])
        return operator, rows.to(device), vectors.to(device), strength.float().to(device)


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
    for operator, rows, vectors, strength in stages:
        vector = vectors.to(hidden.device)[rows.to(hidden.device)[index]]
        change = strength.to(hidden.device)[index] * vector
        if operator == "ablate":
            share = (hidden.float() * vector).sum(-1, keepdim=True)
            hidden -= (share * change).to(hidden.dtype)
        else:
            hidden += change.to(hidden.dtype)
