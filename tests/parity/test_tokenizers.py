"""Both kinds of tokenizer and all kinds of template, from the pair's text to scores and vectors."""

from functools import cache

import numpy as np
import pytest
import torch

from caa_nnsight.extraction import extract
from caa_nnsight.models import Model
from caa_nnsight.pairs import ContrastPair
from caa_nnsight.prompts import choice_prompt, text_prompt
from caa_nnsight.steering import Edit, Steering
from tests.oracle import Oracle
from tests.parity.cases import TOLERANCE, random_vector, vector_difference
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

kinds = pytest.mark.parametrize("kind", ["joined", "apart"])
templates = pytest.mark.parametrize("template", ["system", "no_system", "base"])


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


@kinds
def test_the_tokenizers_are_what_they_claim_to_be(kind):
    tokens = tiny_tokenizer(kind).tokenize("\n(A)")
    assert tokens[-3:] == (["Ċ", "(A", ")"] if kind == "joined" else ["(", "A", ")"])


@kinds
@templates
def test_a_choice_prompt_ends_where_the_tokenizer_decides_between_the_letters(kind, template):
    tokenizer = tiny_tokenizer(kind, template)
    for pair in PAIRS:
        text, answers = expected_prompt(template, pair.question)
        with_a, with_b = cut(tokenizer, text, answers)
        prompt = choice_prompt(tokenizer, pair)
        assert list(prompt.ids) == with_a[:-1] == with_b[:-1]
        assert prompt.answers == {"A": with_a[-1], "B": with_b[-1]}
        assert list(prompt.completed("A")) == with_a
        assert prompt.prompt_length == len(tokenizer(text, add_special_tokens=False).input_ids)
        # Only a chat turn on the joining tokenizer gives `(A` as one token.
        joined = kind == "joined" and template != "base"
        assert len(prompt.ids) - prompt.prompt_length == (0 if joined else 1)


@kinds
def test_a_system_prompt_has_its_own_turn_where_the_template_has_the_role(kind):
    tokenizer = tiny_tokenizer(kind, "system")
    text = RENDERED["system", True].format(s=SYSTEM, q=PAIRS[0].question)
    with_a, _ = cut(tokenizer, text, ("(A)", "(B)"))
    assert list(choice_prompt(tokenizer, PAIRS[0], SYSTEM).completed("A")) == with_a


@kinds
@pytest.mark.parametrize("template", ["no_system", "base"])
def test_a_system_prompt_goes_into_the_question_where_there_is_no_such_role(kind, template):
    prompt = text_prompt(tiny_tokenizer(kind, template), "Tea?", SYSTEM)
    head, tail = RENDERED[template, False].split("{q}")
    assert prompt.text.startswith(head + SYSTEM) or prompt.text.startswith(SYSTEM)
    assert prompt.text.endswith("Tea?" + tail)
    assert prompt.text.count(SYSTEM) == 1


@kinds
@templates
@pytest.mark.parametrize("method", ["plain", "packed"])
def test_choice_scores_match_the_oracle_from_text(kind, template, method):
    model, oracle = model_and_oracle(kind, template)
    steerings = [Steering((Edit(1, random_vector(0), m),)) for m in (-2.0, 0.0, 1.0)]
    prompts = [choice_prompt(model.tokenizer, pair) for pair in PAIRS]
    found = model.tracer.score_choices(prompts, steerings, method=method).logprob
    for i, pair in enumerate(PAIRS):
        text, answers = expected_prompt(template, pair.question)
        with_a, with_b = cut(model.tokenizer, text, answers)
        length = len(model.tokenizer(text, add_special_tokens=False).input_ids)
        for j, steering in enumerate(steerings):
            expected = oracle.choice_logprobs(
                with_a[:-1], {"A": with_a[-1], "B": with_b[-1]}, steering, length
            )
            np.testing.assert_allclose(found[i, j], expected, rtol=TOLERANCE)


@kinds
@templates
def test_extracted_vectors_are_the_oracle_s_mean_differences(kind, template):
    model, oracle = model_and_oracle(kind, template)
    both_orders = [x for pair in PAIRS for x in (pair, pair.swapped())]
    for balance, used in (("none", PAIRS), ("both_orders", both_orders)):
        completions = []
        for pair in used:
            with_a, with_b = cut(model.tokenizer, *expected_prompt(template, pair.question))
            completions.append((with_a, with_b) if pair.positive == "(A)" else (with_b, with_a))
        expected = oracle.mean_difference(completions)
        found = extract(model, PAIRS, balance=balance).vectors
        assert sorted(found) == list(range(LAYERS))
        for layer in range(LAYERS):
            assert vector_difference(found[layer], expected[layer]) < TOLERANCE


@kinds
@templates
def test_generated_text_is_the_oracle_s(kind, template):
    model, oracle = model_and_oracle(kind, template)
    steering = Steering((Edit(2, random_vector(1)),))
    prompts = [text_prompt(model.tokenizer, stem) for stem in ("Tea?", PAIRS[1].stem)]
    found = model.tracer.generate(prompts, [steering], max_new_tokens=8)
    for stem, row in zip(("Tea?", PAIRS[1].stem), found, strict=True):
        text, _ = expected_prompt(template, stem)
        ids = model.tokenizer(text, add_special_tokens=False).input_ids
        new = oracle.generate(ids, steering, 8, eos=model.tokenizer.eos_token_id).ids
        assert row == [model.tokenizer.decode(new, skip_special_tokens=True)]


def test_extraction_of_chosen_layers_gives_only_these():
    model, _ = model_and_oracle("joined", "system")
    every, some = extract(model, PAIRS), extract(model, PAIRS, layers=[3, 1])
    assert sorted(some.vectors) == [1, 3]
    for layer in (1, 3):
        torch.testing.assert_close(some.vectors[layer], every.vectors[layer])
