"""From tokens to what Inspect takes: text, why it ended, log-probabilities."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessageAssistant,
    Logprob,
    Logprobs,
    StopReason,
    TopLogprob,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from caa_nnsight.inspect_provider.batches import TokenLogprobs, Written
    from caa_nnsight.inspect_provider.wishes import Wishes


def choice_of(
    tokenizer: PreTrainedTokenizerBase,
    written: Written,
    wishes: Wishes,
    room: int,
    model_name: str,
) -> ChatCompletionChoice:
    """One answer as Inspect takes it.

    Args:
        tokenizer: The model's.
        written: Its tokens.
        wishes: What was asked for.
        room: How many tokens it could get at most, given how many the model can hold.
        model_name: The name to sign with.

    Returns:
        The answer up to the first stop sequence, if there is one, and why it ended.
    """
    text, count, stopped = until_stop(tokenizer, written.ids, wishes.stops)
    full = len(written.ids) == room
    reason: StopReason = "stop"
    if full and not stopped:
        reason = "max_tokens" if room == wishes.max_tokens else "model_length"
    logprobs = None
    if written.logprobs is not None:
        content = _logprobs(tokenizer, written.ids[:count], written.logprobs)
        logprobs = Logprobs(content=content)
    return ChatCompletionChoice(
        message=ChatMessageAssistant(content=text, model=model_name, source="generate"),
        stop_reason=reason,
        logprobs=logprobs,
    )


def until_stop(
    tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], stops: Sequence[str]
) -> tuple[str, int, bool]:
    """Text up to the first stop sequence, the tokens up to its end, and whether there was one."""

    def decoded(count: int) -> str:
        return tokenizer.decode(ids[:count], skip_special_tokens=True)

    def holds_stop(count: int) -> bool:
        return any(stop in decoded(count) for stop in stops)

    text = decoded(len(ids))
    found = [text.index(stop) for stop in stops if stop in text]
    if not found:
        return text, len(ids), False
    count = bisect_left(range(len(ids) + 1), True, key=holds_stop)
    return text[: min(found)], count, True


def _logprobs(
    tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], logprobs: Sequence[TokenLogprobs]
) -> list[Logprob]:
    return [
        Logprob(
            **_token(tokenizer, token),
            logprob=here.written,
            top_logprobs=[
                TopLogprob(**_token(tokenizer, other), logprob=value)
                for other, value in here.likeliest
            ]
            or None,
        )
        for token, here in zip(ids, logprobs, strict=False)
    ]


def _token(tokenizer: PreTrainedTokenizerBase, token: int) -> dict:
    text = tokenizer.decode([token])
    return {"token": text, "bytes": list(text.encode())}
