"""What to do to the residual stream, and from which token on: data only, no model."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Literal

from caa_nnsight.errors import SteeringError
from caa_nnsight.notebook import facts_table

if TYPE_CHECKING:
    import torch

Operator = Literal["add", "ablate"]
Start = Literal["last_prompt_token", "all"] | int

OPERATORS: tuple[str, ...] = ("add", "ablate")


@dataclass(frozen=True, eq=False)
class Edit:
    """One vector applied to the output of one decoder block.

    Args:
        layer: 0-indexed decoder block; its output is edited (`layers.13`).
        vector: tensor `[hidden]`, any float dtype.
        multiplier: strength `m`, no unit; negative turns the behavior down.
        operator: `"add"` does `h + m * v` (section 3 of arXiv 2312.06681);
            `"ablate"` projects the direction out, `h - m * (h . u) u` with `u = v / |v|`.

    Raises:
        SteeringError: unknown operator, negative layer, a vector that is no vector,
            or a multiplier that is not finite.

    Example:
        >>> import torch
        >>> Edit(layer=13, vector=torch.ones(4), multiplier=-1.0).operator
        'add'
    """

    layer: int
    vector: torch.Tensor
    multiplier: float = 1.0
    operator: Operator = "add"

    def __post_init__(self) -> None:
        if self.operator not in OPERATORS:
            raise SteeringError(
                f"Unknown operator {self.operator!r}: use one of {', '.join(OPERATORS)}."
            )
        layer = _index(self.layer)
        if layer is None or layer < 0:
            raise SteeringError(
                f"A layer is a block's index, counted from 0, but got {self.layer!r}."
            )
        object.__setattr__(self, "layer", layer)
        if not math.isfinite(self.multiplier):
            raise SteeringError(f"A multiplier must be a finite number, but got {self.multiplier}.")
        shape = tuple(getattr(self.vector, "shape", ()))
        if len(shape) != 1:
            raise SteeringError(
                f"An edit's vector must have the shape [hidden], but got {list(shape)}."
            )


@dataclass(frozen=True, eq=False)
class Steering:
    """Edits that act together, from one token of the prompt on.

    Args:
        edits: applied in the order given, so several layers and several vectors combine.
        start: first steered token: `"last_prompt_token"` (the paper's: the end of the
            instruction, inclusive), `"all"`, or an index into the prompt's own tokens
            (negative counts from its end). Every later token is steered too, generated
            ones included.

    Raises:
        SteeringError: an unknown start.

    Example:
        >>> import torch
        >>> both = Steering((Edit(3, torch.ones(4)), Edit(5, torch.ones(4), -2.0)))
        >>> both.layers
        (3, 5)
    """

    edits: tuple[Edit, ...] = ()
    start: Start = "last_prompt_token"

    def __post_init__(self) -> None:
        object.__setattr__(self, "edits", tuple(self.edits))
        if self.start not in ("last_prompt_token", "all") and _index(self.start) is None:
            raise SteeringError(
                f"Unknown start of steering {self.start!r}: use 'last_prompt_token', 'all' "
                "or an index into the prompt's tokens."
            )

    @property
    def layers(self) -> tuple[int, ...]:
        """Blocks that are edited, ascending."""
        return tuple(sorted({edit.layer for edit in self.edits}))

    def first_steered(self, prompt_length: int) -> int:
        """Index of the first steered token of a prompt of `prompt_length` tokens.

        Raises:
            SteeringError: the index lies outside the prompt.
        """
        if self.start == "all":
            return 0
        if self.start == "last_prompt_token":
            return prompt_length - 1
        first = self.start + prompt_length if self.start < 0 else self.start
        if not 0 <= first < prompt_length:
            raise SteeringError(
                f"Steering is to start at token {self.start}, but the prompt has only "
                f"{prompt_length} tokens."
            )
        return first

    def _repr_html_(self) -> str:
        edits = [
            (f"layer {edit.layer}", edit.operator, f"{edit.multiplier:g}", f"{_norm(edit):.3f}")
            for edit in self.edits
        ]
        heading = [("", "operator", "multiplier", "norm of the vector")] if edits else []
        return facts_table(f"Steering from {self.start}", [*heading, *edits])


NO_STEERING = Steering()


def _norm(edit: Edit) -> float:
    return float(edit.vector.detach().float().norm())


def _index(value: object) -> int | None:
    """A whole number of any library, such as numpy's, as an int; None for anything else."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        return None
    return index(value)


def check_fits(steerings: Iterable[Steering], num_layers: int, hidden_size: int) -> None:
    """Refuse steering that this model can't take, before any work is done.

    Raises:
        SteeringError: a layer that the model doesn't have, or another hidden size.
    """
    for steering in steerings:
        for edit in steering.edits:
            if edit.layer >= num_layers:
                raise SteeringError(
                    f"Layer {edit.layer} is to be steered, but this model has the layers "
                    f"0 to {num_layers - 1}."
                )
            if edit.vector.shape[0] != hidden_size:
                raise SteeringError(
                    f"A vector of size {edit.vector.shape[0]} can't steer a model of hidden "
                    f"size {hidden_size}: extract it again on this model."
                )
