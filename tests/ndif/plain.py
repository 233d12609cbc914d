"""A plain nnsight trace of a tiny model, on the server and here."""

from __future__ import annotations

import torch
from nnsight.modeling.transformers import TransformersModel

from tests.ndif.models import TINY
from tests.tiny_models import tiny_model
from tests.tiny_tokenizers import tiny_tokenizer

PROMPT = "Is the sky blue at noon? Think of the sea."


def logits_from_the_server(repo: str) -> torch.Tensor:
    """[1, tokens, vocabulary], from the server that this process is pointed at."""
    tokenizer = tiny_tokenizer("joined", "system")
    model = TransformersModel(repo, task="text-generation", tokenizer=tokenizer)
    with model.trace(PROMPT, remote=True):
        logits = model.lm_head.output.save()
    return logits


def assert_the_server_is_right(repo: str) -> None:
    """Compare with the same model under transformers alone."""
    ids = tiny_tokenizer("joined", "system")(PROMPT, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        expected = tiny_model(TINY[repo])(ids).logits
    torch.testing.assert_close(logits_from_the_server(repo), expected, atol=1e-5, rtol=0)
