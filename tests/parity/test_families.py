"""Every family against the oracle: activations, logits, choice scores, generated tokens."""

import numpy as np
import pytest

from tests.parity import cases
from tests.parity.cases import STEERINGS, TOLERANCE
from tests.tiny_models import FAMILIES

families = pytest.mark.parametrize("family", FAMILIES)


@families
def test_activations_match_the_oracle(family):
    assert cases.activation_difference(cases.case(family)) < TOLERANCE


@families
def test_logits_match_the_oracle_under_every_steering(family):
    of = cases.case(family)
    differences = {name: cases.logit_difference(of, s) for name, s in STEERINGS.items()}
    assert max(differences.values()) < TOLERANCE, differences


@families
@pytest.mark.parametrize("method", ["plain", "packed", "auto"])
def test_choice_scores_match_the_oracle_under_every_steering(family, method):
    of = cases.case(family)
    if method == "packed" and not of.tracer.packs:
        pytest.skip("this family's attention takes no packed mask; auto falls back to plain")
    assert cases.choice_difference(of, method) < TOLERANCE


@families
def test_generated_tokens_are_the_oracle_s_under_every_steering(family):
    expected = cases.oracle_generations(family)
    # A near tie would make the comparison a matter of rounding.
    assert min(generation.margin for row in expected for generation in row) > 1e-4
    assert cases.generated(cases.case(family)) == cases.ids_of(expected)


@families
def test_steering_only_the_prompt_would_be_noticed(family):
    every_token = cases.ids_of(cases.oracle_generations(family))
    prompt_only = cases.ids_of(cases.oracle_generations(family, prompt_only=True))
    differing = [
        any(row[i] != other[i] for row, other in zip(every_token, prompt_only, strict=True))
        for i in range(len(cases.GENERATED))
    ]
    # Without steering, and where steering is undone at once, there is nothing to notice.
    assert differing[0] is False
    assert sum(differing) >= len(differing) // 2


@families
def test_every_steering_moves_the_choice_scores_clearly(family):
    scores = cases.oracle_choices(family)
    moved = np.abs(scores[:, 1:] - scores[:, :1]).max(axis=(0, 2))
    assert moved.min() > 100 * TOLERANCE, dict(zip(list(STEERINGS)[1:], moved, strict=True))
