"""Extraction methods: each recovers a planted direction, and agrees with a second opinion."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from caa_nnsight.errors import VectorError
from caa_nnsight.methods import METHODS, get_method

HIDDEN, PAIRS = 24, 200


def planted(seed: int = 0, strength: float = 3.0, noise: float = 1.0):
    """Pairs that share a large part of their own and differ by a planted direction and noise."""
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=HIDDEN)
    direction /= np.linalg.norm(direction)
    shared = 20 * rng.normal(size=(PAIRS, HIDDEN))
    sides = [
        shared + sign * strength / 2 * direction + noise * rng.normal(size=shared.shape)
        for sign in (1, -1)
    ]
    positive, negative = (torch.tensor(side, dtype=torch.float32) for side in sides)
    return positive, negative, torch.tensor(direction, dtype=torch.float32)


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(one.float(), other.float(), dim=0))


@pytest.mark.parametrize("name", METHODS)
def test_the_planted_direction_is_recovered_with_its_sign(name):
    positive, negative, direction = planted()
    assert cosine(get_method(name).fit(positive, negative), direction) > 0.95


@pytest.mark.parametrize("name", METHODS)
def test_exchanging_the_sides_turns_the_vector_around(name):
    positive, negative, _ = planted()
    fit = get_method(name).fit
    assert cosine(fit(positive, negative), fit(negative, positive)) == pytest.approx(-1, abs=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_every_vector_is_as_long_as_the_mean_difference(name):
    positive, negative, _ = planted()
    vector = get_method(name).fit(positive, negative)
    expected = (positive - negative).mean(0).norm()
    assert float(vector.norm()) == pytest.approx(float(expected), rel=1e-5)
    assert vector.dtype == torch.float32
    assert vector.shape == (HIDDEN,)


@pytest.mark.parametrize("name", METHODS)
def test_what_the_two_sides_of_a_pair_share_has_no_influence(name):
    positive, negative, _ = planted()
    shift = 50 * torch.randn(PAIRS, HIDDEN, generator=torch.Generator().manual_seed(1))
    fit = get_method(name).fit
    moved = fit(positive + shift, negative + shift)
    assert cosine(moved, fit(positive, negative)) > 0.9999


def test_mean_difference_is_numpy_s():
    positive, negative, _ = planted()
    expected = (positive.numpy().astype(np.float64) - negative.numpy()).mean(0)
    np.testing.assert_allclose(
        get_method("mean_difference").fit(positive, negative).numpy(), expected, rtol=1e-5
    )


def test_mean_difference_keeps_its_digits_where_float32_sums_would_not():
    positive = torch.full((3000, 4), 4096.5)
    negative = torch.full((3000, 4), 4096.25)
    assert get_method("mean_difference").fit(positive, negative).tolist() == [0.25] * 4


def test_pca_is_the_largest_singular_direction_of_the_differences():
    positive, negative, _ = planted(noise=2.0)
    differences = (positive - negative).double().numpy()
    # The principal axis through the origin: not centered, as each difference has its negative.
    expected = torch.from_numpy(np.linalg.svd(differences)[2][0])
    found = get_method("pca_difference").fit(positive, negative)
    assert abs(cosine(found, expected)) > 0.99999


def test_logistic_regression_is_sklearn_s_on_centered_activations():
    positive, negative, _ = planted(strength=1.0)
    center = (positive + negative) / 2
    both = torch.cat([positive - center, negative - center]).numpy()
    labels = [1] * PAIRS + [0] * PAIRS
    boundary = LogisticRegression(max_iter=5000, tol=1e-8).fit(both, labels).coef_[0]
    found = get_method("logistic_regression").fit(positive, negative)
    assert cosine(found, torch.from_numpy(boundary)) > 0.9999


def test_the_methods_are_not_all_the_same():
    """Where the differences vary most along another axis, each method has its own answer."""
    rng = np.random.default_rng(0)
    differences = rng.normal(size=(PAIRS, HIDDEN))
    differences[:, 0] += 2.0
    differences[:, 1] *= 8.0
    positive = torch.tensor(differences, dtype=torch.float32)
    negative = torch.zeros_like(positive)
    found = {name: get_method(name).fit(positive, negative) for name in METHODS}
    assert abs(cosine(found["pca_difference"], torch.eye(HIDDEN)[1])) > 0.99
    assert abs(cosine(found["logistic_regression"], torch.eye(HIDDEN)[0])) > 0.9
    assert cosine(found["logistic_regression"], found["mean_difference"]) < 0.999


def test_only_the_mean_streams():
    assert [name for name, method in METHODS.items() if method.streams] == ["mean_difference"]
    assert all(method.description for method in METHODS.values())


def test_an_unknown_method_is_refused_with_those_there_are():
    with pytest.raises(VectorError, match=r"'mean'.* mean_difference, pca_difference"):
        get_method("mean")
