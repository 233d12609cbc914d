"""The model of hand-set weights in the package's hands, and its distance from the formulas."""

from __future__ import annotations

from functools import cache

import numpy as np

from caa_nnsight.extraction import extract
from caa_nnsight.models import Model
from caa_nnsight.pairs import ContrastPair
from caa_nnsight.prompts import ChoicePrompt, TextPrompt
from caa_nnsight.steering import Edit, Steering
from tests import closed_form
from tests.closed_form import IDS, SAYS_EOS, SAYS_WELL, Question, axis_vector

QUESTIONS = [Question("A"), Question("B", 9), Question("B"), Question("A", 2)]
MULTIPLIERS = [-2.0, -0.5, 0.0, 0.5, 1.0]
ANSWERS = {"A": IDS["A"], "B": IDS["B"]}
PROMPTS = [ChoicePrompt(q.text, tuple(q.ids), q.prompt_length, ANSWERS) for q in QUESTIONS]


@cache
def model() -> Model:
    """The model, built once."""
    return Model.wrap(closed_form.model(), closed_form.tokenizer(), name="closed form")


def pair(question: Question) -> ContrastPair:
    """The question as a contrast pair whose positive answer agrees."""
    other = "B" if question.agrees == "A" else "A"
    return ContrastPair(question.text, f"({question.agrees})", f"({other})")


def planted(layer: int, multiplier: float, start: str | int = "last_prompt_token") -> Steering:
    """The planted direction, added to one block."""
    return Steering((Edit(layer, closed_form.planted_vector(1), multiplier),), start=start)


def formula(
    question: Question, multiplier: float, layer: int, start: int | None = None
) -> tuple[float, float]:
    """Log-probabilities of A and B."""
    logits = closed_form.choice_logits(question, multiplier, layer, start)
    logits = logits - np.log(np.exp(logits).sum())
    return float(logits[IDS["A"]]), float(logits[IDS["B"]])


def activation_difference(layer: int) -> float:
    """Largest distance of a block output at the letter and at the `(`; their length is 4 to 9."""
    rows = [(q, letter) for q in QUESTIONS for letter in "AB"]
    found = model().tracer.capture(
        [[*q.ids, IDS[letter]] for q, letter in rows], [layer], [[-1, -2]] * len(rows)
    )
    expected = [
        [closed_form.letter_output(q, letter, layer), closed_form.choice_output(q, layer)]
        for q, letter in rows
    ]
    return float(np.abs(found[:, :, 0].numpy() - np.array(expected)).max())


def vector_difference(layer: int) -> float:
    """Largest distance of the extracted vector from the planted one, before block 2 speaks."""
    found = extract(model(), [pair(q) for q in QUESTIONS], balance="stratify").vectors[layer]
    return float((found - closed_form.planted_vector(layer)).abs().max())


def logit_difference(layer: int) -> float:
    """Largest distance of a steered logit where the letter is chosen."""
    worst = 0.0
    for multiplier in MULTIPLIERS:
        found = model().tracer.logits(
            [q.ids for q in QUESTIONS],
            planted(layer, multiplier),
            [q.prompt_length for q in QUESTIONS],
        )
        for row, question in zip(found, QUESTIONS, strict=True):
            expected = closed_form.choice_logits(question, multiplier, layer)
            worst = max(worst, float(np.abs(row[-1].numpy() - expected).max()))
    return worst


def choice_difference(layer: int, method: str) -> float:
    """Largest distance of a log-probability."""
    steerings = [planted(layer, multiplier) for multiplier in MULTIPLIERS]
    found = model().tracer.score_choices(PROMPTS, steerings, method=method).logprob
    expected = [[formula(q, m, layer) for m in MULTIPLIERS] for q in QUESTIONS]
    return float(np.abs(found - np.array(expected)).max())


def generated_and_known() -> tuple[list[list[int]], list[list[int]]]:
    """Continuations under steering whose tokens are known: found, expected.

    Unsteered, `well` is never followed by `well`, so steering the prompt alone shows.
    """
    steerings = [Steering((Edit(3, axis_vector(axis), 50.0),)) for axis in (SAYS_WELL, SAYS_EOS)]
    found = model().tracer.generate_ids(
        [TextPrompt(q.text, tuple(q.ids)) for q in QUESTIONS],
        [*steerings, planted(1, 1.0)],
        max_new_tokens=5,
    )
    flat = [ids for says_well, ends, agrees in found for ids in (says_well, ends, agrees[:1])]
    known = [ids for q in QUESTIONS for ids in ([IDS["well"]] * 5, [], [IDS[q.agrees]])]
    return flat, known
