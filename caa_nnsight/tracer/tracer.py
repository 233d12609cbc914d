"""`Tracer`: activations, choice scores and generations of one model, steered or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from nnsight.modeling.transformers import TransformersModel

from caa_nnsight.errors import SteeringError
from caa_nnsight.prompts import AnsweredPrompt, ChoicePrompt, TextPrompt
from caa_nnsight.steering import NO_STEERING, Steering, check_fits
from caa_nnsight.tracer import traces
from caa_nnsight.tracer.back_ends import BackEnd, Body, LocalBackEnd, RemoteBackEnd
from caa_nnsight.tracer.edits import edit_table
from caa_nnsight.tracer.facts import Facts, TracedModel
from caa_nnsight.tracer.memory import room_for
from caa_nnsight.tracer.packing import UNSTEERED, Request
from caa_nnsight.tracer.passes import ROW_TOKENS, Passes
from caa_nnsight.tracer.planning import (
    Answers,
    answer_plan,
    answer_requests,
    choice_requests,
    reading_plan,
    weighted_plan,
)
from caa_nnsight.tracer.prefix_check import reach_of_prefixes
from caa_nnsight.tracer.runner import Plan, Progress, Runner
from caa_nnsight.tracer.sampling import draws_of
from caa_nnsight.tracer.way_check import WayCheck
from caa_nnsight.tracer.ways import WAYS, Way, Ways, only
from caa_nnsight.tracer.writing import alike, generation_plan, text_requests

Method = Literal["auto", "packed", "cached", "plain"]

# Passes of this many tokens keep a few CPU cores busy, and a GPU.
CPU_TOKENS, GPU_TOKENS = 768, 8192
# Of activations, in one answer of a server: both sides hold all of it in memory.
ANSWER_BYTES = 128 * 2**20
# Vectors under the lens at once: their logits are over the whole vocabulary.
LENS_ROWS = 64


@dataclass(frozen=True)
class ChoiceLogprobs:
    """Scores of two-choice questions.

    Attributes:
        logprob: float64 `[prompts, steerings, 2]`, log-probability over the whole
            vocabulary of each answer token, in the order of `ChoicePrompt.answers`
            (the letters' alphabetical order). Unit: nats.
    """

    logprob: np.ndarray

    @property
    def mass(self) -> np.ndarray:
        """Probability that the model writes either answer: float64 `[prompts, steerings]`."""
        return np.exp(self.logprob).sum(-1)


class Tracer:
    """Runs a model under nnsight: reads block outputs, and edits them while it reads or writes.

    Args:
        model: a loaded model.

    Example:
        >>> from caa_nnsight import load
        >>> tracer = load("smollm2-135m").tracer
        >>> tracer.capture([[1, 2, 3]], layers=[4], positions=[[-1]]).shape
        torch.Size([1, 1, 1, 576])
    """

    def __init__(self, model: TracedModel) -> None:
        self._model = model
        served = model.remote
        lm = served.lm if served else TransformersModel(model.module, tokenizer=model.tokenizer)
        blocks: Any = lm
        for name in model.layers_path.split("."):
            blocks = getattr(blocks, name)
        self.layers = blocks
        self._facts = Facts(model)
        self._passes = Passes(self._facts, room_for(model))
        self._learned: dict[Body, int] = {}
        if served:
            self._back_end: BackEnd = RemoteBackEnd(lm, blocks, served.jobs)
        else:
            self._back_end = LocalBackEnd(lm, blocks, model.module.dtype, model.device)

    @property
    def _token_budget(self) -> int:
        """Tokens per pass by default; of a server, whose device isn't known, the smaller number."""
        return CPU_TOKENS if self._back_end.device.type == "cpu" else GPU_TOKENS

    @property
    def dtype(self) -> torch.dtype:
        """The residual stream's dtype."""
        return self._back_end.dtype

    # -- reading -------------------------------------------------------------------------

    def capture(
        self,
        sequences: Sequence[Sequence[int]],
        layers: Sequence[int],
        positions: Sequence[Sequence[int]],
        *,
        steering: Steering = NO_STEERING,
        prompt_lengths: Sequence[int] | None = None,
        token_budget: int | None = None,
        progress: Progress | None = None,
    ) -> torch.Tensor:
        """Block outputs of token sequences.

        Args:
            sequences: token ids, one list per prompt.
            layers: 0-indexed blocks, in any order.
            positions: per sequence, the tokens to read (negative counts from the end);
                as many for every sequence.
            steering: applied to each sequence from its own start on; a block's output is read
                after it was edited.
            prompt_lengths: tokens that count as the prompt, the whole sequence by default.
            token_budget: tokens per pass; by default as many as keep the device busy, and never
                more than the model's memory budget allows.
            progress: called with (sequences done, sequences in all).

        Returns:
            float32 `[sequences, positions, layers, hidden]` on the CPU.

        Raises:
            SteeringError: a layer or position that isn't there, or steering that doesn't fit.
        """
        reads = len(positions[0]) if positions else 0
        shape = (len(sequences), reads, len(layers), self._model.hidden_size)
        captured = torch.empty(shape, dtype=torch.float32)
        for keys, hidden in self.iterate_captures(
            sequences,
            layers,
            positions,
            steering=steering,
            prompt_lengths=prompt_lengths,
            token_budget=token_budget,
            progress=progress,
        ):
            for (sequence, read), vectors in zip(keys, hidden, strict=True):
                captured[sequence, read] = vectors
        return captured

    def iterate_captures(
        self,
        sequences: Sequence[Sequence[int]],
        layers: Sequence[int],
        positions: Sequence[Sequence[int]],
        *,
        steering: Steering = NO_STEERING,
        prompt_lengths: Sequence[int] | None = None,
        token_budget: int | None = None,
        progress: Progress | None = None,
    ) -> Iterator[tuple[list[tuple[int, int]], torch.Tensor]]:
        """`capture`, a pass at a time, so that memory doesn't grow with the sequences.

        Behind NDIF, a request brings as many passes at once as `ANSWER_BYTES` hold.

        Args:
            sequences, layers, positions, steering, prompt_lengths: see `capture`; the sequences may
                have different numbers of positions.
            token_budget, progress: see `capture`.

        Yields:
            keys `(sequence, read)` and float32 `[keys, layers, hidden]`.

        Raises:
            SteeringError: a layer or position that isn't there, or steering that doesn't fit.
        """
        check_fits([steering], self._model.num_layers, self._model.hidden_size)
        wanted = self._check_layers(layers)
        order = [wanted.index(layer) for layer in layers]
        requests = self._reads(sequences, positions, steering, prompt_lengths)
        # Steered activations are read here and there, never by the thousand: the plain way will do.
        ways = only("plain") if steering.edits else self._ways
        passes = self._passes.under(edits=_most_edits([steering]), captured=len(wanted))
        plan = reading_plan(passes, ways)
        table = self._table([steering])
        runner = self._runner(traces.read_blocks, plan, wanted, self._back_end.stops, table)
        size = max(1, ANSWER_BYTES // (4 * len(wanted) * self._model.hidden_size))
        for first in range(0, len(requests), size):
            report = _by_sequence(progress, len(sequences), first, len(requests))
            part = requests[first : first + size]
            for (one,), hidden in runner.run(part, token_budget or self._token_budget, report):
                yield [request.key for request in one.requests], hidden[:, order]

    def sum_captures(
        self,
        sequences: Sequence[Sequence[int]],
        layers: Sequence[int],
        positions: Sequence[Sequence[int]],
        weights: Sequence[float],
        *,
        token_budget: int | None = None,
        progress: Progress | None = None,
    ) -> torch.Tensor:
        """Weighted sum of block outputs, added up where the model is.

        Behind NDIF only the sum comes back, whatever the number of sequences.

        Args:
            sequences, layers, positions, token_budget, progress: as `capture`.
            weights: one per sequence, for each of its positions.

        Returns:
            float64 `[layers, hidden]` on the CPU.

        Raises:
            SteeringError: a layer or position that isn't there.
        """
        wanted = self._check_layers(layers)
        order = [wanted.index(layer) for layer in layers]
        requests = self._reads(sequences, positions)
        plan = weighted_plan(self._passes.under(captured=len(wanted)), self._ways, weights)
        runner = self._runner(traces.sum_blocks, plan, wanted, self._back_end.stops, add_up=True)
        report = _by_sequence(progress, len(sequences), 0, len(requests))
        total = torch.zeros(len(wanted), self._model.hidden_size, dtype=torch.float64)
        for _, part in runner.run(requests, token_budget or self._token_budget, report):
            total += part
        return total[order]

    def _reads(
        self,
        sequences: Sequence[Sequence[int]],
        positions: Sequence[Sequence[int]],
        steering: Steering = NO_STEERING,
        prompt_lengths: Sequence[int] | None = None,
    ) -> list[Request]:
        requests = []
        lengths = prompt_lengths or [len(ids) for ids in sequences]
        for number, (ids, at) in enumerate(zip(sequences, positions, strict=True)):
            first = steering.first_steered(lengths[number]) if steering.edits else len(ids)
            for read, position in enumerate(at):
                last = position + len(ids) if position < 0 else position
                if not 0 <= last < len(ids):
                    raise SteeringError(
                        f"Position {position} is to be read, but sequence {number} has only "
                        f"{len(ids)} tokens."
                    )
                # Attention looks back only, so nothing after the position read matters.
                prefix = tuple(ids[: last + 1])
                start = min(first, len(prefix))
                index = 0 if start < len(prefix) else UNSTEERED
                requests.append(Request(prefix, index, start, (number, read)))
        return requests

    def logits(
        self,
        sequences: Sequence[Sequence[int]],
        steering: Steering = NO_STEERING,
        prompt_lengths: Sequence[int] | None = None,
    ) -> list[torch.Tensor]:
        """Logits at every token of every sequence, in one left-padded batch.

        Args:
            sequences: token ids, one list per prompt.
            steering: applied to each sequence from its own start on.
            prompt_lengths: tokens that count as the prompt, the whole sequence by default.

        Returns:
            float32 `[tokens, vocabulary]` per sequence.

        Raises:
            SteeringError: the steering doesn't fit the model or a prompt.
        """
        check_fits([steering], self._model.num_layers, self._model.hidden_size)
        lengths = prompt_lengths or [len(ids) for ids in sequences]
        requests = [
            Request(tuple(ids), 0, steering.first_steered(length), (number,))
            for number, (ids, length) in enumerate(zip(sequences, lengths, strict=True))
        ]
        one = self._passes.pad(requests)
        arguments = (self._table([steering]),)
        ((_, logits),) = self._back_end.run(traces.read_logits, [one.tokens], arguments)
        return [logits[row, -len(ids) :] for row, ids in enumerate(sequences)]

    def lens(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits of residual-stream vectors, as if the last block had put them out (logit lens).

        Args:
            hidden: float `[n, hidden]`.

        Returns:
            float32 `[n, vocabulary]` on the CPU, after the model's own final norm, unembedding and
            whatever else it does to logits.

        Raises:
            SteeringError: vectors of another hidden size.
        """
        hidden = torch.as_tensor(hidden, dtype=torch.float32, device="cpu")
        if hidden.dim() != 2 or hidden.shape[1] != self._model.hidden_size:
            raise SteeringError(
                f"The lens takes vectors of the shape [n, {self._model.hidden_size}], but got "
                f"{list(hidden.shape)}."
            )
        tokens = []
        for part in hidden.split(LENS_ROWS):
            rows = [
                Request((self._facts.pad_id,), UNSTEERED, 1, (row,)) for row in range(len(part))
            ]
            tokens.append(self._passes.pad(rows).tokens | {"hidden": part})
        return torch.cat([logits for _, logits in self._back_end.run(traces.read_lens, tokens, ())])

    # -- scoring -------------------------------------------------------------------------

    def score_choices(
        self,
        prompts: Sequence[ChoicePrompt],
        steerings: Sequence[Steering] = (NO_STEERING,),
        *,
        method: Method = "auto",
        token_budget: int | None = None,
        progress: Progress | None = None,
    ) -> ChoiceLogprobs:
        """Score every prompt under every steering.

        Args:
            prompts: two-choice questions.
            steerings: settings to score; `NO_STEERING` is the plain model.
            method: `"packed"` lays all steerings of a prompt into one row that shares the
                prompt, `"cached"` runs each on top of the prompt's keys and values, `"plain"`
                runs each by itself in left-padded batches; `"auto"` takes the first of these that
                a check against the plain one has shown to be right on this model.
            token_budget: tokens per pass; by default as many as keep the device busy, and never
                more than the model's memory budget allows.
            progress: called with (scores done, scores in all).

        Returns:
            `ChoiceLogprobs`, prompts × steerings.

        Raises:
            SteeringError: a steering doesn't fit the model or a prompt, or a method is asked for
                that the model can't take.
        """
        ways = self._ways_of(method, steerings)
        requests, answers = choice_requests(prompts, steerings)
        logprob = np.full((len(prompts), len(steerings), 2), np.nan)
        for request, values in self._answer_logprobs(
            requests, answers, steerings, ways, token_budget or self._token_budget, progress
        ):
            logprob[request.key] = values
        return ChoiceLogprobs(logprob)

    def score_answers(
        self,
        prompts: Sequence[AnsweredPrompt],
        steerings: Sequence[Steering] = (NO_STEERING,),
        *,
        method: Method = "auto",
        token_budget: int | None = None,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """Log-probability of every free answer under every steering.

        Args:
            prompts: prompts with their answers.
            steerings, method, token_budget, progress: as `score_choices`.

        Returns:
            float64 `[prompts, steerings]`, the sum over the answer's tokens, in nats.

        Raises:
            SteeringError: as `score_choices`.
        """
        ways = self._ways_of(method, steerings)
        requests, answers = answer_requests(prompts, steerings)
        logprob = np.zeros((len(prompts), len(steerings)))
        for request, (value,) in self._answer_logprobs(
            requests, answers, steerings, ways, token_budget or self._token_budget, progress
        ):
            logprob[request.key] += value
        return logprob

    def _ways_of(self, method: Method, steerings: Sequence[Steering]) -> Ways:
        """Check the steerings and the method; tell which way requests go."""
        check_fits(steerings, self._model.num_layers, self._model.hidden_size)
        if method == "auto":
            return self._ways
        if method == "plain":
            return only("plain")
        right = self.way in ("grown", "packed") if method == "packed" else self._caches
        if not right:
            raise SteeringError(
                f"{type(self._model.module).__name__} can't be scored the {method!r} way: its "
                "scores differ from the plain ones; use method='auto' or 'plain'."
            )
        return self._ways if method == "packed" else Ways("cached", lambda: self._far_caches)

    def _answer_logprobs(
        self,
        requests: Sequence[Request],
        answers: Answers,
        steerings: Sequence[Steering],
        ways: Ways,
        token_budget: int,
        progress: Progress | None,
    ) -> Iterator[tuple[Request, np.ndarray]]:
        """Each request with the log-probabilities of its answer tokens."""
        passes = self._passes.under(edits=_most_edits(steerings))
        plan = answer_plan(passes, ways, answers)
        runner = self._runner(traces.read_choices, plan, self._table(steerings))
        for (one,), values in runner.run(requests, token_budget, progress):
            yield from zip(one.requests, values.double().numpy(), strict=True)

    # -- running -------------------------------------------------------------------------

    def _runner(self, body: Body, plan: Plan, *arguments: Any, add_up: bool = False) -> Runner:
        return Runner(self._back_end, body, plan, arguments, add_up, self._learned)

    def piece_size(self, total: int, least: int) -> int:
        """How many of `total` units of work, such as pairs, belong between two checkpoints.

        `least` in this process. Behind NDIF a piece is a request, and there are few.
        """
        return self._back_end.piece_size(total, least)

    def keeping_prefixes(self) -> AbstractContextManager[None]:
        """For work in pieces: what all prompts begin with is computed in the first piece only.

        The model's weights must not change meanwhile.
        """
        return self._back_end.keeping()

    # -- writing -------------------------------------------------------------------------

    def generate_ids(
        self,
        prompts: Sequence[TextPrompt],
        steerings: Sequence[Steering] = (NO_STEERING,),
        *,
        max_new_tokens: int = 100,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        batch_size: int = 128,
        progress: Progress | None = None,
    ) -> list[list[list[int]]]:
        """Continue every prompt under every steering, steered at each new token.

        Rows of one batch carry their own steering. Those of one prompt share its keys and values
        up to the first token that is steered, where this model can: that is tried once.

        Args:
            prompts: rendered prompts.
            steerings: settings; `NO_STEERING` is the plain model.
            max_new_tokens: tokens to write at most; a row that ends early ends early.
            temperature: 0 takes the likeliest token (greedy), above 0 samples.
            top_p: nucleus for sampling.
            seed: of the sampling; the same seed gives the same tokens, whatever passes together.
            batch_size: rows per pass.
            progress: called with (texts done, texts in all).

        Returns:
            new token ids by prompt and steering, end of sequence and padding removed.

        Raises:
            SteeringError: a steering doesn't fit the model or a prompt, or a setting is
                out of range.
        """
        check_fits(steerings, self._model.num_layers, self._model.hidden_size)
        if max_new_tokens < 1 or batch_size < 1 or not (temperature >= 0 and 0 < top_p <= 1):
            raise SteeringError(
                "Generation needs max_new_tokens and batch_size of at least 1, a temperature of "
                f"at least 0 and top_p in (0, 1], but got {max_new_tokens}, {batch_size}, "
                f"{temperature} and {top_p}."
            )
        requests = text_requests(prompts, steerings)
        runner = self._runner(
            traces.generate_ids,
            generation_plan(
                self._passes.under(edits=_most_edits(steerings)),
                max_new_tokens,
                lambda length: length + max_new_tokens <= self.prefix_reach,
                draws_of(requests, seed, max_new_tokens) if temperature else None,
            ),
            self._table(steerings),
            self._generation_settings(max_new_tokens),
            temperature,
            top_p,
        )
        # What is asked for twice is written once, unless each is to be drawn for itself.
        asked = [[each] for each in requests] if temperature else alike(requests)
        keys = {same[0].key: [each.key for each in same] for same in asked}
        report = progress and (
            lambda done, total: progress(done * len(requests) // total, len(requests))
        )
        texts: list[list[list[int]]] = [[[] for _ in steerings] for _ in prompts]
        for (one,), ids in runner.run([same[0] for same in asked], batch_size, report):
            for request, row in zip(one.requests, ids.tolist(), strict=True):
                for prompt, index in keys[request.key]:
                    texts[prompt][index] = self._until_end(row)
        return texts

    def generate(
        self,
        prompts: Sequence[TextPrompt],
        steerings: Sequence[Steering] = (NO_STEERING,),
        **settings: Any,
    ) -> list[list[str]]:
        """`generate_ids`, decoded without special tokens.

        Args:
            prompts, steerings: see `generate_ids`.
            settings: its further arguments.

        Returns:
            texts by prompt and steering.
        """
        decode = self._model.tokenizer.decode
        return [
            [decode(ids, skip_special_tokens=True) for ids in row]
            for row in self.generate_ids(prompts, steerings, **settings)
        ]

    def _generation_settings(self, max_new_tokens: int) -> dict[str, Any]:
        return {
            "max_new_tokens": max_new_tokens,
            "pad_token_id": self._facts.pad_id,
            "eos_token_id": sorted(self.end_ids) or None,
            "do_sample": False,
            # Without a cache each step would pass the whole row again, prompt and all.
            "use_cache": True,
            # A checkpoint's saved settings must not bend what was asked for.
            "num_beams": 1,
            "repetition_penalty": 1.0,
            "no_repeat_ngram_size": 0,
            "suppress_tokens": None,
            "min_new_tokens": None,
            "min_length": 0,
        }

    @cached_property
    def end_ids(self) -> frozenset[int]:
        """Tokens that end an answer; none where the model names none."""
        ends = self._model.module.generation_config.eos_token_id
        if ends is None:
            ends = self._model.tokenizer.eos_token_id
        if ends is None:
            return frozenset()
        return frozenset([ends] if isinstance(ends, int) else ends)

    def _until_end(self, ids: list[int]) -> list[int]:
        ends = (index for index, token in enumerate(ids) if token in self.end_ids)
        return ids[: next(ends, len(ids))]

    # -- helpers -------------------------------------------------------------------------

    @cached_property
    def way(self) -> Way:
        """How prompts and their steerings share passes on this model; see `ways.WAYS`.

        The best that a check against the plain way has shown to be right, on the model itself; it
        runs once.

        Raises:
            RemoteError: the server of a remote model can't be asked.
        """
        return self._first_right(WAYS, far=self._facts.is_narrow(ROW_TOKENS))

    @cached_property
    def _far_way(self) -> Way:
        """`way`, for rows that outgrow the model's attention windows."""
        if self._facts.is_narrow(ROW_TOKENS):
            return self.way
        return self._first_right(WAYS[WAYS.index(self.way) :], far=True)

    @property
    def _ways(self) -> Ways:
        return Ways(self.way, lambda: self._far_way)

    @cached_property
    def _caches(self) -> bool:
        """Whether rows on top of their prompts' keys and values are right."""
        return self._first_right(("cached",), far=self._facts.is_narrow(ROW_TOKENS)) == "cached"

    @cached_property
    def _far_caches(self) -> Way:
        """The same for rows that outgrow the model's attention windows; else they go plain."""
        return self._first_right(("cached",), far=True)

    def _first_right(self, ways: Sequence[Way], *, far: bool) -> Way:
        check = WayCheck(self._passes, self._back_end, self._model.num_layers)
        return check.first_right(ways, far=far)

    @cached_property
    def prefix_reach(self) -> float:
        """How many tokens rows may have that begin behind a shared prefix; checked once."""
        settings = self._generation_settings(2)
        return reach_of_prefixes(self._passes, self._back_end, settings)

    def _check_layers(self, layers: Sequence[int]) -> list[int]:
        for layer in layers:
            if not 0 <= layer < self._model.num_layers:
                raise SteeringError(
                    f"Layer {layer} is asked for, but this model has the layers 0 to "
                    f"{self._model.num_layers - 1}."
                )
        return sorted(set(layers))

    def _table(self, steerings: Sequence[Steering]):
        return edit_table(steerings, self._model.hidden_size, self._back_end.device)


def _most_edits(steerings: Sequence[Steering]) -> int:
    return max(len(steering.edits) for steering in steerings)


def _by_sequence(
    progress: Progress | None, sequences: int, first: int, reads: int
) -> Progress | None:
    """Progress in sequences, from that in reads, of which `first` came before."""
    return progress and (lambda done, _: progress((first + done) * sequences // reads, sequences))
