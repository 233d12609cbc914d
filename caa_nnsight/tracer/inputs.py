"""From the tokens of a pass to the arguments of the model's forward, on the model's device.

A pass travels to servers as small integers. What is large, such as the mask of a tree, is made
from them there.
"""

from __future__ import annotations

from typing import Any

import torch

from caa_nnsight.tracer.packing import visible_tokens

# What a pass is made of, as plain values:
# - "ids", "positions", "steerings": int64 `[rows, tokens]`;
# - "parents": int64 `[tokens]` of a packed row, or "attention": int64 `[rows, tokens]`;
# - "reads": int64 `[2, reads]`, rows and places of the hidden states or returned logits to read;
# - "keep": whose logits the model is to return: a number from the end, places, or None for all;
# - whatever else a trace needs, such as "answers".
Tokens = dict[str, Any]


def model_inputs(one: Tokens, device: torch.device | None, dtype: torch.dtype) -> dict[str, Any]:
    """The model's arguments for a pass.

    Args:
        one: the pass.
        device: where the model takes its inputs. A process that holds no weights (its device is
            "meta") gives them as they are, and whoever holds the weights moves them.
        dtype: of the residual stream, which masks must have.
    """
    place = torch.device("cpu") if device is None or device.type == "meta" else device
    inputs = {
        "input_ids": one["ids"].to(place),
        "position_ids": one["positions"].to(place),
        "use_cache": False,
    }
    if "parents" in one:
        inputs["attention_mask"] = tree_mask(one["parents"], place, dtype)
    else:
        inputs["attention_mask"] = one["attention"].to(place)
    keep = one["keep"]
    if keep is not None:
        # As places, the model returns these tokens' logits alone, in this order.
        inputs["logits_to_keep"] = keep if isinstance(keep, int) else keep.to(place)
    return inputs


def tree_mask(parents: torch.Tensor, place: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """The attention mask of a row that is a tree, `[1, 1, tokens, tokens]`: 0 or the lowest number.

    Each token attends to itself and its ancestors.

    Args:
        parents: int64 `[tokens]`, -1 for the root's; parents come before their children.
        place: the mask's device.
        dtype: the mask's dtype.
    """
    visible = torch.from_numpy(visible_tokens(parents.tolist())).to(place)
    mask = torch.zeros(visible.shape, dtype=dtype, device=place)
    return mask.masked_fill_(~visible, torch.finfo(dtype).min)[None, None]
