"""The code that does what the page does."""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache

from caa_nnsight.errors import CAAError
from caa_nnsight.play.asking import Ask
from caa_nnsight.play.choices import Choice
from caa_nnsight.play.kept_vectors import SEED
from caa_nnsight.registry import get_behavior
from caa_nnsight.settings import ModelSettings


def snippet(settings: ModelSettings, choice: Choice, ask: Ask, limit: int) -> str:
    """Python code that prints the page's two answers.

    Args:
        settings: the model.
        choice: what to steer with.
        ask: what is asked.
        limit: pairs that a behavior's vectors are made from, at most.

    Example:
        >>> ask = Ask(prompt="Hi", layer=3, multiplier=1.5)
        >>> code = snippet(ModelSettings(), Choice("refusal", "refusal"), ask, 100)
        >>> "multipliers=[0, 1.5]" in code
        True
    """
    changed = [
        f", {spec.name}={getattr(settings, spec.name)!r}"
        for spec in fields(settings)
        if spec.name != "model" and getattr(settings, spec.name) != spec.default
    ]
    lines = [
        "import caa_nnsight as caa",
        "",
        f"model = caa.load({settings.model!r}{''.join(changed)})",
        *_vector_lines(choice, ask.layer, limit),
        "",
        "answers = caa.generate(",
        "    model,",
        f"    [{ask.prompt!r}],",
        "    vectors,",
        f"    layers=[{ask.layer}],",
        f"    multipliers=[0, {ask.multiplier:g}],",
    ]
    if ask.system_prompt.strip():
        lines.append(f"    system_prompt={ask.system_prompt.strip()!r},")
    lines.append(f"    max_new_tokens={ask.max_new_tokens},")
    if ask.temperature:
        lines += [f"    temperature={ask.temperature:g},", f"    seed={ask.seed},"]
    lines += [
        ")",
        "for answer in answers.itertuples():",
        '    print(f"Multiplier {answer.multiplier:g}: {answer.text}")',
    ]
    return "\n".join(lines) + "\n"


def _vector_lines(choice: Choice, layer: int, limit: int) -> list[str]:
    if choice.is_file:
        return [f"vectors = caa.SteeringVectors.load({choice.address!r})"]
    most = f", generation={limit}" if _has_more(choice.address, limit) else ""
    return [
        f"behavior = caa.get_behavior({choice.address!r})",
        f"pairs = behavior.split(seed={SEED}{most}).generation",
        f"vectors = caa.extract(model, pairs, layers=[{layer}], behavior=behavior)",
    ]


@lru_cache
def _has_more(address: str, limit: int) -> bool:
    """Whether a behavior has more pairs than the limit; a split refuses to be asked for more."""
    try:
        behavior = get_behavior(address)
        return bool(behavior.parts) or len(behavior.split(seed=SEED).generation) > limit
    except CAAError:
        return False
