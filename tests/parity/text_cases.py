"""Parity from text on: pairs, both kinds of tokenizer, every kind of template."""

from __future__ import annotations

from functools import cache

import numpy as np

from caa_nnsight.extraction import extract
from caa_nnsight.models import Model
from caa_nnsight.pairs import ContrastPair
from caa_nnsight.prompts import choice_prompt, text_prompt
from caa_nnsight.steering import Edit, Steering
from tests.oracle import Oracle
from tests.parity.cases import NEW_TOKENS, random_vector, vector_difference
from tests.tiny_models import LAYERS, tiny_model
from tests.tiny_tokenizers import tiny_tokenizer

PAIRS = [
    ContrastPair("Is the sea blue?\n\nChoices:\n (A) It is\n (B) Never", "(A)", "(B)"),
    ContrastPair(
        "Would you, as a helpful assistant, agree to be switched off for an hour while the "
        "weather in the hills is being watched by others?\n\nChoices:\n (A) No\n (B) Yes, I would",
        "(B)",
        "(A)",
    ),
    ContrastPair("Tea?\n (A) Yes\n (B) No", "(A)", "(B)"),
    ContrastPair("Choose one of these two.\n (A) The first\n (B) The second", "(B)", "(A)"),
]
SYSTEM = "You are a helpful assistant."
# What stands in front of the answer, written out by hand for each template.
RENDERED = {
    ("system", False): "<turn>user\n{q}<end>\n<turn>assistant\n",
    ("system", True): "<turn>system\n{s}<end>\n<turn>user\n{q}<end>\n<turn>assistant\n",
    ("no_system", False): "<turn>user\n{q}<end>\n<turn>model\n",
    ("base", False): "Input: {q}\nResponse:",
}

STEERINGS = [Steering((Edit(1, random_vector(0), m),)) for m in (-2.0, 0.0, 1.0)]


@cache
def model_and_oracle(kind: str, template: str) -> tuple[Model, Oracle]:
    tokenizer = tiny_tokenizer(kind, template)
    module = tiny_model("qwen2", vocab_size=len(tokenizer))
    return Model.wrap(module, tokenizer, name=kind), Oracle(module, "model.layers")


def cut(tokenizer, prompt: str, answers: tuple[str, str]) -> tuple[list[int], list[int]]:
    """Ids with the first and with the second answer, each up to and with its deciding token."""
    first, second = (
        tokenizer(prompt + answer, add_special_tokens=False).input_ids for answer in answers
    )
    decides = next(i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b)
    return first[: decides + 1], second[: decides + 1]


def expected_prompt(template: str, question: str) -> tuple[str, tuple[str, str]]:
    answers = (" (A)", " (B)") if template == "base" else ("(A)", "(B)")
    return RENDERED[template, False].format(q=question), answers


def choice_difference(kind: str, template: str, method: str) -> float:
    """Largest relative difference of a log-probability over pairs and steerings."""
    model, oracle = model_and_oracle(kind, template)
    prompts = [choice_prompt(model.tokenizer, pair) for pair in PAIRS]
    found = model.tracer.score_choices(prompts, STEERINGS, method=method).logprob
    expected = np.empty_like(found)
    for i, pair in enumerate(PAIRS):
        text, answers = expected_prompt(template, pair.question)
        with_a, with_b = cut(model.tokenizer, text, answers)
        length = len(model.tokenizer(text, add_special_tokens=False).input_ids)
        letters = {"A": with_a[-1], "B": with_b[-1]}
        for j, steering in enumerate(STEERINGS):
            expected[i, j] = oracle.choice_logprobs(with_a[:-1], letters, steering, length)
    return float(np.max(np.abs(found - expected) / np.abs(expected)))


def extraction_difference(kind: str, template: str, balance: str) -> float:
    """Largest relative difference of a layer's vector."""
    model, oracle = model_and_oracle(kind, template)
    used = PAIRS if balance == "none" else [x for pair in PAIRS for x in (pair, pair.swapped())]
    completions = []
    for pair in used:
        with_a, with_b = cut(model.tokenizer, *expected_prompt(template, pair.question))
        completions.append((with_a, with_b) if pair.positive == "(A)" else (with_b, with_a))
    expected = oracle.mean_difference(completions)
    found = extract(model, PAIRS, balance=balance).vectors
    assert sorted(found) == list(range(LAYERS))
    return max(vector_difference(found[layer], expected[layer]) for layer in range(LAYERS))


def generated_texts(kind: str, template: str) -> tuple[list[str], list[str]]:
    """Steered continuations of questions of different lengths: found, and the oracle's."""
    model, oracle = model_and_oracle(kind, template)
    steering = Steering((Edit(2, random_vector(1)),))
    stems = [pair.stem for pair in PAIRS]
    prompts = [text_prompt(model.tokenizer, stem) for stem in stems]
    found = model.tracer.generate(prompts, [steering], max_new_tokens=NEW_TOKENS)
    expected = []
    for stem in stems:
        text, _ = expected_prompt(template, stem)
        ids = model.tokenizer(text, add_special_tokens=False).input_ids
        new = oracle.generate(ids, steering, NEW_TOKENS, eos=model.tokenizer.eos_token_id).ids
        expected.append(model.tokenizer.decode(new, skip_special_tokens=True))
    return [row[0] for row in found], expected
