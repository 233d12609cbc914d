"""The card of vectors: where they come from, what was measured with them, and how to use them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from caa_nnsight.hub.address import HUB_ID
from caa_nnsight.hub.card import Markup, license_fields, metadata, render
from caa_nnsight.models.aliases import ALIASES, Alias
from caa_nnsight.models.cache import without_home

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
        repo: Where they are pushed to, as `parse_address` gives it.
        license: An SPDX name, or one of the Hub's; None leaves it out.
        figures: What was measured, as `caa_nnsight.card_figures.figures` works it out.
    """
    meta = vectors.meta
    figures = figures or {}
    hub_id, copy = hub_id_of(meta), quantized_copy_of(meta)
    head = {
        "library_name": "caa_nnsight",
        "tags": TAGS,
        "base_model": copy.hub_id if copy else hub_id,
        "base_model_relation": "quantized" if copy else None,
        **license_fields(license),
    }
    layer, why = _example_layer(vectors, figures)
    return render(
        "vectors_card.md.j2",
        metadata=metadata(head),
        title=f"{meta.behavior or 'Steering vectors'} on {hub_id or _model(meta)}",
        meta=meta,
        extracted=bool(meta.method and meta.n_pairs),
        facts=_facts(vectors),
        effect=_effect(figures),
        damage=_damage(figures),
        model=_model(meta),
        is_known=hub_id is not None or copy is not None,
        # It may stand in code, where no character is markup.
        repo=Markup(repo),
        layer=layer,
        why_layer=why,
        norms=[(layer, f"{norm:.4g}") for layer, norm in vectors.norms().items()],
    )


def hub_id_of(meta: VectorMeta) -> str | None:
    """Return the Hub id of the model that vectors were read from, or None where it has none.

    A folder can look like an id, and an alias can stand for a copy, so both count only with a
    commit.
    """
    if not meta.revision:
        return None
    if meta.model in ALIASES:
        return ALIASES[meta.model].hub_id
    return meta.model if HUB_ID.fullmatch(meta.model) else None


def quantized_copy_of(meta: VectorMeta) -> Alias | None:
    """Return the alias whose quantized copy vectors were read from; None where it is another model.

    The Hub's weights come with a commit, the copy of an alias without one.
    """
    # Vectors that were extracted name their template; of others, nobody knows the weights.
    read_here = meta.template_hash and not meta.revision
    return ALIASES.get(meta.model) if read_here else None


def _model(meta: VectorMeta) -> str:
    return without_home(meta.model) or "MODEL"


def _example_layer(vectors: SteeringVectors, figures: Mapping[str, Any]) -> tuple[int, str]:
    """Return the layer that the card's code steers at, and what it says of the choice."""
    if figures.get("layer") is not None:
        return figures["layer"], ""
    rows = [*(figures.get("effect") or {}).get("rows", ()), *(figures.get("damage") or ())]
    measured = sorted({row["layer"] for row in rows})
    layers, why = (
        (measured, "several were measured: see above")
        if measured
        else (vectors.layers, "not measured: try others")
    )
    return layers[len(layers) // 2], why


def _facts(vectors: SteeringVectors) -> list[tuple[str, object]]:
    meta = vectors.meta
    layers = vectors.layers
    copy = quantized_copy_of(meta)
    weights = (
        f"a 4-bit copy ({copy.packages_source}, SHA-256 {copy.sha256}), not those of {copy.hub_id}"
        if copy
        else ""
    )
    return [
        (name, value or UNKNOWN)
        for name, value, needed in (
            ("behavior", meta.behavior, True),
            ("what positive means", meta.polarity, True),
            ("model", _model(meta) if meta.model else "", True),
            ("its revision", meta.revision, not copy),
            ("its weights", weights, False),
            ("layers", ", ".join(map(str, layers)), True),
            ("hidden size", vectors.hidden_size, True),
            ("site", meta.site, True),
            ("read at", meta.position, True),
            ("method", meta.method, True),
            ("contrast pairs", meta.n_pairs, True),
            ("letters balanced by", meta.balance, False),
            ("source of the data", without_home(meta.source), True),
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
        "has_control": any(row["vector"] == "random" and row["n_items"] for row in effect["rows"]),
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
