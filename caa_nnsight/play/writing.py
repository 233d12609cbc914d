"""The plain and the steered answer, written together and shown token by token."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import TYPE_CHECKING

from caa_nnsight.hooks import steered
from caa_nnsight.play.asking import Ask
from caa_nnsight.play.stopping import JobLeftError
from caa_nnsight.prompts import TextPrompt
from caa_nnsight.steering import NO_STEERING

if TYPE_CHECKING:
    import torch

    from caa_nnsight.models import Model
    from caa_nnsight.vectors import SteeringVectors

REMOTE_TOKENS = 16
"""Tokens that one request to a server brings."""

Answers = list[list[int]]
"""Token ids of the plain and of the steered answer."""

Show = Callable[[Answers], None]


def write(
    model: Model,
    vectors: SteeringVectors,
    ask: Ask,
    prompt: TextPrompt,
    show: Show,
    stopped: Event,
) -> Answers:
    """Write both answers: the tokens that `caa.generate` writes at the multipliers 0 and `ask`'s.

    In this process, both are rows of one batch and grow by a token at a time; behind NDIF, by
    `REMOTE_TOKENS` with each request.

    Args:
        model: a loaded model.
        vectors: what to steer with.
        ask: how.
        prompt: the rendered prompt.
        show: called with both answers whenever they have grown.
        stopped: ends the writing when it is set.

    Raises:
        SteeringError: a layer that the model doesn't have.
        VectorError: a layer without a vector.
        RemoteError: the server can't be reached, or failed.
    """
    writer = _write_behind_ndif if model.remote else _write_here
    return writer(model, vectors, ask, prompt, show, stopped)


def _write_here(
    model: Model,
    vectors: SteeringVectors,
    ask: Ask,
    prompt: TextPrompt,
    show: Show,
    stopped: Event,
) -> Answers:
    import torch

    from caa_nnsight.tracer.facts import Facts

    take = _taker(vectors, ask, prompt)
    ends = model.tracer.end_ids
    answers: Answers = [[], []]
    open_rows = {0, 1}
    rows = torch.tensor([prompt.ids, prompt.ids], device=model.device)
    passed, cache = rows, None
    # Those of a long prompt's every token would take gigabytes.
    last_only = {"logits_to_keep": 1} if Facts(model).keeps_logits else {}
    multipliers = [0.0, ask.multiplier]
    length = prompt.prompt_length
    with (
        torch.no_grad(),
        steered(model, vectors, multipliers, layers=ask.layer, prompt_length=length) as module,
    ):
        for step in range(ask.max_new_tokens):
            if stopped.is_set():
                break
            out = module(input_ids=passed, past_key_values=cache, use_cache=True, **last_only)
            cache = getattr(out, "past_key_values", None)
            tokens = take(out.logits[:, -1], step)
            new = tokens.tolist()
            open_rows -= {row for row in open_rows if new[row] in ends}
            for row in open_rows:
                answers[row].append(new[row])
            show([list(answer) for answer in answers])
            if not open_rows:
                break
            rows = torch.cat([rows, tokens[:, None]], dim=1)
            # A model without a cache passes the whole rows again.
            passed = rows if cache is None else tokens[:, None]
    return answers


def _taker(
    vectors: SteeringVectors, ask: Ask, prompt: TextPrompt
) -> Callable[[torch.Tensor, int], torch.Tensor]:
    """From logits `[rows, vocabulary]` and the number of the step to a token for each row."""
    if not ask.temperature:
        return lambda logits, step: logits.argmax(-1)
    import torch

    from caa_nnsight.tracer.sampling import draws_of, sampled
    from caa_nnsight.tracer.writing import text_requests

    # The same random numbers as in `caa.generate`, so that the code on the page writes the same.
    steerings = [NO_STEERING, vectors.steering(ask.multiplier, layers=ask.layer)]
    requests = text_requests([prompt], steerings)
    draws = draws_of(requests, ask.seed, ask.max_new_tokens)
    numbers = torch.stack([torch.as_tensor(draws(request)) for request in requests])
    return lambda logits, step: sampled(logits, numbers[:, step], ask.temperature, 1.0).argmax(-1)


def _write_behind_ndif(
    model: Model,
    vectors: SteeringVectors,
    ask: Ask,
    prompt: TextPrompt,
    show: Show,
    stopped: Event,
) -> Answers:
    # A text that goes on is a longer prompt, which is steered from the same token on.
    start = prompt.prompt_length - 1
    steering = vectors.steering(ask.multiplier, layers=ask.layer, start=start)
    steerings = [NO_STEERING, steering if ask.multiplier else NO_STEERING]
    answers: Answers = [[], []]
    open_rows = [0, 1]
    while open_rows and not stopped.is_set():
        written = max(map(len, answers))
        count = min(REMOTE_TOKENS, ask.max_new_tokens - written)
        try:
            grown = model.tracer.generate_ids(
                [TextPrompt(prompt.text, (*prompt.ids, *answers[row])) for row in open_rows],
                # Rows that read alike share their prompt; each takes the steering that is its own.
                [steerings[row] for row in open_rows],
                max_new_tokens=count,
                temperature=ask.temperature,
                seed=ask.seed,
            )
        except JobLeftError:
            if not any(answers):
                raise
            break
        for place, row in enumerate(open_rows):
            answers[row] += grown[place][place]
        show([list(answer) for answer in answers])
        ended = {row for place, row in enumerate(open_rows) if len(grown[place][place]) < count}
        whole = written + count >= ask.max_new_tokens
        open_rows = [] if whole else [row for row in open_rows if row not in ended]
    return answers
