"""What is asked of the model, and whether it can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caa_nnsight.errors import PromptError
from caa_nnsight.prompts import TextPrompt, text_prompt

if TYPE_CHECKING:
    from caa_nnsight.models import Model


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A prompt, and how it is to be answered.

    Attributes:
        prompt: in plain words; the chat template is put around it.
        layer: the decoder block to steer, counted from 0.
        multiplier: strength of the steered answer; the plain one has 0.
        system_prompt: put before the prompt, empty for none.
        max_new_tokens: length of each answer, at most.
        temperature: 0 takes the likeliest token, above 0 samples.
        seed: of the sampling.
    """

    prompt: str
    layer: int
    multiplier: float
    system_prompt: str = ""
    max_new_tokens: int = 100
    temperature: float = 0.0
    seed: int = 0


def checked_prompt(model: Model, ask: Ask) -> TextPrompt:
    """The prompt as tokens.

    Raises:
        PromptError: nothing is in it, or it and its answer are longer than the model's window, or
            take more memory than there is for a pass.
    """
    if not ask.prompt.strip():
        raise PromptError("The prompt is empty: type at least one word.")
    prompt = text_prompt(model.tokenizer, ask.prompt, ask.system_prompt.strip() or None)
    window = model.window
    if window and window < prompt.prompt_length + ask.max_new_tokens:
        raise PromptError(
            f"The prompt has {prompt.prompt_length} tokens, which with an answer of "
            f"{ask.max_new_tokens} is more than the {window} that {model.name} can hold: shorten "
            "the prompt or the answer."
        )
    if not _has_room(model, prompt.prompt_length, ask.max_new_tokens):
        raise PromptError(
            f"The prompt has {prompt.prompt_length} tokens, which with an answer of "
            f"{ask.max_new_tokens} takes more memory than there is for it: shorten the prompt or "
            "the answer, close programs, or give a larger --memory-budget."
        )
    return prompt


def _has_room(model: Model, length: int, new_tokens: int) -> bool:
    """Whether both answers fit into memory side by side; who takes too much of it is killed."""
    from caa_nnsight.tracer.facts import Facts
    from caa_nnsight.tracer.memory import room_for

    logits = 1 if Facts(model).keeps_logits else length
    return room_for(model).holds(2, length, length + new_tokens, 2 * logits)
