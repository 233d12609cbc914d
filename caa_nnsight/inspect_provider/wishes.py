"""What a task asks for besides its messages: Inspect's generation settings as ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caa_nnsight.errors import SteeringError

if TYPE_CHECKING:
    from inspect_ai.model import GenerateConfig

# What Inspect gives to models in the process unless told otherwise.
MAX_TOKENS = 2048
# Settings that would change the answers, and that can't be kept.
REFUSED = (
    "top_k",
    "best_of",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "response_schema",
    "prompt_logprobs",
    "extra_body",
)


@dataclass(frozen=True)
class Wishes:
    """How to write the answers to one request.

    Attributes:
        max_tokens: of each answer, at most.
        temperature: 0 takes the likeliest token, above 0 samples.
        top_p: nucleus for sampling.
        seed: of the sampling; None draws each answer anew.
        choices: how many answers.
        stops: texts at which an answer ends, itself left out.
        top_logprobs: how many of the likeliest tokens to tell the log-probabilities of, beside the
            written one's; None for no log-probabilities.
    """

    max_tokens: int = MAX_TOKENS
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    choices: int = 1
    stops: tuple[str, ...] = ()
    top_logprobs: int | None = None


def read_config(config: GenerateConfig) -> Wishes:
    """Take what is set; where nothing is, answers are greedy, as in `caa_nnsight.generate`.

    Args:
        config: Inspect's settings of one request.

    Returns:
        The same in our terms.

    Raises:
        SteeringError: If a setting would change the answers and can't be kept, or is out of range.
    """
    asked = [name for name in REFUSED if getattr(config, name, None)]
    if asked:
        raise SteeringError(
            f"This task sets {' and '.join(asked)}, which caa models don't have: leave it out, so "
            "that scores are of what was asked."
        )
    if "" in (config.stop_seqs or ()):
        raise SteeringError(
            "This task has a stop sequence that is empty, which would empty every answer: leave it "
            "out."
        )
    wishes = Wishes(
        max_tokens=_or(config.max_tokens, MAX_TOKENS),
        temperature=float(_or(config.temperature, 0.0)),
        top_p=float(_or(config.top_p, 1.0)),
        seed=config.seed,
        choices=_or(config.num_choices, 1),
        stops=tuple(config.stop_seqs or ()),
        top_logprobs=_or(config.top_logprobs, 0) if config.logprobs else None,
    )
    if (
        wishes.max_tokens < 1
        or wishes.choices < 1
        or not wishes.temperature >= 0
        or not 0 < wishes.top_p <= 1
    ):
        raise SteeringError(
            "caa models need max_tokens and num_choices of at least 1, a temperature of at least 0 "
            f"and top_p in (0, 1], but got {wishes.max_tokens}, {wishes.choices}, "
            f"{wishes.temperature} and {wishes.top_p}."
        )
    return wishes


def _or(value, default):
    return default if value is None else value
