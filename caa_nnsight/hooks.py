"""Steering in somebody's own loop: hooks on a transformers model, for the time of a `with`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from caa_nnsight.errors import ModelError, SteeringError
from caa_nnsight.models.layers import find_layers, hidden_size
from caa_nnsight.positions import Pass, watching
from caa_nnsight.steering import Edit, Start, Steering, check_fits

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from caa_nnsight.models import Model
    from caa_nnsight.vectors import SteeringVectors


@contextmanager
def steered(
    model: PreTrainedModel | Model,
    vectors: SteeringVectors,
    multiplier: float | Sequence[float] = 1.0,
    *,
    layers: int | Iterable[int] | None = None,
    start: Start = "last_prompt_token",
    prompt_length: int | None = None,
) -> Iterator[PreTrainedModel]:
    """Steer a transformers model while the context is open: `generate`, or a loop of one's own.

    `multiplier * vectors[layer]` is added to the output of each block, at the same tokens as
    everywhere in this package: from the last token of the prompt on, in every later token. Where a
    prompt ends is known inside `model.generate`, in whichever way it decodes. In your own loop, it
    ends with the first pass over an empty cache; without a cache, or where the prompt goes through
    the model in pieces, or together with its answer, say `prompt_length`. Rows may be padded on the
    left.

    Contexts that are open at the same time add up. Leaving one, also by an exception, takes its
    hooks away. A model is steered in all threads: one context may serve several threads that
    generate at once, but contexts that several threads open on one model act on all of them. Put
    such prompts into one batch, a multiplier for each, or open one context at a time. Wait for a
    thread that generates before you leave.

    As long as any context is open, nothing in the process runs compiled, whichever model it is:
    compiled code doesn't look for hooks. A model of `torch.compile` runs as it was before.

    Args:
        model: a model of transformers on any device or devices, or a `Model` in this process. It
            isn't changed: no weight, no copy.
        vectors: what to steer with.
        multiplier: strength, no unit; or one for each row of the batch, where 0 leaves a row as it
            is. Beams and several answers to one prompt share their prompt's.
        layers: one layer or several; all that have a vector by default.
        start: see `Steering`.
        prompt_length: tokens of the prompt, counted in columns of the padded batch.

    Yields:
        the transformers model.

    Raises:
        ModelError: no transformers model, an encoder-decoder, a model on a server, or decoder
            blocks that can't be found.
        SteeringError: a layer that the model doesn't have, another hidden size, an unusable
            multiplier, or, in a pass, a prompt whose end isn't known.
        VectorError: a layer without a vector.

    Example:
        >>> import torch, transformers
        >>> import caa_nnsight as caa
        >>> config = transformers.GPT2Config(n_embd=8, n_layer=2, n_head=2, vocab_size=32)
        >>> model = transformers.GPT2LMHeadModel(config).eval()
        >>> vectors = caa.SteeringVectors({1: torch.ones(8)})
        >>> prompt = torch.tensor([[5, 6, 7]])
        >>> with caa.steered(model, vectors, multiplier=-2.0):
        ...     answer = model.generate(prompt, max_new_tokens=4, do_sample=False, pad_token_id=0)
        >>> answer.shape[0]
        1
    """
    module, layers_path = in_this_process(model, "caa.steered")
    strengths = _strengths(multiplier)
    if prompt_length is not None and (type(prompt_length) is not int or prompt_length < 1):
        raise SteeringError(
            f"prompt_length is a number of tokens, at least 1, but got {prompt_length!r}."
        )
    steering = vectors.steering(layers=layers, start=start)
    blocks = module.get_submodule(layers_path)
    check_fits([steering], len(blocks), hidden_size(module))
    with ExitStack() as stack:
        watch = stack.enter_context(watching(module, layers_path))
        for layer in steering.layers:
            edits = [edit for edit in steering.edits if edit.layer == layer]
            hook = _Hook(watch.current, steering, edits, strengths, prompt_length)
            # Before the hooks by which transformers collects hidden states: those are to be the
            # steered ones.
            handle = blocks[layer].register_forward_hook(hook, prepend=True)
            stack.callback(handle.remove)
        yield module


class _Hook:
    """Steers the output of one block."""

    def __init__(
        self,
        current: Any,
        steering: Steering,
        edits: Sequence[Edit],
        strengths: torch.Tensor,
        prompt_length: int | None,
    ) -> None:
        self._current = current
        self._steering = steering
        self._edits = edits
        self._strengths = strengths
        self._prompt_length = prompt_length
        self._made: dict[tuple, list[torch.Tensor]] = {}

    def __call__(self, _block, _args, output):
        hidden = output[0] if isinstance(output, tuple) else output
        running = self._current()
        firsts = self._first_columns(running)
        columns = hidden.shape[1]
        if min(firsts) >= columns:
            return None
        changes = self._changes(running, hidden)
        if len(set(firsts)) == 1:
            first = max(0, firsts[0])
            # Not in place: a block may give out what came in, and gradients may run through it.
            hidden = hidden.clone()
            for change in changes:
                hidden[:, first:] += change
        else:
            steered_columns = self._from(firsts, hidden)
            for change in changes:
                hidden = hidden + steered_columns * change
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    def _first_columns(self, running: Pass) -> list[int]:
        """Each row's first steered column of this pass, or one for all rows.

        It may lie before the pass or behind it.
        """
        start, length = self._steering.start, self._prompt_length
        if running.packed and start != "all":
            raise SteeringError(
                "A row of this pass holds several sequences, and caa.steered steers one in each: "
                "use model.generate and no continuous batching, or start='all'."
            )
        counts_from_the_end = start == "last_prompt_token" or (start != "all" and start < 0)
        if running.doubt and length is None and counts_from_the_end:
            raise SteeringError(
                f"caa.steered can't tell where the prompt ends, for {running.doubt}: give "
                "prompt_length=, or open one context for each prompt."
            )
        spans = running.prompt.spans or ((0, running.prompt.length),)
        if len(spans) not in (1, running.rows):
            raise SteeringError(
                f"A pass has {running.rows} rows, but the prompts were {len(spans)} and padded, so "
                "caa.steered can't tell where each begins: keep all rows of a batch to its end."
            )
        ends = [end if length is None else length for _, end in spans]
        return [
            begin + self._steering.first_steered(end - begin) - running.past
            for (begin, _), end in zip(spans, ends, strict=True)
        ]

    def _changes(self, running: Pass, hidden: torch.Tensor) -> list[torch.Tensor]:
        """What each edit adds, cast once per device and dtype.

        `[hidden]`, or with a multiplier per row `[rows, 1, hidden]`.
        """
        rows = self._strengths.numel() if self._strengths.ndim else 0
        if rows and rows * running.repeats != running.rows:
            batch = running.rows // running.repeats
            raise SteeringError(
                f"There are {rows} multipliers, but the batch has {batch} rows: give one number, "
                "or one for each row."
            )
        key = (hidden.device, hidden.dtype, running.repeats if rows else 1)
        if key not in self._made:
            strengths = self._strengths
            if rows:
                strengths = strengths.repeat_interleave(running.repeats)[:, None, None]
            self._made[key] = [
                (strengths * edit.vector).to(hidden.device, hidden.dtype) for edit in self._edits
            ]
        return self._made[key]

    @staticmethod
    def _from(firsts: Sequence[int], hidden: torch.Tensor) -> torch.Tensor:
        """1 from each row's first column on, else 0: `[rows, columns, 1]`."""
        import torch

        columns = torch.arange(hidden.shape[1], device=hidden.device)
        begins = torch.tensor(firsts, device=hidden.device)
        return (columns >= begins[:, None]).unsqueeze(-1).to(hidden.dtype)


def in_this_process(model: PreTrainedModel | Model, caller: str) -> tuple[PreTrainedModel, str]:
    """The transformers model, and where its decoder blocks are.

    Args:
        model: a model of transformers, be it compiled, or a `Model` in this process.
        caller: who asks, for errors.

    Raises:
        ModelError: it is neither, is an encoder-decoder or on a server, or its blocks can't be
            found.
    """
    from torch import nn

    from caa_nnsight.models import Model

    if isinstance(model, Model):
        if model.remote:
            raise ModelError(
                f"{model.name} is on an NDIF server, and {caller} needs its weights here: load it "
                "without remote=, or steer it with caa.generate."
            )
        return model.module, model.layers_path
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"{caller} takes a transformers model or what caa.load gives, but got "
            f"{type(model).__name__}."
        )
    # What torch.compile gives is a shell around the model.
    model = getattr(model, "_orig_mod", model)
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        raise ModelError(
            f"{type(model).__name__} is an encoder-decoder, and {caller} needs a causal language "
            "model (decoder only)."
        )
    try:
        return model, find_layers(model)
    except ModelError as error:
        if "pass layers_path" not in str(error):
            raise
        raise ModelError(
            f"{str(error).rstrip('.')}; {caller} takes it from caa.Model.wrap(model, tokenizer, "
            "layers_path=...)."
        ) from error


def _strengths(multiplier: float | Sequence[float]) -> torch.Tensor:
    """Float32, of no dimension for one number, of one dimension for a number per row."""
    import torch

    try:
        strengths = torch.as_tensor(multiplier, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        strengths = None
    if strengths is None or strengths.ndim > 1 or not strengths.numel():
        raise SteeringError(
            f"A multiplier is a number, or a sequence of one for each row, but got {multiplier!r}."
        )
    if not all(math.isfinite(each) for each in strengths.flatten().tolist()):
        raise SteeringError(f"A multiplier must be a finite number, but got {multiplier!r}.")
    return strengths.float()
