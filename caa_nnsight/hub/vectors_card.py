"""The card of vectors: where they come from, what was measured with them, and how to use them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caa_nnsight.hub.address import HUB_ID
from caa_nnsight.hub.card import license_fields, metadata, render
from caa_nnsight.models.aliases import ALIASES

if TYPE_CHECKING:
    from caa_nnsight.vectors import SteeringVectors, VectorMeta

TAGS = ["caa_nnsight", "steering-vectors", "activation-steering", "contrastive-activation-addition"]
UNKNOWN = "unknown"


def vectors_card(
    vectors: SteeringVectors,
    repo: str,
    *,
    license: str | None = None,
    figures: Mapping[str, Any] | None = None,
) -> str:
    """Write the card of vectors in Markdown.

    Args:
        vectors: Which.
        repo: Where they are pushed to.
        license: An SPDX name, or one of the Hub's; None leaves it out.
        figures: What was measured, as `caa_nnsight.card_figures.figures` works it out.
    """
    meta = vectors.meta
    figures = figures or {}
    base_model = hub_id_of(meta)
    head = {
        "library_name": "caa_nnsight",
        "tags": TAGS,
        "base_model": base_model,
        **license_fields(license),
    }
    picked = figures.get("layer")
    return render(
        "vectors_card.md.j2",
        metadata=metadata(head),
        title=f"{meta.behavior or 'Steering vectors'} on {base_model or _model(meta)}",
        meta=meta,
        facts=_facts(vectors),
        effect=_effect(figures),
        damage=_damage(figures),
        model=_model(meta),
        on_hub=base_model is not None,
        repo=repo,
        layer=vectors.layers[len(vectors.layers) // 2] if picked is None else picked,
        layer_is_picked=picked is not None,
        norms=[(layer, f"{norm:.4g}") for layer, norm in vectors.norms().items()],
    )


def hub_id_of(meta: VectorMeta) -> str | None:
    """Return the Hub id of the model that vectors were read from, or None where it has none.

    A folder can look like an id, so one that is no alias counts only with a commit.
    """
    if meta.model in ALIASES:
        return ALIASES[meta.model].hub_id
    return meta.model if meta.revision and HUB_ID.fullmatch(meta.model) else None


def _model(meta: VectorMeta) -> str:
    # A folder's path would tell who made the vectors.
    return meta.model.replace(str(Path.home()), "~") or "MODEL"


def _facts(vectors: SteeringVectors) -> list[tuple[str, object]]:
    meta = vectors.meta
    layers = vectors.layers
    return [
        (name, value or UNKNOWN)
        for name, value, needed in (
            ("behavior", meta.behavior, True),
            ("what positive means", meta.polarity, True),
            ("model", _model(meta) if meta.model else "", True),
            ("its revision", meta.revision, True),
            ("layers", ", ".join(map(str, layers)), True),
            ("hidden size", vectors.hidden_size, True),
            ("site", meta.site, True),
            ("read at", meta.position, True),
            ("method", meta.method, True),
            ("contrast pairs", meta.n_pairs, True),
            ("letters balanced by", meta.balance, False),
            ("source of the data", meta.source, True),
            ("SHA-256 of the pairs", meta.data_hash, False),
            ("system prompt", meta.system_prompt, False),
            ("weighted sum of", meta.parts, False),
            ("norms made equal over", meta.normalized, False),
            ("made", meta.created, False),
            ("with", meta.versions, False),
        )
        if value or needed
    ]


def _effect(figures: Mapping[str, Any]) -> dict[str, Any] | None:
    effect = figures.get("effect")
    if not effect:
        return None
    digits = 3
    return effect | {
        "low": f"{effect['low']:+g}",
        "high": f"{effect['high']:+g}",
        "has_control": any(row["vector"] != "behavior" for row in effect["rows"]),
        "rows": [
            row
            | {
                "change": _number(row["change"], digits, plus=True),
                "interval": _interval(row["change_low"], row["change_high"], digits, plus=True),
                "share_up": _percent(row["share_up"]),
            }
            for row in effect["rows"]
        ],
    }


def _damage(figures: Mapping[str, Any]) -> dict[str, Any] | None:
    rows = figures.get("damage")
    if not rows:
        return None
    layers = sorted({row["layer"] for row in rows})
    return {
        "one_layer": len(layers) == 1,
        "layer": layers[0],
        "rows": [
            {
                "layer": row["layer"],
                "multiplier": f"{row['multiplier']:+g}",
                "ratio": _number(row["ratio"], 2),
                "interval": _interval(row["ratio_low"], row["ratio_high"], 2),
                "repetition": _number(row["repetition_change"], 2, plus=True),
                "drift": _percent(row["drift"]),
            }
            for row in rows
        ],
    }


def _number(value: float | None, digits: int, *, plus: bool = False) -> str:
    if value is None or math.isnan(value):
        return "not measured"
    return f"{value:{'+' if plus else ''}.{digits}f}"


def _interval(low: float | None, high: float | None, digits: int, *, plus: bool = False) -> str:
    if low is None or high is None:
        return "not measured"
    return f"{_number(low, digits, plus=plus)} to {_number(high, digits, plus=plus)}"


def _percent(share: float | None) -> str:
    return "not measured" if share is None else f"{100 * share:.0f} %"
