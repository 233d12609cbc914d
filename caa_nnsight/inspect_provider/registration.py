"""What Inspect's entry point loads, in every command of Inspect: names only, no heavy imports."""

from __future__ import annotations

from inspect_ai.model import ModelAPI, modelapi


@modelapi(name="caa")
def caa() -> type[ModelAPI]:
    """Models under steering vectors, as `--model caa/MODEL`."""
    from caa_nnsight.inspect_provider.provider import SteeredModel

    return SteeredModel
