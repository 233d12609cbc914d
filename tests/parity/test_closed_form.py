"""The package on a model of hand-set weights: every number is known without running anything."""

from functools import cache

import numpy as np
import pytest
import torch

from caa_nnsight.extraction import extract
from caa_nnsight.models import Model
from caa_nnsight.pairs import ContrastPair
from caa_nnsight.prompts import ChoicePrompt, TextPrompt, choice_prompt
from caa_nnsight.steering import NO_STEERING, Edit, Steering
from tests import closed_form
from tests.closed_form import IDS, LAYERS, Question, axis_vector, planted_vector

QUESTIONS = [Question("A"), Question("B", 9), Question("B"), Question("A", 2)]
MULTIPLIERS = [-2.0, -0.5, 0.0, 0.5, 1.0]
ANSWERS = {"A": IDS["A"], "B": IDS["B"]}


@cache
def model() -> Model:
    return Model.wrap(closed_form.model(), closed_form.tokenizer(), name="closed form")


def pair(question: Question) -> ContrastPair:
    other = "B" if question.agrees == "A" else "A"
    return ContrastPair(question.text, f"({question.agrees})", f"({other})")


def prompts() -> list[ChoicePrompt]:
    return [ChoicePrompt(q.text, tuple(q.ids), q.prompt_length, ANSWERS) for q in QUESTIONS]


def formula(
    question: Question, multiplier: float, layer: int, start: int | None = None
) -> tuple[float, float]:
    """Log-probabilities of A and B."""
    logits = closed_form.choice_logits(question, multiplier, layer, start)
    logits = logits - np.log(np.exp(logits).sum())
    return float(logits[IDS["A"]]), float(logits[IDS["B"]])


def test_prompts_are_cut_where_the_letter_is_chosen():
    for question in QUESTIONS:
        prompt = choice_prompt(model().tokenizer, pair(question))
        assert list(prompt.ids) == question.ids
        assert prompt.prompt_length == question.prompt_length
        assert prompt.answers == ANSWERS


@pytest.mark.parametrize("layer", range(LAYERS))
def test_block_outputs_at_letter_and_opening_are_exact_in_a_padded_batch(layer):
    rows = [(q, letter) for q in QUESTIONS for letter in "AB"]
    found = model().tracer.capture(
        [[*q.ids, IDS[letter]] for q, letter in rows], [layer], [[-1, -2]] * len(rows)
    )
    expected = np.array(
        [
            [[closed_form.letter_output(q, letter, layer)], [closed_form.choice_output(q, layer)]]
            for q, letter in rows
        ]
    )
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-6)


def test_the_extracted_vector_is_the_planted_one():
    vectors = extract(model(), [pair(q) for q in QUESTIONS], balance="stratify")
    for layer in range(LAYERS):
        found = vectors.vectors[layer]
        if layer < 2:
            torch.testing.assert_close(found, planted_vector(layer), rtol=0, atol=1e-6)
        else:
            # Block 2 answers by what it sees; the planted axis stays as it was.
            assert float(found[closed_form.DIRECTION]) == pytest.approx(closed_form.PLANTED)


def test_unbalanced_letters_put_the_letter_into_the_vector():
    vectors = extract(model(), [pair(Question("A")), pair(Question("A", 3))], balance="none")
    letter = 4 * (axis_vector(0) - axis_vector(1))
    torch.testing.assert_close(vectors.vectors[0], letter)
    torch.testing.assert_close(vectors.vectors[1], letter + planted_vector(1))


@pytest.mark.parametrize("method", ["plain", "packed"])
@pytest.mark.parametrize("layer", range(LAYERS))
def test_choice_scores_follow_the_formula_at_every_multiplier(layer, method):
    steerings = [Steering((Edit(layer, planted_vector(1), m),)) for m in MULTIPLIERS]
    found = model().tracer.score_choices(prompts(), steerings, method=method).logprob
    for i, question in enumerate(QUESTIONS):
        for j, multiplier in enumerate(MULTIPLIERS):
            np.testing.assert_allclose(
                found[i, j], formula(question, multiplier, layer), rtol=1e-5, atol=1e-5
            )


@pytest.mark.parametrize("method", ["plain", "packed"])
def test_only_tokens_from_the_start_on_are_steered(method):
    # A steered word is shortened by the normalisation, so the start shows in the scores: both
    # words are steered, the second alone, or neither.
    question = Question("A")
    second = question.word_positions["refuse"]
    starts = {"all": 0, 1: 1, second: second, second - question.prompt_length: second, -1: -1}
    first = {start: at % question.prompt_length for start, at in starts.items()}
    assert len({formula(question, 0.5, 1, at) for at in first.values()}) == 3
    steerings = [Steering((Edit(1, planted_vector(1), 0.5),), start=start) for start in first]
    prompt = ChoicePrompt("", tuple(question.ids), question.prompt_length, ANSWERS)
    found = model().tracer.score_choices([prompt], steerings, method=method).logprob[0]
    expected = [formula(question, 0.5, 1, at) for at in first.values()]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_planted_vector_turns_the_answer_and_its_negative_turns_it_back():
    logprob = (
        model()
        .tracer.score_choices(
            prompts(), [Steering((Edit(1, planted_vector(1), m),)) for m in (-1.0, 0.0, 1.0)]
        )
        .logprob
    )
    log_odds = logprob[..., 0] - logprob[..., 1]
    for question, row in zip(QUESTIONS, log_odds, strict=True):
        sign = 1 if question.agrees == "A" else -1
        assert row[1] == pytest.approx(0, abs=1e-5)
        assert sign * row[2] > 3
        assert sign * row[0] < -3


def test_ablating_what_was_added_restores_the_unsteered_logits():
    added = Edit(0, planted_vector(1), 1.5)
    removed = Edit(1, planted_vector(1), 1.0, "ablate")
    ids = [list(q.ids) for q in QUESTIONS]
    found = model().tracer.logits(ids, Steering((added, removed)), [len(row) - 1 for row in ids])
    for row, question in zip(found, QUESTIONS, strict=True):
        expected = torch.tensor(closed_form.choice_logits(question, 0.0, 1)).float()
        torch.testing.assert_close(row[-1], expected, rtol=1e-5, atol=1e-5)


def test_every_generated_token_is_steered_and_each_row_by_its_own_vector():
    says_well = Steering((Edit(3, axis_vector(closed_form.SAYS_WELL), 50.0),))
    ends = Steering((Edit(3, axis_vector(closed_form.SAYS_EOS), 50.0),))
    agrees = Steering((Edit(1, planted_vector(1)),))
    found = model().tracer.generate_ids(
        [TextPrompt(q.text, tuple(q.ids)) for q in QUESTIONS],
        [says_well, ends, agrees],
        max_new_tokens=5,
    )
    for question, row in zip(QUESTIONS, found, strict=True):
        # Unsteered, `well` is never followed by `well`: steering the prompt alone shows.
        assert row[0] == [IDS["well"]] * 5
        assert row[1] == []
        assert row[2][0] == IDS[question.agrees]


def test_the_unsteered_model_prefers_neither_letter():
    logprob = model().tracer.score_choices(prompts(), [NO_STEERING]).logprob[:, 0]
    np.testing.assert_allclose(logprob[:, 0], logprob[:, 1], atol=1e-6)
