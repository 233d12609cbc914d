"""From a conversation in Inspect to a prompt, by the same rendering as everywhere else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from caa_nnsight.errors import PromptError
from caa_nnsight.prompts import Example, TextPrompt, encode, render

if TYPE_CHECKING:
    from inspect_ai.model import ChatMessage
    from transformers import PreTrainedTokenizerBase

# What an assistant thought before an answer isn't part of the conversation that follows.
READ, PASSED_OVER = "text", "reasoning"


def conversation_prompt(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[ChatMessage]
) -> TextPrompt:
    """A conversation to be answered, in the model's chat template or the paper's base format.

    Args:
        tokenizer: The model's.
        messages: System messages first, then turns of user and assistant, the last one a user's.

    Returns:
        The prompt; of one user turn, with or without a system message, the same as `text_prompt`
        makes.

    Raises:
        PromptError: If the messages are in another order, hold anything but text, or can't be
            rendered.
    """
    turns = [(message.role, _text_of(message)) for message in messages]
    system = []
    while turns and turns[0][0] == "system":
        system.append(turns.pop(0)[1])
    roles = [role for role, _ in turns]
    expected = ["user", "assistant"] * (len(turns) // 2) + ["user"]
    if roles != expected:
        raise PromptError(
            "caa models answer a conversation of system messages first, then user and assistant by "
            "turns, with a user's turn at the end, but this one goes "
            f"{', '.join(message.role for message in messages) or 'without a message'}: let the "
            "task ask in that order."
        )
    texts = [text for _, text in turns]
    examples: list[Example] = list(zip(texts[:-1:2], texts[1::2], strict=True))
    text = render(tokenizer, texts[-1], "\n\n".join(system) or None, examples)
    ids = encode(tokenizer, text)
    if not ids:
        raise PromptError("A prompt has no tokens: give a question that is not empty.")
    return TextPrompt(text, ids)


def _text_of(message: ChatMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    for part in message.content:
        if part.type not in (READ, PASSED_OVER):
            raise PromptError(
                f"A message holds {part.type}, and caa models read text only: choose a task "
                "that asks in text."
            )
    return "\n".join(part.text for part in message.content if part.type == READ)
