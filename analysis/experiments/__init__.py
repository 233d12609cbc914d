"""Every experiment of the CAA paper and those it leaves out: one module each, one table of all.

Each has a function that takes a `Lab` and returns tidy frames, a figure or more, and a section of
the report; `caa experiment NAME` runs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from caa_nnsight.errors import CAAError

if TYPE_CHECKING:
    from .base import Experiment

__all__ = ["NAMES", "Experiment", "get_experiment"]

# In the order of a report. Names of commands; a module has its experiment's name, with "_".
NAMES = (
    "layer-sweep",
    "multiplier-curve",
    "controls",
    "steerability",
    "system-prompts",
    "few-shot",
    "open-ended",
    "finetuning",
    "capability",
    "damage",
    "off-target",
    "layer-transfer",
    "model-transfer",
    "activation-pca",
    "similarity",
    "vocabulary",
    "token-view",
    "published",
)


def get_experiment(name: str) -> Experiment:
    """The experiment of this name.

    Args:
        name: one of `NAMES`.

    Returns:
        its functions: `run` takes a `Lab` and gives frames, `show` takes those and gives a section.

    Raises:
        CAAError: there is none; the sentence lists all.

    >>> get_experiment("layer-sweep").title
    'Layer sweep'
    """
    if name not in NAMES:
        raise CAAError(f"There is no experiment {name!r}: the names are {', '.join(NAMES)}.")
    return import_module(f".{name.replace('-', '_')}", __name__).EXPERIMENT


def __getattr__(name: str) -> object:
    # What an experiment is, is only needed by who writes one; its module loads pandas.
    if name != "Experiment":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.base").Experiment
