"""The token view, on a model whose activations are known."""

from __future__ import annotations

import numpy as np
import pytest

import caa_nnsight as caa
from caa_nnsight.play.token_numbers import TokenNumbers, read_tokens, shaded
from caa_nnsight.prompts import TextPrompt
from tests import closed_form as cf

QUESTION = cf.Question("A")
# As a text, the prompt ends with "(" here, and the letters are answers to it.
PROMPT = TextPrompt("", tuple(QUESTION.ids))
LETTERS = [cf.IDS["A"], cf.IDS["B"]]


@pytest.fixture(scope="module")
def read():
    model = caa.Model.wrap(cf.model(), cf.tokenizer())
    vectors = caa.SteeringVectors({1: cf.planted_vector(1)})
    return read_tokens(model, vectors, 1, PROMPT, [[letter] for letter in LETTERS])


def test_the_numbers_of_each_token_are_the_known_ones(read):
    prompt, agrees, refuses = read
    # An answer letter of length 4 has +2 along the vector where its word agrees, else -2.
    np.testing.assert_allclose([agrees.projection, refuses.projection], [[2.0], [-2.0]], atol=1e-5)
    known = 2 / np.sqrt(4**2 + 2**2)
    np.testing.assert_allclose([agrees.cosine, refuses.cosine], [[known], [-known]], atol=1e-5)
    # The letters of the choices stand before their words, and see none of them.
    assert prompt.texts[0] == "<s>"
    others = [text not in ("A", "B") for text in prompt.texts]
    np.testing.assert_allclose(prompt.projection[others], 0.0, atol=1e-5)


def test_shades_are_on_one_scale_around_the_mean_of_all_texts(read):
    shading = shaded(read, "projection")
    assert shading.mean == pytest.approx(0.0, abs=1e-5)
    assert shading.limit == pytest.approx(2.0, rel=1e-3)
    assert shading.texts[1] == '<span class="up s8" title="2">A</span>'
    assert shading.texts[2] == '<span class="down s8" title="−2">B</span>'


def test_answers_without_tokens_have_no_shades():
    nothing = TokenNumbers([], np.zeros(0), np.zeros(0))
    prompt = TokenNumbers(["<s>"], np.ones(1), np.ones(1))
    assert shaded([prompt, nothing, nothing], "cosine").texts[1:] == ["", ""]


def test_hostile_tokens_are_escaped():
    numbers = np.array([0.0, 1.0, -1.0])
    hostile = TokenNumbers(["<s>", '<img src=x onerror="1">', "</span>&"], numbers, numbers)
    html = shaded([hostile], "cosine").texts[0]
    assert "<img" not in html
    assert "&lt;img·src=x" in html.replace("<i>", "").replace("</i>", "")
    assert html.count("</span>") == 3
