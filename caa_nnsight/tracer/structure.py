"""What remote work needs of nnsight before the first trace: a model's structure, its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnsight.modeling.transformers import TransformersModel
from nnsight.schema.config import CONFIG

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def model_without_weights(
    repo: str,
    tokenizer: PreTrainedTokenizerBase,
    *,
    task: str,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> TransformersModel:
    """The nnsight model of a repository on the Hub, on the meta device: for traces that go away.

    Args:
        repo: its Hub id.
        tokenizer: its tokenizer.
        task: what the server holds it for; it is a part of the name that the server knows.
        revision, trust_remote_code: see `load`; parts of that name too.
    """
    trusted = {"trust_remote_code": True} if trust_remote_code else {}
    return TransformersModel(repo, task=task, tokenizer=tokenizer, revision=revision, **trusted)


def configured_server() -> tuple[str | None, str | None]:
    """Host and API key as nnsight's own configuration has them."""
    return CONFIG.API.HOST, CONFIG.API.APIKEY
