"""Finetuning toward or against a behavior, to compare steering with and to steer on top of."""

from __future__ import annotations

import copy
import inspect
import math
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from caa_nnsight.errors import CAAError, ModelError
from caa_nnsight.free_pairs import FreeFormPair, SystemPromptPair
from caa_nnsight.models.model import Model
from caa_nnsight.prompts import answered_prompt, choice_prompt

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from caa_nnsight.forms import ScorablePair

Toward = Literal["positive", "negative"]
Optimizer = Literal["adamw", "sgd"]


@dataclass(frozen=True)
class _Row:
    """What is trained on: token ids, whose last `n_answer` are the answer."""

    ids: tuple[int, ...]
    n_answer: int


def finetune(
    model: Model,
    pairs: Sequence[ScorablePair],
    *,
    toward: Toward = "positive",
    optimizer: Optimizer = "adamw",
    learning_rate: float = 1e-4,
    epochs: int = 1,
    batch_size: int = 4,
    lora_rank: int = 8,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Model:
    """A copy of a model, trained to give the answers that show a behavior, or the others.

    As in the paper, an answer is trained on its letter token alone, behind the
    prompt in the model's own chat template and tokenization; free answers on all of their tokens,
    each answer counting alike. The paper trained all weights by SGD at a rate of 1e-4, for one
    epoch. Here the linear layers of the decoder blocks get low-rank adapters (LoRA, with a scale
    of 2), which are merged into the copy in its own number format (bfloat16 rounds the smallest
    changes away), and the default is AdamW: at the paper's rate, SGD would hardly move them. There
    is no dropout, and the rate is constant.

    The given model stays as it is, bit for bit. Both copies are in memory, and rows are trained
    one at a time, their gradients added up to a batch's.

    Args:
        model: a model in this process.
        pairs: what to train on: lettered choices or free-form pairs, generation pairs by rights;
            see `balance_letters` for the letters, which would be learned too.
        toward: the side of the pairs that is trained to be the answer.
        optimizer: `"adamw"` or `"sgd"`, with PyTorch's defaults but for the rate.
        learning_rate: above 0. SGD changes a weight matrix by about `4 * lora_rank / (3 * width)`
            of what it would without adapters, where width is the number of the matrix's inputs:
            to make up for that, divide the rate by it.
        epochs: how often each pair is seen, in another order each time.
        batch_size: pairs per step of the optimizer.
        lora_rank: rank of the change to each weight matrix.
        seed: of the adapters' first weights and the order of the pairs; the same seed gives the
            same bytes on the same machine.
        progress: called with (pairs seen, pairs to see).

    Returns:
        a new model with the same tokenizer and layers, ready to steer.

    Raises:
        ModelError: the model is remote, partly on disk, has no linear layers, or memory ran out.
        PromptError: a pair can't be tokenized.
        CAAError: peft is not installed, the pairs are of no use, a setting is out of range, or
            training diverged.

    Example:
        >>> import caa_nnsight as caa
        >>> model, refusal = caa.load("smollm2-135m"), caa.get_behavior("refusal")
        >>> pairs = refusal.split(generation=4).generation
        >>> finetune(model, pairs, toward="negative").name
        'smollm2-135m tuned on negative answers'
    """
    _check(pairs, toward, optimizer, learning_rate, epochs, batch_size, lora_rank)
    _check_model(model)
    rows = [_row(model.tokenizer, pair, toward) for pair in pairs]
    with _memory_explained(model.name):
        adapted = _adapted(model, lora_rank, seed)
        _train(adapted, rows, optimizer, learning_rate, epochs, batch_size, seed, progress)
        module = adapted.merge_and_unload()
    return Model.wrap(
        module,
        model.tokenizer,
        name=f"{model.name} tuned on {toward} answers",
        layers_path=model.layers_path,
        memory_budget=model.memory_budget,
    )


def _check(
    pairs: Sequence[ScorablePair],
    toward: str,
    optimizer: str,
    learning_rate: float,
    epochs: int,
    batch_size: int,
    lora_rank: int,
) -> None:
    if not pairs:
        raise CAAError("There are no pairs to finetune on: give at least one.")
    if any(isinstance(pair, SystemPromptPair) for pair in pairs):
        raise CAAError(
            "System-prompt pairs have no answers to finetune on: give lettered choices or free-form"
            " pairs."
        )
    for name, value, choices in (
        ("toward", toward, ("positive", "negative")),
        ("optimizer", optimizer, ("adamw", "sgd")),
    ):
        if value not in choices:
            raise CAAError(f"{name} is {value!r}: choose {choices[0]!r} or {choices[1]!r}.")
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise CAAError(f"learning_rate is {learning_rate!r}: give a number above 0, such as 1e-4.")
    for name, number in (("epochs", epochs), ("batch_size", batch_size), ("lora_rank", lora_rank)):
        if number < 1:
            raise CAAError(f"{name} is {number}, but must be at least 1.")
    if find_spec("peft") is None:
        raise CAAError(
            "Finetuning needs the library peft, which is not installed: run "
            "pip install 'caa_nnsight[finetune]'."
        )


def _check_model(model: Model) -> None:
    if model.remote:
        raise ModelError(
            f"{model.name} is on an NDIF server, where weights can't be trained: load it into this "
            "process to finetune it."
        )
    if any(weight.device.type == "meta" for weight in model.module.parameters()):
        raise ModelError(
            f"Some weights of {model.name} are fetched from disk or main memory as they are needed "
            "(device_map), and such can't be trained: load it onto devices that hold all of it."
        )


def _row(tokenizer: PreTrainedTokenizerBase, pair: ScorablePair, toward: Toward) -> _Row:
    if isinstance(pair, FreeFormPair):
        answer = pair.positive if toward == "positive" else pair.negative
        prompt = answered_prompt(tokenizer, pair.question, answer)
        return _Row(prompt.ids, prompt.answer_length)
    letter = pair.positive_letter if toward == "positive" else pair.negative_letter
    return _Row(choice_prompt(tokenizer, pair).completed(letter), 1)


def _adapted(model: Model, lora_rank: int, seed: int):
    """A copy of the model's module with adapters: a peft model."""
    import torch
    from peft import LoraConfig, get_peft_model
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    module = copy.deepcopy(model.module)
    # By their whole names: what is outside the decoder blocks, such as a head, is left alone.
    targets = {
        f"{model.layers_path}.{name}": isinstance(part, Conv1D)
        for name, part in module.get_submodule(model.layers_path).named_modules()
        if isinstance(part, nn.Linear | Conv1D)
    }
    if not targets:
        raise ModelError(
            f"The decoder layers of {model.name} have no linear layers of PyTorch to finetune: use "
            "a model whose weights are neither quantized nor in layers of its own kind."
        )
    config = LoraConfig(
        r=lora_rank,
        lora_alpha=2 * lora_rank,
        target_modules=list(targets),
        fan_in_fan_out=all(targets.values()),
    )
    # The adapters' first weights are drawn from PyTorch's generator of the CPU.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peft, on what it asks transformers for
        torch.default_generator.manual_seed(seed)
        return get_peft_model(module, config)


def _train(
    adapted,
    rows: Sequence[_Row],
    optimizer: Optimizer,
    learning_rate: float,
    epochs: int,
    batch_size: int,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    import torch

    weights = [weight for weight in adapted.parameters() if weight.requires_grad]
    kind = torch.optim.SGD if optimizer == "sgd" else torch.optim.AdamW
    descent = kind(weights, lr=learning_rate)
    module = adapted.get_base_model()
    shuffle, order, seen = random.Random(f"{seed}-finetune"), list(range(len(rows))), 0
    for _ in range(epochs):
        shuffle.shuffle(order)
        for first in range(0, len(order), batch_size):
            batch = order[first : first + batch_size]
            for number in batch:
                loss = _loss(module, rows[number])
                if not torch.isfinite(loss):
                    raise CAAError(
                        f"Finetuning diverged after {seen} pairs (the loss is {loss.item():g}): "
                        "give a smaller learning_rate."
                    )
                (loss / len(batch)).backward()
                seen += 1
                if progress:
                    progress(seen, epochs * len(rows))
            descent.step()
            descent.zero_grad()


def _loss(module: PreTrainedModel, row: _Row) -> torch.Tensor:
    """Mean cross-entropy of the answer's tokens, in nats."""
    import torch

    device = module.get_input_embeddings().weight.device
    ids = torch.tensor([row.ids], device=device)
    # Logits over a whole vocabulary are large: only those that count are asked for.
    asked = "logits_to_keep" in inspect.signature(module.forward).parameters
    keep = {"logits_to_keep": row.n_answer} if asked else {}
    with torch.enable_grad():
        logits = module(input_ids=ids[:, :-1], use_cache=False, **keep).logits
        wanted = ids[0, -row.n_answer :].to(logits.device)
        return torch.nn.functional.cross_entropy(logits[0, -row.n_answer :].float(), wanted)


@contextmanager
def _memory_explained(name: str) -> Iterator[None]:
    from caa_nnsight.tracer.out_of_memory import is_out_of_memory

    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise ModelError(
            f"Memory ran out while {name} was finetuned, which takes a second copy of its weights: "
            "use a smaller model or a device with more memory."
        ) from error
