"""Requests that come at the same time, written together by one thread.

Inspect asks for many answers at once, each by itself. One thread takes all that wait, and passes
those that ask for the same settings through the model side by side. It is one thread for all
models, because tracing isn't made for several.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from caa_nnsight.prompts import TextPrompt
    from caa_nnsight.steering import Steering
    from caa_nnsight.tracer import Tracer

logger = logging.getLogger(__name__)

# Seconds: how long a batch waits for one more request, how long for all of them, and how often
# one who waits looks for its answer.
NEXT, ALL, LOOK = 0.02, 0.2, 0.01


@dataclass(frozen=True)
class TokenLogprobs:
    """What the model expected at one token of an answer, in nats.

    Attributes:
        written: log-probability of the token that was written.
        likeliest: the likeliest tokens with theirs, as many as were asked for, in descending order.
    """

    written: float
    likeliest: list[tuple[int, float]]


@dataclass(frozen=True)
class Written:
    """One answer.

    Attributes:
        ids: its tokens, without the end of the sequence.
        logprobs: of each token; None where they weren't asked for.
    """

    ids: list[int]
    logprobs: list[TokenLogprobs] | None = None


@dataclass(frozen=True, eq=False)
class Request:
    """Answers to one prompt.

    Attributes:
        tracer: of the model that writes.
        prompt: to be answered.
        steering: in force meanwhile.
        max_new_tokens, temperature, top_p, batch_size: see `Tracer.generate_ids`.
        seed: of the sampling; None draws each answer anew.
        count: how many answers.
        top_logprobs: of how many of the likeliest tokens log-probabilities are wanted beside those
            of the written ones; None for none at all.
        answers: the answers, when they are there.
    """

    tracer: Tracer
    prompt: TextPrompt
    steering: Steering
    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    count: int = 1
    top_logprobs: int | None = None
    batch_size: int = 32
    answers: Future[list[Written]] = field(default_factory=Future)

    @property
    def settings(self) -> tuple:
        """Requests that have these in common pass together."""
        return (
            self.tracer,
            self.steering,
            self.max_new_tokens,
            self.temperature,
            self.top_p,
            self.seed,
        )


async def written(request: Request) -> list[Written]:
    """Hand a request to the writing thread and wait for its answers, in any event loop."""
    _worker.take(request)
    try:
        while not request.answers.done():
            await anyio.sleep(LOOK)
    finally:
        # Of a task that is canceled; if its batch runs, the answer is thrown away.
        request.answers.cancel()
    return request.answers.result()


def write_together(requests: Sequence[Request]) -> None:
    """Answer requests that have their `settings` in common, in one call of the tracer.

    The answers are those that each request would get alone: what a seed or greedy decoding
    determines is written once for all that ask for it, and what is drawn anew is drawn for each.
    """
    first = requests[0]
    drawn_anew = first.temperature > 0 and first.seed is None
    asked: dict[object, list[Request]] = {}
    for request in requests:
        key = request if drawn_anew else request.prompt.ids
        asked.setdefault(key, []).append(request)
    # Greedy answers to one prompt are all the same.
    counts = [
        max(request.count for request in same) if first.temperature else 1
        for same in asked.values()
    ]
    prompts = [
        same[0].prompt
        for same, count in zip(asked.values(), counts, strict=True)
        for _ in range(count)
    ]
    rows = iter(
        first.tracer.generate_ids(
            prompts,
            [first.steering],
            max_new_tokens=first.max_new_tokens,
            temperature=first.temperature,
            top_p=first.top_p,
            seed=secrets.randbits(32) if first.seed is None else first.seed,
            batch_size=first.batch_size,
        )
    )
    for same, count in zip(asked.values(), counts, strict=True):
        answers = [next(rows)[0] for _ in range(count)]
        for request in same:
            mine = (answers * request.count)[: request.count]
            request.answers.set_result([_with_logprobs(request, ids) for ids in mine])


def _with_logprobs(request: Request, ids: list[int]) -> Written:
    if request.top_logprobs is None:
        return Written(ids)
    prompt = request.prompt
    # Logits are over the whole vocabulary: one answer at a time, and only what is asked for stays.
    (logits,) = request.tracer.logits(
        [[*prompt.ids, *ids]], request.steering, prompt_lengths=[prompt.prompt_length]
    )
    before = logits[prompt.prompt_length - 1 : prompt.prompt_length - 1 + len(ids)]
    logprobs = before.log_softmax(-1)
    values, tokens = logprobs.topk(min(request.top_logprobs, logprobs.shape[-1]))
    likeliest = zip(tokens.tolist(), values.tolist(), strict=True)
    return Written(
        ids,
        [
            TokenLogprobs(float(row[token]), list(zip(*pair, strict=True)))
            for token, row, pair in zip(ids, logprobs, likeliest, strict=True)
        ],
    )


class _Worker:
    """The thread and what waits for it."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[Request] = SimpleQueue()
        self._lock = Lock()
        self._thread: Thread | None = None

    def take(self, request: Request) -> None:
        """Put a request into the queue; the first one starts the thread."""
        self._waiting.put(request)
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._run, name="caa-inspect", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            for group in self._gathered():
                _answer(group)

    def _gathered(self) -> list[list[Request]]:
        """Wait for a request and those that come with it, up to its batch size, by settings."""
        first = self._waiting.get()
        groups: dict[tuple, list[Request]] = {first.settings: [first]}
        latest = time.monotonic() + ALL
        for _ in range(first.batch_size - 1):
            try:
                left = max(0.0, latest - time.monotonic())
                request = self._waiting.get(timeout=min(NEXT, left))
            except Empty:
                break
            groups.setdefault(request.settings, []).append(request)
        return list(groups.values())


def _answer(group: Sequence[Request]) -> None:
    wanted = [each for each in group if each.answers.set_running_or_notify_cancel()]
    if not wanted:
        return
    started = time.monotonic()
    try:
        write_together(wanted)
    except Exception as error:
        for request in wanted:
            if not request.answers.done():
                request.answers.set_exception(error)
    else:
        logger.debug("wrote %d answers in %.1f s", len(wanted), time.monotonic() - started)


_worker = _Worker()
