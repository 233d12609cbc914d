"""How activations become a steering vector: small functions in one typed table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caa_nnsight.errors import VectorError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ExtractionMethod:
    """One way to make a vector.

    Attributes:
        name: as given to `extract(method=...)`.
        description: one line.
        fit: `(positive [pairs, hidden], negative [pairs, hidden]) -> [hidden]`, float32.
        streams: the vector is the mean of the differences, so activations need not be kept.
    """

    name: str
    description: str
    fit: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    streams: bool = False


def mean_difference(positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
    """Mean over pairs of positive minus negative (section 3 of arXiv 2312.06681)."""
    return (positive.double() - negative.double()).mean(0).float()


def pca_difference(positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
    """First principal component of the differences, seen from both sides.

    Each difference is taken with its negative, so that the component goes through the origin.
    It points and is as long as the mean difference does, so multipliers stay comparable.
    """
    import numpy as np
    import torch
    from sklearn.decomposition import PCA

    differences = (positive - negative).numpy()
    both = np.concatenate([differences, -differences])
    component = PCA(n_components=1, svd_solver="full").fit(both).components_[0]
    return _like_mean(torch.from_numpy(component).float(), positive, negative)


def logistic_regression(positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
    """Normal of the logistic boundary between the two sides of centered pairs.

    Centering each pair removes what its two completions share. The vector is as long as the
    mean difference, so multipliers stay comparable.
    """
    import numpy as np
    import torch
    from sklearn.linear_model import LogisticRegression

    half = ((positive - negative) / 2).numpy()
    sides = np.concatenate([half, -half])
    labels = np.repeat([1, 0], len(half))
    model = LogisticRegression(fit_intercept=False, max_iter=1000).fit(sides, labels)
    return _like_mean(torch.from_numpy(model.coef_[0]).float(), positive, negative)


def _like_mean(
    direction: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor
) -> torch.Tensor:
    mean = mean_difference(positive, negative)
    sign = -1.0 if float(direction @ mean) < 0 else 1.0
    return sign * direction * (mean.norm() / direction.norm())


METHODS: dict[str, ExtractionMethod] = {
    method.name: method
    for method in (
        ExtractionMethod(
            "mean_difference", "mean difference of the pairs (the paper's)", mean_difference, True
        ),
        ExtractionMethod(
            "pca_difference", "first principal component of the differences", pca_difference
        ),
        ExtractionMethod(
            "logistic_regression", "normal of a logistic boundary", logistic_regression
        ),
    )
}


def get_method(name: str) -> ExtractionMethod:
    """A method by name.

    Raises:
        VectorError: there is none of that name.
    """
    if name not in METHODS:
        raise VectorError(f"Unknown extraction method {name!r}: use one of {', '.join(METHODS)}.")
    return METHODS[name]
